package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow is a source whose answer is settled when a load begins, and arrives one
// second later.
func slow(truth *atomic.Int64) *source {
	return &source{answer: func(context.Context, int) (int, error) {
		v := truth.Load()
		time.Sleep(time.Second) // of the bubble
		return int(v), nil
	}}
}

// TestPurgeDuringLoad: what was read before a purge is returned to who asked
// for it, never stored, and never given to who asks afterwards.
func TestPurgeDuringLoad(t *testing.T) {
	for name, purge := range map[string]func(*Cache[int, int]){
		"of the key":      func(c *Cache[int, int]) { c.Purge(1) },
		"by expiring it":  func(c *Cache[int, int]) { c.Expire(1) },
		"by a predicate":  func(c *Cache[int, int]) { c.PurgeFunc(func(int, int) bool { return false }) },
		"by marking it":   func(c *Cache[int, int]) { c.MarkStale() },
		"twice":           func(c *Cache[int, int]) { c.Purge(1); c.Purge(1) },
		"and of all keys": func(c *Cache[int, int]) { c.Purge(1); c.MarkStale() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var truth atomic.Int64
				truth.Store(1)
				src := slow(&truth)
				c := newCache(t, config(src))
				var wg sync.WaitGroup
				wg.Go(func() {
					if v, state, err := fetch(c, 1); v != 1 || state != Fresh || err != nil {
						t.Errorf("who asked before: %d, state %d, %v", v, state, err)
					}
				})
				time.Sleep(time.Second / 2)
				truth.Store(2)
				purge(c)
				wg.Go(func() {
					if v, state, err := fetch(c, 1); v != 2 || state != Fresh || err != nil {
						t.Errorf("who asked afterwards: %d, state %d, %v; want 2", v, state, err)
					}
				})
				time.Sleep(3 * time.Second / 4) // the older load has ended
				if v, state := c.now(1); state != Missing {
					t.Errorf("the older load was stored: %d, state %d", v, state)
				}
				wg.Wait()
				if v, state := c.now(1); v != 2 || state != Fresh {
					t.Errorf("the younger load: %d, state %d; want it stored", v, state)
				}
				if n := src.loads.Load(); n != 2 {
					t.Errorf("%d loads, want 2", n)
				}
			})
		})
	}
}

// TestPurgeOfOneKeyKeepsOtherLoads: a feed that names one changed key after the
// other must not make every load in vain.
func TestPurgeOfOneKeyKeepsOtherLoads(t *testing.T) {
	c := newCache(t, config(&source{}))
	gen := c.Generation()
	for k := range 10 {
		c.Purge(k)
	}
	stored := 0
	for k := range 1010 {
		if c.PutAt(gen, k, k) {
			stored++
			if k < 10 {
				t.Errorf("%d was purged and stored", k)
			}
		}
	}
	if stored < 980 {
		t.Errorf("%d of 1000 other keys stored", stored)
	}
}

func TestPutAt(t *testing.T) {
	for name, c := range map[string]struct {
		purge func(*Cache[int, int])
		want  State
	}{
		"no purge":         {func(*Cache[int, int]) {}, Fresh},
		"purge of the key": {func(c *Cache[int, int]) { c.Purge(1) }, Missing},
		"predicate":        {func(c *Cache[int, int]) { c.PurgeFunc(func(int, int) bool { return false }) }, Missing},
		"mark":             {func(c *Cache[int, int]) { c.MarkStale() }, Missing},
	} {
		cache := newCache(t, config(&source{}))
		gen := cache.Generation()
		c.purge(cache)
		if purged := cache.PurgedSince(gen, 1); purged != (c.want == Missing) || cache.PurgedSince(cache.Generation(), 1) {
			t.Errorf("%s: purged since is %v", name, purged)
		}
		if ok := cache.PutAt(gen, 1, 1); ok != (c.want == Fresh) {
			t.Errorf("%s: stored is %v", name, ok)
		}
		wantState(t, cache, 1, c.want)
		cache.putAbsent(gen, 1)
		if state := cache.state(1); (state == Absent) != (c.want == Fresh) {
			t.Errorf("%s: an absence that was read before: state %d", name, state)
		}
	}
}

func TestPurges(t *testing.T) {
	c := newCache(t, config(&source{}))
	fill := func() {
		for k := range 100 {
			c.put(k, k)
		}
		c.putAbsent(c.Generation(), 100)
	}
	fill()
	c.Purge(7)
	c.Purge(100)
	wantState(t, c, 7, Missing)
	wantState(t, c, 100, Missing)
	wantState(t, c, 8, Fresh)
	fill()
	if n := c.PurgeFunc(func(k, v int) bool { return k == v && k%2 == 0 }); n != 50 {
		t.Errorf("%d values purged, want 50", n)
	}
	wantState(t, c, 8, Missing)
	wantState(t, c, 7, Fresh)
	wantState(t, c, 100, Missing)
	n := 0
	c.Each(func(k, v int, _ time.Time) {
		n++
		c.Purge(k) // a callback may call the cache
	})
	if n != 50 || c.Stats().Values != 0 {
		t.Errorf("Each saw %d values, want 50; %d are left, want none", n, c.Stats().Values)
	}
}

// TestMarkStaleAtOneMoment: no clock tells what was read before the mark from
// what was read after it.
func TestMarkStaleAtOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // where no time passes
		c := newCache(t, config(&source{}))
		c.put(1, 1)
		c.putAbsent(c.Generation(), 2)
		c.MarkStale()
		wantState(t, c, 1, Stale)
		wantState(t, c, 2, Missing)
		c.put(1, 1)
		c.putAbsent(c.Generation(), 2)
		wantState(t, c, 1, Fresh)
		wantState(t, c, 2, Absent)
	})
}

// TestManyGoroutines is for the race detector, and for one promise: a purged
// value never comes back.
func TestManyGoroutines(t *testing.T) {
	src := &source{answer: func(_ context.Context, k int) (int, error) {
		if k%5 == 4 {
			return 0, errNone
		}
		return k, nil
	}}
	cfg := config(src)
	cfg.Size, cfg.Loads = 64, 8
	c := newCache(t, cfg)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 300 {
				k := (g*31 + i) % 100
				if v, state := c.now(k); state == Fresh && v != k {
					t.Errorf("%d under the key %d", v, k)
				}
				if v, state, err := fetch(c, k); err != nil || state == Fresh && v != k {
					t.Errorf("fetch of %d: %d, state %d, %v", k, v, state, err)
				}
				switch i % 50 {
				case 10:
					c.Purge(k)
				case 20:
					c.PurgeFunc(func(k, _ int) bool { return k%3 == 0 })
				case 30:
					c.MarkStale()
				case 40:
					c.Each(func(int, int, time.Time) {})
					c.Stats()
					c.SetLive(g%2 == 0)
				}
			}
		})
	}
	wg.Wait()
	truth := 100 // from here on another value is right
	src.answer = func(_ context.Context, k int) (int, error) { return k + truth, nil }
	c.MarkStale()
	for k := range 100 {
		if v, state := c.now(k); state == Fresh {
			t.Errorf("%d is fresh after the mark: %d", k, v)
		}
		if v, _, err := fetch(c, k); v != k+truth || err != nil {
			t.Errorf("fetch of %d: %d, %v", k, v, err)
		}
	}
}

// TestRestore: what is put back is stale, for what is left of its time, and
// never in the way of anything newer.
func TestRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{answer: func(_ context.Context, k int) (int, error) { return 0, errNone }}
		cfg := config(src)
		cfg.MaxStale = time.Hour
		c := newCache(t, cfg)
		now := time.Now()
		c.put(1, 10)
		if _, state, err := fetch(c, 2); state != Absent || err != nil {
			t.Fatalf("state %d, %v", state, err)
		}
		for k, want := range map[int]struct {
			stored time.Time
			taken  bool
			state  State
		}{
			1: {now.Add(-time.Minute), false, Fresh},
			2: {now.Add(-time.Minute), false, Absent},
			3: {now.Add(-time.Minute), true, Stale},
			4: {now.Add(-time.Hour), false, Missing},
			5: {now.Add(time.Minute), false, Missing}, // a clock that went wrong
		} {
			if taken := c.Restore(k, 77, want.stored); taken != want.taken {
				t.Errorf("%d: taken %v", k, taken)
			}
			wantState(t, c, k, want.state)
		}
		time.Sleep(59*time.Minute + time.Second) // of the bubble
		wantState(t, c, 3, Missing)
		stored := map[int]time.Time{}
		c.Each(func(k, _ int, at time.Time) { stored[k] = at })
		if !stored[1].Equal(now) || !stored[3].Equal(now.Add(-time.Minute)) {
			t.Errorf("stored at %v, want %v and a minute before", stored, now)
		}
		c.SetLive(true) // a watch does not make it fresh
		c.Restore(6, 77, time.Now())
		wantState(t, c, 6, Stale)
	})
}

// TestExpire: a value that is named by a feed is asked for again, and serves
// where that fails, watched or not; an absence is forgotten.
func TestExpire(t *testing.T) {
	down := false
	src := &source{answer: func(_ context.Context, k int) (int, error) {
		if down {
			return 0, errDown
		}
		return k + 1, nil
	}}
	c := newCache(t, config(src))
	for _, live := range []bool{true, false} {
		c.SetLive(live)
		c.put(1, 1)
		c.putAbsent(c.Generation(), 2)
		if !c.Expire(1) || c.Expire(2) || c.Expire(3) {
			t.Error("1 has a value, and 2 and 3 have none")
		}
		if v, state := c.now(1); v != 1 || state != Stale {
			t.Errorf("live %v: %d, state %d; want it stale", live, v, state)
		}
		wantState(t, c, 2, Missing)
		down = true
		if v, state, err := fetch(c, 1); v != 1 || state != Stale || err == nil {
			t.Errorf("live %v: %d, state %d, %v while the source is down", live, v, state, err)
		}
		down = false
		if v, state, err := fetch(c, 1); v != 2 || state != Fresh || err != nil {
			t.Errorf("live %v: %d, state %d, %v", live, v, state, err)
		}
		wantState(t, c, 1, Fresh)
	}
}

// TestEachTellsWhatHeldUntil: what was watched held until now, or until the
// watch ended; what is stale held when it was stored.
func TestEachTellsWhatHeldUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, config(&source{}))
		begin := time.Now()
		want := func(k int, after time.Duration) {
			t.Helper()
			c.Each(func(got, _ int, held time.Time) {
				if got == k && held.Sub(begin) != after {
					t.Errorf("%d held until %v, want %v", k, held.Sub(begin), after)
				}
			})
		}
		c.put(1, 1)
		c.put(2, 2)
		time.Sleep(time.Hour)
		want(1, 0)
		c.SetLive(true)
		c.Expire(2)
		want(1, time.Hour)
		want(2, 0)
		time.Sleep(time.Hour)
		c.SetLive(false)
		time.Sleep(time.Hour)
		want(1, 2*time.Hour)
		c.MarkStale()
		want(1, 0)
	})
}
