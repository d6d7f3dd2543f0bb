package main

import (
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client/original"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// BenchmarkDiscover makes 1,000 servers of informs from 34 switches: through the
// daemon, clusto-httpd's handler, which this program serves over HTTP, and the
// database. Both databases wait for the disk.
//
//	go test -run - -bench Discover -benchtime 1x ./cmd/clusto-snmptrapd
func BenchmarkDiscover(b *testing.B) {
	for name, dsn := range map[string]func(testing.TB) string{
		"sqlite": func(t testing.TB) string { return t.TempDir() + "/clusto.db" },
		"postgresql": func(t testing.TB) string {
			dsn := postgres(t)
			pgtest.Durable(t, dsn)
			return dsn
		},
	} {
		b.Run(name, func(b *testing.B) { benchmarkDiscover(b, dsn, false) })
		b.Run(name+", original's calls", func(b *testing.B) { benchmarkDiscover(b, dsn, true) })
	}
}

func benchmarkDiscover(b *testing.B, dsn func(testing.TB) string, old bool) {
	const servers = 1000
	const racks = (servers + portsOfRack - 1) / portsOfRack
	var took time.Duration
	for range b.N {
		b.StopTimer()
		l := newLabOn(b, newSite(b, dsn(b), racks))
		if old {
			l.api.next = original.Over(l.api.next)
		}
		l.start("--discover-mac")
		b.StartTimer()
		began := time.Now()
		for rack := range racks {
			var histories [][]byte
			for port := 1; port <= portsOfRack && rack*portsOfRack+port <= servers; port++ {
				histories = append(histories, learnt(clusto.MAC{0, 0x1e, 0xc9, 1, byte(rack), byte(port)}, uint16(port)))
			}
			s := l.informer(rack, histories, nil)
			s.may.Store(int64(len(histories)))
			s.run(nil)
		}
		l.within(10*time.Minute, "all servers", func() bool { return l.figures()[outcome(discovery.Created)] >= servers })
		took += time.Since(began)
		b.StopTimer()
		b.ReportMetric(float64(l.figures()["inventory_retries_total"]), "retries")
		l.stop()
		l.api.down()
		_ = l.net.Delete(l.port)
	}
	b.ReportMetric(float64(servers*b.N)/took.Seconds(), "servers/s")
}
