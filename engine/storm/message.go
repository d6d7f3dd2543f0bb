package storm

import (
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
)

// Message is what differs between the messages of one client.
type Message struct {
	Type      dhcp4.MessageType // 0 makes a BOOTP request, without any option (RFC 951)
	XID       uint32
	Secs      uint16
	CIAddr    [4]byte
	Requested [4]byte // option 50; zero leaves it out
	ServerID  [4]byte // option 54; zero leaves it out
	Unicast   bool    // to the client's Server, past any relay
}

var (
	broadcastIP  = [4]byte{255, 255, 255, 255}
	broadcastMAC = [6]byte{255, 255, 255, 255, 255, 255}
)

// payloadLeast is the least BOOTP message in bytes (RFC 951 section 3).
const payloadLeast = 300

// AppendFrame appends the frame by which c, or its relay, sends m: Ethernet
// with c's tags, IPv4, UDP, and a message of 300 bytes or more. It is what Do
// sends, and a start for handmade requests. It never allocates if dst has room.
func AppendFrame(dst []byte, c *Client, m *Message) []byte {
	start := len(dst)
	relay := c.Relay
	if m.Unicast {
		relay = nil
	}
	h := envelope(c, m, relay)
	dst = h.AppendTo(dst)
	payload := len(dst)
	dst = appendFixed(dst, c, m, relay)
	if m.Type != 0 {
		dst = appendOptions(dst, c, m, relay)
	}
	dst = dhcp4.Pad(dst, payload, payloadLeast)
	h.Finish(dst[start:])
	return dst
}

// envelope is everything around the message.
func envelope(c *Client, m *Message, relay *Relay) frame.Header {
	h := frame.Header{
		EthDst: broadcastMAC, EthSrc: c.MAC, Tags: c.Tags, NTags: c.NTags,
		Src: m.CIAddr, Dst: broadcastIP, SrcPort: dhcp4.ClientPort, DstPort: dhcp4.ServerPort,
	}
	switch {
	case relay != nil:
		h.EthSrc, h.Src, h.SrcPort = relay.mac(c), relay.Addr, dhcp4.ServerPort
		if relay.Server != ([4]byte{}) {
			h.Dst = relay.Server
		}
		if relay.ServerMAC != ([6]byte{}) {
			h.EthDst = relay.ServerMAC
		}
	case m.Unicast:
		h.Dst = c.Server
		if c.ServerMAC != ([6]byte{}) {
			h.EthDst = c.ServerMAC
		}
	}
	return h
}

func appendFixed(dst []byte, c *Client, m *Message, relay *Relay) []byte {
	h := dhcp4.Header{
		Op: dhcp4.OpRequest, HType: dhcp4.HTypeEthernet, HLen: 6,
		XID: m.XID, Secs: m.Secs, CIAddr: m.CIAddr,
	}
	copy(h.CHAddr[:], c.MAC[:])
	// RFC 2131 table 5: DECLINE and RELEASE have no flags.
	if c.Broadcast && m.Type != dhcp4.Decline && m.Type != dhcp4.Release {
		h.Flags = dhcp4.FlagBroadcast
	}
	if relay != nil {
		h.Hops, h.GIAddr = 1, relay.Addr
	}
	return dhcp4.AppendHeader(dst, &h)
}

// appendOptions follows RFC 2131 table 5: a DECLINE or RELEASE says who speaks
// to whom and nothing else.
func appendOptions(dst []byte, c *Client, m *Message, relay *Relay) []byte {
	dst = dhcp4.AppendByte(dst, dhcp4.OptMessageType, byte(m.Type))
	if c.ClientID != nil {
		dst = dhcp4.AppendOption(dst, dhcp4.OptClientID, c.ClientID)
	}
	if m.Requested != ([4]byte{}) {
		dst = dhcp4.AppendAddr(dst, dhcp4.OptRequestedIP, m.Requested)
	}
	if m.ServerID != ([4]byte{}) {
		dst = dhcp4.AppendAddr(dst, dhcp4.OptServerID, m.ServerID)
	}
	if m.Type != dhcp4.Decline && m.Type != dhcp4.Release {
		dst = appendWishes(dst, c)
	}
	if relay != nil && relay.AgentInfo != nil {
		dst = dhcp4.AppendOption(dst, dhcp4.OptAgentInfo, relay.AgentInfo)
	}
	return dhcp4.AppendEnd(dst)
}

func appendWishes(dst []byte, c *Client) []byte {
	if c.MaxSize != 0 {
		dst = dhcp4.AppendUint16(dst, dhcp4.OptMaxSize, c.MaxSize)
	}
	if c.VendorClass != "" {
		dst = dhcp4.AppendOptionString(dst, dhcp4.OptVendorClass, c.VendorClass)
	}
	if c.ParameterList != nil {
		dst = dhcp4.AppendOption(dst, dhcp4.OptParameterList, c.ParameterList)
	}
	return append(dst, c.Options...)
}
