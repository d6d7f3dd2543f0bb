package netlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// patience is how long a veth pair may take to come up. It takes a millisecond.
const patience = 10 * time.Second

// index numbers one end of each veth pair: with equal numbers at both ends the
// kernel takes the carrier of a pair for that of a plain link, and lets up to a
// second pass before it looks.
var index atomic.Int32

func init() { index.Store(1<<16 + rand.Int32N(1<<30)) }

// handle runs f with a netlink socket of the namespace.
func (n *Net) handle(f func(h *netlink.Handle) error) error {
	return n.do(func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		return f(h)
	})
}

// link runs f on the link of that name; what says to what end.
func (n *Net) link(name, what string, f func(h *netlink.Handle, l netlink.Link) error) error {
	err := n.handle(func(h *netlink.Handle) error {
		l, err := h.LinkByName(name)
		if err != nil {
			return err
		}
		return f(h, l)
	})
	if err != nil {
		return fmt.Errorf("%s link %q: %w", what, name, err)
	}
	return nil
}

func veth(a *Net, aName string, b *Net, bName string) error {
	if err := pair(a, aName, b, bName); err != nil {
		return fmt.Errorf("make veth pair %q and %q: %w", aName, bName, err)
	}
	err := errors.Join(a.plain(aName), b.plain(bName), a.setUp(aName), b.setUp(bName))
	if err == nil {
		err = errors.Join(a.await(aName), b.await(bName))
	}
	if err != nil {
		_ = a.delete(aName)
	}
	return err
}

// pair makes the other end where it belongs at once: its name may be taken here.
func pair(a *Net, aName string, b *Net, bName string) error {
	return b.do(func() error {
		there, err := current()
		if err != nil {
			return err
		}
		defer there.Close()
		v := netlink.NewVeth(netlink.LinkAttrs{Name: aName, Index: int(index.Add(1)), TxQLen: -1})
		v.PeerName, v.PeerNamespace = bName, netlink.NsFd(there.Fd())
		return a.handle(func(h *netlink.Handle) error { return h.LinkAdd(v) })
	})
}

// plain makes a link speak no IPv6. Either way may be closed: a kernel without
// IPv6, a /proc that is read-only.
func (n *Net) plain(name string) error {
	const addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
	return n.link(name, "take IPv6 from", func(h *netlink.Handle, l netlink.Link) error {
		_ = h.LinkSetIP6AddrGenMode(l, addrGenModeNone)
		_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
		return nil
	})
}

// await waits until the kernel sends over a link: it drops what is sent before.
func (n *Net) await(name string) error {
	return n.link(name, "await", func(h *netlink.Handle, l netlink.Link) (err error) {
		for end := time.Now().Add(patience); l.Attrs().OperState != netlink.OperUp; {
			if time.Now().After(end) {
				return fmt.Errorf("still %s after %v", l.Attrs().OperState, patience)
			}
			time.Sleep(time.Millisecond / 2)
			if l, err = h.LinkByName(name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (n *Net) bridge(name string, ports []string) error {
	err := n.handle(func(h *netlink.Handle) error {
		quiet := false // no queries for multicast groups
		return h.LinkAdd(&netlink.Bridge{
			LinkAttrs: netlink.LinkAttrs{Name: name, TxQLen: -1}, MulticastSnooping: &quiet,
		})
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = fmt.Errorf("%w: this kernel has none (modprobe bridge, as root)", err)
	}
	if err != nil {
		return fmt.Errorf("make bridge %q: %w", name, err)
	}
	for _, port := range ports {
		err = errors.Join(err, n.link(port, "put into bridge "+name, func(h *netlink.Handle, l netlink.Link) error {
			br, err := h.LinkByName(name)
			if err != nil {
				return err
			}
			return h.LinkSetMaster(l, br)
		}))
	}
	return errors.Join(err, n.plain(name), n.setUp(name))
}

func (n *Net) addAddr(name string, p netip.Prefix) error {
	return n.link(name, "add "+p.String()+" to", func(h *netlink.Handle, l netlink.Link) error {
		return h.AddrAdd(l, &netlink.Addr{IPNet: ipNet(p)})
	})
}

func (n *Net) delAddr(name string, p netip.Prefix) error {
	return n.link(name, "take "+p.String()+" from", func(h *netlink.Handle, l netlink.Link) error {
		return h.AddrDel(l, &netlink.Addr{IPNet: ipNet(p)})
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func (n *Net) setUp(name string) error {
	return n.link(name, "switch on", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetUp(l) })
}

func (n *Net) setDown(name string) error {
	return n.link(name, "switch off", func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetDown(l) })
}

func (n *Net) delete(name string) error {
	return n.link(name, "delete", func(h *netlink.Handle, l netlink.Link) error { return h.LinkDel(l) })
}

func (n *Net) rename(name, to string) error {
	return n.link(name, "rename to "+to, func(h *netlink.Handle, l netlink.Link) error { return h.LinkSetName(l, to) })
}

func (n *Net) mac(name string) (mac [6]byte, err error) {
	err = n.link(name, "ask for the MAC of", func(_ *netlink.Handle, l netlink.Link) error {
		if hw := l.Attrs().HardwareAddr; copy(mac[:], hw) != len(mac) {
			return fmt.Errorf("it has %d bytes, want 6", len(hw))
		}
		return nil
	})
	return mac, err
}

func (n *Net) setMAC(name string, mac [6]byte) error {
	return n.link(name, "change the MAC of", func(h *netlink.Handle, l netlink.Link) error {
		return h.LinkSetHardwareAddr(l, slices.Clone(mac[:]))
	})
}

func (n *Net) addRoute(to netip.Prefix, via netip.Addr) error {
	err := n.handle(func(h *netlink.Handle) error {
		return h.RouteAdd(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()})
	})
	if err != nil {
		return fmt.Errorf("add a route to %v via %v: %w", to, via, err)
	}
	return nil
}

func (n *Net) addNeighbour(name string, ip netip.Addr, mac [6]byte) error {
	return n.link(name, "tell the MAC of "+ip.String()+" to", func(h *netlink.Handle, l netlink.Link) error {
		return h.NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, State: netlink.NUD_PERMANENT,
			IP: ip.AsSlice(), HardwareAddr: slices.Clone(mac[:]),
		})
	})
}
