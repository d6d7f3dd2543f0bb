package dhcp

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

// Request is one parsed frame with a DHCP or BOOTP request in it. It aliases
// the packet. It is reused for every frame of a worker.
type Request struct {
	Link  *engine.Link
	Frame frame.UDP4
	Msg   dhcp4.View
	Opts  dhcp4.Index
	MAC   clusto.MAC        // chaddr
	Type  dhcp4.MessageType // 0 for BOOTP

	requested, serverID, subnet uint32    // options 50, 54, 118; 0 if absent
	linkSel, idOverride         uint32    // sub-options 82.5 and 82.11; 0 if absent
	agent                       []byte    // option 82, nil if absent
	clientID, uuid, prl         []byte    // options 61, 97, 55; nil if absent
	vendorClass                 []byte    // option 60
	maxSize                     int       // option 57, at least 576
	subnetSet, relayPort        bool      // option 118 and sub-option 82.19 (RFC 8357) are present
	outer                       frame.Tag // that the kernel took out; TPID 0 if none
	dst                         netip.Addr
}

// Parse reads the request in p. It returns None when the request may be looked
// up, else the verdict that ends it: Malformed, BadChecksum or NotForUs.
func (r *Request) Parse(p *engine.Packet) engine.Verdict {
	if p.Truncated {
		return engine.Malformed
	}
	if err := r.Frame.Parse(p.Data, p.CsumPartial); err != nil {
		return frameVerdict(err)
	}
	if r.Frame.DstPort != dhcp4.ServerPort {
		return engine.NotForUs
	}
	r.Link, r.outer = p.Link, frame.Tag{TPID: p.TPID, TCI: p.TCI}
	r.dst = netip.AddrFrom4(r.Frame.Dst)
	if !r.sentToUs() {
		return engine.NotForUs
	}
	return r.message()
}

// likelyMAC gives chaddr of a frame without VLAN tags and IP options, which most are.
// Nothing of it is checked.
func likelyMAC(frame []byte) (mac clusto.MAC, ok bool) {
	const chaddr = 14 + 20 + 8 + 28 // behind Ethernet, IPv4 and UDP header
	if len(frame) < chaddr+6 {
		return mac, false
	}
	return clusto.MAC(frame[chaddr : chaddr+6]), true
}

func frameVerdict(err error) engine.Verdict {
	switch {
	case errors.Is(err, frame.ErrNotIPv4), errors.Is(err, frame.ErrNotUDP):
		return engine.NotForUs
	case errors.Is(err, frame.ErrIPChecksum), errors.Is(err, frame.ErrUDPChecksum):
		return engine.BadChecksum
	}
	return engine.Malformed
}

// vlan is the id of the outer tag, wherever the kernel left it; 0 for none, or
// for a tag that carries a priority alone.
func (r *Request) vlan() uint16 {
	if r.outer.TPID != 0 {
		return r.outer.VLAN()
	}
	if r.Frame.NTags == 0 {
		return 0
	}
	return r.Frame.Tags[0].VLAN()
}

// sentToUs reports whether the request was broadcast or sent to an address of
// this machine. What is only passing through is another server's.
func (r *Request) sentToUs() bool {
	if r.Frame.Dst == [4]byte{255, 255, 255, 255} || r.ours(r.dst) {
		return true
	}
	for _, p := range r.Link.AddrsOn(r.vlan()) {
		if subnetBroadcast(p) == r.dst {
			return true
		}
	}
	return false
}

func subnetBroadcast(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|^uint32(0)>>p.Bits())
	return netip.AddrFrom4(a)
}

func (r *Request) message() engine.Verdict {
	var err error
	if r.Msg, err = dhcp4.Parse(r.Frame.Payload); err != nil || r.Msg.Op() != dhcp4.OpRequest {
		return engine.Malformed
	}
	if r.Msg.HType() != dhcp4.HTypeEthernet || r.Msg.HLen() != 6 {
		return engine.NotForUs
	}
	if r.Opts.Build(r.Msg) != nil {
		return engine.Malformed
	}
	r.MAC = r.Msg.MAC()
	if !r.options() || r.stray(r.Msg.GIAddr()) || r.stray(r.Msg.CIAddr()) {
		return engine.Malformed
	}
	switch r.Type {
	case 0, dhcp4.Discover, dhcp4.Request, dhcp4.Decline, dhcp4.Release, dhcp4.Inform:
		return engine.None
	}
	return engine.NotForUs
}

// stray reports whether giaddr or ciaddr is set and no host's: they have to be an
// address of the relay's own (RFC 1542 section 4.1.1) and of the client's (RFC 2131
// table 1), to which the reply goes (section 4.1), and no host has one of 0.0.0.0/8,
// loopback, multicast or broadcast (RFC 1122 section 3.2.1.3).
func (r *Request) stray(ip [4]byte) bool {
	switch {
	case ip == [4]byte{}:
		return false
	case ip[0] == 0, ip[0] == 127, ip[0]>>4 == 0xe, ip == [4]byte{255, 255, 255, 255}:
		return true
	}
	for _, p := range r.Link.AddrsOn(r.vlan()) {
		if p.Bits() < 31 && subnetBroadcast(p) == netip.AddrFrom4(ip) { // RFC 3021: a /31 has none
			return true
		}
	}
	return false
}

// options takes out what the policy decides on. It reports false when one of
// these has a length that its definition does not allow.
func (r *Request) options() bool {
	typ, hasType := r.Opts.Get(dhcp4.OptMessageType)
	r.Type = 0
	if hasType {
		if len(typ) != 1 || typ[0] == 0 {
			return false
		}
		r.Type = dhcp4.MessageType(typ[0])
	}
	var ok50, ok54, ok118 bool
	r.requested, _, ok50 = r.addr(dhcp4.OptRequestedIP)
	r.serverID, _, ok54 = r.addr(dhcp4.OptServerID)
	r.subnet, r.subnetSet, ok118 = r.addr(dhcp4.OptSubnetSelection)
	r.clientID, _ = r.Opts.Get(dhcp4.OptClientID)
	r.uuid, _ = r.Opts.Get(dhcp4.OptUUID)
	r.prl, _ = r.Opts.Get(dhcp4.OptParameterList)
	r.vendorClass, _ = r.Opts.Get(dhcp4.OptVendorClass)
	r.relay()
	return ok50 && ok54 && ok118 && r.size()
}

func (r *Request) addr(code byte) (ip uint32, present, ok bool) {
	b, present := r.Opts.Get(code)
	if !present {
		return 0, false, true
	}
	if len(b) != 4 {
		return 0, true, false
	}
	return binary.BigEndian.Uint32(b), true, true
}

// size is what option 57 allows, 576 at least (RFC 2132 section 9.10).
func (r *Request) size() bool {
	b, ok := r.Opts.Get(dhcp4.OptMaxSize)
	r.maxSize = minDatagram
	if !ok {
		return true
	}
	if len(b) != 2 {
		return false
	}
	r.maxSize = max(minDatagram, int(binary.BigEndian.Uint16(b)))
	return true
}

func (r *Request) relay() {
	r.linkSel, r.idOverride, r.relayPort = 0, 0, false
	r.agent, _ = r.Opts.Get(dhcp4.OptAgentInfo)
	if r.agent == nil {
		return
	}
	if b, ok := dhcp4.AgentSub(r.agent, dhcp4.AgentLinkSelection); ok && len(b) == 4 {
		r.linkSel = binary.BigEndian.Uint32(b)
	}
	if b, ok := dhcp4.AgentSub(r.agent, dhcp4.AgentServerID); ok && len(b) == 4 {
		r.idOverride = binary.BigEndian.Uint32(b)
	}
	_, r.relayPort = dhcp4.AgentSub(r.agent, dhcp4.AgentSourcePort)
}

func word(a [4]byte) uint32 { return binary.BigEndian.Uint32(a[:]) }

func bytes4(w uint32) (a [4]byte) {
	binary.BigEndian.PutUint32(a[:], w)
	return a
}

// firmware reports whether the client is boot firmware, which one NAK, or an
// option in the file field, can stop from booting.
func (r *Request) firmware() bool {
	return hasPrefix(r.vendorClass, "PXEClient") || r.httpBoot()
}

func (r *Request) httpBoot() bool { return hasPrefix(r.vendorClass, "HTTPClient") }

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
