package daemon

import (
	"context"
	"net/netip"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// Pace of what goes on beside the answering.
const (
	networksEvery = time.Minute
	retryLeast    = time.Second
	retryMost     = 30 * time.Second
)

// prefetch is what is known of the inventory as a whole.
type prefetch struct {
	wanted chan struct{}
	ranges chan struct{} // a token: read the networks again
	whole  chan struct{} // a token after a complete walk
	done   atomic.Bool   // once, at least
	hosts  atomic.Int64
	took   atomic.Int64 // nanoseconds, the last time
	runs   atomic.Uint64
	kept   atomic.Int64 // hosts that the last run had left
	known  atomic.Pointer[[]netip.Prefix]

	networked time.Time // when a walk last read the networks; the prefetch's own
}

// networks gives the ranges of all IP managers, as last heard; nil before that.
func (p *prefetch) networks() []netip.Prefix {
	if n := p.known.Load(); n != nil {
		return *n
	}
	return nil
}

// again asks for all hosts once more.
func (p *prefetch) again() {
	select {
	case p.wanted <- struct{}{}:
	default: // it is on its way already
	}
}

// readNetworks asks for the networks once more.
func (p *prefetch) readNetworks() {
	select {
	case p.ranges <- struct{}{}:
	default: // they are read soon anyway
	}
}

// prefetch loads all hosts at the start, and when it is asked to, and keeps the
// list of networks up to date.
func (s *DHCPServer) prefetch(ctx context.Context) {
	tick := time.NewTicker(networksEvery)
	defer tick.Stop()
	select { // what is read once the feed has begun need not be read again
	case <-s.feed.began:
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	s.fill.again()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.fill.wanted:
			s.prefetchAll(ctx)
			continue
		case <-s.fill.ranges:
		case <-retry:
		case <-tick.C:
		}
		retry = s.networksAgain(ctx)
	}
}

// networksAgain reads the networks. If it fails it says when to try again.
func (s *DHCPServer) networksAgain(ctx context.Context) (retry <-chan time.Time) {
	if err := s.loadNetworks(ctx); err != nil {
		s.log.Debug("the networks could not be read again", "error", err)
		return time.After(retryLeast)
	}
	return nil
}

// prefetchAll tries until it works; what the log says of the inventory's state
// is said once.
func (s *DHCPServer) prefetchAll(ctx context.Context) {
	for wait := retryLeast; ; wait = min(2*wait, retryMost) {
		err := s.loadAll(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		if wait == retryLeast {
			s.log.Warn("all hosts could not be fetched beforehand; hosts are fetched as they ask, and this is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func (s *DHCPServer) loadNetworks(ctx context.Context) error {
	networks, err := s.client.Networks(ctx)
	if err != nil {
		return err
	}
	var ranges []netip.Prefix
	for _, n := range networks {
		if n.Prefix.IsValid() {
			ranges = append(ranges, n.Prefix)
		}
	}
	s.setNetworks(ranges)
	return nil
}

func (s *DHCPServer) setNetworks(ranges []netip.Prefix) {
	s.fill.known.Store(&ranges)
	s.server.SetSite(s.site(ranges))
}

func (s *DHCPServer) loadAll(ctx context.Context) error {
	start := time.Now()
	if err := s.loadNetworks(ctx); err != nil {
		return err
	}
	gen := s.hosts.Generation()
	oneByOne := s.beginWalk()
	n, err := s.client.Hosts(ctx, func(h *clusto.Host) error {
		if !s.hosts.PutAt(gen, h.MAC, s.prepare(h)) {
			s.feed.want(h.MAC) // it changed, or one of the few that are taken for it
		}
		if oneByOne {
			gen = s.walked(ctx) // the next one is read from now on
		}
		return nil
	})
	if err != nil {
		return err
	}
	took := time.Since(start)
	debug.FreeOSMemory() // the stream left much behind; it will not come again soon
	s.fill.done.Store(true)
	s.fill.runs.Add(1)
	s.fill.hosts.Store(int64(n))
	s.fill.took.Store(int64(took))
	select {
	case s.fill.whole <- struct{}{}:
	default: // they are about to be saved anyway
	}
	s.log.Info("all hosts are at hand", "hosts", n, "took", took.Round(time.Millisecond).String())
	if n > s.cfg.CacheSize {
		s.log.Warn("the inventory has more hosts than the cache holds; raise cache_size", "hosts", n, "cache_size", s.cfg.CacheSize)
	}
	return nil
}
