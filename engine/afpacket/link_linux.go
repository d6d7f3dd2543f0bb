package afpacket

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/clusto/clusto-engine/engine"
)

// publish makes a new Link of what the kernel says.
func (g *Group) publish(attrs *netlink.LinkAttrs) error {
	l, err := snapshot(g.handle, attrs)
	for range 3 {
		if !errors.Is(err, netlink.ErrDumpInterrupted) { // something changed while it was read
			break
		}
		l, err = snapshot(g.handle, attrs)
	}
	if err != nil {
		return fmt.Errorf("read interface %s: %w", attrs.Name, err)
	}
	old := g.link.Swap(l)
	if old != nil && old.Up != l.Up {
		state := "down"
		if l.Up {
			state = "up"
		}
		g.cfg.Log.Info("the interface is "+state, "interface", l.Name)
	}
	return nil
}

// snapshot reads all that a Link tells. attrs are the interface's own.
func snapshot(h *netlink.Handle, attrs *netlink.LinkAttrs) (*engine.Link, error) {
	l := &engine.Link{
		Name: attrs.Name, Index: attrs.Index, MTU: attrs.MTU,
		Up:    attrs.RawFlags&unix.IFF_UP != 0 && attrs.RawFlags&unix.IFF_RUNNING != 0,
		VLANs: map[uint16][]netip.Prefix{}, Neighbours: map[netip.Addr][6]byte{}, Local: map[netip.Addr]struct{}{},
	}
	copy(l.MAC[:], attrs.HardwareAddr)
	for _, read := range []func(*netlink.Handle, *engine.Link) error{readAddrs, readRoutes, readNeighbours} {
		if err := read(h, l); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// readAddrs sorts the machine's addresses into those of the interface, of its
// VLAN sub-interfaces, and all.
func readAddrs(h *netlink.Handle, l *engine.Link) error {
	links, err := h.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	vlans := map[int]uint16{}
	for _, k := range links {
		if v, ok := k.(*netlink.Vlan); ok && v.ParentIndex == l.Index {
			vlans[v.Index] = uint16(v.VlanId)
		}
	}
	addrs, err := h.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		p, ok := prefixOf(a.IPNet)
		if !ok {
			continue
		}
		l.Local[p.Addr()] = struct{}{}
		if id, sub := vlans[a.LinkIndex]; sub {
			l.VLANs[id] = append(l.VLANs[id], p)
		} else if a.LinkIndex == l.Index {
			l.Addrs = append(l.Addrs, p)
		}
	}
	return nil
}

func readRoutes(h *netlink.Handle, l *engine.Link) error {
	routes, err := h.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{LinkIndex: l.Index}, netlink.RT_FILTER_OIF)
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, r := range routes {
		via, ok := netip.AddrFromSlice(r.Gw.To4())
		if !ok {
			continue
		}
		to, ok := prefixOf(r.Dst)
		if !ok {
			to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		l.Gateways = append(l.Gateways, engine.Gateway{To: to.Masked(), Via: via})
	}
	slices.SortStableFunc(l.Gateways, func(a, b engine.Gateway) int { return cmp.Compare(b.To.Bits(), a.To.Bits()) })
	return nil
}

// DefaultRoute says whether frames that leave by the interface may get to where a
// default route leads: one of any table, of IPv4 or IPv6, by the interface, by what
// it is a member of, or by a VLAN or the like on top of these.
func (g *Group) DefaultRoute() (found bool, err error) {
	for range 4 {
		found, err = g.defaultRoute()
		if !errors.Is(err, netlink.ErrDumpInterrupted) { // something changed while it was read
			break
		}
	}
	return found, err
}

func (g *Group) defaultRoute() (bool, error) {
	l := g.Link()
	if l == nil {
		return false, ErrNoInterface
	}
	links, err := g.handle.LinkList()
	if err != nil {
		return false, fmt.Errorf("list interfaces: %w", err)
	}
	near := together(links, l.Index)
	every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := g.handle.RouteListFiltered(family, every, netlink.RT_FILTER_TABLE)
		if err != nil {
			return false, fmt.Errorf("list routes: %w", err)
		}
		if slices.ContainsFunc(routes, func(r netlink.Route) bool { return isDefault(&r) && leavesBy(&r, near) }) {
			return true, nil
		}
	}
	return false, nil
}

// isDefault says whether a route leads to all addresses, or to half of them: two of
// those are a default route as well.
func isDefault(r *netlink.Route) bool {
	if r.Dst == nil {
		return true
	}
	bits, _ := r.Dst.Mask.Size()
	return bits <= 1
}

func leavesBy(r *netlink.Route, near map[int]bool) bool {
	return near[r.LinkIndex] || slices.ContainsFunc(r.MultiPath, func(n *netlink.NexthopInfo) bool { return near[n.LinkIndex] })
}

// together gives an interface, what it is a member of, and what is stacked on these.
func together(links []netlink.Link, index int) map[int]bool {
	near := map[int]bool{index: true}
	for n := 0; n < len(near); {
		n = len(near)
		for _, k := range links {
			a := k.Attrs()
			if near[a.Index] && a.MasterIndex != 0 {
				near[a.MasterIndex] = true
			}
			if near[a.ParentIndex] && slices.Contains(stacked, k.Type()) {
				near[a.Index] = true
			}
		}
	}
	return near
}

// readNeighbours takes what the kernel has resolved, however long ago.
func readNeighbours(h *netlink.Handle, l *engine.Link) error {
	const useless = netlink.NUD_FAILED | netlink.NUD_INCOMPLETE | netlink.NUD_NONE
	neighs, err := h.NeighList(l.Index, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range neighs {
		ip, ok := netip.AddrFromSlice(n.IP.To4())
		if ok && len(n.HardwareAddr) == 6 && n.State&useless == 0 {
			l.Neighbours[ip] = [6]byte(n.HardwareAddr)
		}
	}
	return nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP.To4())
	bits, size := n.Mask.Size()
	if !ok || size != 32 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(ip, bits), true
}

// stacked are the types of interface that send by a parent.
var stacked = []string{"vlan", "macvlan", "macvtap", "ipvlan"}

// CheckOverlap refuses a list of interfaces on which the kernel shows the same
// frame twice: a bond, team or bridge and one of its members, or an interface
// and a VLAN or macvlan on top of it. Interfaces that are not there are not
// judged.
func CheckOverlap(names []string) error {
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	return overlap(links, names)
}

func overlap(links []netlink.Link, names []string) error {
	byIndex := map[int]string{}
	for _, l := range links {
		if slices.Contains(names, l.Attrs().Name) {
			byIndex[l.Attrs().Index] = l.Attrs().Name
		}
	}
	for _, l := range links {
		a := l.Attrs()
		if !slices.Contains(names, a.Name) {
			continue
		}
		if master, ok := byIndex[a.MasterIndex]; ok {
			return fmt.Errorf("interfaces %s and %s: the latter is a member of the former, and each frame would come in on both; name only one of them", master, a.Name)
		}
		if parent, ok := byIndex[a.ParentIndex]; ok && slices.Contains(stacked, l.Type()) {
			return fmt.Errorf("interfaces %s and %s: the latter is a %s on the former, and each frame would come in on both; name %s alone, which answers all its VLANs", parent, a.Name, l.Type(), parent)
		}
	}
	return nil
}
