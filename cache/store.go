package cache

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Generation marks a moment. What was read from the source after it may be
// stored with PutAt, unless a purge came in between.
func (c *Cache[K, V]) Generation() uint64 { return c.gen.Load() }

// PutAt stores a value that was read at the given generation. It reports false,
// and stores nothing, if anything was purged since: the value may be what the
// purge was about.
func (c *Cache[K, V]) PutAt(gen uint64, k K, v V) bool {
	s := c.shard(k)
	if c.gen.Load() != gen {
		return false
	}
	now := time.Now()
	ttl := float64(c.cfg.TTL) * (1 - c.cfg.Jitter*rand.Float64())
	if s.values.Add(k, entry[V]{val: v, stored: now.UnixNano(), until: now.Add(time.Duration(ttl)).UnixNano()}) {
		s.stats.evicted.Add(1)
	}
	s.absent.Remove(k)
	if c.gen.Load() != gen { // a purge ran beside us and may have missed it
		s.values.Remove(k)
		return false
	}
	return true
}

func (c *Cache[K, V]) putAbsent(gen uint64, k K) {
	s := c.shard(k)
	if c.gen.Load() != gen {
		return
	}
	s.values.Remove(k)
	s.absent.Add(k, time.Now().Add(c.cfg.AbsentTTL).UnixNano())
}

// Purge forgets k and whatever load of it is on its way.
func (c *Cache[K, V]) Purge(k K) {
	c.gen.Add(1)
	c.flying.Forget(fmt.Sprint(k))
	s := c.shard(k)
	s.values.Remove(k)
	s.absent.Remove(k)
}

// PurgeFunc forgets every value for which drop holds, and all absences. It
// returns the number of values.
func (c *Cache[K, V]) PurgeFunc(drop func(K, V) bool) (n int) {
	c.gen.Add(1)
	for i := range c.shards {
		s := &c.shards[i]
		for _, k := range s.values.Keys() {
			if e, ok := s.values.Peek(k); ok && drop(k, e.val) {
				c.flying.Forget(fmt.Sprint(k))
				s.values.Remove(k)
				n++
			}
		}
		s.absent.Purge()
	}
	return n
}

// MarkStale makes every value stale and every absence forgotten, at once.
func (c *Cache[K, V]) MarkStale() {
	c.gen.Add(1)
	c.epoch.Store(time.Now().UnixNano() + 1)
}

// Each calls f with every value, in no order. It may see changes made
// meanwhile or not.
func (c *Cache[K, V]) Each(f func(K, V)) {
	for i := range c.shards {
		for _, k := range c.shards[i].values.Keys() {
			if e, ok := c.shards[i].values.Peek(k); ok {
				f(k, e.val)
			}
		}
	}
}

// Stats may be called at any time.
func (c *Cache[K, V]) Stats() (t Stats) {
	for i := range c.shards {
		s := &c.shards[i]
		t.Hits += s.stats.hits.Load()
		t.StaleHits += s.stats.stale.Load()
		t.AbsentHits += s.stats.absent.Load()
		t.Misses += s.stats.misses.Load()
		t.Loads += s.stats.loads.Load()
		t.LoadErrors += s.stats.failed.Load()
		t.Evictions += s.stats.evicted.Load()
		t.Values += s.values.Len()
		t.Absences += s.absent.Len()
	}
	t.InFlight = len(c.slots)
	return t
}
