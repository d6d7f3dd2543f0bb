package daemon

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clusto/clusto-engine/cache"
	"github.com/clusto/clusto-engine/clusto"
)

const (
	// refetchMost is how many hosts are fetched one by one after a change: more
	// come sooner with all others.
	refetchMost  = 2000
	refetchLoads = 8
)

// feed is what is known of the inventory's change feed.
type feed struct {
	live    atomic.Bool
	seq     atomic.Int64 // of the latest change heard of
	purged  atomic.Uint64
	resets  atomic.Uint64
	refetch chan []clusto.MAC
	began   chan struct{} // closed once it is known whether there is a feed
	once    sync.Once
}

func newFeed() *feed { return &feed{refetch: make(chan []clusto.MAC, 64), began: make(chan struct{})} }

func (f *feed) begins() { f.once.Do(func() { close(f.began) }) }

// follower keeps the known hosts true to the inventory by its change feed. While
// the feed lives they do not age; when it ends they age from then on. It
// implements client.Follower.
type follower struct{ *DHCPServer }

// Reset marks all that was read before.
func (s follower) Reset() {
	s.feed.resets.Add(1)
	s.MarkStale()
	s.feed.begins()
}

// Live has values not age, but for those that Reset marked.
func (s follower) Live(seq int64) {
	s.feed.seq.Store(seq)
	s.hosts.SetLive(true)
	if !s.feed.live.Swap(true) {
		s.log.Info("following the inventory's changes: hosts do not age meanwhile", "from", seq)
	}
	s.feed.begins()
}

// Lost has values age from now on.
func (s follower) Lost(why error) {
	s.hosts.SetLive(false)
	if s.feed.live.Swap(false) {
		s.log.Warn("the inventory's change feed ended: hosts age until it is back", "error", why)
	}
	s.feed.begins()
}

// Changed forgets what may be another now, and has hosts that were known fetched
// again. MACs say all: they are those of the entities, too.
func (s follower) Changed(_ []string, macs []clusto.MAC) {
	var known []clusto.MAC
	now := time.Now().UnixNano()
	for _, mac := range macs {
		if _, state := s.hosts.Cache.Lookup(mac, now); state == cache.Fresh || state == cache.Stale {
			known = append(known, mac)
		}
		s.hosts.Purge(mac)
	}
	s.feed.purged.Add(uint64(len(macs)))
	if len(known) == 0 {
		return
	}
	select {
	case s.feed.refetch <- known:
	default: // too many at once
		s.fill.again()
	}
}

// refetch fetches hosts again that changed, so that their next request finds
// them at hand.
func (s *DHCPServer) refetch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case macs := <-s.feed.refetch:
			if len(macs) > refetchMost {
				s.fill.again()
				continue
			}
			s.fetchThese(ctx, macs)
		}
	}
}

func (s *DHCPServer) fetchThese(ctx context.Context, macs []clusto.MAC) {
	var g errgroup.Group
	g.SetLimit(refetchLoads)
	for _, mac := range macs {
		g.Go(func() error {
			_, _, err := s.hosts.Cache.Fetch(ctx, mac)
			return err
		})
	}
	if err := g.Wait(); err != nil && !errors.Is(err, clusto.ErrNotFound) {
		s.log.Debug("hosts that changed are fetched when they ask", "error", err)
	}
}
