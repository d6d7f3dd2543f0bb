package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneLoadForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{answer: func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second) // of the bubble
			return k * 10, nil
		}}
		c := newCache(t, config(src))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if v, state, err := fetch(c, 7); v != 70 || state != Fresh || err != nil {
					t.Errorf("fetch = %d, state %d, %v", v, state, err)
				}
			})
		}
		wg.Wait()
		if n := src.loads.Load(); n != 1 {
			t.Errorf("%d loads, want 1", n)
		}
	})
}

// TestKeysThatReadAlike: two keys that print alike are two keys; their Names
// tell them apart.
func TestKeysThatReadAlike(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{ a, b string }
		c, err := New(Config[key, string]{
			Hash: func(key) uint64 { return 0 }, Name: func(k key) string { return k.a + "\x00" + k.b },
			IsAbsent: func(error) bool { return false },
			Load: func(_ context.Context, k key) (string, error) {
				time.Sleep(time.Second) // of the bubble
				return k.a, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		one, two := key{"a b", "c"}, key{"a", "b c"}
		if fmt.Sprint(one) != fmt.Sprint(two) {
			t.Fatal("the keys do not read alike")
		}
		var wg sync.WaitGroup
		for _, k := range []key{one, two} {
			wg.Go(func() {
				if v, _, err := c.Fetch(context.Background(), k); v != k.a || err != nil {
					t.Errorf("%q got the value of %q (%v)", k.a, v, err)
				}
			})
		}
		wg.Wait()
	})
}

// TestLoadsAreBounded: never more than Loads at once; who gets no turn in time
// gets an error that says so.
func TestLoadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		src := &source{answer: func(_ context.Context, k int) (int, error) {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.Sleep(3 * time.Second) // of the bubble
			mu.Lock()
			running--
			mu.Unlock()
			return k, nil
		}}
		cfg := config(src)
		cfg.Loads, cfg.LoadTimeout = 4, 5*time.Second
		c := newCache(t, cfg)
		var done, late int
		var wg sync.WaitGroup
		for k := range 20 {
			wg.Go(func() {
				_, state, err := fetch(c, k)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					done++
				case state == Missing && errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "4 loads"):
					late++
				default:
					t.Errorf("state %d, %v", state, err)
				}
			})
		}
		wg.Wait()
		if most != 4 || done != 8 || late != 12 {
			t.Errorf("%d loads at once, %d done, %d in vain; want 4, 8 and 12", most, done, late)
		}
		if st := c.Stats(); st.Loads != 8 || st.InFlight != 0 {
			t.Errorf("%d loads, %d on their way; want 8 and 0", st.Loads, st.InFlight)
		}
	})
}

// TestLoadHasATimeLimit: the loader's context ends, and nobody waits for ever.
func TestLoadHasATimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{answer: func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}}
		cfg := config(src)
		cfg.LoadTimeout = 2 * time.Second
		start := time.Now()
		_, state, err := fetch(newCache(t, cfg), 1)
		if state != Missing || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Errorf("state %d, %v after %v", state, err, time.Since(start))
		}
	})
}

// TestCallerThatLeaves: a caller whose ctx ends gets what is still there; the
// load goes on for the others, also if it was the one that began it.
func TestCallerThatLeaves(t *testing.T) {
	for name, stale := range map[string]bool{"nothing there": false, "a stale value there": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &source{answer: func(ctx context.Context, k int) (int, error) {
					time.Sleep(2 * time.Second) // of the bubble
					return k, ctx.Err()
				}}
				c := newCache(t, config(src))
				want := Missing
				if stale {
					c.put(1, 5)
					c.MarkStale()
					want = Stale
				}
				var wg sync.WaitGroup
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					v, state, err := c.Fetch(ctx, 1)
					if state != want || !errors.Is(err, context.DeadlineExceeded) || stale && v != 5 {
						t.Errorf("who left got %d, state %d, %v; want state %d", v, state, err, want)
					}
				})
				synctest.Wait()
				if v, state, err := fetch(c, 1); v != 1 || state != Fresh || err != nil {
					t.Errorf("who stayed got %d, state %d, %v", v, state, err)
				}
				wg.Wait()
				if n := src.loads.Load(); n != 1 {
					t.Errorf("%d loads, want 1", n)
				}
			})
		})
	}
}

// TestFailedLoads: whatever goes wrong in a loader is an error for those who
// wait, leaves what was there, and is over with the next load.
func TestFailedLoads(t *testing.T) {
	for name, c := range map[string]struct {
		fail func() (int, error)
		want string
	}{
		"error":  {func() (int, error) { return 99, errDown }, "the source is down"},
		"panic":  {func() (int, error) { panic("oh no") }, "the loader panicked: oh no"},
		"goexit": {func() (int, error) { runtime.Goexit(); return 0, nil }, "ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			down := true
			src := &source{}
			src.answer = func(_ context.Context, k int) (int, error) {
				if down {
					return c.fail()
				}
				return k, nil
			}
			cfg := config(src)
			cfg.Loads = 1 // a load that failed must give its place back
			cache := newCache(t, cfg)
			cache.put(1, 5)
			for k, want := range map[int]State{1: Stale, 2: Missing} {
				v, state, err := fetch(cache, k)
				if state != want || err == nil || !strings.Contains(err.Error(), c.want) || v == 99 {
					t.Errorf("%d, state %d, %v; want state %d and %q", v, state, err, want, c.want)
				}
			}
			wantState(t, cache, 1, Fresh)
			down = false
			if v, state, err := fetch(cache, 2); v != 2 || state != Fresh || err != nil {
				t.Errorf("after it: %d, state %d, %v", v, state, err)
			}
			if st := cache.Stats(); st.Loads != 3 || st.LoadErrors != 2 || st.InFlight != 0 {
				t.Errorf("stats = %+v, want 3 loads, 2 errors", st)
			}
		})
	}
}
