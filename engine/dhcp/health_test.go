package dhcp

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

// TestOneSlowHostIsNoTrouble: an inventory that is slow for some of its hosts
// counted as down and up again with every load, a line in the log each time.
func TestOneSlowHostIsNoTrouble(t *testing.T) {
	quick := clusto.MAC{2, 0, 0, 0, 0, 9}
	cfg := Config{
		Ping:     func(context.Context) error { return nil },
		Try:      func(ctx context.Context, _ clusto.MAC) error { <-ctx.Done(); return ctx.Err() },
		Returned: func() { t.Error("called off") },
	}
	inHall(t, Missing, cfg, func(t *testing.T, f *hall) {
		f.inv.known[quick] = prepared(t, testHost())
		f.inv.slow = map[clusto.MAC]time.Duration{hostMAC: 1100 * time.Millisecond}
		for range 50 {
			f.get(t, ask{typ: discover}, engine.Parked)
			for range 11 {
				f.inv.forget(quick)
				f.get(t, ask{typ: discover, mac: quick}, engine.Parked)
				time.Sleep(101 * time.Millisecond) // of the bubble
			}
			f.inv.forget(hostMAC)
		}
		f.logged(t, "the inventory", 0)
	})
}

// TestSlowInventoryIsOneLine: where several hosts in a row are late it counts
// as slow until it has not been for a while, whatever comes in between.
func TestSlowInventoryIsOneLine(t *testing.T) {
	inHall(t, Stale, Config{}, func(t *testing.T, f *hall) {
		f.inv.set(1100*time.Millisecond, nil)
		for range lateInRow {
			f.get(t, ask{typ: discover}, engine.Parked)
			time.Sleep(1200 * time.Millisecond) // of the bubble
			f.inv.age(hostMAC)
		}
		if !f.Degraded() {
			t.Fatal("three late loads are no trouble")
		}
		for range 20 { // answered at once, and fetched anew all the same
			f.get(t, ask{typ: discover}, engine.Reply)
			f.inv.set(10*time.Millisecond, nil)
			time.Sleep(100 * time.Millisecond) // of the bubble
			f.inv.age(hostMAC)
			f.get(t, ask{typ: discover}, engine.Reply)
			f.inv.set(1100*time.Millisecond, nil)
			time.Sleep(1200 * time.Millisecond) // of the bubble
			f.inv.age(hostMAC)
		}
		if n := len(f.inv.asked()); n < 20 {
			t.Errorf("%d loads: what is stale is not fetched anew", n)
		}
		f.logged(t, "the inventory does not answer", 1)
		f.logged(t, "the inventory answers again", 0)
		f.inv.set(10*time.Millisecond, nil)
		time.Sleep(lateHold + 2*time.Second) // of the bubble
		f.logged(t, "the inventory answers again", 1)
	})
}

// TestOutageFlapped: many loads on their way at the edges of an outage ended well
// and badly in turn, and each turn was a line in the log.
func TestOutageFlapped(t *testing.T) {
	t0 := time.Now()
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	var log bytes.Buffer
	var h health
	h.init(Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Slow: time.Hour})
	h.over = at(-1)
	for range 5 { // all began before the outage was noticed
		for range failsInRow {
			h.ended(hostMAC, at(-10), errDown)
		}
		h.ended(hostMAC, at(0), errDown)
		h.ended(hostMAC, at(0), errDown)
		h.ended(hostMAC, at(0), errDown)
		h.ended(hostMAC, at(0), nil)
	}
	if !h.failing {
		t.Error("loads from before the outage ended it")
	}
	h.ended(hostMAC, time.Now(), nil)
	for range 2 * failsInRow { // all began during it
		h.ended(hostMAC, at(0), errDown)
		h.overdue(hostMAC, at(0))
	}
	if h.failing || h.late || strings.Count(log.String(), "\n") != 2 {
		t.Errorf("failing %v, late %v\n%s", h.failing, h.late, &log)
	}
}
