package afpacket

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/clusto/clusto-engine/engine/netlab"
)

// routes adds routes by devs, which are the hops of each.
func routes(to []string, devs []string, table int) error {
	for _, text := range to {
		dst := netip.MustParsePrefix(text)
		r := &netlink.Route{Dst: &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen())}, Table: table}
		if dst.Addr().Is4() {
			r.Scope = netlink.SCOPE_LINK
		}
		for _, dev := range devs {
			l, err := netlink.LinkByName(dev)
			if err != nil {
				return err
			}
			r.MultiPath = append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: l.Attrs().Index})
		}
		if len(devs) == 1 {
			r.LinkIndex, r.MultiPath = r.MultiPath[0].LinkIndex, nil
		}
		if err := netlink.RouteAdd(r); err != nil {
			return fmt.Errorf("route to %s by %s: %w", text, devs, err)
		}
	}
	return nil
}

// TestDefaultRouteInEveryShape: all ways by which frames from a0 get to everybody, and
// some that look like it.
func TestDefaultRouteInEveryShape(t *testing.T) {
	all := []string{"0.0.0.0/0"}
	for name, c := range map[string]struct {
		to    []string
		devs  []string
		table int
		port  string // of a bridge br0
		want  bool
	}{
		"none":                          {},
		"by another interface":          {to: all, devs: []string{"a1"}},
		"a quarter of all":              {to: []string{"0.0.0.0/2"}, devs: []string{"a0"}},
		"by a bridge that it is not in": {to: all, devs: []string{"br0"}, port: "a1"},
		"plain":                         {to: all, devs: []string{"a0"}, want: true},
		"one of two hops":               {to: all, devs: []string{"a1", "a0"}, want: true},
		"two halves":                    {to: []string{"0.0.0.0/1", "128.0.0.0/1"}, devs: []string{"a0"}, want: true},
		"in a table of its own":         {to: all, devs: []string{"a0"}, table: 1000, want: true},
		"of IPv6":                       {to: []string{"::/0"}, devs: []string{"a0"}, want: true},
		"by the bridge that it is in":   {to: all, devs: []string{"br0"}, port: "a0", want: true},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := netlab.New()
			must(t, err)
			t.Cleanup(func() { n.Close() })
			must(t, netlab.Veth(n, "a0", n, "b0"))
			must(t, netlab.Veth(n, "a1", n, "b1"))
			if c.port != "" {
				must(t, n.Bridge("br0", c.port))
			}
			if len(c.to) > 0 && c.to[0] == "::/0" && n.Do(speakIPv6) != nil {
				t.Skip("IPv6 cannot be had here")
			}
			must(t, n.Do(func() error { return routes(c.to, c.devs, c.table) }))
			g, err := Open(Config{Interface: "a0", Ports: []uint16{67}, In: n.Do})
			must(t, err)
			defer g.Close()
			if got, err := g.DefaultRoute(); err != nil || got != c.want {
				t.Errorf("%v, %v; want %v", got, err, c.want)
			}
		})
	}
}

// speakIPv6 undoes what netlab does to a0.
func speakIPv6() error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/a0/disable_ipv6", []byte("0"), 0)
}

// Together are an interface, its masters, and what is stacked on these.
func TestTogether(t *testing.T) {
	links := []netlink.Link{
		&netlink.Vlan{LinkAttrs: netlink.LinkAttrs{Name: "br0.7", Index: 8, ParentIndex: 6}, VlanId: 7},
		&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "eth0", Index: 2, MasterIndex: 4}},
		&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "eth1", Index: 3, MasterIndex: 4}},
		&netlink.Bond{LinkAttrs: netlink.LinkAttrs{Name: "bond0", Index: 4, MasterIndex: 6}},
		&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0", Index: 6}},
		&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth0", Index: 9, ParentIndex: 6}},
	}
	for index, want := range map[int][]int{2: {2, 4, 6, 8}, 6: {6, 8}, 8: {8}, 9: {9}} {
		var got []int
		for i := range together(links, index) {
			got = append(got, i)
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", index, got, want)
		}
	}
}
