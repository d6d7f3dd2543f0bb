package storm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

func mustLoad(t testing.TB, cfg LoadConfig, c []Client, v Verb) LoadResult {
	t.Helper()
	res, err := LoadDHCP(context.Background(), cfg, &DHCPLoad{Clients: c, Verbs: v})
	if err != nil {
		t.Fatal(err)
	}
	checkSums(t, res)
	return res
}

func checkSums(t testing.TB, r LoadResult) {
	t.Helper()
	if n := r.Done + r.Refused + r.Lost + r.Unfinished; n != r.Begun {
		t.Errorf("%d exchanges begun, %d accounted for: %+v", r.Begun, n, r)
	}
	if n := r.Taken + r.Late + r.Invalid + r.Stray; n != r.Received {
		t.Errorf("%d frames received, %d accounted for: %+v", r.Received, n, r)
	}
}

// after is a fate: every frame takes d.
func after(d time.Duration) func([]byte) []time.Duration {
	return func([]byte) []time.Duration { return []time.Duration{d} }
}

// A closed loop has as many under way as it is told, and no more.
func TestLoadClosedLoop(t *testing.T) {
	srv := &server{}
	bubble(t, srv, func(t *testing.T, a, b *end) {
		a.fate, b.fate = after(time.Millisecond), after(time.Millisecond)
		replies := map[int]int{}
		res := mustLoad(t, LoadConfig{Conn: a, Outstanding: 10, Count: 1000, OnReply: func(step int, d time.Duration) {
			replies[step]++
			if want := time.Duration(step) * 2 * time.Millisecond; d != want {
				t.Errorf("step %d after %v, want %v", step, d, want)
			}
		}}, fleet(7), DORA)
		if res.Done != 1000 || res.Sent != 2000 || res.Taken != 2000 {
			t.Errorf("%+v", res)
		}
		if replies[1] != 1000 || replies[2] != 1000 {
			t.Errorf("OnReply was told of %v", replies)
		}
		if want := 1000 / 10 * 4 * time.Millisecond; res.Elapsed != want {
			t.Errorf("1,000 exchanges of 4 ms, 10 at once, took %v, want %v", res.Elapsed, want)
		}
		for _, h := range srv.all() {
			if h.kind == dhcp4.Request && (h.requested != addrOf(h.mac) || h.server != serverAddr) {
				t.Fatalf("%+v asks for another's address", h)
			}
		}
	})
}

// An open loop asks at its rate, however slow the answers are.
func TestLoadOpenLoop(t *testing.T) {
	srv := &server{}
	bubble(t, srv, func(t *testing.T, a, b *end) {
		b.fate = after(300 * time.Millisecond)
		var last LoadResult
		res := mustLoad(t, LoadConfig{
			Conn: a, Rate: 500, Time: 2 * time.Second, OnProgress: func(r LoadResult) { last = r },
		}, fleet(3), Discover)
		if res.Done != 1000 || res.Begun != 1000 || last != res {
			t.Errorf("%+v, last told %+v", res, last)
		}
		all := srv.all()
		for i := range all {
			due := time.Duration(i) * 2 * time.Millisecond
			if late := all[i].at.Sub(all[0].at) - due; late < 0 || late > 2*time.Millisecond {
				t.Fatalf("DISCOVER %d came %v after it was due", i, late)
			}
		}
	})
}

// Latency counts from when an exchange was due, also if there was no room for it.
func TestLoadLatencyCountsTheWaitForRoom(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, b *end) {
		b.fate = after(100 * time.Millisecond)
		var longest time.Duration
		res := mustLoad(t, LoadConfig{
			Conn: a, Rate: 100, Count: 20, Outstanding: 1,
			OnReply: func(_ int, d time.Duration) { longest = max(longest, d) },
		}, fleet(3), Discover)
		// The last of 20 begins after 19 answers of 100 ms and was due after 190 ms.
		if longest < 1800*time.Millisecond || res.Done != 20 {
			t.Errorf("the longest latency was %v: %+v", longest, res)
		}
	})
}

// What is due in an open loop and finds no room until the end is told.
func TestLoadTellsWhatWasDueAndNotBegun(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, b *end) {
		b.fate = after(95 * time.Millisecond)
		res := mustLoad(t, LoadConfig{Conn: a, Rate: 100, Time: time.Second, Outstanding: 1}, fleet(3), Discover)
		if res.Done < 9 || res.Done > 11 || res.NotBegun != 100-res.Begun {
			t.Errorf("%+v", res)
		}
		res = mustLoadOn(t, LoadConfig{Rate: 100, Count: 20, Time: time.Second, Outstanding: 1, Timeout: time.Minute}, Discover)
		if res.Begun != 1 || res.NotBegun != 19 {
			t.Errorf("with a Count: %+v", res)
		}
	})
}

// mustLoadOn loads a wire on which nobody is.
func mustLoadOn(t *testing.T, cfg LoadConfig, v Verb) LoadResult {
	t.Helper()
	cfg.Conn, _ = newWire()
	return mustLoad(t, cfg, fleet(3), v)
}

// An open loop that sleeps too long begins all that is due all the same, also what was
// due before its Time, and if what is lost takes up room for longer than Timeout.
func TestLoadOpenLoopMayOversleep(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, _, _ *end) {
		res := mustLoadOn(t, LoadConfig{
			Rate: 1000, Time: 4 * time.Second, Timeout: 500 * time.Millisecond,
			Sleep: func(time.Duration) { time.Sleep(37 * time.Millisecond) },
		}, Discover)
		if res.Begun != 4000 || res.NotBegun != 0 || res.Lost != 4000 {
			t.Errorf("%+v", res)
		}
	})
}

// A rate that cannot be reached does not make a load longer.
func TestLoadEndsInTimeAtAnyRate(t *testing.T) {
	bubble(t, &server{}, func(t *testing.T, a, _ *end) {
		res, err := LoadDHCP(t.Context(), LoadConfig{Conn: &slow{Conn: a}, Rate: 1e6, Time: time.Second}, &DHCPLoad{Clients: fleet(3), Verbs: Discover})
		checkSums(t, res)
		if err != nil || res.Asking > 1110*time.Millisecond || res.Begun+res.NotBegun != 1e6 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// slow takes 10 ms for a batch.
type slow struct{ engine.Conn }

func (s *slow) Send(b *engine.Batch) int {
	time.Sleep(10 * time.Millisecond)
	return s.Conn.Send(b)
}

// What nobody answers is lost after Timeout, and its room used again.
func TestLoadCountsTheLost(t *testing.T) {
	n := 0
	bubble(t, &server{policy: func(h *heard, out []answer) []answer {
		if n++; n%3 == 0 {
			return out
		}
		return usual(h, out)
	}}, func(t *testing.T, a, _ *end) {
		res := mustLoad(t, LoadConfig{Conn: a, Outstanding: 4, Count: 300, Timeout: 50 * time.Millisecond}, fleet(5), Discover)
		if res.Lost != 100 || res.Done != 200 || res.Received != 200 {
			t.Errorf("%+v", res)
		}
	})
}

// Replies that are none of an exchange end nothing.
func TestLoadTakesOnlyItsOwn(t *testing.T) {
	bubble(t, &server{policy: func(h *heard, out []answer) []answer {
		good := usual(h, nil)[0]
		twice, other, nobody, empty, noID := good, good, good, good, good
		other.ethDst = [6]byte{2, 9, 9, 9, 9, 9}
		nobody.xid ^= 1 << slotBits
		empty.yiaddr = [4]byte{}
		noID.noID = true
		return append(out, other, nobody, empty, noID, good, twice)
	}}, func(t *testing.T, a, _ *end) {
		res := mustLoad(t, LoadConfig{Conn: a, Outstanding: 4, Count: 100}, fleet(100), Discover)
		if res.Done != 100 || res.Taken != 100 || res.Stray != 100 || res.Invalid != 200 || res.Late < 100 {
			t.Errorf("%+v", res)
		}
	})
}

// A NAK ends an exchange.
func TestLoadRefused(t *testing.T) {
	bubble(t, &server{policy: func(h *heard, out []answer) []answer {
		out = usual(h, out)
		if h.kind == dhcp4.Request {
			out[0].kind = dhcp4.Nak
		}
		return out
	}}, func(t *testing.T, a, _ *end) {
		res := mustLoad(t, LoadConfig{Conn: a, Count: 50}, fleet(50), DORA)
		if res.Refused != 50 || res.Taken != 100 || res.Done != 0 {
			t.Errorf("%+v", res)
		}
	})
}

// A flood comes from MACs that nobody has seen before.
func TestLoadRandomMACs(t *testing.T) {
	srv := &server{policy: func(_ *heard, out []answer) []answer { return out }}
	bubble(t, srv, func(t *testing.T, a, _ *end) {
		res, err := LoadDHCP(t.Context(), LoadConfig{Conn: a, Count: 5000, Rate: 1e5, Timeout: time.Millisecond}, &DHCPLoad{Clients: fleet(1), Verbs: Discover, Strangers: true})
		checkSums(t, res)
		if err != nil || res.Lost != 5000 {
			t.Errorf("%+v", res)
		}
		seen := make(map[[6]byte]bool)
		for _, h := range srv.all() {
			if h.mac[0]&3 != 2 {
				t.Fatalf("MAC %x is not a local unicast one", h.mac)
			}
			seen[h.mac] = true
		}
		if len(seen) != 5000 {
			t.Errorf("%d MACs in 5,000 requests", len(seen))
		}
	})
}

// A load of mirrored DISCOVERs counts what comes back to who sent it.
func TestLoadMirrored(t *testing.T) {
	a, b := newWire()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		var rx, tx engine.Batch
		for n := 0; b.Recv(&rx) == nil; {
			tx.Replies = tx.Replies[:0]
			for i := range rx.Packets {
				f := rx.Packets[i].Data
				if n++; n%10 != 0 { // else it comes to who did not send it
					copy(f, f[6:12])
				}
				tx.Replies = append(tx.Replies, f)
			}
			b.Send(&tx)
		}
	}()
	res, err := LoadDHCP(t.Context(), LoadConfig{Conn: a, Count: 1000, Timeout: time.Second}, &DHCPLoad{Clients: fleet(9), Verbs: Discover, Mirrored: true})
	b.Stop()
	<-gone
	checkSums(t, res)
	if err != nil || res.Done != 900 || res.Lost != 100 || res.Stray != 100 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A Load says how far it got when its context or its Conn ends.
func TestLoadCutOff(t *testing.T) {
	silent := &server{policy: func(_ *heard, out []answer) []answer { return out }}
	bubble(t, silent, func(t *testing.T, a, _ *end) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		res, err := LoadDHCP(ctx, LoadConfig{Conn: a, Count: 100, Outstanding: 10, Timeout: time.Hour}, &DHCPLoad{Clients: fleet(10), Verbs: Discover})
		if !errors.Is(err, context.DeadlineExceeded) || res.Unfinished != 10 || res.Begun != 10 {
			t.Errorf("%+v, %v", res, err)
		}
	})
	bubble(t, silent, func(t *testing.T, a, _ *end) {
		time.AfterFunc(time.Second, a.Stop)
		res, err := LoadDHCP(t.Context(), LoadConfig{Conn: a, Count: 100, Outstanding: 10, Timeout: time.Hour}, &DHCPLoad{Clients: fleet(10), Verbs: Discover})
		if !errors.Is(err, engine.ErrStopped) || res.Unfinished != 10 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

// Answered is when the last reply came: Elapsed goes on for what is lost.
func TestLoadTellsWhenTheLastReplyCame(t *testing.T) {
	var begun time.Time
	bubble(t, &server{policy: func(h *heard, out []answer) []answer {
		if h.at.Sub(begun) >= 900*time.Millisecond {
			return out
		}
		return usual(h, out)
	}}, func(t *testing.T, a, _ *end) {
		begun = time.Now()
		a.fate = after(5 * time.Millisecond)
		res := mustLoad(t, LoadConfig{Conn: a, Outstanding: 4, Time: time.Second, Timeout: time.Second}, fleet(5), Discover)
		if res.Answered != 895*time.Millisecond || res.Elapsed < 1900*time.Millisecond || res.Lost == 0 {
			t.Errorf("%+v", res)
		}
	})
}

// A hall's Answered is when the last machine had its lease, whoever gave up later.
func TestRunTellsWhenTheLastClientWasDone(t *testing.T) {
	bubble(t, &server{policy: func(h *heard, out []answer) []answer {
		if h.mac == macOf(1) {
			return out
		}
		return usual(h, out)
	}}, func(t *testing.T, a, _ *end) {
		a.fate = after(5 * time.Millisecond)
		res := mustRun(t, Config{Conn: a}, fleet(5), DORA)
		if res.Done != 4 || res.Failed != 1 || res.Answered != 10*time.Millisecond || res.Elapsed != time.Minute {
			t.Errorf("%+v", res)
		}
	})
}

func TestLoadRefusesNonsense(t *testing.T) {
	a, _ := newWire()
	for name, c := range map[string]struct {
		cfg  LoadConfig
		n    int
		verb Verb
	}{
		"no conn":      {LoadConfig{Count: 1}, 1, Discover},
		"no clients":   {LoadConfig{Conn: a, Count: 1}, 0, Discover},
		"a verb":       {LoadConfig{Conn: a, Count: 1}, 1, Renew},
		"no end":       {LoadConfig{Conn: a}, 1, Discover},
		"a rate":       {LoadConfig{Conn: a, Count: 1, Rate: -1}, 1, Discover},
		"too much":     {LoadConfig{Conn: a, Count: 1, Outstanding: MaxUnderWay + 1}, 1, Discover},
		"no set verbs": {LoadConfig{Conn: a, Count: 1}, 1, 0},
	} {
		if _, err := LoadDHCP(t.Context(), c.cfg, &DHCPLoad{Clients: fleet(c.n), Verbs: c.verb}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A Load of 64 exchanges allocates as often as one of 65,536.
func TestLoadAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	for _, verbs := range []Verb{Discover, DORA} {
		var got [2]float64
		for i, n := range []int{64, 1 << 16} {
			got[i] = testing.AllocsPerRun(3, func() {
				a, b := newWire()
				srv := &server{conn: b, done: make(chan struct{})}
				go srv.run()
				mustLoad(t, LoadConfig{Conn: a, Count: n, OnReply: func(int, time.Duration) {}}, fleet(16), verbs)
				b.Stop()
				<-srv.done
			})
		}
		if got[1] > got[0]+4 { // timers and goroutines of the run time
			t.Errorf("%#x: %v allocations for 64 exchanges, %v for 65,536", verbs, got[0], got[1])
		}
	}
}

// BenchmarkLoad is one exchange, both sides, without a kernel.
func BenchmarkLoad(b *testing.B) {
	for _, verbs := range []Verb{Discover, DORA} {
		b.Run(fmt.Sprintf("%#x", uint16(verbs)), func(b *testing.B) {
			near, far := newWire()
			serve(b, &server{conn: far})
			b.ReportAllocs()
			mustLoad(b, LoadConfig{Conn: near, Count: b.N}, fleet(10_000), verbs)
		})
	}
}
