package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
)

// measured is a daemon that can be asked how it is.
type measured interface {
	notReady() []string     // why not, in words; none if it is
	writeMetrics(io.Writer) // what there is to count, each family with its type
}

// serveMetrics serves /metrics, /readyz and /livez of daemons until ctx is over.
// The listener is open when it returns.
func serveMetrics(ctx context.Context, log *slog.Logger, addr string, daemons ...measured) (wait func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: serve metrics: listen on %s: %w", ErrConfig, addr, explainListen(addr, "--metrics", err))
	}
	metrics.ExposeMetadata(true)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		for _, d := range daemons {
			d.writeMetrics(w)
		}
		metrics.WriteProcessMetrics(w)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { readyz(w, daemons) })
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics are not served any more", "error", err)
		}
	}()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	log.Info("serving metrics", "address", l.Addr().String())
	return func() { <-done }, nil
}

// readyz answers 200 if all daemons are ready; else 503 and a line for each
// reason.
func readyz(w http.ResponseWriter, daemons []measured) {
	var why []string
	for _, d := range daemons {
		why = append(why, d.notReady()...)
	}
	if len(why) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, strings.Join(why, "\n"))
		return
	}
	fmt.Fprintln(w, "ready")
}

// down tells of interfaces that are not up.
func (l links) down() (why []string) {
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if !l[name].Stats().Up {
			why = append(why, "interface "+name+" is not up")
		}
	}
	return why
}

// notReady is empty once every interface is up and hosts are at hand, fetched
// or kept from the last run. It stays so while the inventory is down: known
// hosts are answered.
func (s *DHCPServer) notReady() []string {
	why := s.links.down()
	if !s.fill.done.Load() && s.fill.kept.Load() == 0 {
		why = append(why, "the hosts have not been fetched from "+s.cfg.APIURL+" yet")
	}
	return why
}

// writeMetrics writes what there is to count, each family with its type.
func (s *DHCPServer) writeMetrics(w io.Writer) {
	m := figures{metrics.NewSet(), "clusto_dhcpd_"}
	m.countFrames(s.stats, engine.Parked)
	m.counter("dropped_options_total", s.server.DroppedOptions.Load())
	m.counter("lost_warnings_total", s.server.LostEvents.Load())
	m.gauge("waiting_frames", float64(s.lot.Stats().Waiting))
	m.gauge("inventory_up", flag(!s.server.Degraded()))
	m.gauge("prefetched_hosts", float64(s.fill.hosts.Load()))
	m.counter("prefetches_total", s.fill.runs.Load())
	m.gauge("prefetch_seconds", time.Duration(s.fill.took.Load()).Seconds())
	m.gauge("feed_up", flag(s.feed.live.Load()))
	m.gauge("feed_seq", float64(s.feed.seq.Load()))
	m.counter("feed_purged_total", s.feed.purged.Load())
	m.counter("feed_resets_total", s.feed.resets.Load())
	s.countAdoption(m)
	s.countCache(m)
	for name, g := range s.links {
		countInterface(m, name, g.Stats())
	}
	m.set.WritePrometheus(w)
}

// figures are the metrics of one moment.
type figures struct {
	set  *metrics.Set
	name string // of the program, in front of all
}

func (f figures) counter(name string, n uint64) {
	f.set.GetOrCreateCounter(f.name + name).Set(n)
}

func (f figures) gauge(name string, v float64) {
	f.set.GetOrCreateGauge(f.name+name, func() float64 { return v })
}

// countFrames writes what became of frames. waits is the verdict of those that
// have another one to come.
func (f figures) countFrames(s *engine.Stats, waits engine.Verdict) {
	t := s.Totals()
	for v := engine.None + 1; v < engine.Verdicts; v++ {
		if v != waits {
			f.counter(fmt.Sprintf("frames_total{verdict=%q}", v), t.Verdicts[v])
		}
	}
	f.counter(waits.String()+"_total", t.Verdicts[waits])
	f.counter("received_total", t.Received)
	f.counter("sent_total", t.Sent)
	f.counter("tx_dropped_total", t.TxDropped)
}

func (s *DHCPServer) countCache(m figures) {
	c := s.hosts.Stats()
	for result, n := range map[string]uint64{"fresh": c.Hits, "stale": c.StaleHits, "absent": c.AbsentHits, "missing": c.Misses} {
		m.counter(fmt.Sprintf("cache_lookups_total{result=%q}", result), n)
	}
	m.counter("cache_loads_total", c.Loads)
	m.counter("cache_load_errors_total", c.LoadErrors)
	m.counter("cache_evictions_total", c.Evictions)
	m.gauge("cache_hosts", float64(c.Values))
	m.gauge("cache_absences", float64(c.Absences))
	m.gauge("cache_loads_under_way", float64(c.InFlight))
}

func countInterface(m figures, name string, st afpacket.Stats) {
	label := fmt.Sprintf("{interface=%q}", name)
	m.counter("kernel_received_total"+label, st.Received)
	m.counter("kernel_dropped_total"+label, st.Dropped)
	m.counter("interface_opened_total"+label, st.Opened)
	m.gauge("interface_up"+label, flag(st.Up))
	m.gauge("receive_buffer_bytes"+label, float64(st.Buffer))
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}
