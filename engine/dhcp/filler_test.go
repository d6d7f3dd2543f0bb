package dhcp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

var errDown = errors.New("the inventory is down")

// inventory is a Hosts that takes its time, fails and recovers as a test says.
type inventory struct {
	mu    sync.Mutex
	takes time.Duration
	err   error
	known map[clusto.MAC]*Prepared
	state map[clusto.MAC]State // of Lookup
	order []clusto.MAC         // of Fetch
	slow  map[clusto.MAC]time.Duration
	off   chan struct{} // closed to call loads off; nil until one waits
}

// forget has Lookup know nothing of a MAC; age, that what it knows is old.
func (v *inventory) forget(mac clusto.MAC) { v.mark(mac, Missing) }
func (v *inventory) age(mac clusto.MAC)    { v.mark(mac, Stale) }

func (v *inventory) mark(mac clusto.MAC, s State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state[mac] = s
}

// callOff ends the loads that are on their way.
func (v *inventory) callOff() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.off)
	v.off = nil
}

func (v *inventory) Lookup(mac clusto.MAC, _ int64) (*Prepared, State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state[mac] == Missing {
		return nil, Missing
	}
	return v.known[mac], v.state[mac]
}

func (v *inventory) Fetch(ctx context.Context, mac clusto.MAC) (*Prepared, State, error) {
	v.mu.Lock()
	takes := max(v.takes, v.slow[mac])
	v.order = append(v.order, mac)
	if v.off == nil {
		v.off = make(chan struct{})
	}
	off := v.off
	v.mu.Unlock()
	err := ctx.Err()
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-off:
		err = context.Canceled
	case <-time.After(takes):
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err == nil {
		err = v.err
	}
	switch p := v.known[mac]; {
	case err != nil && v.state[mac] == Stale:
		return p, Stale, err
	case err != nil:
		return nil, Missing, err
	case p == nil:
		return nil, Absent, nil
	default:
		v.state[mac] = Fresh
		return p, Fresh, nil
	}
}

func (v *inventory) set(takes time.Duration, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.takes, v.err = takes, err
}

// asked gives the MACs of all loads, in their order.
func (v *inventory) asked() []clusto.MAC {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.order)
}

// sink keeps the frames that the filler sends.
type sink struct {
	mu     sync.Mutex
	frames [][]byte
	at     []time.Time
	refuse bool
}

func (s *sink) SendOn(_ *engine.Link, frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return errors.New("no buffers")
	}
	s.frames, s.at = append(s.frames, bytes.Clone(frame)), append(s.at, time.Now())
	return nil
}

// hallSlots is how many frames of a hall may wait.
const hallSlots = 32

// hall is a Server whose filler runs, on its inventory.
type hall struct {
	*Server
	inv   *inventory
	out   *sink
	stats *engine.Stats
	log   *bytes.Buffer
	stop  func() // and wait
	start time.Time
	h     *Handler
}

// newHall runs in a bubble of synctest. hostMAC is in the inventory, and what
// Lookup knows of it is state.
func newHall(t *testing.T, state State, cfg Config) *hall {
	f := &hall{
		inv: &inventory{
			takes: 10 * time.Millisecond, known: map[clusto.MAC]*Prepared{hostMAC: prepared(t, testHost())},
			state: map[clusto.MAC]State{hostMAC: state},
		},
		out: &sink{}, stats: engine.NewStats(1), log: new(bytes.Buffer), start: time.Now(),
	}
	cfg.Hosts, cfg.Counter, cfg.Log = f.inv, f.stats.Counter(0), slog.New(slog.NewTextHandler(f.log, nil))
	cfg.Lot = engine.NewLot(engine.LotConfig{Slots: hallSlots})
	f.Server = NewServer(cfg)
	f.h = f.Handler()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		f.Run(ctx, f.out)
		close(done)
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(f.stop)
	return f
}

// get hands a request to a worker's handler and checks its verdict.
func (f *hall) get(t *testing.T, a ask, want engine.Verdict) {
	t.Helper()
	if v, _ := handle(f.h, a); v != want {
		t.Errorf("verdict = %v, want %v", v, want)
	}
}

// count checks what the filler has counted, and nothing else.
func (f *hall) count(t *testing.T, want map[engine.Verdict]uint64) {
	t.Helper()
	for v, n := range f.stats.Totals().Verdicts {
		if n != want[engine.Verdict(v)] {
			t.Errorf("%v: %d counted, want %d", engine.Verdict(v), n, want[engine.Verdict(v)])
		}
	}
}

func (f *hall) logged(t *testing.T, text string, times int) {
	t.Helper()
	synctest.Wait() // for those who may be writing
	if n := strings.Count(f.log.String(), text); n != times {
		t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, f.log)
	}
}

// inHall runs a test in a bubble.
func inHall(t *testing.T, state State, cfg Config, test func(t *testing.T, f *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newHall(t, state, cfg)
		test(t, f)
		f.stop()
	})
}

func TestMissIsAnsweredByTheFiller(t *testing.T) {
	inHall(t, Missing, Config{}, func(t *testing.T, f *hall) {
		f.get(t, ask{typ: discover}, engine.Parked)
		f.get(t, ask{typ: discover}, engine.Replaced)
		time.Sleep(20 * time.Millisecond) // of the bubble
		f.count(t, map[engine.Verdict]uint64{engine.Reply: 1})
		f.stop()
		if len(f.out.frames) != 1 || f.out.at[0].Sub(f.start) != 10*time.Millisecond {
			t.Fatalf("%d frames, at %v", len(f.out.frames), f.out.at)
		}
		if r := decode(t, f.out.frames[0]); r.dhcp.YourClientIP.String() != "10.42.0.11" {
			t.Errorf("yiaddr = %v", r.dhcp.YourClientIP)
		}
		if st := f.cfg.Lot.Stats(); st.Waiting != 0 {
			t.Errorf("%d frames still wait", st.Waiting)
		}
	})
}

func TestMissOfAnUnknownHost(t *testing.T) {
	inHall(t, Missing, Config{}, func(t *testing.T, f *hall) {
		f.get(t, ask{typ: discover, mac: clusto.MAC{2, 9}}, engine.Parked)
		time.Sleep(time.Second) // of the bubble
		f.count(t, map[engine.Verdict]uint64{engine.UnknownHost: 1})
		f.stop()
		f.logged(t, "no server in clusto has this MAC", 1)
	})
}

func TestReplyThatTheKernelRefuses(t *testing.T) {
	inHall(t, Missing, Config{}, func(t *testing.T, f *hall) {
		f.out.refuse = true // before any load
		f.get(t, ask{typ: discover}, engine.Parked)
		time.Sleep(time.Second) // of the bubble
		if got := f.stats.Totals(); got.Sent != 0 || got.TxDropped != 1 {
			t.Errorf("%d sent, %d dropped; want 0 and 1", got.Sent, got.TxDropped)
		}
	})
}

// TestStaleHostWaitsASecond: then what is known answers, never with a NAK.
func TestStaleHostWaitsASecond(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  ask
		want engine.Verdict
	}{
		{"an offer", ask{typ: discover}, engine.Reply},
		{"no NAK", ask{typ: request, requested: "10.42.0.99"}, engine.NakWithheld},
	} {
		gone := Config{Ping: func(context.Context) error { return errDown }} // and stays away
		inHall(t, Stale, gone, func(t *testing.T, f *hall) {
			f.inv.set(3*time.Second, nil)
			f.get(t, c.ask, engine.Parked)
			time.Sleep(999 * time.Millisecond) // of the bubble
			f.count(t, nil)
			time.Sleep(2 * sweepEvery)
			f.count(t, map[engine.Verdict]uint64{c.want: 1})
			time.Sleep(2 * probeEvery)
			if !f.Degraded() {
				t.Errorf("%s: a second of silence, and a ping in vain, are no trouble", c.name)
			}
			f.get(t, c.ask, c.want) // at once from now on
			time.Sleep(10 * time.Second)
		})
	}
}

// TestStaleHostOfAFailingInventory: a failed load is answered from memory.
func TestStaleHostOfAFailingInventory(t *testing.T) {
	inHall(t, Stale, Config{}, func(t *testing.T, f *hall) {
		f.inv.set(10*time.Millisecond, errDown)
		f.get(t, ask{typ: discover}, engine.Parked)
		time.Sleep(11 * time.Millisecond) // of the bubble
		f.count(t, map[engine.Verdict]uint64{engine.Reply: 1})
	})
}

// TestStaleHostIsNotShed: where there is no room to wait, what is known answers.
func TestStaleHostIsNotShed(t *testing.T) {
	inHall(t, Stale, Config{}, func(t *testing.T, f *hall) {
		f.inv.set(time.Minute, nil)
		for i := range byte(hallSlots) {
			f.get(t, ask{typ: discover, mac: clusto.MAC{2, i}}, engine.Parked)
		}
		f.get(t, ask{typ: discover, mac: clusto.MAC{2, hallSlots}}, engine.Shed)
		f.get(t, ask{typ: discover}, engine.Reply)
		f.get(t, ask{typ: request, requested: "10.42.0.99"}, engine.NakWithheld)
	})
}

// TestKnownHostsLoadFirst: whatever came before them.
func TestKnownHostsLoadFirst(t *testing.T) {
	inHall(t, Stale, Config{Loads: 1}, func(t *testing.T, f *hall) {
		for i := range byte(5) {
			f.get(t, ask{typ: discover, mac: clusto.MAC{2, i}}, engine.Parked)
		}
		synctest.Wait() // one of them is being loaded
		f.get(t, ask{typ: discover}, engine.Parked)
		time.Sleep(time.Second) // of the bubble
		if order := f.inv.asked(); len(order) != 6 || order[1] != hostMAC {
			t.Errorf("loads in the order %v, want the known host second", order)
		}
	})
}

// TestOutage: one line when the inventory goes, one when it is back; clients
// that are patient are answered then, and nobody is told that he is unknown.
func TestOutage(t *testing.T) {
	inHall(t, Missing, Config{}, func(t *testing.T, f *hall) {
		f.inv.set(10*time.Millisecond, errDown)
		for i := range byte(30) {
			f.get(t, ask{typ: discover, mac: clusto.MAC{2, i}}, engine.Parked)
		}
		time.Sleep(2 * time.Second) // of the bubble
		f.count(t, nil)
		if !f.Degraded() {
			t.Error("the inventory fails and nobody noticed")
		}
		if n := len(f.inv.asked()); n > 30+15 {
			t.Errorf("%d loads of 30 hosts in 2 s of outage", n)
		}
		time.Sleep(2100 * time.Millisecond)
		f.count(t, map[engine.Verdict]uint64{engine.InventoryDown: 30})
		f.get(t, ask{typ: discover}, engine.Parked)
		f.inv.set(10*time.Millisecond, nil)
		time.Sleep(time.Second)
		f.count(t, map[engine.Verdict]uint64{engine.InventoryDown: 30, engine.Reply: 1})
		if f.Degraded() {
			t.Error("the inventory is back and nobody noticed")
		}
		f.stop()
		f.logged(t, "the inventory does not answer", 1)
		f.logged(t, "the inventory answers again", 1)
	})
}

// TestReturnIsNoticedWithoutMisses: stale hosts are answered at once in an
// outage, so somebody else has to ask.
func TestReturnIsNoticedWithoutMisses(t *testing.T) {
	inHall(t, Stale, Config{}, func(t *testing.T, f *hall) {
		f.inv.set(10*time.Millisecond, errDown)
		for range failsInRow {
			f.get(t, ask{typ: discover}, engine.Parked)
			time.Sleep(100 * time.Millisecond) // of the bubble
		}
		f.get(t, ask{typ: discover}, engine.Reply)
		time.Sleep(time.Minute)
		if !f.Degraded() {
			t.Fatal("not degraded")
		}
		f.inv.set(10*time.Millisecond, nil)
		time.Sleep(time.Second)
		if f.Degraded() {
			t.Error("the return went unnoticed")
		}
	})
}

// TestOneHostThatFails is no outage: it is named, and the others go on.
func TestOneHostThatFails(t *testing.T) {
	inHall(t, Missing, Config{}, func(t *testing.T, f *hall) {
		f.inv.set(10*time.Millisecond, errDown)
		f.get(t, ask{typ: discover, mac: clusto.MAC{2, 1}}, engine.Parked)
		time.Sleep(50 * time.Millisecond) // of the bubble
		f.inv.set(10*time.Millisecond, nil)
		time.Sleep(time.Second)
		f.stop()
		f.logged(t, "answers others, but not for this host", 1)
		f.logged(t, "the inventory does not answer", 0)
	})
}

// TestShutdownWaitsForLoads: half a second for those on their way; what waits
// then is counted.
func TestShutdownWaitsForLoads(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration
		ends  time.Duration
		want  map[engine.Verdict]uint64
	}{
		{"nearly there", 400 * time.Millisecond, 300 * time.Millisecond, map[engine.Verdict]uint64{engine.Reply: 1}},
		{"far away", 3 * time.Second, grace, map[engine.Verdict]uint64{engine.Expired: 1}},
	} {
		inHall(t, Missing, Config{}, func(t *testing.T, f *hall) {
			f.inv.set(c.takes, nil)
			f.get(t, ask{typ: discover}, engine.Parked)
			time.Sleep(100 * time.Millisecond) // of the bubble
			stopped := time.Now()
			f.stop()
			if took := time.Since(stopped); took != c.ends {
				t.Errorf("%s: Run ended after %v, want %v", c.name, took, c.ends)
			}
			f.count(t, c.want)
			f.logged(t, "the inventory does not answer", 0)
		})
	}
}

// TestReturnIsNoticedWhileLoadsHang: the inventory hung and is back, but the
// loads of before hang on. They are called off and tried again.
func TestReturnIsNoticedWhileLoadsHang(t *testing.T) {
	var away atomic.Bool
	var calledOff atomic.Int32
	var h *hall
	cfg := Config{
		Ping: func(ctx context.Context) error {
			if away.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		},
		Try: func(context.Context, clusto.MAC) error { return errDown },
		Returned: func() {
			calledOff.Add(1)
			h.inv.callOff()
		},
	}
	inHall(t, Missing, cfg, func(t *testing.T, f *hall) {
		h = f
		f.inv.set(time.Hour, nil)
		away.Store(true)
		f.get(t, ask{typ: discover}, engine.Parked)
		time.Sleep(3 * time.Second) // of the bubble
		f.get(t, ask{typ: discover}, engine.Replaced)
		away.Store(false)
		f.inv.set(0, nil)
		time.Sleep(2 * time.Second) // of the bubble
		f.count(t, map[engine.Verdict]uint64{engine.Reply: 1})
		if n := calledOff.Load(); n != 1 || f.Degraded() {
			t.Errorf("called off %d times, degraded %v", n, f.Degraded())
		}
		f.logged(t, "the inventory does not answer", 1)
		f.logged(t, "the inventory answers again", 1)
	})
}

// TestReturnBeforeAnyPing: the inventory hung, and was back before a ping could
// tell. A new host waited for the end of a load that nobody answers, four seconds.
func TestReturnBeforeAnyPing(t *testing.T) {
	for _, c := range []struct {
		name string
		more func(f *hall) // beside the load that hangs
	}{
		{"nobody else asks", func(*hall) {}},
		{"others are answered", func(f *hall) {
			f.inv.forget(hostMAC)
			handle(f.h, ask{typ: discover})
		}},
	} {
		stranger := clusto.MAC{2, 7}
		var h *hall
		var tried []clusto.MAC
		cfg := Config{
			Ping:     func(context.Context) error { return nil },
			Try:      func(_ context.Context, mac clusto.MAC) error { tried = append(tried, mac); return nil },
			Returned: func() { h.inv.callOff() },
		}
		inHall(t, Missing, cfg, func(t *testing.T, f *hall) {
			h = f
			f.inv.known[stranger] = prepared(t, testHost())
			f.inv.set(time.Hour, nil)
			f.get(t, ask{typ: discover, mac: stranger}, engine.Parked)
			time.Sleep(50 * time.Millisecond) // of the bubble
			f.inv.set(time.Millisecond, nil)
			for range 19 {
				c.more(f)
				time.Sleep(100 * time.Millisecond)
			}
			f.stop()
			if v, _ := f.inv.Lookup(stranger, 0); v == nil {
				t.Errorf("%s: the new host waits still", c.name)
			}
			if len(tried) != 1 || tried[0] != stranger {
				t.Errorf("%s: tried %v, want the one that waits", c.name, tried)
			}
		})
	}
}

// TestReturnDuringAPing: the question that hangs when the inventory returns is
// given up soon.
func TestReturnDuringAPing(t *testing.T) {
	var away atomic.Bool
	away.Store(true)
	var h *hall
	cfg := Config{
		Ping: func(ctx context.Context) error {
			if away.Load() {
				<-ctx.Done()
			}
			return ctx.Err()
		},
		Try:      func(context.Context, clusto.MAC) error { return nil },
		Returned: func() { h.inv.callOff() },
	}
	inHall(t, Missing, cfg, func(t *testing.T, f *hall) {
		h = f
		f.inv.set(time.Hour, nil)
		f.get(t, ask{typ: discover}, engine.Parked)
		time.Sleep(1210 * time.Millisecond) // of the bubble: the first ping is on its way
		away.Store(false)
		f.inv.set(10*time.Millisecond, nil)
		back := time.Now()
		time.Sleep(2 * time.Second)
		f.stop()
		if len(f.out.at) != 1 || f.out.at[0].Sub(back) > 800*time.Millisecond {
			t.Errorf("answered at %v, want within 800 ms of %v", f.out.at, back)
		}
	})
}

// TestSlowInventoryIsNotCalledOff: it is there, and takes its time.
func TestSlowInventoryIsNotCalledOff(t *testing.T) {
	cfg := Config{
		Ping:     func(context.Context) error { return nil },
		Try:      func(ctx context.Context, _ clusto.MAC) error { <-ctx.Done(); return ctx.Err() },
		Returned: func() { t.Error("called off") },
	}
	inHall(t, Missing, cfg, func(t *testing.T, f *hall) {
		f.inv.set(3*time.Second, nil)
		f.get(t, ask{typ: discover}, engine.Parked)
		time.Sleep(3500 * time.Millisecond) // of the bubble
		f.count(t, map[engine.Verdict]uint64{engine.Reply: 1})
	})
}
