package inventory

import (
	"net/netip"
	"slices"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// sectionOf gives the section of a key.
func sectionOf(key string) *section {
	return sections[slices.IndexFunc(sections, func(s *section) bool { return s.key == key })]
}

// layOut gives each object its section. Entities keep the order in which they
// were made, on which some answers depend: where that does not go by sections,
// all of them are under entities. It does not matter where clustometa is, since
// every database has it from the start.
func (x *exporter) layOut() {
	flat := false
	ended := map[*section]bool{}
	var last *section
	for _, o := range x.all {
		o.section = o.home()
		for i := range o.Attrs {
			if o == x.meta && o.Attrs[i].Key == "schemaversion" {
				o.said[i] = true // every database has its own
			}
		}
		if o == x.meta || o.section == last {
			continue
		}
		flat = flat || ended[o.section]
		ended[last], last = true, o.section
	}
	for _, o := range x.all {
		if flat {
			o.section = sectionOf("entities")
		}
	}
}

// home gives the section that has the keys for an object.
func (o *source) home() *section {
	d, known := clusto.Drivers[o.Driver]
	if known && d.Type == o.Type && nameForm.MatchString(o.Name) {
		for _, s := range sections {
			if s.types != nil && slices.Contains(s.types, o.Type) && (s.key != "networks" || o.network != nil) {
				return s
			}
		}
	}
	return sectionOf("entities")
}

// takes reports whether the object's section has a key.
func (o *source) takes(key string) bool {
	return slices.Contains(o.section.keys, key) && (!o.isMeta() || key == "attrs")
}

// isMeta tells the entity that is about the database itself.
func (o *source) isMeta() bool { return o.Driver == clustometa && o.Name == clustometa }

// findNetworks finds the IP managers whose range the keys of a network give.
func (x *exporter) findNetworks() {
	for _, o := range x.all {
		if o.Driver != "ipmanager" {
			continue
		}
		rows := o.properties("baseip", "netmask", "gateway")
		n, ok := networkOf(o, rows)
		if !ok || x.nets.overlaps(n.Prefix) {
			continue
		}
		x.nets.add(n.Prefix, o)
		o.network = &n
		for _, i := range rows {
			o.said[i] = true
		}
	}
}

// properties gives the attributes that set something of a driver, by key. A key
// is left out unless there is just one such attribute, without a number.
func (o *source) properties(keys ...string) map[string]int {
	at := map[string]int{}
	for i := range o.Attrs {
		a := &o.Attrs[i]
		if a.Sub() != "property" || !slices.Contains(keys, a.Key) {
			continue
		}
		if _, twice := at[a.Key]; twice || a.Number != nil {
			i = -1
		}
		at[a.Key] = i
	}
	return at
}

func networkOf(o *source, rows map[string]int) (n clusto.Network, ok bool) {
	addr := func(key string) (ip netip.Addr, ok bool) {
		i, there := rows[key]
		if !there || i < 0 || o.Attrs[i].Value.Type != clusto.String {
			return ip, false
		}
		ip, err := netip.ParseAddr(o.Attrs[i].Value.Str)
		return ip, err == nil && ip.Is4() && ip.String() == o.Attrs[i].Value.Str
	}
	base, ok := addr("baseip")
	mask, ok2 := addr("netmask")
	if !ok || !ok2 || !hostAddr(base) {
		return n, false
	}
	bits := slices.IndexFunc(masks, func(m string) bool { return m == mask.String() })
	if bits < 1 {
		return n, false
	}
	n.Name, n.Prefix = o.Name, netip.PrefixFrom(base, bits)
	if _, there := rows["gateway"]; there {
		if n.Gateway, ok = addr("gateway"); !ok || !hostAddr(n.Gateway) || !n.Prefix.Contains(n.Gateway) {
			return n, false
		}
	}
	return n, n.Prefix.Masked() == n.Prefix
}

// masks are the netmasks by their length.
var masks = func() (m []string) {
	for bits := range 33 {
		m = append(m, maskText(bits))
	}
	return m
}()

// netIndex finds the network of an address, and those that overlap.
type netIndex map[netip.Prefix]*source // nil for what only holds a network

func (x netIndex) add(p netip.Prefix, o *source) {
	for bits := range p.Bits() {
		wider := netip.PrefixFrom(p.Addr(), bits).Masked()
		x[wider] = x[wider]
	}
	x[p] = o
}

func (x netIndex) overlaps(p netip.Prefix) bool {
	if _, ok := x[p]; ok {
		return true
	}
	return x.holding(p.Addr()) != nil
}

// holding gives the network that an address is in.
func (x netIndex) holding(ip netip.Addr) *source {
	for bits := range 33 {
		if o := x[netip.PrefixFrom(ip, bits).Masked()]; o != nil {
			return o
		}
	}
	return nil
}

func isDate(s string) bool {
	t, err := time.Parse(time.DateTime, s)
	return err == nil && clusto.DatetimeText(t) == s
}
