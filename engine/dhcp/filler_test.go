package dhcp

import (
	"bytes"
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

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

// TestSlowInventoryKeepsUp: what a frame whose time was up had come for is asked for
// all the same, so that its host is there when the client sends again.
func TestSlowInventoryKeepsUp(t *testing.T) {
	inHall(t, Missing, Config{Loads: 1}, func(t *testing.T, f *hall) {
		f.inv.set(time.Second, nil)
		for i := range byte(hallSlots) {
			f.get(t, ask{typ: discover, mac: clusto.MAC{2, i}}, engine.Parked)
		}
		time.Sleep((hallSlots + 1) * time.Second) // of the bubble
		macs := f.inv.asked()
		slices.SortFunc(macs, func(a, b clusto.MAC) int { return bytes.Compare(a[:], b[:]) })
		if n := len(slices.Compact(macs)); n != hallSlots {
			t.Errorf("%d of %d hosts were asked for", n, hallSlots)
		}
	})
}

// TestLateLoadAnswers: a frame whose load is on its way when its time is up is answered
// when that ends.
func TestLateLoadAnswers(t *testing.T) {
	inHall(t, Missing, Config{Loads: 1}, func(t *testing.T, f *hall) {
		f.inv.set(3500*time.Millisecond, nil)
		f.get(t, ask{typ: discover}, engine.Parked)
		f.get(t, ask{typ: discover, mac: clusto.MAC{2, 1}}, engine.Parked)
		time.Sleep(7100 * time.Millisecond) // of the bubble: the second load began after 3.5 s
		f.count(t, map[engine.Verdict]uint64{engine.Reply: 1, engine.UnknownHost: 1})
	})
}
