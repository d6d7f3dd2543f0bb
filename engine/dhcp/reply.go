package dhcp

import (
	"net/netip"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

const (
	minDatagram = 576 // bytes that every IP host takes (RFC 791, RFC 2131 section 2)
	minMessage  = 300 // bytes that old relays and clients want (RFC 1542 section 2.1)
	ipUDP       = 28  // bytes of IP and UDP header that a message size counts
)

var ethBroadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// appendReply appends the frame that d asks for. It reports how many options
// were left out because the client, or the interface, takes no more; -1 if not
// even the indispensable ones fit, and then there is no frame.
func appendReply(dst []byte, r *Request, p *Prepared, d *Decision) (out []byte, dropped int) {
	start := len(dst)
	h := r.frameHeader(d)
	dst = h.AppendTo(dst)
	msg := len(dst)
	if room := r.room(); fullLen(r, p, d) <= room {
		dst = appendFull(dst, r, p, d)
	} else if dst, dropped = appendFitted(dst, r, p, d, room); dropped < 0 {
		return dst[:start], dropped
	}
	dst = dhcp4.Pad(dst, msg, minMessage)
	h.Finish(dst[start:])
	return dst, dropped
}

// fullLen is the length of the message with all its options, without padding.
// It is known beforehand so that a client whose echoes are long cannot make
// the reply outgrow its slot.
func fullLen(r *Request, p *Prepared, d *Decision) int {
	n := headerLen
	if d.Type != 0 {
		n += identityLen
	}
	if d.Verdict == engine.Nak {
		return n + optLen(len(d.Reason)) + r.endLen()
	}
	if d.leased(r) {
		n += timesLen
	}
	return n + len(d.Binding.opts.Value()) + len(p.body.Value()) + len(d.boot.opts.Value()) + r.echoLen(d)
}

// Lengths of parts of a message.
const (
	headerLen   = 240
	identityLen = 3 + 6
	timesLen    = 3 * 6
)

// optLen is the length of an option with n bytes of value.
func optLen(n int) int { return n + 2*max(1, (n+254)/255) }

// echoLen is the length of what appendEchoes appends, endLen that of appendEnd
// and the client-id before it.
func (r *Request) echoLen(d *Decision) int {
	n := r.endLen()
	if r.echoesClass(d) {
		n += optLen(len(httpClass))
	}
	if r.echoesUUID(d) {
		n += optLen(len(r.uuid))
	}
	if r.subnetSet {
		n += optLen(4)
	}
	return n
}

func (r *Request) endLen() int {
	n := 1
	if r.clientID != nil {
		n += optLen(len(r.clientID))
	}
	if r.agent != nil {
		n += optLen(len(r.agent))
	}
	return n
}

// room is how long the message may be: what the client takes, what the
// interface sends in one piece (a raw socket does not fragment), and what a
// frame slot holds.
func (r *Request) room() int {
	n := min(r.maxSize, engine.FrameSize-64)
	if r.Link.MTU > 0 {
		n = min(n, r.Link.MTU)
	}
	return n - ipUDP
}

// appendHeader appends the fixed part (RFC 2131 section 4.3.1, table 3).
func appendHeader(dst []byte, r *Request, d *Decision) []byte {
	h := dhcp4.Header{
		Op: dhcp4.OpReply, HType: dhcp4.HTypeEthernet, HLen: 6, XID: r.Msg.XID(),
		Flags: r.Msg.Flags(), GIAddr: r.Msg.GIAddr(), CHAddr: r.Msg.CHAddr(),
	}
	if d.Verdict == engine.Nak {
		if h.GIAddr != [4]byte{} {
			h.Flags |= dhcp4.FlagBroadcast
		}
		return dhcp4.AppendHeader(dst, &h)
	}
	if d.Type != dhcp4.Offer {
		h.CIAddr = r.Msg.CIAddr()
	}
	if r.Type != dhcp4.Inform {
		h.YIAddr = d.Binding.yiaddr()
	}
	h.SIAddr, h.File = d.boot.siaddr, d.boot.file.Value()
	return dhcp4.AppendHeader(dst, &h)
}

// appendFull appends the whole message.
func appendFull(dst []byte, r *Request, p *Prepared, d *Decision) []byte {
	dst = appendHeader(dst, r, d)
	dst = appendIdentity(dst, d)
	if d.Verdict == engine.Nak { // 53, 54, 56, 61 and 82: no more is allowed
		dst = dhcp4.AppendOptionString(dst, dhcp4.OptMessage, d.Reason)
		return appendEnd(appendClientID(dst, r), r)
	}
	if d.leased(r) {
		dst = dhcp4.AppendUint32(dst, dhcp4.OptLeaseTime, p.lease)
		dst = dhcp4.AppendUint32(dst, dhcp4.OptRenewal, p.t1)
		dst = dhcp4.AppendUint32(dst, dhcp4.OptRebinding, p.t2)
	}
	dst = append(dst, d.Binding.opts.Value()...)
	dst = append(dst, p.body.Value()...)
	dst = append(dst, d.boot.opts.Value()...)
	return appendEchoes(dst, r, d)
}

// leased reports whether the answer gives a lease: not to INFORM, nor to BOOTP.
func (d *Decision) leased(r *Request) bool { return d.Type != 0 && r.Type != dhcp4.Inform }

func appendIdentity(dst []byte, d *Decision) []byte {
	if d.Type == 0 {
		return dst
	}
	dst = dhcp4.AppendByte(dst, dhcp4.OptMessageType, byte(d.Type))
	return dhcp4.AppendAddr(dst, dhcp4.OptServerID, d.Server)
}

const httpClass = "HTTPClient"

// echoesClass: what boots by HTTP wants its class back (UEFI, HTTP Boot),
// unless the host sets one.
func (r *Request) echoesClass(d *Decision) bool {
	return r.httpBoot() && d.boot.flags&hasVendorClass == 0
}

func (r *Request) echoesUUID(d *Decision) bool { return r.uuid != nil && d.boot.flags&hasUUID == 0 }

// appendEchoes appends what the client gets back of its own: 60 of an HTTP
// boot, machine id (RFC 4578), client-id (RFC 6842), subnet selection (RFC
// 3011), and the relay's option last (RFC 3046 section 2.2).
func appendEchoes(dst []byte, r *Request, d *Decision) []byte {
	if r.echoesClass(d) {
		dst = dhcp4.AppendOptionString(dst, dhcp4.OptVendorClass, httpClass)
	}
	if r.echoesUUID(d) {
		dst = dhcp4.AppendOption(dst, dhcp4.OptUUID, r.uuid)
	}
	dst = appendClientID(dst, r)
	if r.subnetSet {
		dst = dhcp4.AppendAddr(dst, dhcp4.OptSubnetSelection, bytes4(r.subnet))
	}
	return appendEnd(dst, r)
}

func appendClientID(dst []byte, r *Request) []byte {
	if r.clientID == nil {
		return dst
	}
	return dhcp4.AppendOption(dst, dhcp4.OptClientID, r.clientID)
}

func appendEnd(dst []byte, r *Request) []byte {
	if r.agent != nil {
		dst = dhcp4.AppendOption(dst, dhcp4.OptAgentInfo, r.agent)
	}
	return dhcp4.AppendEnd(dst)
}

// frameHeader says where the reply goes (RFC 2131 section 4.1). It leaves on
// the VLAN that the request came in on.
func (r *Request) frameHeader(d *Decision) frame.Header {
	h := frame.Header{
		EthSrc: r.Link.MAC, Outer: r.outer, Tags: r.Frame.Tags, NTags: r.Frame.NTags,
		ID: uint16(r.Msg.XID()), Src: d.Source, SrcPort: dhcp4.ServerPort, DstPort: dhcp4.ClientPort,
	}
	giaddr, ciaddr := r.Msg.GIAddr(), r.Msg.CIAddr()
	switch {
	case giaddr != [4]byte{}:
		h.Dst, h.DstPort = giaddr, dhcp4.ServerPort
		if r.relayPort { // RFC 8357 section 4
			h.DstPort = r.Frame.SrcPort
		}
		h.EthDst = r.hop(giaddr)
	case d.Verdict != engine.Nak && ciaddr != [4]byte{}:
		h.Dst, h.EthDst = ciaddr, r.hop(ciaddr)
	case d.Verdict == engine.Nak || r.Msg.Broadcast():
		h.Dst, h.EthDst = [4]byte{255, 255, 255, 255}, ethBroadcast
	default:
		h.Dst, h.EthDst = d.Binding.yiaddr(), r.MAC
	}
	return h
}

// hop is the layer 2 address on the way to ip: what the kernel knows, else
// whoever handed us the request.
func (r *Request) hop(ip [4]byte) [6]byte {
	if mac, ok := r.Link.NextHop(netip.AddrFrom4(ip)); ok {
		return mac
	}
	return r.Frame.EthSrc
}
