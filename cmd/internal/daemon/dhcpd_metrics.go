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
)

// serveMetrics serves /metrics, /readyz and /livez until ctx is over. The
// listener is open when it returns.
func (s *DHCPServer) serveMetrics(ctx context.Context, addr string) (wait func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: serve metrics: %w", ErrConfig, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.writeMetrics(w)
	})
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("metrics are not served any more", "error", err)
		}
	}()
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	s.log.Info("serving metrics", "address", l.Addr().String())
	return func() { <-done }, nil
}

// readyz answers 200 once every interface is up and hosts are at hand, fetched
// or kept from the last run; else 503 and a line for each reason. It stays 200 while the inventory
// is down: known hosts are answered.
func (s *DHCPServer) readyz(w http.ResponseWriter, _ *http.Request) {
	var why []string
	for _, name := range slices.Sorted(maps.Keys(s.links)) {
		if !s.links[name].Stats().Up {
			why = append(why, "interface "+name+" is not up")
		}
	}
	if !s.fill.done.Load() && s.fill.kept.Load() == 0 {
		why = append(why, "the hosts have not been fetched from "+s.cfg.APIURL+" yet")
	}
	if len(why) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, strings.Join(why, "\n"))
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *DHCPServer) writeMetrics(w io.Writer) {
	t := s.stats.Totals()
	for v := engine.None + 1; v < engine.Verdicts; v++ {
		metrics.WriteCounterUint64(w, fmt.Sprintf("clusto_dhcpd_frames_total{verdict=%q}", v), t.Verdicts[v])
	}
	metrics.WriteCounterUint64(w, "clusto_dhcpd_received_total", t.Received)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_sent_total", t.Sent)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_tx_dropped_total", t.TxDropped)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_dropped_options_total", s.server.DroppedOptions.Load())
	metrics.WriteCounterUint64(w, "clusto_dhcpd_lost_warnings_total", s.server.LostEvents.Load())
	lot := s.lot.Stats()
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_waiting_frames", uint64(lot.Waiting))
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_inventory_up", flag(!s.server.Degraded()))
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_prefetched_hosts", uint64(s.fill.hosts.Load()))
	metrics.WriteGaugeFloat64(w, "clusto_dhcpd_prefetch_seconds", time.Duration(s.fill.took.Load()).Seconds())
	s.writeCache(w)
	for _, name := range slices.Sorted(maps.Keys(s.links)) {
		s.writeInterface(w, name)
	}
	metrics.WriteProcessMetrics(w)
}

func (s *DHCPServer) writeCache(w io.Writer) {
	c := s.hosts.Stats()
	for _, m := range []struct {
		result string
		n      uint64
	}{{"fresh", c.Hits}, {"stale", c.StaleHits}, {"absent", c.AbsentHits}, {"missing", c.Misses}} {
		metrics.WriteCounterUint64(w, fmt.Sprintf("clusto_dhcpd_cache_lookups_total{result=%q}", m.result), m.n)
	}
	metrics.WriteCounterUint64(w, "clusto_dhcpd_cache_loads_total", c.Loads)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_cache_load_errors_total", c.LoadErrors)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_cache_evictions_total", c.Evictions)
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_cache_hosts", uint64(c.Values))
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_cache_absences", uint64(c.Absences))
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_cache_loads_under_way", uint64(c.InFlight))
}

func (s *DHCPServer) writeInterface(w io.Writer, name string) {
	st := s.links[name].Stats()
	label := fmt.Sprintf("{interface=%q}", name)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_kernel_received_total"+label, st.Received)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_kernel_dropped_total"+label, st.Dropped)
	metrics.WriteCounterUint64(w, "clusto_dhcpd_interface_opened_total"+label, st.Opened)
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_interface_up"+label, flag(st.Up))
	metrics.WriteGaugeUint64(w, "clusto_dhcpd_receive_buffer_bytes"+label, uint64(st.Buffer))
}

func flag(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}
