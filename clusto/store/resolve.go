package store

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// owner is one attribute that holds a MAC.
type owner struct {
	entity int64
	id     int64
	number int64 // -1 for NULL
	bmc    bool
}

// rank orders the ways in which an entity can own a MAC; the lowest that any
// entity has decides. Servers go first, as the documentation asks for "the
// server entity": a switch or a power strip may boot by DHCP too, but one that
// notes a server's MAC on its port must not make that server ambiguous.
func (g *graph) rank(o owner) int {
	step := 1
	switch {
	case o.bmc:
		step = 2
	case o.number == 1:
		step = 0
	}
	if n := g.nodes[o.entity]; n == nil || n.Type != "server" {
		step += 3
	}
	return step
}

// winners keeps the owners of the lowest rank, by number, then id. Owners whose
// entity does not live do not count.
func (g *graph) winners(owners []owner) []owner {
	owners = slices.DeleteFunc(owners, func(o owner) bool { return g.nodes[o.entity] == nil })
	best := 1 << 10
	for _, o := range owners {
		best = min(best, g.rank(o))
	}
	owners = slices.DeleteFunc(owners, func(o owner) bool { return g.rank(o) != best })
	slices.SortFunc(owners, func(a, b owner) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.id, b.id))
	})
	return owners
}

// ambiguous lists the paths of the owners, if they are more than one entity.
func (g *graph) ambiguous(winners []owner) []string {
	var paths []string
	for _, o := range winners {
		if p := g.nodes[o.entity].path; !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	if len(paths) < 2 {
		return nil
	}
	slices.Sort(paths)
	return paths
}

// host resolves a MAC whose winners are known; there is at least one.
func (g *graph) host(mac clusto.MAC, winners []owner) (clusto.Host, error) {
	h := clusto.Host{MAC: mac, Addresses: []clusto.Address{}, Attrs: []clusto.Attr{}}
	if h.Ambiguous = g.ambiguous(winners); h.Ambiguous != nil {
		h.Why = "several entities have this MAC"
		return h, nil
	}
	o := winners[0]
	h.Port, h.Number, h.BMC = keyNIC, int(max(o.number, 0)), o.bmc
	h.OSPort = g.nodes[o.entity].osport(o.number)
	return h, g.describe(&h, g.nodes[o.entity])
}

// describe fills in what does not depend on the MAC.
func (g *graph) describe(h *clusto.Host, n *node) error {
	h.Entity, h.Hostname = n.Entity, n.hostname()
	addrs, err := g.addresses(n)
	if err != nil {
		return err
	}
	h.Addresses = addrs
	m := g.merge(n)
	h.Attrs, h.Enabled, h.Why = m.attrs, m.enabled, m.why
	if !m.decided {
		none := clusto.Host{Entity: n.Entity}
		none.Decide()
		h.Why = none.Why
	}
	return nil
}

// osport is the osportname of a port.
func (n *node) osport(number int64) string {
	var last nameRow
	for _, p := range n.ports {
		if p.sub == subOSPort && p.number == number && p.id >= last.id {
			last = nameRow{id: p.id, text: p.text}
		}
	}
	return last.text
}

// merged is what the dhcp attributes of an entity and its containers come to.
// Hosts that share it must not change it.
type merged struct {
	attrs            []clusto.Attr
	enabled, decided bool
	why              string
}

// merge collects key=dhcp over n and its containers. Entities without such
// attributes of their own and with equal containers share one result: in a
// bulk read that is nearly all of them.
func (g *graph) merge(n *node) *merged {
	var key string
	if len(n.dhcp) == 0 {
		key = parentsKey(n)
		if m := g.merged[key]; m != nil {
			return m
		}
	}
	m := &merged{}
	h := clusto.Host{Entity: n.Entity, Attrs: clusto.Merge(g.collect(n))}
	before := len(h.Attrs)
	h.Decide()
	m.attrs, m.enabled, m.why, m.decided = slices.Clip(h.Attrs), h.Enabled, h.Why, len(h.Attrs) < before
	if len(n.dhcp) == 0 {
		g.merged[key] = m
	}
	return m
}

func parentsKey(n *node) string {
	b := make([]byte, 0, 8*len(n.parents))
	for _, p := range n.parents {
		b = binary.LittleEndian.AppendUint64(b, uint64(p))
	}
	return string(b)
}

// collect gives the dhcp attributes of n and all its containers, each with the
// shortest distance. A container that is reached twice counts once, so a cycle
// ends there.
func (g *graph) collect(n *node) []clusto.Attr {
	attrs := []clusto.Attr{}
	seen := map[int64]bool{n.id: true}
	level := []*node{n}
	for distance := 0; len(level) > 0; distance++ {
		var next []*node
		for _, at := range level {
			for _, a := range g.dhcpOf(at) {
				a.Distance = distance
				attrs = append(attrs, a)
			}
			for _, p := range at.parents {
				if up := g.nodes[p]; up != nil && !seen[p] {
					seen[p] = true
					next = append(next, up)
				}
			}
		}
		level = next
	}
	return attrs
}

// dhcpOf gives a node's own dhcp attributes with their relations filled in.
func (g *graph) dhcpOf(n *node) []clusto.Attr {
	out := make([]clusto.Attr, 0, len(n.dhcp))
	for _, a := range n.dhcp {
		if to := g.related[a.rel]; a.Value.Type == clusto.Relation && to != nil {
			a.Value.Str = to.path
			for _, b := range to.bounds() {
				a.Value.Addrs = append(a.Value.Addrs, b.ip)
			}
		}
		out = append(out, a.Attr)
	}
	return out
}

// bound is an address as its attributes describe it.
type bound struct {
	ip     netip.Addr
	osport string
	rel    int64 // its manager, 0 if none
}

// bounds gives the addresses bound to n by number, each once.
func (n *node) bounds() (out []bound) {
	slices.SortFunc(n.ips, func(a, b ipRow) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.id, b.id))
	})
	for i := 0; i < len(n.ips); {
		j := i + 1
		for j < len(n.ips) && n.ips[j].number == n.ips[i].number {
			j++
		}
		out = addGroup(out, n.ips[i:j])
		i = j
	}
	return out
}

// addGroup appends the address that attributes of one number describe. The
// text holds; the int form serves where there is no text that can be read.
func addGroup(out []bound, group []ipRow) []bound {
	ips := groupAddrs(group, ipText)
	if len(ips) == 0 {
		ips = groupAddrs(group, ipInt)
	}
	var b bound
	for _, r := range group {
		switch r.part {
		case ipOSPort:
			b.osport = r.text
		case ipManager:
			b.rel = r.rel
		}
	}
	for _, b.ip = range ips {
		if !slices.ContainsFunc(out, func(o bound) bool { return o.ip == b.ip }) {
			out = append(out, b)
		}
	}
	return out
}

// addresses gives the addresses bound to n with their networks.
func (g *graph) addresses(n *node) ([]clusto.Address, error) {
	bounds := n.bounds()
	out := make([]clusto.Address, 0, len(bounds))
	for _, b := range bounds {
		nw, err := g.networkOf(b.rel, b.ip)
		if err != nil {
			return nil, err
		}
		out = append(out, clusto.Address{IP: b.ip, OSPort: b.osport, Network: nw})
	}
	return out, nil
}

func groupAddrs(group []ipRow, part ipPart) (ips []netip.Addr) {
	for _, r := range group {
		if r.part != part {
			continue
		}
		ip, ok := addrOf(r.num)
		if part == ipText {
			var err error
			ip, err = netip.ParseAddr(r.text)
			ok = err == nil && ip.Is4()
		}
		if ok {
			ips = append(ips, ip)
		}
	}
	return ips
}

// networkOf gives the network of the manager that the address was bound under,
// else that of the one manager whose range holds it, else nil.
func (g *graph) networkOf(rel int64, ip netip.Addr) (*clusto.Network, error) {
	if nw := g.networks[rel]; nw != nil {
		return nw, nil
	}
	all, err := g.managers()
	if err != nil {
		return nil, err
	}
	if held := holders(all, ip); len(held) == 1 {
		nw := held[0].Network
		return &nw, nil
	}
	return nil, nil
}
