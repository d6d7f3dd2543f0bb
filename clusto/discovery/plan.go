package discovery

import (
	"slices"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
)

// plan is the change that makes a server.
type plan struct {
	ops     []clusto.Op
	checks  int // how many of them, at the beginning, check what was decided on
	address int // which one takes an address; -1 if none does
}

// label names the server in the change: it gets its name while that is applied.
const (
	label     = "server"
	newServer = "$" + label
)

// plan writes down all that makes a server of an event. half names one that was
// begun and is to be finished. Its bootstrap MAC comes first, so that it is found
// again wherever an attempt ended, and the switch port last: by it the server counts
// as made. The MAC that DHCP knows it by comes when it has its place, and with that
// what it inherits, and its address: a host that asks before is unknown, which is
// remembered for a shorter time than that it has none.
func (w *worker) plan(ev Event, f *facts, port int, place rack.Placement, half, manager string) plan {
	p, server := plan{address: -1}, half
	if half == "" {
		server = newServer
		p.ops = append(w.unknownMAC(ev.MAC), clusto.Op{Op: "lacks", Name: f.sw.Name, Key: "port-" + portNIC, Subkey: ptr("connection"), Number: &port})
		p.checks = len(p.ops)
		p.ops = append(p.ops, clusto.Op{Op: "allocate", Name: w.d.cfg.Names, Driver: place.Driver, As: label}, bootstrapOp(server, ev.MAC))
	}
	p.ops = append(p.ops, clusto.Op{Op: "insert", Name: server, Into: f.rack.Name, RU: place.RUs[0]})
	p.ops = append(p.ops, f.vlanOps(port, ev.VLAN)...)
	if manager != "" {
		p.address = len(p.ops)
		p.ops = append(p.ops, clusto.Op{Op: "allocate", Name: manager, To: server, OSPort: "eth0"})
	}
	if w.d.cfg.SetMAC {
		one := 1
		p.ops = append(p.ops, clusto.Op{
			Op: "attr", Name: server, Key: "port-" + portNIC, Subkey: ptr("mac"), Number: &one,
			Value: &clusto.Value{Type: clusto.String, Str: ev.MAC.String()},
		})
	}
	for _, c := range lastOf(place.Connections, portKey{f.sw.Name, portNIC, port}) {
		if o, used := f.used[toPort(c)]; used && nameOf(o.To) != half {
			continue // the original left such a one out as well
		}
		p.ops = append(p.ops, clusto.Op{Op: "connect", Name: server, Port: c.Port, Num: c.Num, To: c.To, ToNum: c.ToNum})
	}
	return p
}

// lastOf gives connections in another order: the one to a port is the last.
func lastOf(all []rack.Connection, last portKey) []rack.Connection {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b rack.Connection) int {
		switch {
		case toPort(a) == last && toPort(b) != last:
			return 1
		case toPort(b) == last && toPort(a) != last:
			return -1
		}
		return 0
	})
	return all
}

// unknownMAC checks that no entity has the MAC.
func (w *worker) unknownMAC(mac clusto.MAC) (ops []clusto.Op) {
	for _, a := range macAttrs {
		ops = append(ops, clusto.Op{
			Op: "lacks", Key: a[0], Subkey: ptr(a[1]), Value: &clusto.Value{Type: clusto.String, Str: mac.String()},
		})
	}
	return ops
}

// connectedOp checks that a switch port is connected to what it was.
func connectedOp(f *facts, port int, to string) clusto.Op {
	return clusto.Op{
		Op: "has", Name: f.sw.Name, Key: "port-" + portNIC, Subkey: ptr("connection"), Number: &port,
		Value: &clusto.Value{Type: clusto.Relation, Str: to},
	}
}

func bootstrapOp(name string, mac clusto.MAC) clusto.Op {
	return clusto.Op{
		Op: "add", Name: name, Key: "bootstrap", Subkey: ptr("mac"), Value: &clusto.Value{Type: clusto.String, Str: mac.String()},
	}
}

func ptr(s string) *string { return &s }
