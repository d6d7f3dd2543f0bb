package dhcp4

import "strconv"

// The op field.
const (
	OpRequest = 1 // client or relay to server
	OpReply   = 2 // server to client or relay
)

// HTypeEthernet is the htype of chaddrs of 6 bytes.
const HTypeEthernet = 1

// FlagBroadcast is the bit of the flags field by which a client asks for
// broadcast replies (RFC 2131 section 2).
const FlagBroadcast = 0x8000

// The UDP ports. Relays listen on ServerPort too.
const (
	ServerPort = 67
	ClientPort = 68
)

// MessageType is the value of option 53 (RFC 2132 section 9.6).
type MessageType byte

// The message types of RFC 2131.
const (
	Discover MessageType = 1 + iota
	Offer
	Request
	Decline
	Ack
	Nak
	Release
	Inform
)

var typeNames = [...]string{
	Discover: "DISCOVER", Offer: "OFFER", Request: "REQUEST", Decline: "DECLINE",
	Ack: "ACK", Nak: "NAK", Release: "RELEASE", Inform: "INFORM",
}

// String gives the name without its DHCP, or "type 9" of those without a name
// here; the latter allocates.
func (t MessageType) String() string {
	if t >= Discover && int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

// Option codes. Where no RFC is named: RFC 2132.
const (
	OptPad             = 0 // one byte, no length
	OptSubnetMask      = 1
	OptRouter          = 3 // addresses
	OptDNS             = 6 // addresses
	OptHostname        = 12
	OptDomainName      = 15
	OptMTU             = 26 // uint16
	OptBroadcast       = 28 // address
	OptNTP             = 42 // addresses
	OptVendorSpecific  = 43
	OptRequestedIP     = 50
	OptLeaseTime       = 51 // uint32, seconds
	OptOverload        = 52 // 1 file, 2 sname, 3 both
	OptMessageType     = 53 // MessageType
	OptServerID        = 54 // address
	OptParameterList   = 55 // option codes
	OptMessage         = 56 // text of a NAK
	OptMaxSize         = 57 // uint16, bytes of IP packet
	OptRenewal         = 58 // uint32, seconds
	OptRebinding       = 59 // uint32, seconds
	OptVendorClass     = 60
	OptClientID        = 61
	OptTFTPServer      = 66
	OptBootFile        = 67
	OptUserClass       = 77  // RFC 3004
	OptAgentInfo       = 82  // RFC 3046; always the last one
	OptArch            = 93  // RFC 4578 section 2.1, uint16s
	OptNDI             = 94  // RFC 4578 section 2.2
	OptUUID            = 97  // RFC 4578 section 2.3
	OptSubnetSelection = 118 // RFC 3011, address
	OptDomainSearch    = 119 // RFC 3397
	OptClasslessRoutes = 121 // RFC 3442
	OptIPXE            = 175 // what iPXE encapsulates its own options in; no RFC
	OptPXELinuxMagic   = 208 // RFC 5071 section 3
	OptConfigFile      = 209 // RFC 5071 section 4
	OptPathPrefix      = 210 // RFC 5071 section 5
	OptRebootTime      = 211 // RFC 5071 section 6, uint32, seconds
	OptEnd             = 255 // one byte, no length
)

// Sub-options of OptAgentInfo.
const (
	AgentCircuitID     = 1  // RFC 3046 section 3.1
	AgentRemoteID      = 2  // RFC 3046 section 3.2
	AgentLinkSelection = 5  // RFC 3527, address
	AgentServerID      = 11 // RFC 5107, address
	AgentSourcePort    = 19 // RFC 8357, empty
)
