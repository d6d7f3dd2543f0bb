package fuzz

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// dissected is a frame as gopacket reads it, as far as it gets.
type dissected struct {
	eth       layers.Ethernet
	tags      []frame.Tag
	ip        layers.IPv4
	udp       layers.UDP
	packet    []byte // from the IPv4 header on
	short     bool   // something is longer than what holds it
	typ       layers.EthernetType
	ipErr     error
	udpErr    error
	hasIP     bool
	hasHeader bool
}

// SetTruncated implements gopacket.DecodeFeedback.
func (d *dissected) SetTruncated() { d.short = true }

// dissect takes a frame apart layer by layer: gopacket's own walk would go on to
// what UDP carries, and knows no tag 9100.
func dissect(b []byte) (d dissected) {
	if d.eth.DecodeFromBytes(b, &d) != nil {
		return d
	}
	d.hasHeader = true
	d.typ, d.packet = layers.EthernetType(binary.BigEndian.Uint16(b[12:])), b[14:]
	for d.typ == 0x8100 || d.typ == 0x88a8 || d.typ == 0x9100 {
		var q layers.Dot1Q
		if q.DecodeFromBytes(d.packet, &d) != nil {
			return d
		}
		tci := uint16(q.Priority)<<13 | q.VLANIdentifier
		if q.DropEligible {
			tci |= 1 << 12
		}
		d.tags = append(d.tags, frame.Tag{TPID: uint16(d.typ), TCI: tci})
		d.typ, d.packet = q.Type, q.Payload
	}
	if d.hasIP = d.typ == layers.EthernetTypeIPv4; !d.hasIP {
		return d
	}
	if d.ipErr = d.ip.DecodeFromBytes(d.packet, &d); d.ipErr == nil {
		d.udpErr = d.udp.DecodeFromBytes(d.ip.Payload, &d)
	}
	return d
}

// FuzzFrameAgainstGopacket: a frame reads as gopacket reads it, and what we
// refuse has the fault that we name. On purpose we are stricter: checksums (RFC 791 section 3.1,
// RFC 768), a total length or UDP length of 0 or beyond the frame (RFC 791 section 3.1, RFC 768),
// fragments, as a host need not put datagrams beyond 576 bytes together (RFC 791 section 3.2), and
// more than two tags (IEEE 802.1ad); and laxer with IPv4 options, which are not looked at (RFC 791
// section 3.1).
func FuzzFrameAgainstGopacket(f *testing.F) {
	corpus.Add(f, corpus.Frames(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var u frame.UDP4
		err := u.Parse(b, false)
		d := dissect(b)
		if err != nil {
			if !d.deserves(err) {
				t.Errorf("%v; gopacket: type %v, %d tags, %+v (%v), %+v (%v)", err, d.typ, len(d.tags), d.ip, d.ipErr, d.udp, d.udpErr)
			}
			return
		}
		if d.ipErr != nil && d.ip.IHL > 5 {
			return // its options
		}
		same := d.udpErr == nil && !d.short && len(d.tags) == u.NTags && d.hasIP &&
			bytes.Equal(d.eth.DstMAC, u.EthDst[:]) && bytes.Equal(d.eth.SrcMAC, u.EthSrc[:]) &&
			[4]byte(d.ip.SrcIP) == u.Src && [4]byte(d.ip.DstIP) == u.Dst && d.ip.TTL == u.TTL &&
			uint16(d.udp.SrcPort) == u.SrcPort && uint16(d.udp.DstPort) == u.DstPort && bytes.Equal(d.udp.Payload, u.Payload)
		for i := range d.tags {
			same = same && d.tags[i] == u.Tags[i]
		}
		if !same {
			t.Errorf("%+v; gopacket: %+v", u, d)
		}
	})
}

// deserves reports whether the frame has the fault that we found.
func (d *dissected) deserves(err error) bool {
	switch err {
	case frame.ErrShort:
		return !d.hasHeader || d.short || d.hasIP && d.ipErr != nil
	case frame.ErrNotIPv4:
		return !d.hasIP || len(d.tags) > 2
	case frame.ErrIPHeader:
		return d.ipErr != nil || d.short || d.ip.Version != 4 || binary.BigEndian.Uint16(d.packet[2:]) == 0
	case frame.ErrIPChecksum:
		return sum(d.packet[:min(len(d.packet), int(d.packet[0]&15)*4)]) != 0xffff
	case frame.ErrNotUDP:
		return d.ip.Protocol != layers.IPProtocolUDP
	case frame.ErrFragment:
		return d.ip.Flags&layers.IPv4MoreFragments != 0 || d.ip.FragOffset != 0
	}
	if d.ipErr != nil && d.ip.IHL > 5 {
		return true // its options
	}
	if err == frame.ErrUDPLength {
		return d.udpErr != nil || d.short || d.udp.Length == 0
	}
	udp := d.ip.Payload[:d.udp.Length]
	pseudo := binary.BigEndian.AppendUint16(bytes.Join([][]byte{d.ip.SrcIP, d.ip.DstIP, {0, 17}}, nil), d.udp.Length)
	return err == frame.ErrUDPChecksum && d.udp.Checksum != 0 && sum(append(pseudo, udp...)) != 0xffff
}

var _ gopacket.DecodeFeedback = &dissected{}
