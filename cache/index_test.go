package cache

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLookedUpValuesStay: a full cache gives away what nobody asked for, however old
// what was asked for is.
func TestLookedUpValuesStay(t *testing.T) {
	cfg := config(&source{})
	cfg.Size = 1600
	cfg.Hash = func(k int) uint64 { return uint64(k)<<40 | 3 } // all in one shard
	c := newCache(t, cfg)
	most := c.shards[3].most
	for k := range most {
		c.put(k, k)
		if k < 5 {
			wantState(t, c, k, Fresh) // the index grows later
		}
	}
	if got := c.PeekAll(nil, []int{5}); !slices.Equal(got, []int{5}) { // is not asked for by that
		t.Errorf("peek: %v", got)
	}
	for k := most; k < 2*most-5; k++ {
		c.put(k, k)
	}
	for k := range 5 {
		wantState(t, c, k, Fresh)
	}
	for k := 5; k < most; k++ {
		wantState(t, c, k, Missing)
	}
	for k := 2 * most; k < 4*most; k++ { // nobody asked for them since
		c.put(k, k)
	}
	for k := range 5 {
		wantState(t, c, k, Missing)
	}
	if st := c.Stats(); st.Values != most || int(st.Evictions) != 4*most-5-most {
		t.Errorf("%d values, %d evictions; want %d and %d", st.Values, st.Evictions, most, 4*most-5-most)
	}
}

// TestAllAskedForLeaveInTheirOrder: a cache all of whose values are asked for still
// has room for a new one.
func TestAllAskedForLeaveInTheirOrder(t *testing.T) {
	cfg := config(&source{})
	cfg.Size = 160
	cfg.Hash = func(k int) uint64 { return uint64(k) << 40 }
	c := newCache(t, cfg)
	most := c.shards[0].most
	for k := range most + 3 {
		c.put(k, k)
		for j := range k + 1 {
			c.now(j)
		}
	}
	for k := range most + 3 {
		want := Fresh
		if k < 3 {
			want = Missing
		}
		wantState(t, c, k, want)
	}
}

// TestTurnsWithoutEnd: where all are looked up all the time, readers mark again what was
// passed over, and one value that came held its shard's lock for as long as they did.
func TestTurnsWithoutEnd(t *testing.T) {
	cfg := config(&source{})
	cfg.Size = shards * 4 * mostTurns
	cfg.Hash = func(k int) uint64 { return uint64(k) << 32 &^ 15 } // all in one shard
	c := newCache(t, cfg)
	s := &c.shards[0]
	for k := range s.most {
		c.put(k, k)
		wantState(t, c, k, Fresh)
	}
	c.put(-1, -1)
	marked := 0
	for _, k := range s.values.Keys() {
		if e, _ := s.values.Peek(k); e.used.Load() {
			marked++
		}
	}
	if gone := s.most - marked; gone > mostTurns+1 || s.values.Len() != s.most {
		t.Errorf("%d of %d values had a turn for one that came, want %d at the most", gone, s.values.Len(), mostTurns)
	}
	wantState(t, c, -1, Fresh)
}

// TestNeverMissingBetweenValueAndAbsence: a key of which something is known is known at
// any moment, also when an absence becomes a value.
func TestNeverMissingBetweenValueAndAbsence(t *testing.T) {
	cfg := config(&source{})
	cfg.AbsentTTL = time.Hour // the readers look at one time, however long it takes
	c := newCache(t, cfg)
	c.put(1, 1)
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			now := time.Now().UnixNano()
			for !done.Load() {
				if _, state := c.Lookup(1, now); state == Missing {
					t.Error("it is not known")
					return
				}
			}
		})
	}
	for range 20_000 {
		c.putAbsent(c.Generation(), 1)
		c.put(1, 1)
	}
	done.Store(true)
	readers.Wait()
}

// TestLookupNeverMissesWhatStays: a value that nobody takes away is found at any
// moment, while others of its chain come, change and go and the index grows, and
// never as it was before the change of it that was made last.
func TestLookupNeverMissesWhatStays(t *testing.T) {
	cfg := config(&source{})
	cfg.Size = 16 * 4096
	cfg.Hash = func(int) uint64 { return 0 } // one chain, whatever the number of slots
	c := newCache(t, cfg)
	const n, stay = 20_000, 1000
	c.put(stay, 0)
	var latest atomic.Int64
	var done atomic.Bool
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			now := time.Now().UnixNano()
			for !done.Load() {
				least := int(latest.Load())
				if v, state := c.Lookup(stay, now); state != Fresh || v < least {
					t.Errorf("state %d, value %d; want %d or more", state, v, least)
					return
				}
				if got := c.PeekAll(nil, []int{stay}); len(got) != 1 || got[0] < least {
					t.Errorf("peek: %d; want %d or more", got, least)
					return
				}
			}
		})
	}
	for i := range n {
		c.put(stay, i)
		latest.Store(int64(i))
		c.put(1, i) // before it in the chain
		c.put(1, -i)
		c.Purge(1)
		if i%100 == 0 {
			c.put(2*stay+i, i) // these stay too, and make the index grow
		}
	}
	done.Store(true)
	readers.Wait()
	if got := len(*c.shards[0].index.table.Load()); got < 2*n/100 {
		t.Errorf("%d slots for %d values: the index does not grow", got, n/100+1)
	}
}

// TestWhatWasTakenOutLeadsOn: a reader that has come to an element when it is taken out,
// or replaced, finds what is behind it.
func TestWhatWasTakenOutLeadsOn(t *testing.T) {
	cfg := config(&source{})
	cfg.Hash = func(int) uint64 { return 0 }
	c := newCache(t, cfg)
	for k := range 4 {
		c.put(k, k) // 3 is the first of the chain
	}
	taken := c.shards[0].index.slot(0).Load()
	replaced := taken.in(2)
	c.Purge(3)
	c.put(2, 22)
	for _, e := range []*held[int, int]{taken, replaced} {
		if found := e.in(0); found == nil || found.val != 0 {
			t.Errorf("from the element of %d, 0 is not found", e.key)
		}
	}
	wantState(t, c, 3, Missing)
	if v, _ := c.now(2); v != 22 {
		t.Errorf("%d, want 22", v)
	}
}

// TestPeekAll: values of whatever age, in any number, without a count or a change.
func TestPeekAll(t *testing.T) {
	cfg := config(&source{})
	cfg.TTL, cfg.MaxStale = time.Nanosecond, time.Nanosecond
	c := newCache(t, cfg)
	var keys, want []int
	for k := range 3*peeks + 5 {
		keys = append(keys, k)
		if k%4 != 3 {
			c.put(k, -k)
			want = append(want, -k)
		}
	}
	c.putAbsent(c.Generation(), 3)
	before := c.Stats()
	room := make([]int, 0, len(keys))
	if got := c.PeekAll(room, keys); !slices.Equal(got, want) {
		t.Errorf("peek: %v\nwant  %v", got, want)
	}
	if after := c.Stats(); after != before {
		t.Errorf("stats = %+v, before %+v", after, before)
	}
	if raceDetector {
		return // it makes allocations of its own
	}
	if n := testing.AllocsPerRun(100, func() { c.PeekAll(room, keys) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
