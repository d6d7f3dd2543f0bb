// Package cache keeps what an inventory answered: an LRU with a time to live,
// remembered absences, answers that outlive their time where the source fails,
// and one load however many wait. It knows no protocol and no key.
package cache

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"context"
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

// Config says what a Cache is. Zero fields mean the defaults; Hash and Load
// are needed.
type Config[K comparable, V any] struct {
	Size        int           // values kept; 65,536
	AbsentSize  int           // absences kept, apart from the values; a quarter of Size
	TTL         time.Duration // how long a value is fresh; 30 s
	AbsentTTL   time.Duration // how long an absence holds; 5 s
	MaxStale    time.Duration // how long a value outlives its TTL; 24 h
	Jitter      float64       // share of TTL that is drawn by lot, so that not all expire at once; 0.1
	Loads       int           // loads at once; 64
	LoadTimeout time.Duration // of one load; 4 s

	Hash     func(K) uint64                      // over the whole key, well mixed
	Load     func(context.Context, K) (V, error) // asks the source
	IsAbsent func(error) bool                    // whether an error of Load is an answer: there is none
}

const shards = 16 // a power of two

// Cache is safe for many goroutines.
type Cache[K comparable, V any] struct {
	cfg    Config[K, V]
	shards [shards]shard[K, V]
	slots  chan struct{} // one token for each load on its way
	flying singleflight.Group
	gen    atomic.Uint64 // raised by every purge
	epoch  atomic.Int64  // values stored before it are stale, absences gone; unix ns
}

type shard[K comparable, V any] struct {
	values *lru.Cache[K, entry[V]]
	absent *lru.Cache[K, int64] // until when, unix ns
	stats  counters
	_      [64]byte // shards do not share a cache line
}

type entry[V any] struct {
	val    V
	stored int64 // unix ns
	until  int64 // fresh until then
}

type counters struct {
	hits, stale, absent, misses, loads, failed, evicted atomic.Uint64
}

// Stats counts lookups by their outcome, and loads.
type Stats struct {
	Hits, StaleHits, AbsentHits, Misses uint64 // of Lookup
	Loads, LoadErrors                   uint64 // calls of Load, and those that failed
	Evictions                           uint64 // values that made room
	Values, Absences                    int    // held now
	InFlight                            int    // loads on their way
}

// New makes an empty cache.
func New[K comparable, V any](cfg Config[K, V]) (*Cache[K, V], error) {
	if cfg.Hash == nil || cfg.Load == nil || cfg.IsAbsent == nil {
		return nil, errors.New("make cache: Hash, Load and IsAbsent are needed")
	}
	if cfg.Size < 0 || cfg.AbsentSize < 0 || cfg.Jitter < 0 || cfg.Jitter >= 1 {
		return nil, fmt.Errorf("make cache: size %d, absent size %d, jitter %v: want sizes above 0 and a jitter from 0 to 1", cfg.Size, cfg.AbsentSize, cfg.Jitter)
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
	orInt := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	orTime := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	orInt(&cfg.Size, 1<<16)
	orInt(&cfg.AbsentSize, max(shards, cfg.Size/4))
	orInt(&cfg.Loads, 64)
	orTime(&cfg.TTL, 30*time.Second)
	orTime(&cfg.AbsentTTL, 5*time.Second)
	orTime(&cfg.MaxStale, 24*time.Hour)
	orTime(&cfg.LoadTimeout, 4*time.Second)
	if cfg.Jitter == 0 {
		cfg.Jitter = 0.1
	}
}

func (s *shard[K, V]) init(cfg Config[K, V]) (err error) {
	// Keys do not fall evenly: a quarter more keeps a cache of Size keys whole.
	size := func(n int) int { return n/shards + n/shards/4 + 8 }
	if s.values, err = lru.New[K, entry[V]](size(cfg.Size)); err != nil {
		return fmt.Errorf("make cache of %d: %w", cfg.Size, err)
	}
	if s.absent, err = lru.New[K, int64](size(cfg.AbsentSize)); err != nil {
		return fmt.Errorf("make cache of %d absences: %w", cfg.AbsentSize, err)
	}
	return nil
}

func (c *Cache[K, V]) shard(k K) *shard[K, V] { return &c.shards[c.cfg.Hash(k)%shards] }

// Lookup gives what is known of k at now (nanoseconds since 1970). It waits for
// nothing but its shard's lock and allocates nothing.
func (c *Cache[K, V]) Lookup(k K, now int64) (v V, state State) {
	s := c.shard(k)
	epoch := c.epoch.Load()
	if e, ok := s.values.Get(k); ok {
		switch {
		case now < e.until && e.stored >= epoch:
			s.stats.hits.Add(1)
			return e.val, Fresh
		case now < e.until+int64(c.cfg.MaxStale):
			s.stats.stale.Add(1)
			return e.val, Stale
		}
	} else if until, ok := s.absent.Get(k); ok && now < until && until-int64(c.cfg.AbsentTTL) >= epoch {
		s.stats.absent.Add(1)
		return v, Absent
	}
	s.stats.misses.Add(1)
	return v, Missing
}

// Fetch asks the source for k, once however many wait for it. It returns Fresh
// or Absent; or, with an error, Stale and the value that is still there, or
// Missing. A caller whose ctx ends goes away with that error; the load goes on.
func (c *Cache[K, V]) Fetch(ctx context.Context, k K) (V, State, error) {
	flight := c.flying.DoChan(fmt.Sprint(k), func() (any, error) { return c.load(k) })
	var err error
	select {
	case <-ctx.Done():
		err = fmt.Errorf("wait for %v: %w", k, ctx.Err())
	case r := <-flight:
		if r.Err == nil {
			return r.Val.(result[V]).val, r.Val.(result[V]).state, nil
		}
		err = r.Err
	}
	if v, state := c.Lookup(k, time.Now().UnixNano()); state == Fresh || state == Stale {
		return v, Stale, err
	}
	var none V
	return none, Missing, err
}

type result[V any] struct {
	val   V
	state State
}

// load runs under a time limit of its own: it serves more than its first caller.
func (c *Cache[K, V]) load(k K) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.LoadTimeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("load %v: %d loads are on their way already: %w", k, c.cfg.Loads, ctx.Err())
	}
	gen := c.gen.Load()
	s := c.shard(k)
	s.stats.loads.Add(1)
	v, err := c.call(ctx, k)
	switch {
	case err == nil:
		c.PutAt(gen, k, v)
		return result[V]{v, Fresh}, nil
	case c.cfg.IsAbsent(err):
		c.putAbsent(gen, k)
		return result[V]{v, Absent}, nil
	}
	s.stats.failed.Add(1)
	return nil, fmt.Errorf("load %v: %w", k, err)
}

func (c *Cache[K, V]) call(ctx context.Context, k K) (v V, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the loader panicked: %v", r)
		}
	}()
	return c.cfg.Load(ctx, k)
}
