package main

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// wire connects a machine's network card with cli0, and gives the card's end: a
// socket of datagrams that are frames. Neither /dev/net/tun nor root is needed.
func (l *lab) wire() (card *os.File) {
	l.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	must(l.t, err)
	plug, card := os.NewFile(uintptr(pair[0]), "plug"), os.NewFile(uintptr(pair[1]), "card")
	link := l.tap("cli0")
	advert := advertisement(l)
	var all sync.WaitGroup
	all.Go(func() { carry(link, plug, summed) })
	all.Go(func() {
		carry(plug, link, func(f []byte) []byte {
			if len(f) > 14 && bytes.Equal(f[12:14], []byte{0x86, 0xdd}) { // iPXE waits 13 s for an IPv6 router
				_, _ = plug.Write(advert)
			}
			return f
		})
	})
	l.t.Cleanup(func() {
		plug.Close()
		link.Close()
		all.Wait()
	})
	return card
}

// tap opens a link of the peer's for all frames.
func (l *lab) tap(name string) (f *os.File) {
	l.t.Helper()
	must(l.t, l.peer.Do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return fmt.Errorf("look for %s: %w", name, err)
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open a packet socket: %w", err)
		}
		f = os.NewFile(uintptr(fd), name)
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return fmt.Errorf("ignore what is sent: %w", err)
		}
		const all = unix.ETH_P_ALL << 8 // as it is on the cable
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index})
	}))
	return f
}

// carry takes frames from one end to the other, until one is closed.
func carry(from, to *os.File, pass func([]byte) []byte) {
	b := make([]byte, 2048)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		_, _ = to.Write(pass(b[:n])) // what does not go through is lost, as on any cable
	}
}

// summed gives a frame its checksums, which this kernel leaves to a network card
// that there is not.
func summed(f []byte) []byte {
	p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.NoCopy)
	ip, ok := p.NetworkLayer().(*layers.IPv4)
	if !ok {
		return f
	}
	var transport gopacket.SerializableLayer
	switch l := p.TransportLayer().(type) {
	case *layers.TCP:
		_, transport = l.SetNetworkLayerForChecksum(ip), l
	case *layers.UDP:
		_, transport = l.SetNetworkLayerForChecksum(ip), l
	default:
		return f
	}
	out := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{ComputeChecksums: true},
		p.LinkLayer().(*layers.Ethernet), ip, transport, gopacket.Payload(p.TransportLayer().LayerPayload()))
	if err != nil {
		return f
	}
	return out.Bytes()
}

// advertisement is the word of an IPv6 router that has no network to offer.
func advertisement(l *lab) []byte {
	l.t.Helper()
	eth := layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 0xfe}, DstMAC: net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, EthernetType: layers.EthernetTypeIPv6}
	ip := layers.IPv6{
		Version: 6, HopLimit: 255, NextHeader: layers.IPProtocolICMPv6,
		SrcIP: netip.MustParseAddr("fe80::fe").AsSlice(), DstIP: netip.MustParseAddr("ff02::1").AsSlice(),
	}
	icmp := layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeRouterAdvertisement, 0)}
	must(l.t, icmp.SetNetworkLayerForChecksum(&ip))
	out := gopacket.NewSerializeBuffer()
	must(l.t, gopacket.SerializeLayers(out, gopacket.SerializeOptions{ComputeChecksums: true, FixLengths: true},
		&eth, &ip, &icmp, &layers.ICMPv6RouterAdvertisement{HopLimit: 64}))
	return out.Bytes()
}
