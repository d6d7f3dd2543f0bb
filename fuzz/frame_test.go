package fuzz

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// dissected is a frame as gopacket reads it, as far as it gets.
type dissected struct {
	eth     layers.Ethernet
	whole   bool // as an Ethernet header
	tags    []frame.Tag
	typ     layers.EthernetType // of what follows the tags
	packet  []byte              // from the IPv4 header on
	ip      layers.IPv4
	ipCut   truncated // it is longer than the frame
	ipErr   error
	udp     layers.UDP
	udpCut  truncated // it is longer than the packet
	udpErr  error
	ignored truncated
}

// truncated implements gopacket.DecodeFeedback.
type truncated bool

// SetTruncated implements gopacket.DecodeFeedback.
func (d *truncated) SetTruncated() { *d = true }

var _ gopacket.DecodeFeedback = new(truncated)

// isTag: we are laxer than IEEE 802.1Q-2018 table 9-1, whose VLAN tags are 8100 and 88a8: 9100
// is of switches from before IEEE 802.1ad.
func isTag(typ layers.EthernetType) bool { return typ == 0x8100 || typ == 0x88a8 || typ == 0x9100 }

// dissect takes a frame apart layer by layer: gopacket's own walk would go on to
// what UDP carries, and knows no tag 9100.
func dissect(b []byte) (d dissected) {
	if d.eth.DecodeFromBytes(b, &d.ignored) != nil {
		return d
	}
	d.whole = true
	d.typ, d.packet = layers.EthernetType(binary.BigEndian.Uint16(b[12:])), b[14:]
	for isTag(d.typ) {
		var q layers.Dot1Q
		if q.DecodeFromBytes(d.packet, &d.ignored) != nil {
			return d
		}
		tci := uint16(q.Priority)<<13 | q.VLANIdentifier
		if q.DropEligible {
			tci |= 1 << 12
		}
		d.tags = append(d.tags, frame.Tag{TPID: uint16(d.typ), TCI: tci})
		d.typ, d.packet = q.Type, q.Payload
	}
	if d.typ != layers.EthernetTypeIPv4 {
		return d
	}
	if d.ipErr = d.ip.DecodeFromBytes(withoutOptions(d.packet), &d.ipCut); d.ipErr == nil {
		d.udpErr = d.udp.DecodeFromBytes(d.ip.Payload, &d.udpCut)
	}
	return d
}

// withoutOptions gives a packet whose options are all No Operation. We are laxer: options are not looked
// at, of which a host may ignore those that it does not know (RFC 1122 section 3.2.1.8).
func withoutOptions(packet []byte) []byte {
	if len(packet) < 20 {
		return packet
	}
	packet = bytes.Clone(packet)
	for i := 20; i < min(len(packet), headerLen(packet)); i++ {
		packet[i] = 1
	}
	return packet
}

func headerLen(packet []byte) int { return int(packet[0]&15) * 4 }

// FuzzFrameAgainstGopacket: a frame reads as gopacket reads it, and what we
// refuse has the fault that we name, and none before it.
func FuzzFrameAgainstGopacket(f *testing.F) {
	corpus.Add(f, corpus.Frames(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var u frame.UDP4
		d := dissect(b)
		if err, want := u.Parse(b, false), d.fault(); err != nil || want != nil {
			if err != want {
				t.Errorf("%v, want %v; gopacket: %+v", err, want, d)
			}
			return
		}
		if !slices.Equal(d.tags, u.Tags[:u.NTags]) ||
			!bytes.Equal(d.eth.DstMAC, u.EthDst[:]) || !bytes.Equal(d.eth.SrcMAC, u.EthSrc[:]) ||
			[4]byte(d.ip.SrcIP) != u.Src || [4]byte(d.ip.DstIP) != u.Dst || d.ip.TTL != u.TTL ||
			uint16(d.udp.SrcPort) != u.SrcPort || uint16(d.udp.DstPort) != u.DstPort || !bytes.Equal(d.udp.Payload, u.Payload) {
			t.Errorf("%+v; gopacket: %+v", u, d)
		}
	})
}

// fault gives the first thing for which the frame is to be refused, nil if there is none. Those in which we
// are stricter than gopacket on purpose have their section.
func (d *dissected) fault() error {
	switch {
	case !d.whole, isTag(d.typ) && len(d.tags) < 2:
		return frame.ErrShort
	case d.typ != layers.EthernetTypeIPv4,
		len(d.tags) > 2: // a service tag and a customer tag (IEEE 802.1ad)
		return frame.ErrNotIPv4
	case len(d.packet) < 20:
		return frame.ErrShort
	case d.ipErr != nil, bool(d.ipCut), // a packet has all of its total length (RFC 791 section 3.1)
		d.ip.Version != 4,                          // RFC 791 section 3.1
		binary.BigEndian.Uint16(d.packet[2:]) == 0: // the total length counts the header (RFC 791 section 3.1)
		return frame.ErrIPHeader
	case sum(d.packet[:headerLen(d.packet)]) != 0xffff: // RFC 791 section 3.1
		return frame.ErrIPChecksum
	case d.ip.Protocol != layers.IPProtocolUDP:
		return frame.ErrNotUDP
	case d.ip.Flags&layers.IPv4MoreFragments != 0, d.ip.FragOffset != 0: // they are not put together, though a host should up to 576 bytes (RFC 791 section 3.1)
		return frame.ErrFragment
	case d.udpErr != nil, bool(d.udpCut), // a datagram has all of its length (RFC 768)
		d.udp.Length == 0: // it is 8 at least (RFC 768)
		return frame.ErrUDPLength
	}
	pseudo := binary.BigEndian.AppendUint16(bytes.Join([][]byte{d.ip.SrcIP, d.ip.DstIP, {0, 17}}, nil), d.udp.Length)
	if d.udp.Checksum != 0 && sum(append(pseudo, d.ip.Payload[:d.udp.Length]...)) != 0xffff { // RFC 768
		return frame.ErrUDPChecksum
	}
	return nil
}
