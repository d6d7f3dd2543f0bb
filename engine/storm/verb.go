package storm

import (
	"math/bits"

	"github.com/clusto/clusto-engine/codec/dhcp4"
)

// Verb is something that a client does; several are joined with |. Each client
// does them in the order of the constants, whatever the others do.
type Verb uint16

// The verbs, by the sections of RFC 2131 that describe them. All but Discover
// and Request use the Addr that Discover brought or the caller gave.
const (
	Discover   Verb = 1 << iota // DISCOVER for an OFFER (4.4.1)
	Request                     // REQUEST the OFFER, for an ACK (4.3.2, SELECTING)
	InitReboot                  // REQUEST Addr without a server (4.3.2, INIT-REBOOT)
	Renew                       // unicast REQUEST to Server (4.3.2, RENEWING)
	Rebind                      // broadcast REQUEST with ciaddr (4.3.2, REBINDING)
	Inform                      // broadcast INFORM with ciaddr (4.4.3)
	Decline                     // DECLINE, which has no reply (4.4.4)
	Release                     // unicast RELEASE, which has no reply (4.4.6)
	verbsEnd

	// DORA is the whole acquisition: DISCOVER, OFFER, REQUEST, ACK.
	DORA = Discover | Request
)

// step is what there is to know of one verb.
type step struct {
	kind        dhcp4.MessageType // sent
	want        dhcp4.MessageType // awaited; 0 if nothing is
	doing, done State
	nak         bool // a NAK is an answer to it
	addr        bool // needs Client.Addr
	server      bool // needs Client.Server
}

var steps = [...]step{
	{kind: dhcp4.Discover, want: dhcp4.Offer, doing: Selecting, done: Offered},
	{kind: dhcp4.Request, want: dhcp4.Ack, doing: Requesting, done: Bound, nak: true, addr: true, server: true},
	{kind: dhcp4.Request, want: dhcp4.Ack, doing: Rebooting, done: Bound, nak: true, addr: true},
	{kind: dhcp4.Request, want: dhcp4.Ack, doing: Renewing, done: Bound, nak: true, addr: true, server: true},
	{kind: dhcp4.Request, want: dhcp4.Ack, doing: Rebinding, done: Bound, nak: true, addr: true},
	{kind: dhcp4.Inform, want: dhcp4.Ack, doing: Informing, done: Informed, addr: true},
	{kind: dhcp4.Decline, doing: Declining, done: Declined, addr: true, server: true},
	{kind: dhcp4.Release, doing: Releasing, done: Released, addr: true, server: true},
}

// first is the one of several verbs that comes first; 0 of none.
func (v Verb) first() Verb { return v & -v }

// step describes one verb.
func (v Verb) step() *step { return &steps[bits.TrailingZeros16(uint16(v))] }

// message is what client c sends for one verb (RFC 2131 table 5).
func (v Verb) message(c *Client) Message {
	m := Message{Type: v.step().kind, XID: c.XID}
	switch v {
	case Request, Decline:
		m.Requested, m.ServerID = c.Addr, c.Server
	case InitReboot:
		m.Requested = c.Addr
	case Rebind, Inform:
		m.CIAddr = c.Addr
	case Renew:
		m.CIAddr, m.Unicast = c.Addr, true
	case Release:
		m.CIAddr, m.ServerID, m.Unicast = c.Addr, c.Server, true
	}
	return m
}
