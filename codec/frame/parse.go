package frame

import "errors"

// What Parse finds wrong with a frame, or not its business. They come as they
// are, never wrapped.
var (
	ErrShort       = errors.New("frame: ends inside the Ethernet or IPv4 header")
	ErrNotIPv4     = errors.New("frame: not IPv4, or under more than two VLAN tags")
	ErrIPHeader    = errors.New("frame: IPv4 version, header length or total length is wrong")
	ErrIPChecksum  = errors.New("frame: IPv4 header checksum is wrong")
	ErrNotUDP      = errors.New("frame: not UDP")
	ErrFragment    = errors.New("frame: fragment of a datagram")
	ErrUDPLength   = errors.New("frame: UDP length is under 8 or beyond the IPv4 packet")
	ErrUDPChecksum = errors.New("frame: UDP checksum is wrong")
)

// UDP4 is a frame with a UDP datagram over IPv4, parsed. It is reused from
// frame to frame; its fields are valid if Parse returned nil.
type UDP4 struct {
	EthDst, EthSrc   [6]byte
	Tags             [2]Tag // the tags in the frame, outer one first; NTags of them hold
	NTags            int
	Src, Dst         [4]byte
	SrcPort, DstPort uint16
	TTL              uint8
	Payload          []byte // what UDP carries; aliases the frame
}

// Parse reads the frame b, from the Ethernet header on, without FCS. It checks
// the IPv4 header (RFC 791 section 3.1) with its checksum, and the UDP length
// and checksum (RFC 768), of which 0 means none. It tolerates what follows the
// IPv4 packet (Ethernet padding) and what follows the datagram inside the
// packet. csumPartial says that the sender left the UDP checksum to its NIC:
// then that one is not verified. Parse returns one of this package's errors,
// with ErrFragment the fields from EthDst to TTL are valid, and never allocates.
func (u *UDP4) Parse(b []byte, csumPartial bool) error {
	ip, err := u.parseEthernet(b)
	if err != nil {
		return err
	}
	hlen, total, err := checkIP(ip)
	if err != nil {
		return err
	}
	u.TTL = ip[8]
	u.Src, u.Dst = [4]byte(ip[12:16]), [4]byte(ip[16:20])
	const moreFragments, offset = 0x2000, 0x1fff
	if be16(ip[6:])&(moreFragments|offset) != 0 {
		return ErrFragment
	}
	return u.parseUDP(ip, ip[hlen:total], csumPartial)
}

// parseEthernet reads addresses and tags and gives what follows them.
func (u *UDP4) parseEthernet(b []byte) (ip []byte, err error) {
	if len(b) < ethLen {
		return nil, ErrShort
	}
	u.EthDst, u.EthSrc = [6]byte(b[0:6]), [6]byte(b[6:12])
	u.NTags = 0
	b = b[12:]
	for isTag(be16(b)) {
		if u.NTags == len(u.Tags) {
			return nil, ErrNotIPv4
		}
		if len(b) < tagLen+2 {
			return nil, ErrShort
		}
		u.Tags[u.NTags] = Tag{be16(b), be16(b[2:])}
		u.NTags++
		b = b[tagLen:]
	}
	if be16(b) != typeIPv4 {
		return nil, ErrNotIPv4
	}
	return b[2:], nil
}

// checkIP checks an IPv4 header with all its bytes, and that UDP follows it. The checksum comes before the fields that it covers.
func checkIP(ip []byte) (hlen, total int, err error) {
	if len(ip) < ipLen {
		return 0, 0, ErrShort
	}
	hlen, total = int(ip[0]&0x0f)*4, int(be16(ip[2:]))
	if ip[0]>>4 != 4 || hlen < ipLen || total < hlen || total > len(ip) {
		return 0, 0, ErrIPHeader
	}
	if fold(sum(0, ip[:hlen])) != 0xffff {
		return 0, 0, ErrIPChecksum
	}
	if ip[9] != protoUDP {
		return 0, 0, ErrNotUDP
	}
	return hlen, total, nil
}

// parseUDP reads the datagram at the start of b, the payload of the packet ip.
func (u *UDP4) parseUDP(ip, b []byte, csumPartial bool) error {
	if len(b) < udpLen {
		return ErrUDPLength
	}
	n := int(be16(b[4:]))
	if n < udpLen || n > len(b) {
		return ErrUDPLength
	}
	none := b[6]|b[7] == 0
	if !csumPartial && !none && fold(sum(pseudo(ip, n), b[:n])) != 0xffff {
		return ErrUDPChecksum
	}
	u.SrcPort, u.DstPort = be16(b), be16(b[2:])
	u.Payload = b[udpLen:n:n]
	return nil
}
