package main

import (
	"context"
	"net/netip"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/dhcp"
)

// Fetch is never called: the host is at hand.
func (h oneHost) Fetch(context.Context, clusto.MAC) (*dhcp.Prepared, dhcp.State, error) {
	return h.p, dhcp.Fresh, nil
}

// dhcpAnswer is a DISCOVER in and an OFFER out: the DHCP message alone. Ours is
// there a second time with all that clusto-dhcpd does between two system calls,
// checksums, policy and all options of a host included, from Ethernet header to
// Ethernet header.
var dhcpAnswer = contest{"DISCOVER -> OFFER", []entrant{
	{ours, func() func() bool {
		var x dhcp4.Index
		room := make([]byte, 0, 1500)
		return func() bool {
			v, err := dhcp4.Parse(discoverMsg)
			if err != nil || x.Build(v) != nil {
				return false
			}
			h := dhcp4.Header{Op: dhcp4.OpReply, HType: v.HType(), HLen: v.HLen(), XID: v.XID(), Flags: v.Flags(), YIAddr: yiaddr, SIAddr: siaddr, GIAddr: v.GIAddr(), CHAddr: v.CHAddr()}
			b := dhcp4.AppendHeader(room, &h)
			b = dhcp4.AppendByte(b, dhcp4.OptMessageType, byte(dhcp4.Offer))
			b = dhcp4.AppendAddr(b, dhcp4.OptServerID, siaddr)
			b = dhcp4.AppendUint32(b, dhcp4.OptLeaseTime, 3600)
			b = dhcp4.AppendAddr(b, dhcp4.OptSubnetMask, mask)
			b = dhcp4.Pad(dhcp4.AppendEnd(b), 0, 300)
			return len(b) == 300
		}
	}},
	{ours + ", frame to frame", func() func() bool {
		net := &clusto.Network{Name: "lan", Prefix: netip.MustParsePrefix("10.42.0.0/24"), Gateway: netip.AddrFrom4(siaddr)}
		host := &clusto.Host{
			MAC: clientMAC, Entity: clusto.Entity{Name: "s0001", Type: "server", Driver: "basicserver"},
			Port: "port-nic-eth", Number: 1, Hostname: "s0001", Enabled: true,
			Addresses: []clusto.Address{{IP: netip.AddrFrom4(yiaddr), Network: net}},
		}
		p, _ := dhcp.Prepare(host, dhcp.PrepareConfig{})
		h := dhcp.NewServer(dhcp.Config{Hosts: oneHost{p}, Lot: engine.NewLot(engine.LotConfig{Slots: 8})}).Handler()
		pkt := &engine.Packet{Data: discoverFrame, Link: &engine.Link{
			Name: "eth0", Index: 2, MAC: [6]byte{2}, MTU: 1500, Up: true,
			Addrs: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4(siaddr), 24)},
			Local: map[netip.Addr]struct{}{netip.AddrFrom4(siaddr): {}},
		}}
		room := make([]byte, 0, engine.FrameSize)
		return func() bool {
			_, v := h.Handle(room, pkt)
			return v == engine.Reply
		}
	}},
	{"gopacket, all used again", func() func() bool {
		var in layers.DHCPv4
		buf := gopacket.NewSerializeBuffer()
		out := layers.DHCPv4{Operation: layers.DHCPOpReply, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Options: layers.DHCPOptions{
			layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(layers.DHCPMsgTypeOffer)}),
			layers.NewDHCPOption(layers.DHCPOptServerID, siaddr[:]),
			layers.NewDHCPOption(layers.DHCPOptLeaseTime, []byte{0, 0, 14, 16}),
			layers.NewDHCPOption(layers.DHCPOptSubnetMask, mask[:]),
		}}
		return func() bool {
			if in.DecodeFromBytes(discoverMsg, gopacket.NilDecodeFeedback) != nil || buf.Clear() != nil {
				return false
			}
			out.Xid, out.ClientHWAddr = in.Xid, in.ClientHWAddr
			out.YourClientIP, out.NextServerIP, out.ClientIP, out.RelayAgentIP = yiaddr[:], siaddr[:], in.ClientIP, in.RelayAgentIP
			return out.SerializeTo(buf, gopacket.SerializeOptions{}) == nil
		}
	}},
	{"insomniacslk/dhcp", func() func() bool {
		return func() bool {
			m, err := dhcpv4.FromBytes(discoverMsg)
			if err != nil {
				return false
			}
			r, err := dhcpv4.NewReplyFromRequest(m,
				dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithYourIP(yiaddr[:]), dhcpv4.WithServerIP(siaddr[:]),
				dhcpv4.WithOption(dhcpv4.OptServerIdentifier(siaddr[:])), dhcpv4.WithLeaseTime(3600), dhcpv4.WithNetmask(mask[:]))
			return err == nil && len(r.ToBytes()) >= 300
		}
	}},
}}
