// Package frame reads and writes UDP datagrams over IPv4 as they stand on an
// Ethernet: Ethernet II, up to two VLAN tags, IPv4 with options, UDP. It reads
// and writes the caller's memory and never allocates. It imports only errors
// and math/bits.
package frame

// Sizes in bytes.
const (
	ethLen = 14 // both addresses and the ethertype
	tagLen = 4  // TPID and TCI
	ipLen  = 20 // IPv4 header without options
	udpLen = 8
)

const (
	typeIPv4 = 0x0800
	protoUDP = 17
)

// Tag is one VLAN tag. TPID is 0x8100 (IEEE 802.1Q), 0x88a8 (802.1ad, the
// outer tag of QinQ) or 0x9100 (QinQ before the standard); TCI holds priority,
// DEI and VLAN id.
type Tag struct{ TPID, TCI uint16 }

// VLAN gives the VLAN id: 0 to 4095, of which 0 means "priority only".
func (t Tag) VLAN() uint16 { return t.TCI & 0x0fff }

func isTag(ethertype uint16) bool {
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100
}
