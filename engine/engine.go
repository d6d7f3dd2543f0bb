// Package engine moves frames: a Worker receives a batch from a Conn, hands
// each Packet to a Handler, counts its Verdict, and sends the replies as a
// batch. It knows no protocol and imports only the standard library. Nothing
// on the way from Recv to Send allocates, formats, logs or locks.
package engine

import (
	"net/netip"
	"time"
)

// BatchSize is the number of frames that one Recv or Send moves at most.
const BatchSize = 64

// FrameSize is the room of one frame slot: an MTU of 1,500 bytes, the Ethernet
// header and two VLAN tags, rounded up.
const FrameSize = 2048

// Packet is one received frame and what the kernel said of it. Data aliases
// the batch it came in: it is invalid once the batch is received into again.
type Packet struct {
	Data []byte // from the Ethernet header on, without FCS
	Link *Link  // the interface it came in on, as it was then; never nil

	// TPID and TCI are the outer VLAN tag that the kernel took out of Data
	// (TP_STATUS_VLAN_VALID); TPID 0 when it took none.
	TPID, TCI uint16

	// CsumPartial is set when the sender left the UDP checksum to its NIC
	// (TP_STATUS_CSUMNOTREADY): it is not to be verified.
	CsumPartial bool

	// Truncated is set when the frame was longer than its slot.
	Truncated bool

	// When is the time at which its batch was taken, in nanoseconds since 1970; 0
	// for a packet that came in none.
	When int64
}

// Now gives When, or asks the clock: for each packet anew that would be a tenth of
// the time that an answer takes.
func (p *Packet) Now() int64 {
	if p.When != 0 {
		return p.When
	}
	return time.Now().UnixNano()
}

// Link is an immutable snapshot of one interface. The Conn publishes a new one
// when addresses, routes, neighbours or the interface change.
type Link struct {
	Name  string
	Index int
	MAC   [6]byte
	MTU   int            // bytes of IP packet
	Up    bool           // administratively up and running
	Addrs []netip.Prefix // IPv4, as configured (address and length), primary first

	// VLANs holds the addresses of the interface's VLAN sub-interfaces by VLAN
	// id (for QinQ, by the outer id).
	VLANs map[uint16][]netip.Prefix

	// Neighbours holds the layer 2 addresses that the kernel knows on this
	// link; Gateways the next hop of routes that leave by it, longest first.
	Neighbours map[netip.Addr][6]byte
	Gateways   []Gateway

	// Local holds every IPv4 address of this machine, whatever interface has
	// it: a request sent to one of them is sent to us.
	Local map[netip.Addr]struct{}
}

// Gateway is a route over a next hop.
type Gateway struct {
	To  netip.Prefix
	Via netip.Addr
}

// AddrsOn gives the addresses that hold for frames of the given VLAN: those of
// its sub-interface if there is one, else the interface's own.
func (l *Link) AddrsOn(vlan uint16) []netip.Prefix {
	if vlan != 0 {
		if a, ok := l.VLANs[vlan]; ok {
			return a
		}
	}
	return l.Addrs
}

// NextHop gives the layer 2 address that the kernel would use to reach ip over
// this link, if it knows one. Of an address on the link itself that is no
// neighbour yet, it knows none: the default route is not the way there.
func (l *Link) NextHop(ip netip.Addr) (mac [6]byte, ok bool) {
	if mac, ok = l.Neighbours[ip]; ok {
		return mac, true
	}
	for i := range l.Gateways {
		if g := &l.Gateways[i]; g.To.Contains(ip) {
			if l.onLink(ip) >= g.To.Bits() {
				break
			}
			mac, ok = l.Neighbours[g.Via]
			return mac, ok
		}
	}
	return mac, false
}

// onLink gives the length of the longest of the link's own prefixes that holds
// ip, -1 if none does.
func (l *Link) onLink(ip netip.Addr) int {
	bits := longest(l.Addrs, ip)
	for _, addrs := range l.VLANs {
		bits = max(bits, longest(addrs, ip))
	}
	return bits
}

func longest(prefixes []netip.Prefix, ip netip.Addr) int {
	bits := -1
	for _, p := range prefixes {
		if p.Contains(ip) {
			bits = max(bits, p.Bits())
		}
	}
	return bits
}

// Handler answers packets. Handle appends at most one reply frame (from the
// Ethernet header on, VLAN tags in line) to dst and says how the packet ended.
// It returns a frame only with verdict Reply or Nak. It must not keep p or dst,
// never blocks and never allocates. Each Worker has a Handler of its own, so it
// needs no locks.
type Handler interface {
	Handle(dst []byte, p *Packet) ([]byte, Verdict)
}

// Ahead is what a Handler may implement too: it is shown a batch of several packets
// before the first of them is handled, so that the memory that they need is asked
// for at once. It may only look at them, and their When is not set yet.
type Ahead interface {
	Ahead(ps []Packet)
}

// Batch is what a Conn fills and empties. It is allocated once per Worker.
type Batch struct {
	Packets []Packet // received; at most BatchSize
	Replies [][]byte // to send; each aliases a slot of the batch
	// the conn's own memory for them is the conn's business
}

// Conn receives and sends frames in batches. One goroutine at a time.
type Conn interface {
	// Recv waits for frames and gives them in b.Packets. It returns
	// ErrStopped after Stop, and nil with no packets when it only looked
	// after its interface.
	Recv(b *Batch) error
	// Send sends b.Replies on the interface that the batch came from, and
	// returns how many the kernel took; the others are counted as TxDropped.
	Send(b *Batch) (sent int)
	// Stop wakes Recv for good. It may be called from any goroutine.
	Stop()
}
