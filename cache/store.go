package cache

import (
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// Generation marks a moment. What was read from the source after it may be
// stored with PutAt, unless a purge came in between.
func (c *Cache[K, V]) Generation() uint64 { return c.gen.Load() }

// outdated reports whether a purge since gen may have been about a key of that
// hash. The shard is locked.
func (c *Cache[K, V]) outdated(s *shard[K, V], hash, gen uint64) bool {
	return gen < s.purged[stripe(hash)] || gen < c.purged.Load()
}

// keep stores a value of k, and reports whether another one made room. The shard is
// locked.
func (c *Cache[K, V]) keep(s *shard[K, V], hash uint64, k K, v entry[V]) (evicted bool) {
	e := &held[K, V]{key: k, entry: v}
	if !s.values.Contains(k) {
		s.turns()
	}
	evicted = s.values.Add(k, e)
	s.index.put(hash, e)
	if s.index.full(s.values.Len()) {
		s.grow(c.cfg.Hash)
	}
	return evicted
}

// grow gives the index twice the slots. The values get new elements: who looks at the
// old slots finds the old chains.
func (s *shard[K, V]) grow(hash func(K) uint64) {
	var larger index[K, V]
	t := make(table[K, V], 2*len(*s.index.table.Load()))
	larger.table.Store(&t)
	for _, k := range s.values.Keys() { // the oldest first: they keep their order
		old, _ := s.values.Peek(k)
		e := &held[K, V]{key: k, entry: old.entry}
		e.used.Store(old.used.Load())
		s.values.Add(k, e)
		larger.put(hash(k), e)
	}
	s.index.table.Store(&t)
}

// turns has what was looked up since its last turn to leave go to the end of the
// line, when the shard is full: so a lookup need not move it there each time. Where
// all are looked up all the time, who is next leaves in the end.
func (s *shard[K, V]) turns() {
	if s.values.Len() < s.most {
		return
	}
	for range min(s.most, mostTurns) {
		k, e, _ := s.values.GetOldest()
		if !e.used.Swap(false) {
			return
		}
		s.values.Get(k)
	}
}

// mostTurns bounds how long a value that comes holds the lock of its shard.
const mostTurns = 256

// PutAt stores a value that was read at the given generation. It reports false,
// and stores nothing, if k may have been purged since: the value may be what
// the purge was about.
func (c *Cache[K, V]) PutAt(gen uint64, k K, v V) bool {
	s, h := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.outdated(s, h, gen) {
		return false
	}
	early := float64(c.cfg.TTL) * c.cfg.Jitter * rand.Float64()
	if c.keep(s, h, k, entry[V]{val: v, mark: mark{time.Now().UnixNano(), gen}, ttl: int64(c.cfg.TTL) - int64(early)}) {
		s.stats.evicted.Add(1)
	}
	s.absent.Remove(k)
	return true
}

// PurgedSince reports whether k may have been purged after the given generation:
// what was read then may be what the purge was about.
func (c *Cache[K, V]) PurgedSince(gen uint64, k K) bool {
	s, h := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.outdated(s, h, gen)
}

// putAbsent takes a value away too: what the source no longer has is not to
// be answered from memory.
func (c *Cache[K, V]) putAbsent(gen uint64, k K) {
	s, h := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.outdated(s, h, gen) {
		return
	}
	s.values.Remove(k)
	s.absent.Add(k, mark{time.Now().UnixNano(), gen})
}

// Purge forgets k. A load of it that is on its way is not stored, and nobody
// joins it any more; loads of other keys go on (but for a few, by chance).
func (c *Cache[K, V]) Purge(k K) {
	s, h := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purged[stripe(h)] = c.gen.Add(1)
	s.values.Remove(k)
	s.absent.Remove(k)
}

// Expire makes the value of k stale, whatever its time, and forgets an absence. A
// load of it that is on its way ends as with Purge. It reports whether there is
// a value, which serves where the source fails.
func (c *Cache[K, V]) Expire(k K) bool {
	s, h := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.purged[stripe(h)] = c.gen.Add(1)
	s.absent.Remove(k)
	e, ok := s.values.Peek(k)
	if ok {
		old := e.entry
		old.ttl = 0
		c.keep(s, h, k, old)
	}
	return ok
}

// PurgeFunc forgets every value for which drop holds, all absences, and, since
// what they will bring is not known, all loads on their way. It returns the
// number of values.
func (c *Cache[K, V]) PurgeFunc(drop func(K, V) bool) (n int) {
	c.raise(&c.purged)
	for i := range c.shards {
		s := &c.shards[i]
		for _, p := range s.pairs() {
			if drop(p.key, p.val) && s.remove(p) {
				n++
			}
		}
		s.mu.Lock()
		s.absent.Purge()
		s.mu.Unlock()
	}
	return n
}

// MarkStale makes every value stale and every absence forgotten, at once, also
// those that are on their way.
func (c *Cache[K, V]) MarkStale() {
	c.raise(&c.purged)
	c.raise(&c.marked)
}

// raise sets a mark to a new generation; it never goes back.
func (c *Cache[K, V]) raise(to *atomic.Uint64) {
	gen := c.gen.Add(1)
	for old := to.Load(); old < gen && !to.CompareAndSwap(old, gen); old = to.Load() {
	}
}

// SetLive says whether something watches the source and purges what changes
// there. While it does, values do not age, but for what MarkStale marked: mark
// what was read before the watch began. When it ends, they age from then on.
func (c *Cache[K, V]) SetLive(on bool) {
	if !on && c.live.Load() {
		c.held.Store(time.Now().UnixNano())
	}
	c.live.Store(on)
}

// pair is a value as it was found.
type pair[K comparable, V any] struct {
	key K
	entry[V]
}

// pairs copies what the shard holds, so that callbacks run without its lock.
func (s *shard[K, V]) pairs() []pair[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]pair[K, V], 0, s.values.Len())
	for _, k := range s.values.Keys() {
		e, _ := s.values.Peek(k)
		all = append(all, pair[K, V]{k, e.entry})
	}
	return all
}

// remove takes a value away unless a newer one has come.
func (s *shard[K, V]) remove(p pair[K, V]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.values.Peek(p.key); !ok || e.mark != p.mark {
		return false
	}
	return s.values.Remove(p.key)
}

// Each calls f with every value and the time at which it was known to hold, in no
// order: when it was stored, or while the source was watched last. It may see
// changes made meanwhile or not.
func (c *Cache[K, V]) Each(f func(k K, v V, held time.Time)) {
	for i := range c.shards {
		for _, p := range c.shards[i].pairs() {
			f(p.key, p.val, time.Unix(0, c.knownToHold(&p.entry)))
		}
	}
}

func (c *Cache[K, V]) knownToHold(e *entry[V]) int64 {
	switch {
	case e.ttl == 0 || e.gen < c.marked.Load():
		return e.stored // nobody knows since when it is stale
	case c.live.Load():
		return time.Now().UnixNano()
	}
	return max(e.stored, c.held.Load())
}

// Restore puts back what Each gave at another time, as stale: it serves where
// the source fails, for MaxStale since it was stored. What is known of k already
// is newer and stays. It reports whether the value was taken.
func (c *Cache[K, V]) Restore(k K, v V, stored time.Time) bool {
	if age := time.Since(stored); age < 0 || age >= c.cfg.MaxStale {
		return false
	}
	s, h := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.values.Contains(k) || s.absent.Contains(k) {
		return false
	}
	c.keep(s, h, k, entry[V]{val: v, mark: mark{stored: stored.UnixNano()}})
	return true
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
		s.mu.Lock()
		t.Values += s.values.Len()
		t.Absences += s.absent.Len()
		s.mu.Unlock()
	}
	t.InFlight = len(c.slots)
	return t
}
