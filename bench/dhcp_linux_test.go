package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/labtest"
)

const hall = 10_000 // hosts

// window is how many requests are under way at once, as a hall's boot ROMs are.
const window = 256

// servers runs a benchmark against the echo and against clusto-dhcpd, in one
// run: the echo is what the machine can do.
func servers(b *testing.B, f func(b *testing.B, c *cable)) {
	dir := programs(b)
	s, db := site(b, dir, hall)
	c := plug(b, s)
	for _, srv := range []struct {
		name  string
		start func() (stop func())
	}{
		{"echo", func() func() { return startEcho(b, dir) }},
		{"clusto-dhcpd", func() func() {
			_, stop := daemons(b, dir, db, "--cache-ttl", "1h", "--workers", "1")
			return stop
		}},
	} {
		stop := srv.start()
		b.Run(srv.name, func(b *testing.B) { f(b, c) })
		stop()
	}
}

// BenchmarkReplies counts DISCOVERs answered, window of them under way.
func BenchmarkReplies(b *testing.B) {
	servers(b, func(b *testing.B, c *cable) {
		b.ReportAllocs()
		b.ResetTimer()
		sent, got := min(window, b.N), 0
		must(b, c.send(sent))
		for got < b.N {
			n, err := c.receive()
			must(b, err)
			got += n
			more := min(n, b.N-sent)
			must(b, c.send(more))
			sent += more
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "replies/s")
	})
}

// BenchmarkRoundTrip times one client that is alone.
func BenchmarkRoundTrip(b *testing.B) {
	servers(b, func(b *testing.B, c *cable) {
		times := make([]time.Duration, 0, b.N)
		for b.Loop() {
			start := time.Now()
			must(b, c.send(1))
			_, err := c.receive()
			must(b, err)
			times = append(times, time.Since(start))
		}
		slices.Sort(times)
		b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-us")
		b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "p99-us")
	})
}

// BenchmarkPrefetch times how long clusto-dhcpd takes to have all hosts at
// hand, and what they weigh beyond a daemon that has none.
func BenchmarkPrefetch(b *testing.B) {
	dir := programs(b)
	_, none := site(b, dir, 1)
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, db := site(b, dir, n)
			plug(b, s)
			pid, stop := daemons(b, dir, none)
			empty := labtest.Resident(b, pid)
			stop()
			var took, bytes float64
			b.ResetTimer()
			for range b.N {
				pid, stop := daemons(b, dir, db)
				if got := metric(b, "clusto_dhcpd_prefetched_hosts"); got != float64(n) {
					b.Fatalf("%v hosts at hand, want %d", got, n)
				}
				took += metric(b, "clusto_dhcpd_prefetch_seconds")
				bytes += float64(labtest.Resident(b, pid) - empty)
				stop()
			}
			b.ReportMetric(took/float64(b.N), "prefetch-s")
			b.ReportMetric(bytes/float64(b.N)/1e6, "MB")
		})
	}
}
