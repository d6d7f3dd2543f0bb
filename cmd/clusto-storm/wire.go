package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine/afpacket"
)

// wire is where the frames go.
type wire struct {
	Interface      string `short:"i" required:"" placeholder:"NAME" help:"Send on this interface, and listen there."`
	Server         string `placeholder:"ADDRESS" help:"The server's address; needed behind a relay and for SNMP."`
	VLAN           uint16 `name:"vlan" placeholder:"ID" help:"Send with this VLAN tag, and take replies with it."`
	OnDefaultRoute bool   `help:"Send even if a default route leaves by the interface: it may lead to machines that have not asked for it."`
	Buffer         int    `default:"16" placeholder:"MIB" help:"Receive buffer, in MiB (${default})."`
}

// resolvePatience is how long a server may take to tell its Ethernet address.
const resolvePatience = 3 * time.Second

// open opens the interface for what comes to the ports.
func (w *wire) open(ports ...uint16) (*afpacket.Group, error) {
	if w.VLAN > 4094 {
		return nil, fmt.Errorf("%w: --vlan %d: 1 to 4094", errUsage, w.VLAN)
	}
	if w.Buffer < 1 || w.Buffer > 1024 {
		return nil, fmt.Errorf("%w: --buffer %d: 1 to 1024 MiB", errUsage, w.Buffer)
	}
	g, err := afpacket.Open(afpacket.Config{Interface: w.Interface, Ports: ports, OtherHosts: true, Buffer: w.Buffer << 20})
	if err != nil {
		return nil, err
	}
	if err := w.permit(g); err != nil {
		g.Close()
		return nil, err
	}
	return g, nil
}

// permit refuses interfaces that are not there, or that lead to everybody.
func (w *wire) permit(g *afpacket.Group) error {
	switch l := g.Link(); {
	case l == nil:
		return fmt.Errorf("%w: --interface %s: there is none of that name; \"ip link\" lists them", errUsage, w.Interface)
	case !l.Up:
		return fmt.Errorf("interface %s is down, or has no carrier: ip link set %s up", w.Interface, w.Interface)
	case w.OnDefaultRoute:
		return nil
	}
	everywhere, err := g.DefaultRoute()
	if err == nil && everywhere {
		err = fmt.Errorf("%w: the default route leaves by %s, so this is no network apart; --on-default-route sends there all the same", errUsage, w.Interface)
	}
	return err
}

// tags are those of frames.
func (w *wire) tags() (tags [2]frame.Tag, n int) {
	if w.VLAN == 0 {
		return tags, 0
	}
	tags[0] = frame.Tag{TPID: 0x8100, TCI: w.VLAN}
	return tags, 1
}

// server finds the server's address, and the Ethernet address of it or of the
// router to it.
func (w *wire) server(ctx context.Context, g *afpacket.Group) (addr netip.Addr, mac [6]byte, err error) {
	if addr, err = parseIPv4("--server", w.Server); err != nil {
		return addr, mac, err
	}
	ctx, cancel := context.WithTimeout(ctx, resolvePatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if mac, ok := g.Link().NextHop(addr); ok {
			return addr, mac, nil
		}
		if err := w.provoke(addr); err != nil {
			return addr, mac, err
		}
		select {
		case <-ctx.Done():
			return addr, mac, fmt.Errorf("find the Ethernet address of --server %s on %s: nobody answers ARP for it: %w", addr, w.Interface, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// provoke has the kernel look for an address on the interface, by a datagram without
// contents.
func (w *wire) provoke(addr netip.Addr) error {
	d := net.Dialer{Control: bindTo(w.Interface)}
	c, err := d.Dial("udp4", netip.AddrPortFrom(addr, 9).String()) // discard (RFC 863)
	if err != nil {
		return fmt.Errorf("--server %s: %w; give the interface an address in the server's network", addr, err)
	}
	defer c.Close()
	_, _ = c.Write(nil) // that nobody listens there does not matter
	return nil
}

func parseIPv4(flag, text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() || a.IsUnspecified() || a.IsMulticast() {
		return a, fmt.Errorf("%w: %s %q is no IPv4 address of a machine", errUsage, flag, text)
	}
	return a, nil
}
