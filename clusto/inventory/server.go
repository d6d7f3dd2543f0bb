package inventory

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// Names of interfaces that addresses are bound to where the file names none.
const (
	defaultOSPort     = "eth0"
	defaultIPMIOSPort = "ipmi0"
)

// server reads the body of a server.
func (p *parser) server(t *thing) {
	info := ServerInfo{Name: t.name, Line: t.line}
	p.machine(t, &info)
	p.servers = append(p.servers, info)
}

// device reads the body of anything else that has ports.
func (p *parser) device(t *thing) { p.machine(t, &ServerInfo{}) }

// entity reads the body of anything at all.
func (p *parser) entity(t *thing) {
	isNetwork := func(e pair) bool { return slices.Contains([]string{"cidr", "baseip", "netmask", "gateway"}, e.key) }
	if i := slices.IndexFunc(t.body, isNetwork); i >= 0 {
		if t.driver != "ipmanager" {
			p.errorf(t.body[i].line, "%s: only an ipmanager has a range of addresses", t.body[i].key)
			return
		}
		p.network(t)
	}
	info := ServerInfo{Name: t.name, Line: t.line}
	p.machine(t, &info)
	if t.entityType() == "server" {
		p.servers = append(p.servers, info)
	}
}

func (p *parser) machine(t *thing, info *ServerInfo) {
	for _, e := range t.body {
		switch e.key {
		case "mac":
			p.portAttr(t, info, "nic-eth", 1, e)
		case "ip":
			p.addresses(t, info, e)
		case "ports":
			p.ports(t, info, e)
		case "ipmi":
			p.ipmi(t, info, e)
		default:
			p.place(t, e)
		}
	}
}

// ports reads {TYPE: {NUMBER: {key: value}}}.
func (p *parser) ports(t *thing, info *ServerInfo, e pair) {
	for _, typ := range p.pairs(e.val) {
		if !p.checkKey(typ.line, "port type", typ.key) {
			continue
		}
		for _, port := range p.pairs(typ.val) {
			num, err := strconv.Atoi(port.key)
			if err != nil || num < 1 || num > 65535 {
				p.errorf(port.line, "ports: %s: want a port number from 1 on, got %q", typ.key, shorten(port.key))
				continue
			}
			for _, a := range p.pairs(port.val) {
				p.portAttr(t, info, typ.key, num, a)
			}
		}
	}
}

// portAttr adds one attribute of a port. MACs are stored in clusto's spelling.
func (p *parser) portAttr(t *thing, info *ServerInfo, typ string, num int, a pair) {
	id := attrID{"port-" + typ, a.key, num}
	switch a.key {
	case "connection", "otherportnum":
		p.errorf(a.line, "%s: a connection has two ends, which clusto keeps itself; write \"to: sw1/12\" at one of them", id)
		return
	case "to":
		p.connect(t, typ, num, a)
		return
	case "mac", "ipmi-mac":
		mac, ok := p.mac(id.String(), a)
		if !ok {
			return
		}
		info.take(id, mac)
		p.attr(a.line, t.name, id, clusto.Value{Type: clusto.String, Str: mac.String()})
		return
	}
	if !p.checkKey(a.line, "port attribute", a.key) {
		return
	}
	if v, ok := p.value(id.String(), a.val); ok {
		p.attr(a.line, t.name, id, v)
	}
}

// connect reads NAME/PORT, the port being a number or an outlet's name.
func (p *parser) connect(t *thing, typ string, num int, a pair) {
	s, ok := p.text("to", a.val)
	if !ok {
		return
	}
	name, port, ok := strings.Cut(s, "/")
	if !ok || name == "" || port == "" {
		p.errorf(a.line, "port %s %d: to %q: want a name and its port, as in sw1/12 or pwr1/bb1", typ, num, shorten(s))
		return
	}
	if c := p.known[name]; c != nil && c.section.key != "servers" && c.section.key != "devices" && c.section.key != "entities" {
		p.errorf(a.line, "port %s %d: to %s: it is a %s, which has no ports", typ, num, name, c.section.kind)
		return
	}
	p.connects.add(a.line, clusto.Op{Op: "connect", Name: t.name, Port: typ, Num: strconv.Itoa(num), To: name, ToNum: port})
}

func (s *ServerInfo) take(id attrID, mac clusto.MAC) {
	switch {
	case id.key != "port-nic-eth" || id.num != 1:
	case id.sub == "mac":
		s.MAC = mac
	default:
		s.IPMI = mac
	}
}

// mac reads a MAC that no other port of the file has.
func (p *parser) mac(what string, a pair) (mac clusto.MAC, ok bool) {
	s, ok := p.text(what, a.val)
	if !ok {
		return mac, false
	}
	mac, err := clusto.ParseMAC(s)
	switch {
	case err != nil:
		p.errorf(a.line, "%s: %q is no MAC; want six bytes in hex, as in 00:11:22:33:44:55", what, shorten(s))
		return mac, false
	case !cardMAC(mac):
		p.errorf(a.line, "%s: %s is a group or empty address, which no network card has", what, mac)
		return mac, false
	}
	if first, taken := p.macs[mac]; taken {
		p.errorf(a.line, "MAC %s is taken by %s on line %d; correct one of them", mac, first.who, first.line)
		return mac, false
	}
	p.macs[mac] = claim{p.what, a.line}
	return mac, true
}

// bound is one address as the file gives it.
type bound struct {
	ip     *yaml.Node
	osport string
	number *int
}

// cardMAC tells the MACs that a network card may have.
func cardMAC(mac clusto.MAC) bool { return mac != clusto.MAC{} && mac[0]&1 == 0 }

// addresses reads one address or a list of them.
func (p *parser) addresses(t *thing, info *ServerInfo, e pair) {
	for _, n := range p.items(e.val) {
		b := bound{ip: n, osport: defaultOSPort}
		if n.Kind == yaml.MappingNode {
			b.ip = nil
			for _, a := range p.pairs(n) {
				if !p.boundKey("ip", a, &b, "ip", "osport", "number") {
					return
				}
			}
			if b.ip == nil {
				p.errorf(n.Line, "ip: want an address, as in {ip: 192.168.1.50, osport: eth0}")
				continue
			}
		}
		if ip, ok := p.bind(t, info, &b); ok && !info.IP.IsValid() && b.osport != defaultIPMIOSPort {
			info.IP = ip
		}
	}
}

// boundKey reads one entry of {ip: ADDRESS, osport: INTERFACE, number: N}.
func (p *parser) boundKey(what string, a pair, b *bound, known ...string) (ok bool) {
	switch a.key {
	case "ip":
		b.ip, ok = a.val, true
	case "osport":
		b.osport, ok = p.text(what+": osport", a.val)
	case "number":
		b.number, ok = p.wanted(what+": number", a.val)
	default:
		p.unknownKey(a.line, a.key, known)
	}
	return ok
}

// bind binds an address that nothing else in the file has.
func (p *parser) bind(t *thing, info *ServerInfo, b *bound) (ip netip.Addr, ok bool) {
	n := b.ip
	if ip, ok = p.addr("ip", n); !ok {
		return ip, false
	}
	if first, taken := p.ips[ip]; taken {
		p.errorf(n.Line, "address %s is taken by %s on line %d; correct one of them", ip, first.who, first.line)
		return ip, false
	}
	p.ips[ip] = claim{p.what, n.Line}
	info.Addrs = append(info.Addrs, clusto.Address{IP: ip, OSPort: b.osport})
	p.binds.add(n.Line, clusto.Op{Op: "bind", Name: t.name, IP: ip.String(), OSPort: b.osport, Number: b.number})
	return ip, true
}

// addr reads the IPv4 address of a host.
func (p *parser) addr(what string, n *yaml.Node) (netip.Addr, bool) {
	s, ok := p.text(what, n)
	if !ok {
		return netip.Addr{}, false
	}
	ip, err := netip.ParseAddr(s)
	switch bare, _, cidr := strings.Cut(s, "/"); {
	case err == nil && hostAddr(ip):
		return ip, true
	case err == nil && ip.Is4():
		p.errorf(n.Line, "%s: %s is no address of a host", what, ip)
	case cidr:
		p.errorf(n.Line, "%s: %q: write %s; the mask is the network's", what, shorten(s), shorten(bare))
	default:
		p.errorf(n.Line, "%s: %q is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50", what, shorten(s))
	}
	return netip.Addr{}, false
}

// hostAddr tells the IPv4 addresses that a host may have.
func hostAddr(ip netip.Addr) bool {
	return ip.Is4() && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLoopback() && ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// ipmi reads the management controller: its MAC is kept on port nic-eth 1, its
// address is bound to an interface of its own.
func (p *parser) ipmi(t *thing, info *ServerInfo, e pair) {
	b := bound{osport: defaultIPMIOSPort}
	for _, a := range p.pairs(e.val) {
		if a.key == "mac" {
			p.portAttr(t, info, "nic-eth", 1, pair{"ipmi-mac", a.line, a.val})
			continue
		}
		p.boundKey("ipmi", a, &b, "mac", "ip", "osport", "number")
	}
	if b.ip != nil {
		p.bind(t, info, &b)
	}
}
