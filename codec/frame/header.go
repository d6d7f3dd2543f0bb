package frame

const defaultTTL = 64

// Header is everything in front of the payload of a frame to send. A frame is
// made in three steps: AppendTo, append the payload, Finish.
type Header struct {
	EthDst, EthSrc [6]byte

	// Outer is written before Tags unless its TPID is 0. A reply to a frame
	// whose outer tag the kernel took out names that one here, and copies the
	// tags that were left in line.
	Outer Tag
	Tags  [2]Tag // outer one first; NTags of them are written
	NTags int    // 0 to 2

	Src, Dst         [4]byte
	SrcPort, DstPort uint16
	TTL              uint8  // 0 means 64
	ID               uint16 // IPv4 identification
}

// Len is the number of bytes that AppendTo writes: 42, and 4 for each tag.
func (h *Header) Len() int { return h.ethLen() + ipLen + udpLen }

// ethLen is the length of the Ethernet header with its tags.
func (h *Header) ethLen() int {
	n := ethLen + h.NTags*tagLen
	if h.Outer.TPID != 0 {
		n += tagLen
	}
	return n
}

// AppendTo appends the Ethernet header with its tags, the IPv4 header without
// options (may be fragmented: DF is not set) and the UDP header, and returns
// the extended slice. Lengths and checksums are zero until Finish.
func (h *Header) AppendTo(dst []byte) []byte {
	dst = append(dst, h.EthDst[:]...)
	dst = append(dst, h.EthSrc[:]...)
	if h.Outer.TPID != 0 {
		dst = appendTag(dst, h.Outer)
	}
	for _, t := range h.Tags[:h.NTags] {
		dst = appendTag(dst, t)
	}
	ttl := h.TTL
	if ttl == 0 {
		ttl = defaultTTL
	}
	return append(dst,
		typeIPv4>>8, typeIPv4&0xff,
		0x45, 0, 0, 0, // version 4, five words; TOS; total length
		byte(h.ID>>8), byte(h.ID), 0, 0, // identification; flags and offset
		ttl, protoUDP, 0, 0, // checksum
		h.Src[0], h.Src[1], h.Src[2], h.Src[3],
		h.Dst[0], h.Dst[1], h.Dst[2], h.Dst[3],
		byte(h.SrcPort>>8), byte(h.SrcPort), byte(h.DstPort>>8), byte(h.DstPort),
		0, 0, 0, 0, // length, checksum
	)
}

func appendTag(dst []byte, t Tag) []byte {
	return append(dst, byte(t.TPID>>8), byte(t.TPID), byte(t.TCI>>8), byte(t.TCI))
}

// Finish fills in the lengths and both checksums of frame: the bytes that
// AppendTo wrote, first byte to last, and the payload after them. The UDP
// checksum is in full; one that comes out as 0 is written as 0xffff, because 0
// says that there is none (RFC 768). Finish may be called again after a change.
// The payload is at most 65,507 bytes, and the MTU less 28 if the frame is not
// to be refused by the link.
func (h *Header) Finish(frame []byte) {
	ip := frame[h.ethLen():]
	udp := ip[ipLen:]

	// All sums come before all stores, and skip what stands in the fields to
	// fill: an eight-byte load right after a store into its midst stalls.
	const second = 0xffff << 16 // the second field of eight bytes
	ipSum := add(le64(ip)&^second, le64(ip[8:])&^second)
	ipSum = add(ipSum, uint64(le32(ip[16:]))+length(len(ip)))
	ports := uint64(le32(udp))
	udpSum := sum(pseudo(ip, len(udp))+ports+length(len(udp)), udp[udpLen:])

	putBE16(ip[2:], uint16(len(ip)))
	putLE16(ip[10:], ^fold(ipSum))
	putBE16(udp[4:], uint16(len(udp)))
	csum := ^fold(udpSum)
	if csum == 0 {
		csum = 0xffff
	}
	putLE16(udp[6:], csum)
}
