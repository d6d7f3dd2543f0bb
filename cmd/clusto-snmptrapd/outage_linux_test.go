package main

import (
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/discovery"
)

// outage is how long the inventory is away.
const outage = 30 * time.Second

// TestInventoryIsAway for half a minute, its database closed, while the switches
// go on: what they report is acknowledged and waits, and all comes about later.
func TestInventoryIsAway(t *testing.T) {
	t.Parallel()
	n := scaled(960) / macsOfServer * macsOfServer
	newFleet(t, n).inventoryIsAway(t, n)
}

// TestPostgreSQLIsAway is the same behind the other database, in small.
func TestPostgreSQLIsAway(t *testing.T) {
	t.Parallel()
	n := scaled(240) / macsOfServer * macsOfServer
	newFleetOn(t, postgres(t), n).inventoryIsAway(t, n)
}

func (c *fleet) inventoryIsAway(t *testing.T, n int) {
	wait := c.send()
	c.start()
	c.may(1, 4)
	c.until("first servers", func() bool { return c.figures()[outcome(discovery.Created)] > 0 })
	c.api.down()
	must(t, c.store.Close())
	memory := c.goOn(outage)
	c.until("all acknowledged", func() bool { return c.acked() == c.released() })
	c.says(`"WARN"`, "the inventory fails: events wait in the journal")
	if waiting := int(c.figures()["journal_waiting"]); waiting < n/4+c.others {
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
	rack := len(c.switches)
	sw := c.object(t, rackName(rack)+"-sw1")
	for i := range c.others {
		name, owners := connected(&sw, "nic-eth", i+1), c.owners()[otherMAC(i)]
		if len(owners) != 1 || name != owners[0]+" 1" {
			t.Errorf("what snmpinform reported on port %d is on %v, and %q is there", i+1, owners, name)
		}
	}
}

// otherMAC is the MAC of one of the others' servers.
func otherMAC(i int) (m [6]byte) { return testMAC(1<<20 + i) }

// goOn has the switches report more for so long, half of all that they have, and
// net-snmp one server a second. It gives the daemon's memory, in MB.
func (c *fleet) goOn(d time.Duration) (memory int) {
	c.Helper()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < d; <-tick.C {
		c.may(25+int(50*time.Since(began)/d), 100)
		if c.others < portsOfRack {
			c.inform(len(c.switches), learnt(otherMAC(c.others), uint16(c.others+1)))
			c.others++
		}
		memory = max(memory, c.resident())
	}
	c.may(75, 100)
	return memory
}
