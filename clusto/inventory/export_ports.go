package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// end is one end of a connection, which the object's ports say.
type end struct {
	kind string
	num  int
	to   string // NAME/PORT
}

// portRow gives the type of port that an attribute is about, if it is one that
// the key ports may have.
func (o *source) portRow(i int) (kind string, num int, ok bool) {
	a := &o.Attrs[i]
	kind, isPort := strings.CutPrefix(a.Key, "port-")
	if !isPort || !o.alone[i] || o.said[i] || a.Subkey == nil || a.Number == nil || !o.takes("ports") {
		return "", 0, false
	}
	return kind, *a.Number, goodKey(kind) && goodKey(*a.Subkey) && *a.Number >= 1 && *a.Number <= 65535
}

func goodKey(key string) bool { return !clusto.LongKey(key) && keyForm.MatchString(key) }

// connectAll finds the connections that both ends tell alike. The end that is
// named last in the file says it.
func (x *exporter) connectAll() {
	for _, o := range x.all {
		for i := range o.Attrs {
			if o.Attrs[i].Sub() != "connection" {
				continue
			}
			if kind, num, ok := o.portRow(i); ok {
				x.connect(o, i, kind, num)
			}
		}
	}
}

func (x *exporter) connect(o *source, row int, kind string, num int) {
	peer := x.byPath[o.Attrs[row].Value.Str]
	if peer == nil || peer.index >= o.index || o.Attrs[row].Value.Type != clusto.Relation || !hasPort(o.Driver, kind, num) {
		return
	}
	other, text, toNum := o.otherPort(peer, kind, num)
	there := peer.connection(o, kind, toNum)
	if other < 0 || there < 0 || !hasPort(peer.Driver, kind, toNum) {
		return
	}
	back, backText, fromNum := peer.otherPort(o, kind, toNum)
	if back < 0 || fromNum != num {
		return
	}
	switch { // an outlet that one end has by name is named there
	case backText == strconv.Itoa(num):
		o.ends = append(o.ends, end{kind, num, flowText(peer.Name + "/" + text)})
	case text == strconv.Itoa(toNum):
		peer.ends = append(peer.ends, end{kind, toNum, flowText(o.Name + "/" + backText)})
	default:
		return
	}
	o.said[row], o.said[other], peer.said[there], peer.said[back] = true, true, true, true
}

// connection finds the attribute that connects a port to something of to.
func (o *source) connection(to *source, kind string, num int) int {
	for i := range o.Attrs {
		if k, n, ok := o.portRow(i); ok && k == kind && n == num && o.Attrs[i].Sub() == "connection" {
			if v := o.Attrs[i].Value; v.Type == clusto.Relation && v.Str == to.Path() {
				return i
			}
		}
	}
	return -1
}

// otherPort reads which port of peer a port says that it is connected to: the
// attribute, or -1 if it says nothing that a connection would write.
func (o *source) otherPort(peer *source, kind string, num int) (row int, text string, n int) {
	for i := range o.Attrs {
		a := &o.Attrs[i]
		k, at, ok := o.portRow(i)
		if !ok || k != kind || at != num || a.Sub() != "otherportnum" {
			continue
		}
		switch text := a.Value.Text(); {
		case a.Value.Type == clusto.Int && a.Value.Int >= 1 && a.Value.Int <= 65535:
			return i, text, int(a.Value.Int)
		case a.Value.Type == clusto.String && peer.Driver == clusto.PowerTower && kind == clusto.OutletType && clusto.Outlet(text) > 0:
			return i, text, clusto.Outlet(text)
		}
	}
	return -1, "", 0
}

// hasPort reports whether the driver has the port, or is not known here.
func hasPort(driver, kind string, num int) bool {
	_, most, known := clusto.PortsOf(driver, kind)
	return !known || num <= most
}

// addressRows are the attributes of one bound address, by their subkey.
type addressRows struct {
	num  int
	rows map[string]int
}

// addressesOf gives what is said of an object's addresses, as elements of the
// key ip, and the one that the key ipmi may say.
func (x *exporter) addressesOf(o *source) (list []string, ipmi string) {
	var groups []addressRows
	for i := range o.Attrs {
		a := &o.Attrs[i]
		if a.Key != "ip" || a.Number == nil || !o.alone[i] || !o.takes("ip") {
			continue
		}
		at := slices.IndexFunc(groups, func(g addressRows) bool { return g.num == *a.Number })
		if at < 0 {
			at = len(groups)
			groups = append(groups, addressRows{*a.Number, map[string]int{}})
		}
		groups[at].rows[a.Sub()] = i
	}
	slices.SortStableFunc(groups, func(a, b addressRows) int { return a.num - b.num })
	for i, g := range groups {
		ip, osport, ok := x.bound(o, g)
		if !ok {
			continue
		}
		number := ""
		if g.num != x.nextIP {
			number = fmt.Sprintf(", number: %d", g.num)
		}
		x.nextIP = max(x.nextIP, g.num+1)
		switch {
		case osport == defaultIPMIOSPort && i == len(groups)-1:
			ipmi = "ip: " + ip + number
		case osport == defaultOSPort && number == "":
			list = append(list, ip)
		case osport == defaultOSPort:
			list = append(list, "{ip: "+ip+number+"}")
		default:
			list = append(list, "{ip: "+ip+", osport: "+flowText(osport)+number+"}")
		}
	}
	return list, ipmi
}

// bound reads an address, if binding it would write just its attributes.
func (x *exporter) bound(o *source, g addressRows) (addr, osport string, ok bool) {
	get := func(sub string, kind clusto.Datatype) clusto.Value {
		if i, there := g.rows[sub]; there && o.Attrs[i].Value.Type == kind {
			return o.Attrs[i].Value
		}
		ok = false
		return clusto.Value{}
	}
	ok = true
	want := 4
	if _, there := g.rows["osportname"]; there {
		osport = get("osportname", clusto.String).Str
		ok, want = ok && osport != "", 5
	}
	num, text, cidr, manager := get("", clusto.Int).Int, get("ipstring", clusto.String).Str, get("cidr", clusto.String).Str, get("manager", clusto.Relation).Str
	ip, err := netip.ParseAddr(text)
	if !ok || len(g.rows) != want || err != nil || ip.String() != text || !hostAddr(ip) || num != oldInt(ip) ||
		g.num < 0 || g.num >= x.maxIP || x.ips[text] {
		return "", "", false
	}
	m := x.nets.holding(ip)
	if m == nil || m.Path() != manager {
		return "", "", false
	}
	p := m.network.Prefix
	if cidr != netip.PrefixFrom(ip, p.Bits()).String() || p.Bits() < 31 && (ip == p.Addr() || ip == lastAddr(p)) {
		return "", "", false
	}
	x.ips[text] = true
	for _, i := range g.rows {
		o.said[i] = true
	}
	return text, osport, true
}

// oldInt is an address as the original keeps it in an int of 32 bits.
func oldInt(ip netip.Addr) int64 {
	b := ip.As4()
	return int64(b[0])<<24 + int64(b[1])<<16 + int64(b[2])<<8 + int64(b[3]) - 1<<31
}

func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}
