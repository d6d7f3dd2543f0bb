package main

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine/journal"
)

// TestKilledAtAnyMoment: whatever has been acknowledged comes about, once,
// however often the daemon dies on the way. Nothing else runs beside it: the moments
// of the kills have to meet every state.
func TestKilledAtAnyMoment(t *testing.T) {
	n, kills := scaled(5000)/macsOfServer*macsOfServer, 50
	if raceEnabled {
		kills = 12
	}
	c := newFleet(t, n)
	c.killed(n, kills)
	for _, s := range []string{"on its way", "on disk, not acknowledged", "acknowledged, not applied", "applied, not marked done", "done"} {
		if c.states[s] == 0 && !raceEnabled {
			t.Errorf("no kill left anything %s: %v", s, c.states)
		}
	}
}

// TestKilledOnPostgreSQL is the same behind the other database, in small.
func TestKilledOnPostgreSQL(t *testing.T) {
	t.Parallel()
	n := scaled(800) / macsOfServer * macsOfServer
	newFleetOn(t, postgres(t), n, macsOfServer).killed(n, 6)
}

// killed has the switches send n informs while the daemon is killed so often.
func (c *fleet) killed(n, kills int) {
	c.Helper()
	wait := c.send()
	for i := range kills {
		if i%3 != 0 {
			c.may(i+1, kills)
		}
		c.start()
		c.wait(i, kills)
		c.kill()
		c.judge()
	}
	c.start()
	wait()
	c.idle(2 * time.Minute)
	c.judge()
	c.Logf("%d informs; of %d kills so many left some in each state: %v; informs, summed up: %v", n, kills, c.left, c.states)
	c.whole(n)
}

// wait passes the time until a kill: a moment after the first acknowledgement,
// when others of its group are under way; soon after the start; or any time.
func (c *fleet) wait(i, kills int) {
	var d time.Duration
	switch i % 3 {
	case 0:
		select {
		case <-c.switches[0].ack: // an old one
		default:
		}
		c.may(i+1, kills)
		select {
		case <-c.switches[0].ack:
		case <-time.After(patience):
			c.Fatal("no acknowledgement")
		}
		d = time.Duration(c.rng.Int64N(int64(300 * time.Microsecond)))
	case 1:
		d = time.Duration(c.rng.Int64N(int64(30 * time.Millisecond)))
	default:
		d = time.Duration(c.rng.Int64N(int64(300 * time.Millisecond)))
	}
	time.Sleep(d)
}

// judge counts in which state the daemon left each inform. The one that must
// not be: acknowledged, and neither on disk nor in the inventory.
func (c *fleet) judge() {
	c.Helper()
	acked := map[clusto.MAC]bool{}
	for i, s := range c.switches {
		for k, m := range c.macs[i] {
			if s.acked[k].Load() {
				acked[m] = true
			}
		}
	}
	kept := c.kept()
	owners := c.owners()
	now := map[string]int{}
	for i, s := range c.switches {
		for k := range int(s.may.Load()) {
			m := c.macs[i][k]
			now[state(acked[m], kept[m], len(owners[m]) > 0)]++
			if len(owners[m]) > 1 {
				c.Errorf("%v is on %v", m, owners[m])
			}
		}
	}
	for s, n := range now {
		c.states[s] += n
		c.left[s]++
	}
	if now["lost"] > 0 {
		c.Fatalf("%d informs are acknowledged and lost: %v", now["lost"], now)
	}
}

func state(acked, kept, applied bool) string {
	switch {
	case kept && applied:
		return "applied, not marked done"
	case applied:
		return "done"
	case kept && acked:
		return "acknowledged, not applied"
	case kept:
		return "on disk, not acknowledged"
	case acked:
		return "lost"
	}
	return "on its way"
}

// kept reads a copy of the journal: the daemon has to find it as the kill left
// it.
func (c *fleet) kept() map[clusto.MAC]bool {
	c.Helper()
	dir := c.TempDir()
	defer os.RemoveAll(dir)
	for _, ext := range []string{"", "-wal"} {
		data, err := os.ReadFile(c.journalFile() + ext)
		if err != nil && ext == "" {
			c.Fatal(err)
		}
		must(c, os.WriteFile(dir+"/events"+ext, data, 0o600))
	}
	j, err := journal.Open(context.Background(), journal.Config{File: dir + "/events", Look: true})
	must(c, err)
	defer j.Close()
	out := map[clusto.MAC]bool{}
	for rack := range c.racks {
		es, err := j.Next(context.Background(), switchIP(rack).As4(), 0, 1<<20)
		must(c, err)
		for _, e := range es {
			out[e.MAC] = true
		}
	}
	return out
}
