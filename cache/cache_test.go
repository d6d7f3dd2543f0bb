package cache

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errNone = errors.New("the source has none")
	errDown = errors.New("the source is down")
)

// mix spreads keys as a cache wants them (the finalizer of SplitMix64).
func mix(k int) uint64 {
	h := uint64(k) + 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// source counts what it is asked. It answers v = k until answer says otherwise.
type source struct {
	loads  atomic.Int64
	answer func(ctx context.Context, k int) (int, error)
}

func (s *source) load(ctx context.Context, k int) (int, error) {
	s.loads.Add(1)
	if s.answer == nil {
		return k, nil
	}
	return s.answer(ctx, k)
}

func config(s *source) Config[int, int] {
	return Config[int, int]{
		Hash: mix, Name: strconv.Itoa, Load: s.load, IsAbsent: func(err error) bool { return errors.Is(err, errNone) },
	}
}

func newCache(t testing.TB, cfg Config[int, int]) *Cache[int, int] {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *Cache[K, V]) put(k K, v V)            { c.PutAt(c.Generation(), k, v) }
func (c *Cache[K, V]) now(k K) (v V, st State) { return c.Lookup(k, time.Now().UnixNano()) }
func (c *Cache[K, V]) state(k K) (state State) { _, state = c.now(k); return state }
func fetch(c *Cache[int, int], k int) (int, State, error) {
	return c.Fetch(context.Background(), k)
}

func wantState(t testing.TB, c *Cache[int, int], k int, want State) {
	t.Helper()
	if got := c.state(k); got != want {
		t.Errorf("state of %d = %d, want %d", k, got, want)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Config[int, int]){
		"no hash":               func(c *Config[int, int]) { c.Hash = nil },
		"no name":               func(c *Config[int, int]) { c.Name = nil },
		"no loader":             func(c *Config[int, int]) { c.Load = nil },
		"no test of absence":    func(c *Config[int, int]) { c.IsAbsent = nil },
		"negative size":         func(c *Config[int, int]) { c.Size = -1 },
		"negative absent size":  func(c *Config[int, int]) { c.AbsentSize = -1 },
		"negative jitter":       func(c *Config[int, int]) { c.Jitter = -0.1 },
		"jitter of all":         func(c *Config[int, int]) { c.Jitter = 1 },
		"negative loads":        func(c *Config[int, int]) { c.Loads = -1 },
		"negative TTL":          func(c *Config[int, int]) { c.TTL = -1 },
		"negative absent TTL":   func(c *Config[int, int]) { c.AbsentTTL = -1 },
		"negative staleness":    func(c *Config[int, int]) { c.MaxStale = -1 },
		"negative load timeout": func(c *Config[int, int]) { c.LoadTimeout = -1 },
	} {
		cfg := config(&source{})
		spoil(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestAges walks one value and one absence through their lives.
func TestAges(t *testing.T) {
	const ttl, gone, maxStale = 30 * time.Second, 5 * time.Second, time.Hour
	for _, c := range []struct {
		name  string
		after time.Duration
		value State
		none  State
	}{
		{"at once", 0, Fresh, Absent},
		{"absence about to end", gone - 1, Fresh, Absent},
		{"absence over", gone, Fresh, Missing},
		{"before any jitter", ttl*9/10 - 1, Fresh, Missing},
		{"after all jitter", ttl, Stale, Missing},
		{"last of staleness", ttl*9/10 + maxStale - 1, Stale, Missing},
		{"too old", ttl + maxStale, Missing, Missing},
		{"much too old", 1000 * time.Hour, Missing, Missing},
		{"clock set back a little", -5*time.Second + 1, Fresh, Absent},
		{"clock set back by more than the absence lives", -gone, Fresh, Missing},
		{"clock set back by more than the value is fresh", -ttl, Stale, Missing},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config(&source{})
				cfg.TTL, cfg.AbsentTTL, cfg.MaxStale = ttl, gone, maxStale
				cache := newCache(t, cfg)
				cache.put(1, 11)
				cache.putAbsent(cache.Generation(), 2)
				now := time.Now().Add(c.after).UnixNano()
				v, state := cache.Lookup(1, now)
				if state != c.value || (v == 11) != (state != Missing) {
					t.Errorf("value: %d, state %d; want state %d", v, state, c.value)
				}
				if _, state := cache.Lookup(2, now); state != c.none {
					t.Errorf("absence: state %d, want %d", state, c.none)
				}
			})
		})
	}
}

// TestJitterSpreads: values stored at one moment expire all over the last
// share of their time, and never outside of it.
func TestJitterSpreads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(&source{})
		cfg.TTL, cfg.Jitter = 100*time.Second, 0.5
		c := newCache(t, cfg)
		const n = 4000
		for k := range n {
			c.put(k, k)
		}
		fresh := func(after time.Duration) (fresh int) {
			for k := range n {
				if _, state := c.Lookup(k, time.Now().Add(after).UnixNano()); state == Fresh {
					fresh++
				}
			}
			return fresh
		}
		for after, want := range map[time.Duration]float64{50: 1, 60: 0.8, 75: 0.5, 90: 0.2, 100: 0} {
			got := float64(fresh(after*time.Second-1)) / n
			if after == 100 {
				got = float64(fresh(after*time.Second)) / n
			}
			if got < want-0.05 || got > want+0.05 {
				t.Errorf("after %d s %v are fresh, want about %v", after, got, want)
			}
		}
	})
}

// TestLongTimesDoNotOverflow: "for ever" is a TTL too.
func TestLongTimesDoNotOverflow(t *testing.T) {
	cfg := config(&source{})
	cfg.TTL, cfg.MaxStale, cfg.AbsentTTL, cfg.Jitter = 1<<63-1, 1<<63-1, 1<<63-1, 1e-9
	c := newCache(t, cfg)
	c.put(1, 1)
	c.putAbsent(c.Generation(), 2)
	wantState(t, c, 1, Fresh)
	wantState(t, c, 2, Absent)
	if _, state := c.Lookup(1, time.Now().Add(200*24*365*time.Hour).UnixNano()); state != Fresh {
		t.Errorf("after 200 years: state %d", state)
	}
}

// TestFloodOfAbsentKeysEvictsNoValue: random keys in any number cost their own
// room, and not that of the values.
func TestFloodOfAbsentKeysEvictsNoValue(t *testing.T) {
	src := &source{answer: func(_ context.Context, k int) (int, error) { return 0, errNone }}
	cfg := config(src)
	cfg.Size, cfg.AbsentSize = 1000, 100
	c := newCache(t, cfg)
	for k := range 1000 {
		c.put(k, k)
	}
	for k := 1000; k < 21000; k++ {
		if _, state, err := fetch(c, k); state != Absent || err != nil {
			t.Fatalf("fetch of an absent key: state %d, %v", state, err)
		}
	}
	for k := range 1000 {
		wantState(t, c, k, Fresh)
	}
	st := c.Stats()
	if st.Values != 1000 || st.Evictions != 0 {
		t.Errorf("%d values, %d evictions; want 1000 and 0", st.Values, st.Evictions)
	}
	if most := shards * (100/shards + 100/shards/4 + 8); st.Absences == 0 || st.Absences > most {
		t.Errorf("%d absences, want %d at most", st.Absences, most)
	}
}

// TestSizeIsBounded: Size keys are all kept, and ten times as many take no more
// room than the shards have.
func TestSizeIsBounded(t *testing.T) {
	cfg := config(&source{})
	cfg.Size = 10_000
	c := newCache(t, cfg)
	for k := range 10_000 {
		c.put(k, k)
	}
	if st := c.Stats(); st.Values != 10_000 || st.Evictions != 0 {
		t.Errorf("%d of 10000 values kept, %d evicted", st.Values, st.Evictions)
	}
	for k := 10_000; k < 100_000; k++ {
		c.put(k, k)
	}
	st := c.Stats()
	if most := 10_000 * 13 / 10; st.Values > most {
		t.Errorf("%d values, want %d at most", st.Values, most)
	}
	if st.Values+int(st.Evictions) != 100_000 {
		t.Errorf("%d values and %d evictions do not make 100000", st.Values, st.Evictions)
	}
}

// TestAbsentTakesAwayAValue: what the source no longer has is not answered from
// memory, not even while it is still fresh; and the other way about.
func TestAbsentTakesAwayAValue(t *testing.T) {
	gone := true
	src := &source{answer: func(_ context.Context, k int) (int, error) {
		if gone {
			return 99, errNone // 99 has to stay inside
		}
		return k, nil
	}}
	c := newCache(t, config(src))
	c.put(1, 1)
	if v, state, err := fetch(c, 1); v != 0 || state != Absent || err != nil {
		t.Errorf("fetch: %d, state %d, %v; want 0 and Absent", v, state, err)
	}
	wantState(t, c, 1, Absent)
	gone = false
	if v, state, err := fetch(c, 1); v != 1 || state != Fresh || err != nil {
		t.Errorf("fetch: %d, state %d, %v; want 1 and Fresh", v, state, err)
	}
	wantState(t, c, 1, Fresh)
	if st := c.Stats(); st.Values != 1 || st.Absences != 0 {
		t.Errorf("%d values and %d absences of one key", st.Values, st.Absences)
	}
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := map[int]error{2: errNone, 3: errDown}
		src := &source{answer: func(_ context.Context, k int) (int, error) { return k, answers[k] }}
		cfg := config(src)
		cfg.AbsentTTL = time.Hour
		c := newCache(t, cfg)
		for k := 1; k <= 3; k++ {
			wantState(t, c, k, Missing)
			_, _, _ = fetch(c, k)
		}
		for k, want := range map[int]State{1: Fresh, 2: Absent, 3: Missing} {
			wantState(t, c, k, want)
		}
		time.Sleep(time.Minute) // of the bubble
		wantState(t, c, 1, Stale)
		want := Stats{Hits: 1, StaleHits: 1, AbsentHits: 1, Misses: 4, Loads: 3, LoadErrors: 1, Values: 1, Absences: 1}
		if got := c.Stats(); got != want {
			t.Errorf("stats = %+v\nwant    %+v", got, want)
		}
	})
}

// TestLiveValuesDoNotAge: while a watch names every change, a value is as good
// as its source; when the watch ends, the value's time begins.
func TestLiveValuesDoNotAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config(&source{})
		cfg.TTL, cfg.MaxStale = time.Minute, time.Hour
		c := newCache(t, cfg)
		c.put(1, 1)
		c.SetLive(true)
		time.Sleep(1000 * time.Hour) // of the bubble
		wantState(t, c, 1, Fresh)
		c.SetLive(false)
		wantState(t, c, 1, Fresh)
		time.Sleep(time.Minute)
		wantState(t, c, 1, Stale)
		c.SetLive(false) // once more does not make it younger
		time.Sleep(time.Hour)
		wantState(t, c, 1, Missing)
		c.SetLive(true)
		c.MarkStale()
		wantState(t, c, 1, Stale)
	})
}

// hotCache has a fresh, a stale, an absent and no value under the keys 0 to 3.
func hotCache(t testing.TB) *Cache[int, int] {
	c := newCache(t, config(&source{}))
	c.put(1, 1)
	c.MarkStale()
	c.put(0, 0)
	c.putAbsent(c.Generation(), 2)
	for k, want := range []State{Fresh, Stale, Absent, Missing} {
		wantState(t, c, k, want)
	}
	return c
}

func TestLookupNoAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	c := hotCache(t)
	now := time.Now().UnixNano()
	for k, name := range []string{"fresh", "stale", "absent", "missing"} {
		if n := testing.AllocsPerRun(1000, func() { c.Lookup(k, now) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n, " keys"), func(b *testing.B) {
			cfg := config(&source{})
			cfg.Size = n
			c := newCache(b, cfg)
			for k := range n {
				c.put(k, k)
			}
			now := time.Now().UnixNano()
			b.ReportAllocs()
			k := 0
			for b.Loop() {
				if _, state := c.Lookup(k, now); state != Fresh {
					b.Fatal(state)
				}
				k = (k + 7919) % n
			}
		})
	}
}
