package discovery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
)

// portNIC is the type of the ports that MACs appear on.
const portNIC = "nic-eth"

// facts are what a decision needs to know of a switch and its rack. They are
// kept for a while: what is decided on them is checked again by the inventory.
type facts struct {
	begun time.Time // when they were begun to be read
	until time.Time

	outcome Outcome // why nothing can be discovered here, if reason is set
	reason  string

	sw     clusto.Entity
	rack   clusto.Object
	layout *rack.Layout
	base   map[string]int // dot1dBasePort -> switch port, where they differ
	used   map[portKey]clusto.Port
	vlans  map[int]int64   // of the switch's ports, where they are set
	knows  map[string]bool // the entities whose ports are in used

	managers []string // IP managers of the rack
	asked    bool     // for managers
}

// portKey is one port of one entity.
type portKey struct {
	name, kind string
	num        int
}

// toPort is the port that a cable leads to. Only a power tower's have names.
func toPort(c rack.Connection) portKey {
	n, _ := clusto.PortNumber(clusto.PowerTower, c.Port, c.ToNum)
	return portKey{c.To, c.Port, n}
}

// know gives the facts, read anew if they are too old.
func (w *worker) know(ctx context.Context) (*facts, error) {
	if w.facts != nil && time.Now().Before(w.facts.until) {
		return w.facts, nil
	}
	now := time.Now()
	f := &facts{begun: now, until: now.Add(w.d.cfg.Facts), used: map[portKey]clusto.Port{}, vlans: map[int]int64{}, knows: map[string]bool{}}
	err := w.call(ctx, func(ctx context.Context) error { return w.learn(ctx, f) })
	if err != nil {
		return nil, err
	}
	w.facts = f
	w.classify(f.outcome != UnknownSwitch)
	return f, nil
}

// outdated reports whether the facts were read before the events that wait: what
// they say against an event may have been mended before it came.
func (w *worker) outdated() bool { return w.facts != nil && !w.facts.begun.After(w.filled) }

// leftAlone reports whether the facts were read so lately that they are left alone.
func (w *worker) leftAlone() bool {
	return w.facts != nil && time.Since(w.facts.begun) < w.d.cfg.anew
}

// anew has the facts read anew, for all events that have come by then: once in
// cfg.anew.
func (w *worker) anew(ctx context.Context) {
	w.rest(ctx, time.Until(w.facts.begun.Add(w.d.cfg.anew)))
	w.fill(ctx)
	w.facts = nil
}

// heard notes bad news of a port. When it was no news, so soon that events must come
// there all the time, as on the port of a switch, it is kept for twice as long as it
// was, and for cfg.Facts at the most.
func (w *worker) heard(ev *Event, outcome Outcome) {
	if outcome != NotServerPort && outcome != Crowded || w.facts == nil || w.outdated() {
		return
	}
	p, begun := w.port(ev), w.facts.begun
	switch ago := begun.Sub(p.asked); {
	case ago == 0:
		return
	case ago > 2*(p.holds+w.d.cfg.anew):
		p.holds = 0
	default:
		p.holds = min(max(2*p.holds, w.d.cfg.anew), w.d.cfg.Facts)
	}
	p.asked = begun
}

// stillHolds reports whether bad news of a port is not to be asked for anew.
func (w *worker) stillHolds(ev *Event, outcome Outcome) bool {
	p := w.ports[ev.Port]
	return p != nil && (outcome == NotServerPort || outcome == Crowded) && time.Since(p.asked) < p.holds
}

// learn fills the facts in, as far as they go.
func (w *worker) learn(ctx context.Context, f *facts) error {
	inv := w.d.cfg.Inventory
	if err := w.findSwitch(ctx, f); err != nil || f.reason != "" {
		return err
	}
	attrs, err := inv.Attrs(ctx, clusto.AttrQuery{Name: f.sw.Name, Key: "snmp", Merge: true})
	if err != nil {
		return gone(err)
	}
	if f.settings(attrs); f.reason != "" {
		return nil
	}
	sw, err := inv.Object(ctx, f.sw.Name)
	if err != nil {
		return gone(err)
	}
	f.ports(&sw)
	f.vlansOf(&sw)
	name := f.inRack(&sw)
	if f.reason != "" {
		return nil
	}
	if f.rack, err = inv.Object(ctx, name); err != nil {
		return gone(err)
	}
	f.layoutOf(w.d.cfg.Layouts)
	return nil
}

// gone makes an entity that vanished between two calls a reason to begin anew. That
// it was not found is no refusal then: its text alone remains.
func gone(err error) error {
	if errors.Is(err, clusto.ErrNotFound) {
		return fmt.Errorf("%w: %v", errChanged, err) //nolint:errorlint // see above
	}
	return err
}

// findSwitch finds the one networkswitch with the sender's address.
func (w *worker) findSwitch(ctx context.Context, f *facts) error {
	ip := w.sw.String()
	sub := clusto.NullString{Text: "ipstring"}
	all, err := w.d.cfg.Inventory.Entities(ctx, clusto.Query{Attrs: []clusto.AttrMatch{{
		Key: "ip", Subkey: &sub, Value: &clusto.ValueMatch{Texts: []string{ip}},
	}}})
	if err != nil {
		return err
	}
	switches := slices.DeleteFunc(slices.Clone(all), func(e clusto.Entity) bool { return e.Type != "networkswitch" })
	switch {
	case len(switches) == 1:
		f.sw = switches[0]
	case len(switches) > 1:
		f.nothing(UnknownSwitch, "several switches have the address %s: %s", ip, paths(switches))
	case len(all) > 0:
		f.nothing(UnknownSwitch, "%s is the address of %s, which is no networkswitch", ip, paths(all))
	default:
		f.nothing(UnknownSwitch, "nothing in clusto has the address %s; bind it to the switch", ip)
	}
	return nil
}

func paths(es []clusto.Entity) string {
	var s []string
	for _, e := range es {
		s = append(s, e.Path())
	}
	slices.Sort(s)
	return strings.Join(s, ", ")
}

func (f *facts) nothing(o Outcome, format string, args ...any) {
	f.outcome, f.reason = o, fmt.Sprintf(format, args...)
}

// settings reads the merged attributes of key snmp: the most specific one holds.
func (f *facts) settings(attrs []clusto.Attr) {
	on, origin, found := false, "", false
	for _, a := range clusto.Merge(attrs) {
		switch a.Sub() {
		case "discovery":
			on, origin, found = a.Value.True(), a.Origin, true
		case "baseport-map":
			if err := json.Unmarshal([]byte(a.Value.Text()), &f.base); err != nil {
				f.nothing(Unmapped, "attribute snmp/baseport-map of %s is no JSON object of numbers: %v", cmpOr(a.Origin, f.sw.Path()), err)
				return
			}
		}
	}
	switch {
	case on:
	case found:
		f.nothing(Off, "snmp/discovery is off on %s", cmpOr(origin, f.sw.Path()))
	default:
		f.nothing(Off, "snmp/discovery is not set on %s or any of its containers", f.sw.Path())
	}
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// inRack names the one rack that the switch is in.
func (f *facts) inRack(sw *clusto.Object) string {
	racks := slices.DeleteFunc(slices.Clone(sw.Parents), func(e clusto.Entity) bool { return e.Type != "rack" })
	if len(racks) != 1 {
		f.nothing(NoLayout, "%s is in %d racks; insert it into one", f.sw.Path(), len(racks))
		return ""
	}
	return racks[0].Name
}

func (f *facts) layoutOf(layouts rack.Layouts) {
	name := ""
	for i := range f.rack.Attrs {
		if a := &f.rack.Attrs[i]; a.Key == "racklayout" && a.Sub() == "" {
			name = a.Value.Text()
		}
	}
	if name == "" {
		f.nothing(NoLayout, "%s has no attribute racklayout", f.rack.Path())
		return
	}
	var err error
	if f.layout, err = layouts.Find(name); err != nil {
		f.nothing(NoLayout, "%s: %v", f.rack.Path(), err)
	}
}

// ports notes which ports of an entity are in use.
func (f *facts) ports(o *clusto.Object) {
	f.knows[o.Name] = true
	for _, p := range o.Ports {
		if p.To != "" {
			f.used[portKey{o.Name, p.Type, p.Num}] = p
		}
	}
}

// vlansOf notes the VLANs of the switch's ports.
func (f *facts) vlansOf(sw *clusto.Object) {
	for i := range sw.Attrs {
		if a := &sw.Attrs[i]; a.Key == "port-"+portNIC && a.Sub() == "vlan" && a.Number != nil && a.Value.Type == clusto.Int {
			f.vlans[*a.Number] = a.Value.Int
		}
	}
}

// switchPort translates a dot1dBasePort to a port of the switch.
func (f *facts) switchPort(base uint16) int {
	if n, ok := f.base[strconv.Itoa(int(base))]; ok {
		return n
	}
	return int(base)
}
