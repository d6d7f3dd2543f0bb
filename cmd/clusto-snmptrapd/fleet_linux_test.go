package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	macsOfServer = 8 // as many as a server may have
	portsOfRack  = 30
)

// fleet is the switches of a site and the informs that they are to send.
type fleet struct {
	*lab
	rng      *rand.Rand
	switches []*informer
	macs     [][]clusto.MAC // by switch, in the order of its informs
	each     int            // how many of them are on a port
	others   int            // servers that are there besides, with a MAC each
	states   map[string]int // informs, summed up over the kills
	left     map[string]int // kills that left some
}

// newFleet makes n informs, of n different MACs: eight on each port, so that the
// first of a port makes a server and the others are added to it.
func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	return newFleetOn(t, inMemory(t)+"/clusto.db", n, macsOfServer)
}

// newFleetOn is newFleet on a database of its own, with so many MACs on each
// port. One rack more than the fleet needs is there.
func newFleetOn(t *testing.T, dsn string, n, each int) *fleet {
	t.Helper()
	ports := n / each
	racks := (ports + portsOfRack - 1) / portsOfRack
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CLUSTO_TEST_SEED"); s != "" {
		var err error
		seed, err = strconv.ParseUint(s, 10, 64)
		must(t, err)
	}
	t.Logf("CLUSTO_TEST_SEED=%d", seed)
	c := &fleet{
		lab: newLabOn(t, newSite(t, dsn, racks+1)), rng: rand.New(rand.NewPCG(seed, 0)), each: each,
		states: map[string]int{}, left: map[string]int{},
	}
	ack := make(chan struct{}, 1)
	for rack := range racks {
		var macs []clusto.MAC
		for i := rack * portsOfRack; i < min(ports, (rack+1)*portsOfRack); i++ {
			for k := range each {
				macs = append(macs, testMAC(i*each+k))
			}
		}
		c.rng.Shuffle(len(macs), func(i, j int) { macs[i], macs[j] = macs[j], macs[i] })
		var histories [][]byte
		for _, m := range macs {
			histories = append(histories, learnt(m, c.portOf(m)))
		}
		c.macs = append(c.macs, macs)
		c.switches = append(c.switches, c.informer(rack, histories, ack))
	}
	return c
}

// portOf is the port of its rack that a MAC appears on.
func (c *fleet) portOf(m clusto.MAC) uint16 {
	n := int(m[3])<<16 | int(m[4])<<8 | int(m[5])
	return uint16(n/c.each%portsOfRack + 1)
}

// repeat has each switch report each of its MACs so often in all, and so often
// that it is gone, in any order.
func (c *fleet) repeat(here, gone int) {
	for i, s := range c.switches {
		s.histories = nil
		for _, m := range c.macs[i] {
			for range here {
				s.histories = append(s.histories, learnt(m, c.portOf(m)))
			}
			for range gone {
				s.histories = append(s.histories, append(record(2, 42, m, c.portOf(m)), 0))
			}
		}
		c.rng.Shuffle(len(s.histories), func(i, j int) { s.histories[i], s.histories[j] = s.histories[j], s.histories[i] })
		s.acked = make([]atomic.Bool, len(s.histories))
	}
}

// owners tells which servers have each MAC.
func (l *lab) owners() map[clusto.MAC][]string {
	l.Helper()
	out := map[clusto.MAC][]string{}
	must(l, l.store.Objects(context.Background(), func(o *clusto.Object) error {
		for i := range o.Attrs {
			if a := &o.Attrs[i]; a.Key == "bootstrap" && a.Sub() == "mac" {
				m, err := clusto.ParseMAC(a.Value.Text())
				if err != nil {
					return err
				}
				out[m] = append(out[m], o.Name)
			}
		}
		return nil
	}))
	return out
}

// whole checks what there is in the end: a server on each port, once, with all
// of its MACs, and no name between them that nobody has.
func (c *fleet) whole(n int) {
	c.Helper()
	if dead := c.letters(); len(dead) > 0 {
		c.Errorf("dead letters: %+v", dead[0])
	}
	owners := c.owners()
	if len(owners) != n+c.others {
		c.Errorf("%d MACs are in the inventory, want %d", len(owners), n+c.others)
	}
	racks := map[string]string{}
	for i := range c.macs {
		sw := c.object(c, rackName(i)+"-sw1")
		macs := slices.Clone(c.macs[i])
		slices.SortFunc(macs, func(a, b clusto.MAC) int { return strings.Compare(a.String(), b.String()) })
		for k, m := range macs {
			name, _, _ := strings.Cut(connected(&sw, "nic-eth", int(c.portOf(m))), " ")
			if !slices.Equal(owners[m], []string{name}) {
				c.Errorf("%v is on %v, and on port %d of %s is %q", m, owners[m], c.portOf(m), sw.Name, name)
			}
			if k%(10*c.each) == 0 {
				place := fmt.Sprintf("%s %d", sw.Name, c.portOf(m))
				if racks[name] != "" {
					c.Errorf("%s is on %s and on %s", name, racks[name], place)
				}
				racks[name] = place
				c.placed(name, i, int(c.portOf(m)))
			}
		}
	}
	c.eachOnce(n/c.each + c.others)
}

// send has the switches send their informs, as many of them as they may, until
// the test ends.
func (c *fleet) send() (wait func()) {
	over := make(chan struct{})
	var senders sync.WaitGroup
	for _, s := range c.switches {
		senders.Go(func() { s.run(over) })
	}
	c.Cleanup(func() {
		close(over)
		senders.Wait()
	})
	return senders.Wait
}

// may lets the switches send a share of their informs.
func (c *fleet) may(part, of int) {
	for _, s := range c.switches {
		s.may.Store(int64(len(s.histories) * part / of))
	}
}

// acked counts the informs that are acknowledged.
func (c *fleet) acked() (n int) {
	for _, s := range c.switches {
		for i := range s.acked {
			if s.acked[i].Load() {
				n++
			}
		}
	}
	return n
}

// released counts those that may be sent.
func (c *fleet) released() (n int) {
	for _, s := range c.switches {
		n += int(s.may.Load())
	}
	return n
}
