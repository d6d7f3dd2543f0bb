// Package cache keeps what an inventory answered: an LRU with second chances and a
// time to live, remembered absences, answers that outlive their time where the source fails,
// and one load however many wait. It knows no protocol and no key.
package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"
)

// State tells how far a value can be trusted.
type State uint8

// The states, in this order.
const (
	Missing State = iota // not known: Fetch it
	Absent               // the source said that it has none
	Fresh                // younger than its time to live
	Stale                // older than that, not older than MaxStale beyond it
)

// Config says what a Cache is. Zero fields mean the defaults; Hash, Name, Load
// and IsAbsent are needed.
type Config[K comparable, V any] struct {
	Size        int           // values kept at least, as far as Hash spreads them; 65,536
	AbsentSize  int           // absences kept, apart from the values; a quarter of Size
	TTL         time.Duration // how long a value is fresh; 30 s
	AbsentTTL   time.Duration // how long an absence holds; 5 s
	MaxStale    time.Duration // how long a value outlives its TTL; 24 h
	Jitter      float64       // share of TTL that is drawn by lot, so that not all expire at once; 0.1
	Loads       int           // loads at once; 64
	LoadTimeout time.Duration // of one load, with its wait for a turn; 4 s

	Hash     func(K) uint64                      // over the whole key, all 64 bits well mixed
	Name     func(K) string                      // the whole key as bytes: no two keys may read alike
	Load     func(context.Context, K) (V, error) // asks the source
	IsAbsent func(error) bool                    // whether an error of Load is an answer: there is none
}

const (
	shards  = 16  // a power of two
	stripes = 256 // of each shard, for its purges
)

// Cache is safe for many goroutines.
type Cache[K comparable, V any] struct {
	cfg    Config[K, V]
	shards [shards]shard[K, V]
	slots  chan struct{} // one token for each load on its way
	flying singleflight.Group

	gen    atomic.Uint64 // raised by every purge
	purged atomic.Uint64 // by the latest purge of more than one key: what was read before it is not stored
	marked atomic.Uint64 // by the latest MarkStale: what was read before it is stale
	live   atomic.Bool   // values do not age
	held   atomic.Int64  // when that ended; unix ns
}

// shard holds what is known of its share of the keys. Changes are made under one
// lock: a value and an absence of one key never stand side by side. Values are
// found without it, through index.
type shard[K comparable, V any] struct {
	mu     sync.Mutex
	index  index[K, V]
	values *simplelru.LRU[K, *held[K, V]] // who leaves next
	most   int                            // of them
	absent *simplelru.LRU[K, mark]
	purged [stripes]uint64 // generation of the latest purge of any key of the stripe
	stats  counters
	_      [64]byte // shards do not share a cache line
}

// mark says when something was stored (unix ns), and at which generation it
// was read.
type mark struct {
	stored int64
	gen    uint64
}

type entry[V any] struct {
	val V
	mark
	ttl int64 // ns, with its jitter
}

type counters struct {
	hits, stale, absent, misses, loads, failed, evicted atomic.Uint64
}

// Stats counts lookups by their outcome, and loads.
type Stats struct {
	Hits, StaleHits, AbsentHits, Misses uint64 // of Lookup
	Loads, LoadErrors                   uint64 // calls of Load, and those that failed
	Evictions                           uint64 // values that made room
	Values, Absences                    int    // held now, of whatever age
	InFlight                            int    // loads on their way
}

// New makes an empty cache.
func New[K comparable, V any](cfg Config[K, V]) (*Cache[K, V], error) {
	if cfg.Hash == nil || cfg.Name == nil || cfg.Load == nil || cfg.IsAbsent == nil {
		return nil, errors.New("make cache: Hash, Name, Load and IsAbsent are needed")
	}
	if min(cfg.Size, cfg.AbsentSize, cfg.Loads) < 0 || !(cfg.Jitter >= 0 && cfg.Jitter < 1) {
		return nil, fmt.Errorf("make cache: size %d, absent size %d, %d loads, jitter %v: want none below 0 and a jitter below 1",
			cfg.Size, cfg.AbsentSize, cfg.Loads, cfg.Jitter)
	}
	if min(cfg.TTL, cfg.AbsentTTL, cfg.MaxStale, cfg.LoadTimeout) < 0 {
		return nil, fmt.Errorf("make cache: TTL %v, of absences %v, stale for %v, load timeout %v: want none below 0",
			cfg.TTL, cfg.AbsentTTL, cfg.MaxStale, cfg.LoadTimeout)
	}
	cfg.defaults()
	c := &Cache[K, V]{cfg: cfg, slots: make(chan struct{}, cfg.Loads)}
	for i := range c.shards {
		if err := c.shards[i].init(cfg); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (cfg *Config[K, V]) defaults() {
	orDefault(&cfg.Size, 1<<16)
	orDefault(&cfg.AbsentSize, max(shards, cfg.Size/4))
	orDefault(&cfg.Loads, 64)
	orDefault(&cfg.TTL, 30*time.Second)
	orDefault(&cfg.AbsentTTL, 5*time.Second)
	orDefault(&cfg.MaxStale, 24*time.Hour)
	orDefault(&cfg.LoadTimeout, 4*time.Second)
	orDefault(&cfg.Jitter, 0.1)
}

func orDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (s *shard[K, V]) init(cfg Config[K, V]) (err error) {
	// Keys do not fall evenly: a quarter more keeps a cache of Size keys whole.
	size := func(n int) int { return n/shards + n/shards/4 + 8 }
	s.most = size(cfg.Size)
	s.index.init()
	left := func(k K, e *held[K, V]) { s.index.remove(cfg.Hash(k), e) }
	if s.values, err = simplelru.NewLRU(s.most, left); err != nil {
		return fmt.Errorf("make cache of %d: %w", cfg.Size, err)
	}
	if s.absent, err = simplelru.NewLRU[K, mark](size(cfg.AbsentSize), nil); err != nil {
		return fmt.Errorf("make cache of %d absences: %w", cfg.AbsentSize, err)
	}
	return nil
}

// shard gives the shard of a key, and its hash.
func (c *Cache[K, V]) shard(k K) (s *shard[K, V], hash uint64) {
	h := c.cfg.Hash(k)
	return &c.shards[h%shards], h
}

// stripe is which of its shard's purges may be about a key of that hash.
func stripe(hash uint64) uint64 { return hash / shards % stripes }

// Lookup gives what is known of k at now (nanoseconds since 1970). For a value it
// waits for nothing, for an absence or nothing for its shard's lock. It allocates
// nothing.
func (c *Cache[K, V]) Lookup(k K, now int64) (v V, state State) {
	s, h := c.shard(k)
	v, state = c.get(s, h, k, now)
	switch state {
	case Fresh:
		s.stats.hits.Add(1)
	case Stale:
		s.stats.stale.Add(1)
	case Absent:
		s.stats.absent.Add(1)
	default:
		s.stats.misses.Add(1)
	}
	return v, state
}

// PeekAll appends the values of those of ks that have one, of whatever age. It counts
// nothing, and no key is less likely to leave for it: it is for who will look them
// up, and wants their memory at hand before. The processor waits for all of it at
// once, not for one key after the other.
func (c *Cache[K, V]) PeekAll(vs []V, ks []K) []V {
	for part := range slices.Chunk(ks, peeks) {
		var chains [peeks]*held[K, V]
		for i, k := range part {
			s, h := c.shard(k)
			chains[i] = s.index.slot(h).Load()
		}
		for i, k := range part {
			if e := chains[i].in(k); e != nil {
				vs = append(vs, e.val)
			}
		}
	}
	return vs
}

// peeks is how many keys are looked at at once.
const peeks = 64

func (c *Cache[K, V]) get(s *shard[K, V], hash uint64, k K, now int64) (v V, state State) {
	e := s.index.find(hash, k)
	if e == nil { // neither comes or goes while both are looked for
		s.mu.Lock()
		m, absent := s.absent.Get(k)
		e = s.index.find(hash, k)
		s.mu.Unlock()
		switch {
		case e != nil:
		case absent && m.gen >= c.marked.Load() && within(now-m.stored, int64(c.cfg.AbsentTTL)):
			return v, Absent
		default:
			return v, Missing
		}
	}
	if !e.used.Load() { // it is mostly: writing would take the line from other workers
		e.used.Store(true)
	}
	if state = c.age(&e.entry, now); state != Missing {
		v = e.val
	}
	return v, state
}

// age tells how far a value can be trusted at now.
func (c *Cache[K, V]) age(e *entry[V], now int64) State {
	var old int64
	if !c.live.Load() {
		old = now - max(e.stored, c.held.Load())
	}
	switch {
	case e.gen >= c.marked.Load() && within(old, e.ttl):
		return Fresh
	case old-e.ttl < int64(c.cfg.MaxStale):
		return Stale
	}
	return Missing
}

// within reports whether an age is below limit. A clock that was set back makes
// ages negative: what comes from further ahead than limit is not trusted.
func within(age, limit int64) bool { return -limit < age && age < limit }
