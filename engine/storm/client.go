package storm

import (
	"time"

	"github.com/clusto/clusto-engine/codec/frame"
)

// Client is one simulated machine. The first block is given by the caller and
// may share slices with other clients; the second is written by Do and may be
// read when Do has returned.
type Client struct {
	MAC           [6]byte // chaddr and Ethernet source; unique within a Storm
	ClientID      []byte  // option 61 with its type byte; nil leaves it out
	VendorClass   string  // option 60; "" leaves it out
	ParameterList []byte  // option 55; nil leaves it out
	MaxSize       uint16  // option 57, bytes of IP packet; 0 leaves it out
	Options       []byte  // further options, encoded, without End
	Broadcast     bool    // sets the broadcast flag: replies are to be broadcast
	Tags          [2]frame.Tag
	NTags         int    // how many of Tags hold, outer one first; replies must bear the same VLAN ids
	Relay         *Relay // nil: on the server's own link

	// Addr, Server and ServerMAC are results of Discover, and may be given by
	// the caller where another verb comes first.
	Addr      [4]byte // yiaddr of the OFFER, then of the ACK
	Server    [4]byte // option 54
	ServerMAC [6]byte // Ethernet source of the reply: the server or its router

	XID          uint32        // of the last transaction
	State        State         // where the client ended
	Tries        int           // frames sent, retransmissions included
	Naks         int           // DHCPNAKs taken
	Lease        uint32        // option 51 of the last OFFER or ACK in seconds; 0 if it had none
	OfferLatency time.Duration // first frame to the OFFER that was taken
	Latency      time.Duration // first frame to the reply that ended the run
}

// Relay is a relay agent (RFC 2131 section 4.1, RFC 3046) between clients and
// server. It relays what clients broadcast; their unicasts do not pass it.
type Relay struct {
	Addr      [4]byte // giaddr, and the source of its packets
	MAC       [6]byte // Ethernet source; zero means the client's MAC
	Server    [4]byte // where it relays to; zero means 255.255.255.255
	ServerMAC [6]byte // zero means broadcast
	AgentInfo []byte  // value of option 82; nil leaves it out
}

// mac gives the relay's Ethernet address for a client.
func (r *Relay) mac(c *Client) [6]byte {
	if r.MAC == ([6]byte{}) {
		return c.MAC
	}
	return r.MAC
}

// State is where a client stands, in the words of RFC 2131 figure 5 where it
// has one.
type State uint8

// The states. Those from Offered on are ends of a verb; TimedOut, Refused and
// NoAddress are failures.
const (
	Init State = iota
	Selecting
	Requesting
	Rebooting
	Renewing
	Rebinding
	Informing
	Declining
	Releasing
	Offered   // has an OFFER and did not ask for more
	Bound     // has an ACK
	Informed  // has the ACK of an INFORM
	Declined  // sent a DECLINE
	Released  // sent a RELEASE
	TimedOut  // the schedule ended without a reply
	Refused   // more NAKs than allowed
	NoAddress // the verb needs an address (and server), and there is none
	states
)

var stateNames = [states]string{
	Init: "init", Selecting: "selecting", Requesting: "requesting", Rebooting: "rebooting",
	Renewing: "renewing", Rebinding: "rebinding", Informing: "informing", Declining: "declining",
	Releasing: "releasing", Offered: "offered", Bound: "bound", Informed: "informed",
	Declined: "declined", Released: "released", TimedOut: "timed out", Refused: "refused",
	NoAddress: "no address",
}

// String gives the state as reports spell it.
func (s State) String() string {
	if s >= states {
		return "invalid"
	}
	return stateNames[s]
}

// Failed says whether the client ended without what it wanted.
func (s State) Failed() bool { return s >= TimedOut }
