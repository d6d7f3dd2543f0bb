package inventory

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// network reads an IP manager: a range, as cidr or as baseip and netmask, and
// the gateway in it.
func (p *parser) network(t *thing) {
	before := len(p.errs)
	var n network
	n.Name, n.line = t.name, t.line
	var base netip.Addr
	var mask int
	gateway := t.line
	for _, e := range t.body {
		switch e.key {
		case "cidr":
			n.Prefix = p.cidr(e)
		case "baseip":
			base, _ = p.addr(e.key, e.val)
		case "netmask":
			mask = p.netmask(e)
		case "gateway":
			n.Gateway, _ = p.addr(e.key, e.val)
			gateway = e.line
		case "attrs", "raw", "counters":
			if t.section.types != nil {
				p.place(t, e)
			}
		}
	}
	if len(p.errs) > before {
		return
	}
	switch {
	case n.Prefix.IsValid() == (base.IsValid() && mask > 0) || base.IsValid() != (mask > 0):
		p.errorf(t.line, "want its range, either as \"cidr: 192.168.1.0/24\" or as baseip and netmask")
		return
	case base.IsValid():
		n.Prefix = netip.PrefixFrom(base, mask)
	}
	if first := n.Prefix.Masked(); first != n.Prefix {
		p.errorf(t.line, "%s is not the first address of its network; write %s", n.Prefix.Addr(), first.Addr())
		return
	}
	if n.Gateway.IsValid() && !n.Prefix.Contains(n.Gateway) {
		p.errorf(gateway, "gateway %s is outside the network %s", n.Gateway, n.Prefix)
		return
	}
	p.addNetwork(n)
}

func (p *parser) addNetwork(n network) {
	p.networks = append(p.networks, n)
	p.property(n, "baseip", n.Prefix.Addr().String())
	p.property(n, "netmask", maskText(n.Prefix.Bits()))
	if n.Gateway.IsValid() {
		p.property(n, "gateway", n.Gateway.String())
	}
}

// property adds an attribute as the original's drivers keep their settings.
func (p *parser) property(n network, key, val string) {
	p.attr(n.line, n.Name, attrID{key, "property", -1}, clusto.Value{Type: clusto.String, Str: val})
}

func (p *parser) cidr(e pair) netip.Prefix {
	s, ok := p.text(e.key, e.val)
	if !ok {
		return netip.Prefix{}
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil || !prefix.Addr().Is4() || prefix.Bits() == 0 {
		p.errorf(e.line, "cidr: %q is no IPv4 network; want 192.168.1.0/24", shorten(s))
		return netip.Prefix{}
	}
	return prefix
}

// netmask gives the length of a mask such as 255.255.255.0.
func (p *parser) netmask(e pair) int {
	s, ok := p.text(e.key, e.val)
	if !ok {
		return 0
	}
	a, err := netip.ParseAddr(s)
	if err == nil && a.Is4() {
		b := a.As4()
		m := binary.BigEndian.Uint32(b[:])
		if n := bits.LeadingZeros32(^m); n > 0 && bits.OnesCount32(m) == n {
			return n
		}
	}
	p.errorf(e.line, "netmask: %q is no mask; want ones and then zeros, as in 255.255.255.0", shorten(s))
	return 0
}

func maskText(ones int) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ^uint32(0)<<(32-ones))
	return netip.AddrFrom4(b).String()
}

// checkNetworks refuses ranges that overlap: clusto asks for the one manager of
// an address.
func (p *parser) checkNetworks() {
	sorted := slices.Clone(p.networks)
	slices.SortStableFunc(sorted, func(a, b network) int {
		return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()))
	})
	for i := 1; i < len(sorted); i++ {
		a, b := sorted[i-1], sorted[i]
		if a.Prefix.Overlaps(b.Prefix) {
			if a.line > b.line {
				a, b = b, a
			}
			p.errorf(b.line, "network %s: %s overlaps %s of network %s on line %d; an address needs one manager", b.Name, b.Prefix, a.Prefix, a.Name, a.line)
		}
	}
}

// checkCircles refuses containers that are inside themselves, however far down.
func (p *parser) checkCircles() {
	const open, done = 1, 2
	state := map[string]int{}
	var path []string
	var walk func(t *thing)
	walk = func(t *thing) {
		state[t.name] = open
		path = append(path, t.name)
		for _, e := range t.in {
			next := p.known[e.name]
			switch {
			case next == nil || state[e.name] == done:
			case state[e.name] == open:
				ring := append(slices.Clone(path[slices.Index(path, e.name):]), e.name)
				p.errorf(e.line, "%s is inside itself: %s; take one of them out", next, shorten(strings.Join(ring, " in ")))
			default:
				walk(next)
			}
		}
		path = path[:len(path)-1]
		state[t.name] = done
	}
	for _, t := range p.things {
		if state[t.name] == 0 {
			walk(t)
		}
	}
}
