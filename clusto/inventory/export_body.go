package inventory

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// field is one key of a body: in one line, or in several where that is too long.
type field struct {
	key, flow string
	lines     []string // indented by their depth below the key
}

// describe says all that is left to say of an object. The order of the keys and
// of what is in them goes by what import keeps, so that a copy reads alike.
func (x *exporter) describe(o *source) {
	x.set(o, "driver", o.driverText())
	if d := clusto.Drivers[o.Driver]; d.Type != o.Type {
		x.set(o, "type", flowText(o.Type))
	}
	x.set(o, "in", flowList(o.in))
	if n := o.network; n != nil {
		x.set(o, "cidr", n.Prefix.String())
		if n.Gateway.IsValid() {
			x.set(o, "gateway", n.Gateway.String())
		}
	}
	x.describePorts(o)
	if o.takes("hostname") {
		o.body = append(o.body, o.hostname()...)
	}
	if o.takes("dhcp") {
		x.mapping(o, "dhcp", x.dhcpOf(o))
	}
	x.list(o, "attrs", x.attrsOf(o))
	x.list(o, "raw", x.rawOf(o))
	if !o.isMeta() { // that one counts what the others have
		x.mapping(o, "counters", x.countersOf(o))
	}
}

func (o *source) driverText() string {
	if o.Driver == o.section.driver || o.section.key == "networks" {
		return ""
	}
	return o.Driver
}

func (x *exporter) set(o *source, key, flow string) {
	if flow != "" {
		o.body = append(o.body, field{key: key, flow: flow})
	}
}

// list adds a key with an element a line.
func (x *exporter) list(o *source, key string, items []string) {
	if len(items) == 0 {
		return
	}
	for i, it := range items {
		items[i] = "- " + it
	}
	o.body = append(o.body, field{key: key, lines: items})
}

// mapping adds a key with entries, a line each if they are many.
func (x *exporter) mapping(o *source, key string, entries []string) {
	if len(entries) > 0 {
		o.body = append(o.body, field{key, "{" + strings.Join(entries, ", ") + "}", entries})
	}
}

// describePorts says what is at an object's ports, and its addresses.
func (x *exporter) describePorts(o *source) {
	ports := map[string]map[int][]string{}
	mac, ipmi := "", []string{}
	put := func(kind string, num int, entry string) {
		if ports[kind] == nil {
			ports[kind] = map[int][]string{}
		}
		ports[kind][num] = append(ports[kind][num], entry)
	}
	for i := range o.Attrs {
		kind, num, ok := o.portRow(i)
		sub := o.Attrs[i].Sub()
		if !ok || sub == "connection" || sub == "otherportnum" || sub == "to" {
			continue
		}
		text, ok := x.portValue(&o.Attrs[i])
		if !ok {
			continue
		}
		o.said[i] = true
		switch first := kind == "nic-eth" && num == 1; {
		case first && sub == "mac":
			mac = text
		case first && sub == "ipmi-mac":
			ipmi = append(ipmi, "mac: "+text)
		default:
			put(kind, num, sub+": "+text)
		}
	}
	for _, e := range o.ends {
		put(e.kind, e.num, "to: "+e.to)
	}
	list, bmc := x.addressesOf(o)
	if bmc != "" {
		ipmi = append(ipmi, bmc)
	}
	x.set(o, "mac", mac)
	x.set(o, "ip", flowList(list))
	if len(ipmi) > 0 {
		x.set(o, "ipmi", "{"+strings.Join(ipmi, ", ")+"}")
	}
	x.ports(o, ports)
}

// portValue writes what a port's attribute has. Each MAC is on one port.
func (x *exporter) portValue(a *clusto.Attr) (string, bool) {
	if !isMACKey(a) {
		return x.value(a.Value)
	}
	mac, ok := macOf(a)
	if !ok || !cardMAC(mac) || x.macs[mac] {
		return "", false
	}
	x.macs[mac] = true
	return a.Value.Str, true
}

func isMACKey(a *clusto.Attr) bool { return a.Sub() == "mac" || a.Sub() == "ipmi-mac" }

// macOf reads a MAC that is in clusto's form.
func macOf(a *clusto.Attr) (clusto.MAC, bool) {
	mac, err := clusto.ParseMAC(a.Value.Str)
	return mac, err == nil && a.Value.Type == clusto.String && mac.String() == a.Value.Str
}

// ports writes {TYPE: {NUMBER: {key: value}}}.
func (x *exporter) ports(o *source, ports map[string]map[int][]string) {
	if len(ports) == 0 {
		return
	}
	f := field{key: "ports"}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(ports)) {
		f.lines = append(f.lines, kind+":")
		var nums []string
		for _, num := range slices.Sorted(maps.Keys(ports[kind])) {
			entry := strconv.Itoa(num) + ": {" + strings.Join(ports[kind][num], ", ") + "}"
			nums = append(nums, entry)
			f.lines = append(f.lines, "  "+entry)
		}
		kinds = append(kinds, kind+": {"+strings.Join(nums, ", ")+"}")
	}
	f.flow = "{" + strings.Join(kinds, ", ") + "}"
	o.body = append(o.body, f)
}

func (o *source) hostname() []field {
	for i := range o.Attrs {
		a := &o.Attrs[i]
		if a.Key == "hostname" && a.Subkey == nil && a.Number == nil && o.alone[i] && a.Value.Type == clusto.String {
			o.said[i] = true
			return []field{{key: "hostname", flow: flowText(a.Value.Str)}}
		}
	}
	return nil
}

// dhcpOf gives the options.
func (x *exporter) dhcpOf(o *source) (entries []string) {
	for i := range o.Attrs {
		a := &o.Attrs[i]
		if a.Key != "dhcp" || a.Subkey == nil || a.Number != nil || !o.alone[i] || !goodKey(*a.Subkey) || isMACKey(a) {
			continue
		}
		if *a.Subkey == "enabled" && !isSwitch(a.Value) {
			continue
		}
		if text, ok := x.value(a.Value); ok {
			o.said[i] = true
			entries = append(entries, *a.Subkey+": "+text)
		}
	}
	return entries
}

// isSwitch tells the values that dhcp/enabled may have in a file.
func isSwitch(v clusto.Value) bool {
	return (v.Type == clusto.Int || v.Type == clusto.String) &&
		slices.Contains([]string{"0", "1", "true", "false"}, strings.ToLower(v.Text()))
}

// attrsOf gives the attributes that no key of their own says. A new entity has
// its driver's properties already.
func (x *exporter) attrsOf(o *source) (items []string) {
	for i := range o.Attrs {
		a := &o.Attrs[i]
		if o.said[i] || !o.alone[i] || !o.fitsAttrs(a) {
			continue
		}
		if o.isDefault(a) {
			o.said[i] = true
			continue
		}
		if text, ok := x.value(a.Value); ok {
			o.said[i] = true
			items = append(items, attrText(a, "value: "+text))
		}
	}
	return items
}

// fitsAttrs reports whether an attribute may be under attrs, whatever its value.
func (o *source) fitsAttrs(a *clusto.Attr) bool {
	switch {
	case strings.HasPrefix(a.Key, "_"), a.Key == "ip", strings.HasPrefix(a.Key, "port-"),
		!goodKey(a.Key), a.Subkey != nil && !goodKey(*a.Subkey), a.Number != nil && *a.Number < 0:
		return false
	case a.Key == "baseip" && o.Driver == "ipmanager": // addresses must not see the range that they are not of
		return false
	case clusto.CheckProperty(o.Driver, a.Key, a.Sub(), a.Value) != nil:
		return false
	case a.Key == "dhcp" && a.Sub() == "enabled":
		return a.Value.Type == clusto.Int && isShort(a.Value.Int) || a.Value.Type == clusto.String
	case isMACKey(a):
		_, ok := macOf(a)
		return ok
	}
	return true
}

func (o *source) isDefault(a *clusto.Attr) bool {
	return slices.ContainsFunc(clusto.Drivers[o.Driver].Props, func(p clusto.Attr) bool {
		return nameOf(&p) == nameOf(a) && p.Value.Type == a.Value.Type && p.Value.Text() == a.Value.Text()
	})
}

func attrText(a *clusto.Attr, value string) string {
	s := "{key: " + flowText(a.Key)
	if a.Subkey != nil {
		s += ", subkey: " + flowText(*a.Subkey)
	}
	if a.Number != nil {
		s += ", number: " + strconv.Itoa(*a.Number)
	}
	return s + ", " + value + "}"
}

// rawOf gives all that is left, and the properties that a new entity has and
// this one has not.
func (x *exporter) rawOf(o *source) (items []string) {
	for i := range o.Attrs {
		if o.said[i] {
			continue
		}
		a := &o.Attrs[i]
		var values []string
		for j := i; j < len(o.Attrs); j++ {
			if b := &o.Attrs[j]; !o.said[j] && nameOf(a) == nameOf(b) {
				o.said[j] = true
				values = append(values, x.rawValue(b.Value))
			}
		}
		if len(values) == 1 {
			items = append(items, attrText(a, "value: "+values[0]))
		} else {
			items = append(items, attrText(a, "values: ["+strings.Join(values, ", ")+"]"))
		}
	}
	for _, p := range clusto.Drivers[o.Driver].Props {
		if !slices.ContainsFunc(o.Attrs, func(a clusto.Attr) bool { return nameOf(&a) == nameOf(&p) }) {
			items = append(items, attrText(&p, "values: []"))
		}
	}
	return items
}

// countersOf gives the counters that stand elsewhere than where an import of
// the rest leaves them.
func (x *exporter) countersOf(o *source) (entries []string) {
	for _, key := range slices.Sorted(maps.Keys(o.Counters)) {
		n := o.Counters[key]
		switch {
		case key == keyContains && o.next > 0 && n == int64(o.next-1), key == "ip" && o.isMeta() && x.nextIP > 0 && n == int64(x.nextIP):
			continue
		}
		entries = append(entries, fmt.Sprintf("%s: %d", flowText(key), n))
	}
	return entries
}
