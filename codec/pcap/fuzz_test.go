package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// FuzzAgainstPcapgo: what pcapgo reads is read alike, packet by packet, up to the first
// place where the two differ on purpose; and whatever it is, reading it ends. What pcapgo
// refuses, or has no packet of, is not compared: FuzzCapture of clusto-snmptrapd holds that each
// frame that we take stands in the file.
func FuzzAgainstPcapgo(f *testing.F) {
	for _, order := range orders {
		for _, c := range samples(order) {
			f.Add(c.b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		listed(b) // all of it
		if b = common(b); b == nil {
			return
		}
		theirs, link, err := openPcapgo(b)
		if err != nil {
			return
		}
		r, err := New(bytes.NewReader(b))
		if link != layers.LinkTypeEthernet {
			if want := LinkTypeError(link); !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			return
		}
		for n := 0; ; n++ {
			data, info, theirErr := theirs()
			if theirErr != nil {
				return
			}
			var p Packet
			if err == nil {
				p, err = r.Next()
			}
			if err != nil {
				t.Fatalf("packet %d: %v; pcapgo reads % x", n, err, data)
			}
			if !bytes.Equal(p.Data, data) || int(p.Len) != info.Length || !p.At.Equal(info.Timestamp) {
				t.Fatalf("packet %d: % x of %d bytes at %v; pcapgo: % x of %d bytes at %v", n, p.Data, p.Len, p.At, data, info.Length, info.Timestamp)
			}
		}
	})
}

// openPcapgo reads a capture with pcapgo, whose panics are errors.
func openPcapgo(b []byte) (next func() ([]byte, gopacket.CaptureInfo, error), link layers.LinkType, err error) {
	recovered := func(err *error) {
		if what := recover(); what != nil {
			*err = fmt.Errorf("panic: %v", what)
		}
	}
	defer recovered(&err)
	var c interface {
		ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
		LinkType() layers.LinkType
	}
	if isNG(b) {
		c, err = pcapgo.NewNgReader(bytes.NewReader(b), pcapgo.NgReaderOptions{ErrorOnMismatchingLinkType: true})
	} else {
		var r *pcapgo.Reader
		if r, err = pcapgo.NewReader(bytes.NewReader(b)); err == nil {
			// Its own bound is the file's, up to 4 GB, and 0 is a bound to it. That no packet is longer (pcap
			// section 4) we hold up to MaxPacket, and to us, as to libpcap, 0 is none.
			if r.Snaplen() == 0 || r.Snaplen() > MaxPacket {
				r.SetSnaplen(MaxPacket)
			}
			c = r
		}
	}
	if err != nil {
		return nil, 0, err
	}
	return func() (data []byte, info gopacket.CaptureInfo, err error) {
		defer recovered(&err)
		return c.ReadPacketData()
	}, c.LinkType(), nil
}

func isNG(b []byte) bool { return len(b) >= 12 && binary.BigEndian.Uint32(b) == sectionHeader }

// common is the beginning of a file that pcapgo and we read in one way.
func common(b []byte) []byte {
	if isNG(b) {
		return b[:commonBlocks(b)]
	}
	if len(b) < 24 || bytes.HasPrefix(b, []byte{0x1f, 0x8b}) { // gzip is no part of the format: we leave it to others, pcapgo reads what is in it
		return nil
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if b[0] == 0xa1 {
		order = binary.BigEndian
	}
	if order.Uint32(b[20:])&0xff00 > 0 {
		return nil // a link type has 16 bits (pcap section 4), to pcapgo 8
	}
	for at := 24; len(b)-at >= 16; at += 16 + int(order.Uint32(b[at+8:])) {
		// Microseconds wrap to pcapgo, at 4,294,967,296 ns (pcap section 5).
		if order.Uint32(b[at+4:]) > 4_294_967 && (b[0] == 0xd4 || b[3] == 0xd4) {
			return b[:at]
		}
	}
	return b
}

// commonBlocks is where the first block begins that is none to us, or another one.
func commonBlocks(b []byte) (at int) {
	var order binary.ByteOrder
	var snaps []uint32
	for ; len(b)-at >= 12; at += int(order.Uint32(b[at+4:])) {
		if b := b[at:]; isNG(b) {
			snaps, order = nil, binary.LittleEndian
			if b[8] == 0x1a {
				order = binary.BigEndian
			}
		}
		size, typ := int(order.Uint32(b[at+4:])), order.Uint32(b[at:])
		if size < 12 || size%4 > 0 { // the shortest block, and what all end at (pcapng section 3.1); to pcapgo, 8 bytes are one, and any end will do
			return at
		} else if size > len(b)-at {
			return at // cut off: a block has all of its length (pcapng section 3.1); pcapgo may make room for 4 GB of it
		}
		body := b[at+8 : at+size-4]
		switch {
		case typ == interfaceDescription && len(body) >= 8:
			if order.Uint16(body) > 0xff { // a link type has 16 bits (pcapng section 4.2), to pcapgo 8
				return at
			}
			snaps = append(snaps, order.Uint32(body[4:]))
			if !commonOptions(order, body[8:]) {
				return at
			}
		// A packet ends before its block's second length (pcapng section 3.1); to pcapgo, behind it.
		case typ == simplePacket && len(body) >= 4:
			n := order.Uint32(body)
			if len(snaps) > 0 && snaps[0] > 0 {
				n = min(n, snaps[0])
			}
			if int(n) > len(body)-4 {
				return at
			}
		case typ == enhancedPacket || typ == obsoletePacket:
			if len(body) < 20 || int(order.Uint32(body[12:])) > len(body)-20 {
				return at
			}
		}
	}
	return len(b)
}

// commonOptions looks for options of an interface that differ.
func commonOptions(order binary.ByteOrder, b []byte) bool {
	for len(b) >= 4 {
		code, n := order.Uint16(b), int(order.Uint16(b[2:]))
		padded := 4 + (n+3)/4*4
		switch {
		case code == 0:
			return true
		case padded > len(b): // options end before the block's second length (pcapng section 3.1)
			return false
		case code == 9 && n != 1, code == 14 && n != 8: // their lengths (pcapng section 4.2); pcapgo takes any, and of none the last option's value
			return false
		case code == 9 && (b[4] == 0 || b[4] > 19 && b[4] < 0x80 || b[4] > 0x89):
			// Whole seconds are microseconds to pcapgo; it overflows from 10^-20 on, and rounds parts of a second
			// that are powers of 2 under 2^-9 (pcapng section 4.2).
			return false
		}
		b = b[padded:]
	}
	return true
}

// TestCommonIsMost: the samples are not left out for their differences.
func TestCommonIsMost(t *testing.T) {
	whole, packets := 0, 0
	for _, order := range orders {
		for _, c := range samples(order) {
			if b := common(c.b); len(b) == len(c.b) {
				whole++
				if next, link, err := openPcapgo(b); err == nil && link == layers.LinkTypeEthernet {
					for _, _, err = next(); err == nil; _, _, err = next() {
						packets++
					}
				}
			}
		}
	}
	if whole < 35 || packets < 20 {
		t.Errorf("%d samples are compared, with %d packets", whole, packets)
	}
}
