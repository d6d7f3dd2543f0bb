package main

import (
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/discovery"
)

const (
	outage     = 30 * time.Second // how long the inventory is away
	outageRate = 300              // informs a second meanwhile, at the least
	outageMACs = 2                // of a server: its NIC and its BMC
	outageHere = 7                // informs that a MAC is on its port
	outageGone = 15               // informs that it is gone
)

// TestInventoryIsAway for half a minute: clusto-httpd is killed while it makes
// servers, and the switches go on. What they report is acknowledged and waits,
// and all comes about once clusto-httpd is started again. Nothing else runs beside it:
// what is measured is this load.
func TestInventoryIsAway(t *testing.T) {
	inventoryIsAway(t, t.TempDir()+"/clusto.db")
}

// TestPostgreSQLIsAway is the same behind the other database.
func TestPostgreSQLIsAway(t *testing.T) {
	inventoryIsAway(t, postgres(t))
}

func inventoryIsAway(t *testing.T, dsn string) {
	n := scaled(8*portsOfRack*outageMACs) / outageMACs * outageMACs
	c := newFleetOn(t, dsn, n, outageMACs)
	c.repeat(outageHere, outageGone)
	for _, s := range c.switches {
		s.again = 400 * time.Millisecond // nobody kills the daemon: it answers in time
	}
	c.api.down()
	kill := c.httpd("--db", dsn)
	wait := c.send()
	c.start()
	c.may(5, 100)
	c.until("first servers", func() bool { return c.figures()[outcome(discovery.Created)] > 0 })
	kill()
	before, ended, began := c.acked(), c.sum("events_total{"), time.Now()
	memory := c.goOn(outage)
	c.until("all acknowledged", func() bool { return c.acked() == c.released() })
	away, acked := time.Since(began), c.acked()-before
	t.Logf("%d informs acknowledged in the %v without inventory", acked, away.Round(time.Millisecond))
	if acked < scaled(outageRate*int(outage.Seconds())) {
		t.Errorf("%d informs acknowledged are too few", acked)
	}
	c.says(`"WARN"`, "the inventory fails: events wait in the journal")
	waiting, ended := c.figures()["journal_waiting"], c.sum("events_total{")-ended
	if int(waiting+ended) < acked+c.others || ended > uint64(acked/10) {
		t.Errorf("%d events wait, %d have ended", waiting, ended)
	}
	c.httpd("--db", dsn)
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
	t.Logf("all worked off %v after the kill; %d MB", time.Since(began).Round(time.Millisecond), memory)
	if memory > 150 && !raceEnabled {
		t.Errorf("the daemon has grown to %d MB", memory)
	}
	c.accounted(n)
	c.whole(n)
	rack := len(c.switches)
	sw := c.object(t, rackName(rack)+"-sw1")
	owners := c.owners()
	for i := range c.others {
		name, owners := connected(&sw, "nic-eth", i+1), owners[otherMAC(i)]
		if len(owners) != 1 || name != owners[0]+" 1" {
			t.Errorf("what snmpinform reported on port %d is on %v, and %q is there", i+1, owners, name)
		}
	}
}

// accounted checks that each event has ended once, and as it should.
func (c *fleet) accounted(n int) {
	c.Helper()
	f, good := c.figures(), uint64(0)
	for _, o := range []discovery.Outcome{discovery.Created, discovery.Attached, discovery.Known, discovery.Gone} {
		good += f[outcome(o)]
	}
	c.Logf("%d created, %d attached, %d known, %d gone", f[outcome(discovery.Created)], f[outcome(discovery.Attached)], f[outcome(discovery.Known)], f[outcome(discovery.Gone)])
	records, ended := c.sum("records_total{"), c.sum("events_total{")
	if good != ended || ended != records || records < uint64(c.released()+c.others) {
		c.Errorf("%d records, %d events ended, %d of them as they should: %v", records, ended, good, f)
	}
	if made := f[outcome(discovery.Created)]; made > uint64(n/c.each+c.others) {
		c.Errorf("%d servers were made, of %d", made, n/c.each+c.others)
	}
}

// otherMAC is the MAC of one of the others' servers.
func otherMAC(i int) (m [6]byte) { return testMAC(1<<20 + i) }

// goOn has the switches report more for so long, most of all that they have, and
// net-snmp one server a second. It gives the daemon's memory, in MB.
func (c *fleet) goOn(d time.Duration) (memory int) {
	c.Helper()
	const ticks = 5 // in a second
	tick := time.NewTicker(time.Second / ticks)
	defer tick.Stop()
	for began, i := time.Now(), 0; time.Since(began) < d; i++ {
		c.may(50+int(900*time.Since(began)/d), 1000)
		if i%ticks == 0 && c.others < portsOfRack {
			history := learnt(otherMAC(c.others), uint16(c.others+1))
			c.until("what snmpinform sends acknowledged", func() bool { // as a switch, it tries again
				_, code := c.snmp(len(c.switches), "snmpinform", "2c", "public", history)
				return code == 0
			})
			c.others++
			memory = max(memory, c.resident())
		}
		<-tick.C
	}
	c.may(95, 100)
	return memory
}
