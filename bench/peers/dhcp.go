package main

import (
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine/dhcp"
	"github.com/clusto/clusto-engine/engine/storm"
)

const ours = "clusto-engine"

var clientMAC = clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}

// discoverFrame is a boot ROM's DISCOVER; its message is at discoverMsg.
var discoverFrame = storm.AppendFrame(nil, &storm.Client{
	MAC: clientMAC, VendorClass: "PXEClient:Arch:00000:UNDI:002001", MaxSize: 1472,
	ParameterList: []byte{1, 3, 6, 12, 15, 28, 42, 66, 67},
}, &storm.Message{Type: dhcp4.Discover, XID: 0x01020304})

var discoverMsg = func() []byte {
	var u frame.UDP4
	if err := u.Parse(discoverFrame, false); err != nil {
		panic(err)
	}
	return u.Payload
}()

var dhcpParse = contest{"DHCP message: parse", []entrant{
	{ours, func() func() bool {
		var x dhcp4.Index
		return func() bool {
			v, err := dhcp4.Parse(discoverMsg)
			return err == nil && x.Build(v) == nil
		}
	}},
	{"gopacket, layer used again", func() func() bool {
		var l layers.DHCPv4
		return func() bool {
			return l.DecodeFromBytes(discoverMsg, gopacket.NilDecodeFeedback) == nil && len(l.Options) > 3
		}
	}},
	{"insomniacslk/dhcp", func() func() bool {
		return func() bool {
			m, err := dhcpv4.FromBytes(discoverMsg)
			return err == nil && m.MessageType() == dhcpv4.MessageTypeDiscover
		}
	}},
}}

// An OFFER of four options beside the message type.
var (
	yiaddr = [4]byte{10, 42, 0, 11}
	siaddr = [4]byte{10, 42, 0, 5}
	mask   = [4]byte{255, 255, 255, 0}
)

var dhcpBuild = contest{"DHCP message: build an OFFER", []entrant{
	{ours, func() func() bool {
		room := make([]byte, 0, 1500)
		h := dhcp4.Header{Op: dhcp4.OpReply, HType: dhcp4.HTypeEthernet, HLen: 6, XID: 7, YIAddr: yiaddr, SIAddr: siaddr}
		copy(h.CHAddr[:], clientMAC[:])
		return func() bool {
			b := dhcp4.AppendHeader(room, &h)
			b = dhcp4.AppendByte(b, dhcp4.OptMessageType, byte(dhcp4.Offer))
			b = dhcp4.AppendAddr(b, dhcp4.OptServerID, siaddr)
			b = dhcp4.AppendUint32(b, dhcp4.OptLeaseTime, 3600)
			b = dhcp4.AppendAddr(b, dhcp4.OptSubnetMask, mask)
			b = dhcp4.AppendAddr(b, dhcp4.OptRouter, siaddr)
			b = dhcp4.Pad(dhcp4.AppendEnd(b), 0, 300)
			return len(b) == 300
		}
	}},
	{"gopacket, buffer used again", func() func() bool {
		l := layers.DHCPv4{
			Operation: layers.DHCPOpReply, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: 7,
			YourClientIP: yiaddr[:], NextServerIP: siaddr[:], ClientIP: net.IPv4zero.To4(), RelayAgentIP: net.IPv4zero.To4(), ClientHWAddr: clientMAC[:],
			Options: layers.DHCPOptions{
				layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(layers.DHCPMsgTypeOffer)}),
				layers.NewDHCPOption(layers.DHCPOptServerID, siaddr[:]),
				layers.NewDHCPOption(layers.DHCPOptLeaseTime, []byte{0, 0, 14, 16}),
				layers.NewDHCPOption(layers.DHCPOptSubnetMask, mask[:]),
				layers.NewDHCPOption(layers.DHCPOptRouter, siaddr[:]),
			},
		}
		buf := gopacket.NewSerializeBuffer()
		return func() bool {
			return buf.Clear() == nil && l.SerializeTo(buf, gopacket.SerializeOptions{}) == nil && len(buf.Bytes()) > 240
		}
	}},
	{"insomniacslk/dhcp", func() func() bool {
		return func() bool {
			m, err := dhcpv4.New(
				dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithYourIP(yiaddr[:]), dhcpv4.WithServerIP(siaddr[:]),
				dhcpv4.WithHwAddr(clientMAC[:]), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(siaddr[:])),
				dhcpv4.WithLeaseTime(3600), dhcpv4.WithNetmask(mask[:]), dhcpv4.WithRouter(siaddr[:]))
			return err == nil && len(m.ToBytes()) >= 300
		}
	}},
}}

// oneHost is an inventory of one.
type oneHost struct{ p *dhcp.Prepared }

func (h oneHost) Lookup(mac clusto.MAC, _ int64) (*dhcp.Prepared, dhcp.State) {
	if mac != clientMAC {
		return nil, dhcp.Absent
	}
	return h.p, dhcp.Fresh
}

func (h oneHost) PeekAll(to []*dhcp.Prepared, _ []clusto.MAC) []*dhcp.Prepared {
	return append(to, h.p)
}
