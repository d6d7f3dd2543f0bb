package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
)

// decide finds out what an event that may be a server's comes to, and does it.
func (w *worker) decide(ctx context.Context, ev Event, try *attempt) (Outcome, string, error) {
	f, err := w.know(ctx)
	if err != nil {
		return 0, "", err
	}
	if f.reason != "" {
		return f.outcome, f.reason, nil
	}
	port := f.switchPort(ev.Port)
	owners, err := w.ownersOf(ctx, ev.MAC)
	if err != nil {
		return 0, "", err
	}
	peer, connected := f.used[portKey{f.sw.Name, portNIC, port}]
	half, err := w.halfMade(ctx, ev, f, port, owners)
	if err != nil {
		return 0, "", err
	}
	if len(owners) > 0 && half == "" {
		return w.known(ctx, ev, f, port, owners, peer.To, try)
	}
	if connected && half == "" {
		return w.attach(ctx, ev, f, port, peer.To, try, connectedOp(f, port, peer.To))
	}
	place, err := w.place(ctx, ev, f, port)
	switch {
	case errors.Is(err, rack.ErrUnmapped):
		return Unmapped, err.Error(), nil
	case errors.Is(err, rack.ErrProgram), ctx.Err() != nil:
		return 0, "", err
	case err != nil:
		return Refused, err.Error(), nil
	}
	if !try.held {
		w.hold(ctx, ev)
		try.held = true
		if ctx.Err() != nil {
			return 0, "", ctx.Err()
		}
	}
	if n := w.macsOn(ev); n > w.d.cfg.MaxMACs {
		w.markUplink(ev)
		return Uplink, fmt.Sprintf("port %d shows %d MACs; connect the switch behind it in clusto, or raise max_macs_per_port", port, n), nil
	}
	if !try.fresh && (w.outdated() || time.Since(f.begun) > w.d.cfg.anew) { // it may have been switched off
		try.fresh = true
		return 0, "", errOutdated
	}
	if at, to := f.neighbour(place, port); to != "" && half == "" {
		return w.attach(ctx, ev, f, port, to, try, connectedOp(f, at, to), clusto.Op{
			Op: "connect", Name: nameOf(to), Port: portNIC, Num: strconv.Itoa(place.NIC), To: f.sw.Name, ToNum: strconv.Itoa(port),
		})
	}
	return w.create(ctx, ev, f, port, place, half, try)
}

// hold waits until an event has stood for its time, and reads what came since.
func (w *worker) hold(ctx context.Context, ev Event) {
	w.rest(ctx, min(time.Until(ev.At.Add(w.d.cfg.HoldDown)), w.d.cfg.HoldDown))
	w.fill(ctx)
}

// macAttrs are the attributes that hold MACs.
var macAttrs = [][2]string{{"bootstrap", "mac"}, {"port-nic-eth", "mac"}, {"port-nic-eth", "ipmi-mac"}}

// ownersOf lists the entities that have a MAC anywhere.
func (w *worker) ownersOf(ctx context.Context, mac clusto.MAC) (owners []clusto.Entity, err error) {
	forms := mac.Spellings()
	var q clusto.Query
	for _, a := range macAttrs {
		q.Attrs = append(q.Attrs, clusto.AttrMatch{
			Key: a[0], Subkey: &clusto.NullString{Text: a[1]}, Value: &clusto.ValueMatch{Texts: forms[:]},
		})
	}
	err = w.call(ctx, func(ctx context.Context) error {
		owners, err = w.d.cfg.Inventory.Entities(ctx, q)
		return err
	})
	return owners, err
}

// halfMade names the server that an earlier attempt has begun for a port: one
// that has the MAC, and is not connected to the port, nor to anything else that
// it would not be connected to there. Where changes are made as a whole there is
// none. The connection to the port is the last thing that is made.
func (w *worker) halfMade(ctx context.Context, ev Event, f *facts, port int, owners []clusto.Entity) (name string, err error) {
	if len(owners) != 1 || owners[0].Type != "server" || !w.d.cfg.Stepwise() {
		return "", nil
	}
	if _, connected := f.used[portKey{f.sw.Name, portNIC, port}]; connected {
		return "", nil
	}
	var o clusto.Object
	err = w.call(ctx, func(ctx context.Context) error {
		o, err = w.d.cfg.Inventory.Object(ctx, owners[0].Name)
		return gone(err)
	})
	if err != nil {
		return "", err
	}
	place, err := w.place(ctx, ev, f, port)
	switch {
	case errors.Is(err, rack.ErrProgram), ctx.Err() != nil:
		return "", err
	case err != nil:
		return "", nil // whoever asks for the place hears it again
	}
	for _, p := range o.Parents {
		if p.Type == "rack" && p.Name != f.rack.Name {
			return "", nil
		}
	}
	for _, p := range o.Ports {
		belongs := func(c rack.Connection) bool { return c.Port == portNIC && c.To == nameOf(p.To) && c.ToNum == p.ToNum }
		if p.Type == portNIC && p.To != "" && !slices.ContainsFunc(place.Connections, belongs) {
			return "", nil
		}
	}
	return o.Name, nil
}

func (w *worker) place(ctx context.Context, ev Event, f *facts, port int) (rack.Placement, error) {
	p, err := f.layout.PlaceEvent(ctx, rack.Event{Switch: f.sw.Name, Port: port, VLAN: int(ev.VLAN), MAC: ev.MAC}, &f.rack)
	if errors.Is(err, rack.ErrProgram) {
		w.d.seldom(&w.d.said.programs, slog.LevelWarn, f.layout.Name, "the program of a rack layout fails; its events are tried again", "layout", f.layout.Name, "error", err)
	}
	return p, err
}

// nameOf is the name in "/type/name".
func nameOf(path string) string {
	_, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name
}

// neighbour finds the server whose other network card is connected already, and
// the port that it is connected to.
func (f *facts) neighbour(place rack.Placement, port int) (at int, to string) {
	for _, c := range place.Connections {
		k := toPort(c)
		if p, used := f.used[k]; used && c.Port == portNIC && k.num != port && strings.HasPrefix(p.To, "/server/") {
			return k.num, p.To
		}
	}
	return 0, ""
}

func (w *worker) change(ctx context.Context, ops []clusto.Op) (res []clusto.Result, err error) {
	err = w.callTo(ctx, true, func(ctx context.Context) error {
		res, err = w.d.cfg.Inventory.Change(ctx, ops)
		return err
	})
	if err != nil && !isRefusal(err) {
		w.facts = nil // it may have been made, and only the answer is lost
	}
	return res, err
}

func isRefusal(err error) bool {
	return errors.Is(err, clusto.ErrConflict) || errors.Is(err, clusto.ErrInvalid) || errors.Is(err, clusto.ErrNotFound)
}

// create makes the server of an event, all at once or not at all.
func (w *worker) create(ctx context.Context, ev Event, f *facts, port int, place rack.Placement, half string, try *attempt) (Outcome, string, error) {
	managers, err := w.managers(ctx, f)
	if err != nil {
		return 0, "", err
	}
	if err := w.knowDevices(ctx, f, place); err != nil {
		return 0, "", err
	}
	for i := 0; ; i++ {
		manager := ""
		if i < len(managers) {
			manager = managers[i]
		}
		plan := w.plan(ev, f, port, place, half, manager)
		res, err := w.change(ctx, plan.ops)
		var op *clusto.OpError
		switch {
		case err == nil:
			return Created, w.created(ev, f, port, place, half, res), nil
		case !isRefusal(err):
			return 0, "", err
		case errors.As(err, &op) && manager != "" && op.Index == plan.address && i+1 < len(managers):
			continue // it is full
		case !try.anew || errors.As(err, &op) && op.Index < plan.checks:
			return 0, err.Error(), errChanged // the facts may be to blame
		}
		return Refused, err.Error(), nil
	}
}

// created notes the ports that are in use now, and says what was made.
func (w *worker) created(ev Event, f *facts, port int, place rack.Placement, half string, res []clusto.Result) string {
	name, ip := half, ""
	for _, r := range res {
		name, ip = cmpOr(name, r.Name), cmpOr(ip, r.IP)
	}
	path := "/server/" + name
	f.vlans[port] = int64(ev.VLAN)
	for _, c := range place.Connections {
		k := toPort(c)
		if _, used := f.used[k]; !used {
			f.used[k] = clusto.Port{Type: c.Port, Num: k.num, To: path}
		}
	}
	text := fmt.Sprintf("%s in %s, unit %d, on %s port %d", path, f.rack.Path(), place.RUs[0], f.sw.Path(), port)
	if ip != "" {
		text += ", address " + ip
	}
	return text
}

// managers lists the IP managers that an address may come from.
func (w *worker) managers(ctx context.Context, f *facts) (names []string, err error) {
	if len(w.d.cfg.IPManagers) > 0 || !w.d.cfg.SetIP {
		return w.d.cfg.IPManagers, nil
	}
	if f.asked {
		return f.managers, nil
	}
	var attrs []clusto.Attr
	err = w.call(ctx, func(ctx context.Context) error {
		attrs, err = w.d.cfg.Inventory.Attrs(ctx, clusto.AttrQuery{Name: f.rack.Name, Key: "dhcp", Merge: true})
		return gone(err)
	})
	if err != nil {
		return nil, err
	}
	for _, a := range clusto.Merge(attrs) {
		if a.Sub() == "ipmanager" {
			names = append(names, cmpOr(nameOf(a.Value.Text()), a.Value.Text()))
		}
	}
	f.managers, f.asked = names, true
	return names, nil
}

// knowDevices reads which ports of the rack's devices are in use.
func (w *worker) knowDevices(ctx context.Context, f *facts, place rack.Placement) error {
	for _, c := range place.Connections {
		if f.knows[c.To] {
			continue
		}
		err := w.call(ctx, func(ctx context.Context) error {
			o, err := w.d.cfg.Inventory.Object(ctx, c.To)
			if err == nil {
				f.ports(&o)
			}
			return err
		})
		if err != nil && !errors.Is(err, clusto.ErrNotFound) { // the change will say that it is missing
			return err
		}
	}
	return nil
}
