package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// flight is one load on its way, whoever waits for it. The result is valid
// once done is closed. (x/sync's singleflight goes by texts, and two keys may
// read alike.)
type flight[V any] struct {
	gen   uint64 // at which it was called for
	done  chan struct{}
	val   V
	state State
	err   error
}

// Fetch asks the source for k, once however many wait for it. It returns Fresh
// or Absent; or, with an error, Stale and the value that is still there, or
// Missing. A caller whose ctx ends goes away with that error; the load goes on.
// What was called for before a purge of k serves nobody who comes after it.
func (c *Cache[K, V]) Fetch(ctx context.Context, k K) (V, State, error) {
	f := c.board(k)
	var err error
	select {
	case <-ctx.Done():
		err = fmt.Errorf("wait for %v: %w", k, ctx.Err())
	case <-f.done:
		if f.err == nil {
			return f.val, f.state, nil
		}
		err = f.err
	}
	s, _ := c.shard(k)
	if v, state := c.get(s, k, time.Now().UnixNano()); state == Fresh || state == Stale {
		return v, Stale, err
	}
	var none V
	return none, Missing, err
}

// board gives the load of k that is on its way, or starts one.
func (c *Cache[K, V]) board(k K) *flight[V] {
	s, stripe := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f, ok := s.flights[k]; ok && !c.outdated(s, stripe, f.gen) {
		return f
	}
	f := &flight[V]{gen: c.gen.Load(), done: make(chan struct{})}
	s.flights[k] = f
	go c.fly(s, k, f)
	return f
}

// fly runs under a time limit of its own: it serves more than its first caller.
func (c *Cache[K, V]) fly(s *shard[K, V], k K, f *flight[V]) {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.LoadTimeout)
	defer cancel()
	f.err = fmt.Errorf("load %v: the loader ended its goroutine", k) // unless it returns
	defer func() {
		if r := recover(); r != nil {
			f.err = fmt.Errorf("load %v: the loader panicked: %v\n%s", k, r, debug.Stack())
		}
		if f.err != nil {
			f.state = Missing
		}
		s.mu.Lock()
		if s.flights[k] == f {
			delete(s.flights, k)
		}
		s.mu.Unlock()
		close(f.done)
	}()
	f.val, f.state, f.err = c.load(ctx, s, k)
}

func (c *Cache[K, V]) load(ctx context.Context, s *shard[K, V], k K) (v V, state State, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return v, Missing, fmt.Errorf("load %v: %d loads are on their way already: %w", k, c.cfg.Loads, ctx.Err())
	}
	gen := c.gen.Load()
	s.stats.loads.Add(1)
	failed := true // a loader that panics has failed too
	defer func() {
		if failed {
			s.stats.failed.Add(1)
		}
	}()
	v, err = c.cfg.Load(ctx, k)
	switch {
	case err == nil:
		failed = false
		c.PutAt(gen, k, v)
		return v, Fresh, nil
	case c.cfg.IsAbsent(err):
		failed = false
		c.putAbsent(gen, k)
		var none V
		return none, Absent, nil
	}
	return v, Missing, fmt.Errorf("load %v: %w", k, err)
}
