package cache

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime/debug"
	"time"
)

// flight is one load, whoever waits for it.
type flight[V any] struct {
	val   V
	state State
	err   error
}

// Fetch asks the source for k, once however many wait for it. It returns Fresh
// or Absent; or, with an error, Stale and the value that is still there, or
// Missing. A caller whose ctx ends goes away with that error; the load goes on.
// What was called for before a purge of k serves nobody who comes after it.
func (c *Cache[K, V]) Fetch(ctx context.Context, k K) (V, State, error) {
	landed := c.flying.DoChan(c.flightName(k), func() (any, error) { return c.fly(k), nil })
	var err error
	select {
	case <-ctx.Done():
		err = fmt.Errorf("wait for %v: %w", k, ctx.Err())
	case r := <-landed:
		f, _ := r.Val.(*flight[V])
		if f.err == nil {
			return f.val, f.state, nil
		}
		err = f.err
	}
	s, h := c.shard(k)
	if v, state := c.get(s, h, k, time.Now().UnixNano()); state == Fresh || state == Stale {
		return v, Stale, err
	}
	var none V
	return none, Missing, err
}

// flightName is what a load of k is known by until k is purged: a purge gives
// it a new one, so nobody joins a load from before.
func (c *Cache[K, V]) flightName(k K) string {
	s, h := c.shard(k)
	s.mu.Lock()
	gen := max(s.purged[stripe(h)], c.purged.Load())
	s.mu.Unlock()
	return string(binary.BigEndian.AppendUint64([]byte(c.cfg.Name(k)), gen))
}

// fly runs under a time limit of its own: it serves more than its first caller.
// It runs on a goroutine of its own too: singleflight would leave its callers
// waiting for a loader that ends its goroutine.
func (c *Cache[K, V]) fly(k K) *flight[V] {
	f := &flight[V]{err: fmt.Errorf("load %v: the loader ended its goroutine", k)} // unless it returns
	done := make(chan struct{})
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.cfg.LoadTimeout)
		defer cancel()
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				f.err = fmt.Errorf("load %v: the loader panicked: %v\n%s", k, r, debug.Stack())
			}
		}()
		f.val, f.state, f.err = c.load(ctx, k)
	}()
	<-done
	return f
}

func (c *Cache[K, V]) load(ctx context.Context, k K) (v V, state State, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return v, Missing, fmt.Errorf("load %v: %d loads are on their way already: %w", k, c.cfg.Loads, ctx.Err())
	}
	s, _ := c.shard(k)
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
