package daemon

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	// refetchMost is how many hosts are fetched one by one after a change: more
	// come sooner with all others.
	refetchMost  = 2000
	refetchLoads = 8
	// refetchPause keeps an inventory that changes all the time from being
	// streamed all the time.
	refetchPause = 5 * time.Second
)

// feed is what is known of the inventory's change feed.
type feed struct {
	live   atomic.Bool
	seq    atomic.Int64  // of the latest change heard of
	purged atomic.Uint64 // MACs named
	resets atomic.Uint64
	began  chan struct{} // closed once it is known whether there is a feed
	once   sync.Once

	mu      sync.Mutex
	changed map[clusto.MAC]struct{} // to be fetched again
	all     bool                    // too many: everything is
	wake    chan struct{}           // a token for either
}

func (f *feed) init() {
	f.began, f.wake = make(chan struct{}), make(chan struct{}, 1)
	f.changed = map[clusto.MAC]struct{}{}
}

func (f *feed) begins() { f.once.Do(func() { close(f.began) }) }

// want has hosts fetched again.
func (f *feed) want(macs ...clusto.MAC) {
	if len(macs) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, mac := range macs {
		if f.all {
			break
		}
		f.changed[mac] = struct{}{}
		f.all = len(f.changed) > refetchMost
	}
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feed) wantsAll() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.all
}

// take gives what is wanted, and forgets it.
func (f *feed) take() (macs []clusto.MAC, all bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for mac := range f.changed {
		macs = append(macs, mac)
	}
	all = f.all
	f.changed, f.all = map[clusto.MAC]struct{}{}, false
	return macs, all
}

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
	switch {
	case s.feed.live.Swap(false):
		s.log.Warn("the inventory's change feed ended: hosts age until it is back", "error", why)
	case errors.Is(why, errors.ErrUnsupported) && s.warned.first("no feed", time.Now()):
		s.log.Info("the inventory does not tell of changes: hosts age", "cache_ttl", s.cfg.CacheTTL.String(), "error", why)
	}
	s.feed.begins()
}

// Changed makes stale what may be another now, forgets that it is unknown, and
// has hosts that were known fetched again. The MACs say all: those of the
// entities are among them. A host that is stale is answered from what was known
// only where the inventory fails.
func (s follower) Changed(entities []string, macs []clusto.MAC) {
	var known []clusto.MAC
	for _, mac := range macs {
		if s.hosts.Expire(mac) {
			known = append(known, mac)
		}
	}
	s.feed.purged.Add(uint64(len(macs)))
	s.feed.want(known...)
	for _, e := range entities {
		if strings.HasPrefix(e, "/resourcemanager/") { // a network, perhaps
			s.fill.readNetworks()
			break
		}
	}
}

// refetch fetches hosts again that changed, so that their next request finds
// them at hand.
func (s *DHCPServer) refetch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.feed.wake:
		}
		macs, all := s.feed.take()
		if !all && s.fetchThese(ctx, macs) {
			continue
		}
		s.fill.again()
		select {
		case <-ctx.Done():
		case <-time.After(refetchPause):
		}
	}
}

// fetchThese reports whether the inventory knew an answer for each. With the first
// that it does not it ends: an inventory that hangs would take 4 s for each. It
// ends too when all hosts are to be fetched.
func (s *DHCPServer) fetchThese(ctx context.Context, macs []clusto.MAC) bool {
	g, all := errgroup.WithContext(ctx)
	g.SetLimit(refetchLoads)
	for _, mac := range macs {
		if all.Err() != nil || s.feed.wantsAll() {
			break
		}
		g.Go(func() error {
			_, _, err := s.hosts.Cache.Fetch(all, mac)
			return err
		})
	}
	err := cmp.Or(g.Wait(), ctx.Err())
	if err != nil && ctx.Err() == nil {
		s.log.Debug("hosts that changed could not be fetched; all hosts are fetched again", "hosts", len(macs), "error", err)
	}
	return err == nil
}
