package inventory

import (
	"net/netip"
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
		p.errorf(a.line, "%s: a connection has two ends, which clusto keeps itself; take it out", id)
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
	case mac == clusto.MAC{} || mac[0]&1 != 0:
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

// addresses reads one address or a list of them.
func (p *parser) addresses(t *thing, info *ServerInfo, e pair) {
	for _, n := range p.items(e.val) {
		text, osport := n, defaultOSPort
		if n.Kind == yaml.MappingNode {
			if text, osport = p.boundAddress(n); text == nil {
				continue
			}
		}
		if ip, ok := p.bind(t, info, text, osport); ok && !info.IP.IsValid() && osport != defaultIPMIOSPort {
			info.IP = ip
		}
	}
}

// boundAddress reads {ip: ADDRESS, osport: INTERFACE}.
func (p *parser) boundAddress(n *yaml.Node) (ip *yaml.Node, osport string) {
	osport = defaultOSPort
	for _, e := range p.pairs(n) {
		switch e.key {
		case "ip":
			ip = e.val
		case "osport":
			s, ok := p.text("ip: osport", e.val)
			if !ok {
				return nil, ""
			}
			osport = s
		default:
			p.unknownKey(e.line, e.key, []string{"ip", "osport"})
			return nil, ""
		}
	}
	if ip == nil {
		p.errorf(n.Line, "ip: want an address, as in {ip: 192.168.1.50, osport: eth0}")
	}
	return ip, osport
}

// bind binds an address that nothing else in the file has.
func (p *parser) bind(t *thing, info *ServerInfo, n *yaml.Node, osport string) (ip netip.Addr, ok bool) {
	if ip, ok = p.addr("ip", n); !ok {
		return ip, false
	}
	if first, taken := p.ips[ip]; taken {
		p.errorf(n.Line, "address %s is taken by %s on line %d; correct one of them", ip, first.who, first.line)
		return ip, false
	}
	p.ips[ip] = claim{p.what, n.Line}
	info.Addrs = append(info.Addrs, clusto.Address{IP: ip, OSPort: osport})
	p.binds.add(n.Line, clusto.Op{Op: "bind", Name: t.name, IP: ip.String(), OSPort: osport})
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
	case err == nil && ip.Is4() && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLoopback() && ip != netip.AddrFrom4([4]byte{255, 255, 255, 255}):
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

// ipmi reads the management controller: its MAC is kept on port nic-eth 1, its
// address is bound to an interface of its own.
func (p *parser) ipmi(t *thing, info *ServerInfo, e pair) {
	osport := defaultIPMIOSPort
	var ip *yaml.Node
	for _, a := range p.pairs(e.val) {
		switch a.key {
		case "mac":
			p.portAttr(t, info, "nic-eth", 1, pair{"ipmi-mac", a.line, a.val})
		case "ip":
			ip = a.val
		case "osport":
			if s, ok := p.text("ipmi: osport", a.val); ok {
				osport = s
			}
		default:
			p.unknownKey(a.line, a.key, []string{"mac", "ip", "osport"})
		}
	}
	if ip != nil {
		p.bind(t, info, ip, osport)
	}
}
