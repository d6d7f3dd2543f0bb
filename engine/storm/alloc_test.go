package storm

import (
	"context"
	"testing"
	"time"
)

// doer is a Storm of n clients with a server on a wire in memory.
func doer(t testing.TB, n int) *Storm {
	a, b := newWire()
	serve(t, &server{conn: b})
	s, err := New(Config{Conn: a, Schedule: []time.Duration{time.Minute}}, fleet(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func doraAll(t testing.TB, s *Storm) {
	if res, err := s.Do(context.Background(), DORA); err != nil || res.Done != len(s.clients) {
		t.Fatal(res, err)
	}
}

// A Do allocates the same handful of things for 64 clients and for 4,096.
func TestDoAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	var got [2]float64
	for i, n := range []int{64, 4096} {
		s := doer(t, n)
		got[i] = testing.AllocsPerRun(5, func() { doraAll(t, s) })
	}
	if got[0] > 8 || got[1] > got[0]+1 {
		t.Errorf("%v allocations for 64 clients, %v for 4,096", got[0], got[1])
	}
}

// BenchmarkDORA is one client's whole acquisition, both sides, without a kernel.
func BenchmarkDORA(b *testing.B) {
	s := doer(b, 4096)
	b.ReportAllocs()
	for range b.N/4096 + 1 {
		doraAll(b, s)
	}
	b.ReportMetric(float64((b.N/4096+1)*4096)/b.Elapsed().Seconds(), "dora/s")
}
