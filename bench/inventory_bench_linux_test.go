package bench

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// What the original took on the same machine, on the indexes that it makes: one
// MAC at so many hosts, and all six requests about one host of a site of 51
// entities (the median).
var (
	originalLookup = map[int]time.Duration{10_000: 49 * time.Millisecond, 100_000: 505 * time.Millisecond}
	originalHost   = 55 * time.Millisecond
)

// BenchmarkOpen opens a database and closes it.
func BenchmarkOpen(b *testing.B) {
	for _, n := range sizes(b) {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dsn := inventoryOf(b, n)
			for b.Loop() {
				s, err := store.Open(b.Context(), dsn, nil)
				must(b, err)
				must(b, s.Close())
			}
		})
	}
}

// BenchmarkHost resolves one MAC after the other in the store.
func BenchmarkHost(b *testing.B) {
	eachSize(b, func(b *testing.B, s *store.Store, n int) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			i = (i + stride) % n
			h, err := s.Host(b.Context(), macOf(i))
			must(b, err)
			check(b, h)
		}
		rate(b, 1, originalLookup[n])
	})
}

// stride takes neighbours far from each other, and every host once.
const stride = 7919

func check(b *testing.B, h *clusto.Host) {
	if len(h.Addresses) != 1 || h.Addresses[0].Network == nil || !h.Enabled || len(h.Attrs) != 4 {
		b.Fatalf("half a host: %+v", h)
	}
}

// rate reports hosts a second, and how many of them there are while the original
// resolves one, if that is known.
func rate(b *testing.B, hosts int, original time.Duration) {
	perSecond := float64(hosts) * float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(perSecond, "hosts/s")
	if original > 0 && os.Getenv(postgresEnv) == "" {
		b.ReportMetric(perSecond*original.Seconds(), "x-original")
	}
}

// BenchmarkHosts reads all hosts from the store, and reports the most memory
// that was in use after a collection.
func BenchmarkHosts(b *testing.B) {
	eachSize(b, func(b *testing.B, s *store.Store, n int) {
		readAll(b, n, n, func(each func() error) error {
			return s.Hosts(b.Context(), func(*clusto.Host) error { return each() })
		})
	})
}

// BenchmarkObjects reads all entities with all that they hold, as an export does.
func BenchmarkObjects(b *testing.B) {
	eachSize(b, func(b *testing.B, s *store.Store, n int) {
		readAll(b, n, 4+n+(n+39)/40+(n+199)/200, func(each func() error) error {
			return s.Objects(b.Context(), func(*clusto.Object) error { return each() })
		})
	})
}

// readAll reads all of n hosts, in so many parts.
func readAll(b *testing.B, n, parts int, read func(each func() error) error) {
	b.Helper()
	var heap heapPeak
	for b.Loop() {
		got := 0
		must(b, read(func() error {
			if got++; got%(n/20+1) == 0 {
				heap.look()
			}
			return nil
		}))
		if got != parts {
			b.Fatalf("%d, want %d", got, parts)
		}
	}
	rate(b, n, 0)
	heap.report(b)
}

// heapPeak is the most heap in use at the moments looked at.
type heapPeak uint64

func (p *heapPeak) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*p = max(*p, heapPeak(m.HeapInuse))
}

func (p *heapPeak) report(b *testing.B) { b.ReportMetric(float64(*p)/1e6, "heap-MB") }

// serve runs clusto-httpd's handler on a port, and gives a client of it.
func serve(b *testing.B, s *store.Store) *client.Client {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(b, err)
	srv := httpd.NewServer(httpd.New(httpd.Config{Store: s}), nil)
	go srv.Serve(ln) //nolint:errcheck // it ends with Close
	c, err := client.New(client.Config{URL: "http://" + ln.Addr().String()})
	must(b, err)
	b.Cleanup(func() {
		c.Close()
		must(b, srv.Close())
	})
	return c
}

// BenchmarkHTTPHost resolves MACs over HTTP, 1 and 64 at once as the DHCP server
// does when it knows none of them.
func BenchmarkHTTPHost(b *testing.B) {
	eachSize(b, func(b *testing.B, s *store.Store, n int) {
		c := serve(b, s)
		for _, loads := range []int{1, 64} {
			b.Run(fmt.Sprint(loads), func(b *testing.B) { loadHosts(b, c, n, loads) })
		}
	})
}

// loadHosts resolves b.N hosts, so many at once.
func loadHosts(b *testing.B, c *client.Client, n, loads int) {
	b.ReportAllocs()
	times := make([]time.Duration, b.N)
	var next atomic.Int64
	failed := make(chan error, loads)
	b.ResetTimer()
	for range loads {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					failed <- nil
					return
				}
				start := time.Now()
				h, err := c.Host(context.Background(), macOf(i*stride%n))
				times[i] = time.Since(start)
				if err == nil && !h.Enabled {
					err = fmt.Errorf("half a host: %+v", h)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	for range loads {
		must(b, <-failed)
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Nanoseconds())/1000, "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100].Nanoseconds())/1000, "p99-us")
	rate(b, 1, originalLookup[n])
}

// BenchmarkHTTPHosts streams all hosts over HTTP.
func BenchmarkHTTPHosts(b *testing.B) {
	eachSize(b, func(b *testing.B, s *store.Store, n int) {
		c := serve(b, s)
		for b.Loop() {
			got, err := c.Hosts(b.Context(), func(*clusto.Host) error { return nil })
			must(b, err)
			if got != n {
				b.Fatalf("%d hosts, want %d", got, n)
			}
		}
		rate(b, n, 0)
	})
}

// BenchmarkHTTPOriginalSite resolves a host of the site that the original was
// measured with.
func BenchmarkHTTPOriginalSite(b *testing.B) {
	text, err := os.ReadFile("../clusto/store/testdata/clusto.sql")
	must(b, err)
	file := filepath.Join(b.TempDir(), "clusto.db")
	db, err := sql.Open("sqlite", file)
	must(b, err)
	execute(b, db, string(text))
	must(b, db.Close())
	c := serve(b, open(b, file))
	for b.Loop() {
		_, err := c.Host(b.Context(), clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1})
		must(b, err)
	}
	rate(b, 1, originalHost)
}

// BenchmarkList lists the entities of a type, all servers and the few pools among
// them, and searches for a name.
func BenchmarkList(b *testing.B) {
	eachSize(b, func(b *testing.B, s *store.Store, n int) {
		for _, t := range []struct {
			name string
			q    clusto.Query
			want int
		}{
			{"servers", clusto.Query{Types: []string{"server"}}, n},
			{"pools", clusto.Query{Types: []string{"pool"}}, 2},
			{"search", clusto.Query{Contains: fmt.Sprintf("s%d", n-1)}, 1},
		} {
			b.Run(t.name, func(b *testing.B) {
				for b.Loop() {
					all, err := s.Entities(b.Context(), t.q)
					must(b, err)
					if len(all) != t.want {
						b.Fatalf("%d, want %d", len(all), t.want)
					}
				}
			})
		}
	})
}

// BenchmarkFind finds a host by its name, its MAC and its address.
func BenchmarkFind(b *testing.B) {
	eachSize(b, func(b *testing.B, s *store.Store, n int) {
		for _, t := range []struct {
			by   string
			what func(i int) string
		}{
			{"name", func(i int) string { return fmt.Sprintf("s%d", i) }},
			{"mac", func(i int) string { return macOf(i).String() }},
			{"ip", func(i int) string { return fmt.Sprintf("10.%d.%d.%d", 1+i/51200, i/200%256, i%200+10) }},
		} {
			b.Run(t.by, func(b *testing.B) {
				i := 0
				for b.Loop() {
					i = (i + stride) % n
					hosts, err := s.Find(b.Context(), t.what(i))
					must(b, err)
					if len(hosts) != 1 || hosts[0].MAC != macOf(i) {
						b.Fatalf("%s: %+v", t.what(i), hosts)
					}
				}
			})
		}
	})
}
