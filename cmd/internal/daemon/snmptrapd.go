package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/trap"
)

// SNMPMain is the whole program clusto-snmptrapd. It returns the exit code, as
// DHCPMain does. read reads captures; nil where they are not read.
func SNMPMain(args []string, read ReadCapture) int {
	var cfg SNMP
	return serve(Program{
		Name: "clusto-snmptrapd", Section: "snmp",
		About: "Makes servers in clusto of the MAC addresses that switches report by SNMP.",
	}, args, &cfg, func(ctx context.Context) error { return serveSNMP(ctx, &cfg, cfg.Logger(os.Stderr), read) })
}

// TrapServer is clusto-snmptrapd, put together: interfaces, traps, journal and
// discovery.
type TrapServer struct {
	cfg     *SNMP
	log     *slog.Logger
	client  *client.Auto
	journal *journal.Journal
	kept    *keeping
	traps   *trap.Server
	finds   *discovery.Discovery
	stats   *engine.Stats
	links   links
	sink    *afpacket.Sink
	warned  once

	recording *recording // of a replay

	at   atomic.Int64  // when the frame of a replay came, in nanoseconds since 1970
	fed  sync.Once     // closes find
	find chan struct{} // closed once events are to be looked at
}

// NewTrapServer opens journal and interfaces. Close has to be called in the end.
// An error that wraps ErrConfig is one of the set-up.
func NewTrapServer(ctx context.Context, cfg *SNMP, log *slog.Logger) (s *TrapServer, err error) {
	s = &TrapServer{cfg: cfg, log: log, links: links{}, find: make(chan struct{}), stats: engine.NewStats(len(cfg.Interface) + 2), warned: once{every: time.Minute}}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	layouts, err := rack.Load(cfg.RackLayouts)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	api := client.Config{URL: cfg.APIURL, Agent: "clusto-snmptrapd/" + version()}
	if err := cfg.AddTo(&api, log); err != nil {
		return s, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if s.client, err = client.NewAuto(api, s.foundServer); err != nil {
		return s, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if s.journal, err = journal.Open(ctx, journal.Config{File: cfg.Journal, Max: cfg.JournalSize, Log: log}); errors.Is(err, journal.ErrConfig) {
		return s, fmt.Errorf("%w: %w", ErrConfig, err)
	} else if err != nil {
		return s, err // a full disk: it passes
	}
	if n := s.journal.Stats().Waiting; n > 0 {
		log.Info("events of the last run wait in the journal", "events", n, "journal", cfg.Journal)
	}
	s.finds = discovery.New(discovery.Config{
		Queue: queue{s.journal}, Inventory: s.client, Layouts: layouts, Log: log,
		Names: cfg.NameManager, HoldDown: holdDown(cfg.HoldDown), MaxMACs: cfg.MaxMACsPerPort, Prefixes: cfg.MACPrefixes, Local: cfg.LocalMACs,
		SetMAC: cfg.DiscoverMAC, IPManagers: cfg.managers(), SetIP: len(cfg.DiscoverIP) > 0, Timeout: cfg.DiscoverTimeout,
		Stepwise: func() bool { return s.client.Server() == client.Original },
	})
	s.kept = &keeping{Journal: s.journal, came: s.finds.Came, wake: s.finds.Wake}
	traps := trap.Config{
		Journal: s.kept, Communities: cfg.Community, Sources: cfg.prefixes(),
		Counter: s.stats.Counter(len(cfg.Interface)), Report: s.problem, Now: s.now,
	}
	if cfg.Replay == "" {
		s.look()
	} else {
		s.recording = &recording{max: cfg.JournalSize, stats: engine.NewStats(1)}
		traps.Journal, traps.Counter = s.recording, s.recording.stats.Counter(0)
	}
	s.traps = trap.NewServer(traps)
	return s, s.open()
}

func (s *TrapServer) foundServer(is client.Server) {
	if is == client.Original {
		s.log.Warn("the inventory is an original clusto-httpd: a server is made in single steps, and two daemons on it may make one twice", "api_url", s.cfg.APIURL)
	}
}

// holdDown makes 0 what discovery takes for none.
func holdDown(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// managers are the IP managers named; none where the rack names it.
func (s *Traps) managers() []string {
	if len(s.DiscoverIP) == 1 && s.DiscoverIP[0] == "rack" {
		return nil
	}
	return s.DiscoverIP
}

// open opens the interfaces, and holds the port that the kernel would refuse.
func (s *TrapServer) open() error {
	if err := afpacket.CheckOverlap(s.cfg.Interface); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, name := range s.cfg.Interface {
		// One worker: traps of a switch stay in order, and one is fast enough.
		g, err := afpacket.Open(afpacket.Config{Interface: name, Ports: []uint16{trap.Port}, Log: s.log})
		if err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		s.links[name] = g
	}
	if len(s.cfg.Interface) == 0 {
		return nil
	}
	sink, err := afpacket.OpenSink(trap.Port)
	if err != nil {
		s.log.Warn("another program may take traps on this machine, or the kernel answers them with \"port unreachable\"", "error", err)
		return nil
	}
	s.sink = sink
	return nil
}

// problem logs what was turned away.
func (s *TrapServer) problem(p trap.Problem) {
	args := []any{"switch", p.Source.String()}
	if !p.Source.IsValid() || p.Source.IsUnspecified() {
		args = nil
	}
	for _, f := range []struct{ name, val string }{{"interface", p.Interface}, {"community", p.Community}, {"trap", p.Trap}} {
		if f.val != "" {
			args = append(args, f.name, f.val)
		}
	}
	if e := p.First; e.MAC != [6]byte{} {
		args = append(args, "port", e.Port, "vlan", e.VLAN, "mac", clusto.MAC(e.MAC).String())
	}
	if p.Frames > 0 {
		args = append(args, "frames", p.Frames)
	}
	if p.Held > 0 {
		args = append(args, "more", p.Held)
	}
	if p.Err != nil {
		args = append(args, "error", p.Err)
	}
	s.log.Warn(p.Text(), args...)
}

// Run takes traps until ctx is over, then brings to disk what was taken.
func (s *TrapServer) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers, rest sync.WaitGroup
	i := 0
	for _, g := range s.links {
		w := &engine.Worker{Conn: g.Conn(0), Handler: s.traps.Handler(), Counter: s.stats.Counter(i), Crashed: s.crashed}
		workers.Go(func() {
			if err := w.Run(); err != nil {
				cancel(fmt.Errorf("worker on %s: %w", g.Name(), err))
			}
		})
		i++
	}
	keep, stopKeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer stopKeeping()
	rest.Go(func() { s.traps.Run(keep, s.links) })
	rest.Go(func() {
		select {
		case <-s.find:
			s.finds.Run(ctx)
		case <-ctx.Done():
		}
	})
	rest.Go(func() { s.revived(ctx) })
	rest.Go(func() { s.kept.retry(ctx) })
	<-ctx.Done()
	for _, g := range s.links {
		g.Conn(0).Stop()
	}
	workers.Wait()
	stopKeeping()
	rest.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// revived tells discovery of dead letters that are to be tried again.
func (s *TrapServer) revived(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.journal.Revived():
			s.finds.Wake()
		}
	}
}

func (s *TrapServer) crashed(err error) {
	if s.warned.first("crash", time.Now()) {
		s.log.Error("a frame made the server stumble; please report this", "error", err)
	}
}

// Close closes interfaces and journal. Run has to have returned.
func (s *TrapServer) Close() {
	for _, g := range s.links {
		g.Close()
	}
	if s.sink != nil {
		s.sink.Close()
	}
	if s.journal != nil {
		if err := s.journal.Close(); err != nil {
			s.log.Warn("the journal does not close; what is done may be looked at again at the next start", "error", err)
		}
	}
	if s.client != nil {
		s.client.Close()
	}
}

// queue is the journal as discovery knows it.
type queue struct{ j *journal.Journal }

// Switches implements discovery.Queue.
func (q queue) Switches(ctx context.Context) (out []netip.Addr, err error) {
	all, err := q.j.Switches(ctx)
	for _, sw := range all {
		out = append(out, netip.AddrFrom4(sw))
	}
	return out, err
}

// Next implements discovery.Queue.
func (q queue) Next(ctx context.Context, sw netip.Addr, after int64, limit int) (out []discovery.Event, err error) {
	entries, err := q.j.Next(ctx, sw.As4(), after, limit)
	for _, e := range entries {
		out = append(out, discovery.Event{
			Seq: e.Seq, At: time.Unix(0, e.At), Switch: sw, MAC: e.MAC, VLAN: e.VLAN, Port: e.Port, From: e.From, Kind: discovery.Kind(e.Op),
		})
	}
	return out, err
}

// Done implements discovery.Queue.
func (q queue) Done(seq ...int64) { q.j.Done(seq...) }

// Bury implements discovery.Queue.
func (q queue) Bury(ctx context.Context, ev discovery.Event, outcome, reason string) error {
	return q.j.Bury(ctx, &journal.Entry{Seq: ev.Seq, Event: trap.Event{
		At: ev.At.UnixNano(), Switch: ev.Switch.As4(), MAC: ev.MAC, VLAN: ev.VLAN, Port: ev.Port, From: ev.From, Op: trap.Op(ev.Kind),
	}}, outcome, reason)
}

// serveSNMP takes traps until ctx is over, or those of a capture. An error that
// wraps ErrConfig is one of the set-up.
func serveSNMP(ctx context.Context, cfg *SNMP, log *slog.Logger, read ReadCapture) error {
	var capture *replay
	if cfg.Replay != "" {
		var err error
		if capture, err = openReplay(ctx, cfg.Replay, read); err != nil {
			return err
		}
		defer capture.file.Close()
	}
	s, err := NewTrapServer(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if cfg.Metrics != "" {
		wait, err := serveMetrics(ctx, log, cfg.Metrics, s)
		if err != nil {
			return err
		}
		defer wait()
		defer cancel()
	}
	if capture != nil {
		return s.replay(ctx, capture)
	}
	err = s.Run(ctx)
	t := s.stats.Totals()
	log.Info("stopped", "received", t.Received, "acknowledged", t.Verdicts[engine.Acknowledged], "journaled", t.Verdicts[engine.Journaled])
	return err
}
