package main

import (
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/discovery"
)

// TestInventoryIsAway for a while, its database closed, while the switches go
// on: what they report is acknowledged and waits, and all comes about later.
func TestInventoryIsAway(t *testing.T) {
	n := scaled(960) / macsOfServer * macsOfServer
	c := newFleet(t, n)
	wait := c.send()
	c.start()
	c.may(1, 4)
	c.until("first servers", func() bool { return c.figures()[outcome(discovery.Created)] > 0 })
	c.api.down()
	must(t, c.store.Close())
	began, memory := time.Now(), c.resident()
	c.may(3, 4)
	c.until("all acknowledged", func() bool { return c.acked() == c.released() })
	c.says(`"WARN"`, "the inventory fails: events wait in the journal")
	for time.Since(began) < 4*time.Second {
		time.Sleep(100 * time.Millisecond)
		memory = max(memory, c.resident())
	}
	if waiting := int(c.figures()["journal_waiting"]); waiting < n/4 {
		t.Errorf("%d events wait", waiting)
	}
	c.open(t)
	c.api.serve(c.store)
	c.api.up()
	c.may(1, 1)
	wait()
	c.idle(time.Minute)
	if down, up := c.log.Lines("the inventory fails"), c.log.Lines(`"INFO"`, "the inventory answers again"); down != 1 || up != 1 {
		t.Errorf("%d lines say that it fails, %d that it is back", down, up)
	}
	if c.figures()["inventory_retries_total"] == 0 {
		t.Error("nothing was tried again")
	}
	memory = max(memory, c.resident())
	t.Logf("%d MB", memory)
	if memory > 150 && !raceEnabled {
		t.Errorf("the daemon has grown to %d MB", memory)
	}
	c.whole(n)
}
