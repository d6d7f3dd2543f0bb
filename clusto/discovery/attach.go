package discovery

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// bootstrapMost is how many bootstrap MACs a server may have.
const bootstrapMost = 8

// bootstrapMACs lists the bootstrap MACs of a server.
func (w *worker) bootstrapMACs(ctx context.Context, name string) (macs []clusto.Attr, err error) {
	err = w.call(ctx, func(ctx context.Context) (err error) {
		macs, err = w.d.cfg.Inventory.Attrs(ctx, clusto.AttrQuery{Name: name, Key: "bootstrap"})
		return gone(err)
	})
	return slices.DeleteFunc(macs, func(a clusto.Attr) bool { return a.Sub() != "mac" }), err
}

// known tells a MAC that is where clusto has it from one that is elsewhere.
func (w *worker) known(ctx context.Context, ev Event, f *facts, port int, owners []clusto.Entity, peer string, try *attempt) (Outcome, string, error) {
	if slices.ContainsFunc(owners, func(e clusto.Entity) bool { return e.Path() == peer }) {
		return w.confirm(ctx, ev, f, port, peer)
	}
	if !try.anew {
		return 0, "", errChanged // another daemon may have put it there
	}
	return KnownMoved, fmt.Sprintf("clusto has the MAC on %s, and it appeared on %s port %d", paths(owners), f.sw.Path(), port), nil
}

// confirm completes what clusto has of a MAC that is where it appeared: the VLAN
// of the switch port, and the MAC among those of the server on it.
func (w *worker) confirm(ctx context.Context, ev Event, f *facts, port int, to string) (Outcome, string, error) {
	if !strings.HasPrefix(to, "/server/") {
		return Known, "", nil
	}
	name := nameOf(to)
	macs, err := w.bootstrapMACs(ctx, name)
	if err != nil {
		return 0, "", err
	}
	has := slices.ContainsFunc(macs, func(a clusto.Attr) bool {
		mac, err := clusto.ParseMAC(a.Value.Text())
		return err == nil && mac == ev.MAC
	})
	ops := f.vlanOps(port, ev.VLAN)
	outcome, reason := Known, ""
	if !has && len(macs) < bootstrapMost {
		lacks, add := bootstrapOp(name, ev.MAC), bootstrapOp(name, ev.MAC)
		lacks.Op = "lacks"
		ops = append(append([]clusto.Op{lacks}, ops...), add)
		outcome, reason = Attached, "to "+to+", which has it on a port"
	}
	if len(ops) == 0 {
		return Known, "", nil
	}
	return w.settle(ctx, ev, f, port, append([]clusto.Op{connectedOp(f, port, to)}, ops...), outcome, reason)
}

// attach adds a MAC to a server, which the operations given check and connect.
func (w *worker) attach(ctx context.Context, ev Event, f *facts, port int, to string, try *attempt, with ...clusto.Op) (Outcome, string, error) {
	if !strings.HasPrefix(to, "/server/") {
		return NotServerPort, "the port is connected to " + to, nil
	}
	macs, err := w.bootstrapMACs(ctx, nameOf(to))
	if err != nil {
		return 0, "", err
	}
	if len(macs) >= bootstrapMost {
		return Crowded, fmt.Sprintf("%s has %d bootstrap MACs already", to, len(macs)), nil
	}
	if !try.fresh && w.outdated() { // it may have been switched off
		try.fresh = true
		return 0, "", errOutdated
	}
	ops := append(w.unknownMAC(ev.MAC), with...)
	ops = append(append(ops, f.vlanOps(port, ev.VLAN)...), bootstrapOp(nameOf(to), ev.MAC))
	outcome, reason, err := w.settle(ctx, ev, f, port, ops, Attached, "to "+to)
	if err == nil && len(with) > 1 {
		w.facts = nil // a port is in use now
	}
	return outcome, reason, err
}

// settle makes a change of what is on a port, and gives the outcome for it.
func (w *worker) settle(ctx context.Context, ev Event, f *facts, port int, ops []clusto.Op, outcome Outcome, reason string) (Outcome, string, error) {
	_, err := w.change(ctx, ops)
	switch {
	case err == nil:
		f.vlans[port] = int64(ev.VLAN)
		return outcome, reason, nil
	case isRefusal(err):
		return 0, err.Error(), errChanged
	}
	return 0, "", err
}

// vlanOps sets the VLAN of a switch port; there are none if it is set so already.
func (f *facts) vlanOps(port int, vlan uint16) []clusto.Op {
	if v, ok := f.vlans[port]; ok && v == int64(vlan) {
		return nil
	}
	return []clusto.Op{{
		Op: "attr", Name: f.sw.Name, Key: "port-" + portNIC, Subkey: ptr("vlan"), Number: &port,
		Value: &clusto.Value{Type: clusto.Int, Int: int64(vlan)},
	}}
}
