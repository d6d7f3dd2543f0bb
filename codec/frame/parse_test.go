package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// plain is a datagram of 4 bytes from a client without an address.
var plain = []byte{
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // to everyone
	0x00, 0x1e, 0xc9, 0x00, 0x00, 0x01, // from the client
	0x08, 0x00, // IPv4
	0x45, 0x00, 0x00, 0x20, // version 4, 5 words; TOS; 32 bytes
	0x00, 0x00, 0x00, 0x00, // id; no flags, offset 0
	0x40, 0x11, 0x7a, 0xce, // TTL 64; UDP; checksum
	0x00, 0x00, 0x00, 0x00, // 0.0.0.0
	0xff, 0xff, 0xff, 0xff, // 255.255.255.255
	0x00, 0x44, 0x00, 0x43, // 68 to 67
	0x00, 0x0c, 0x12, 0xd2, // 12 bytes; checksum
	0xde, 0xad, 0x0d, 0xd0,
}

const plainIP = 14 // where the IPv4 header of plain begins

// tagged puts tags, as they stand on the wire, into a copy of plain.
func tagged(tags ...byte) []byte {
	return slices.Concat(plain[:12], tags, plain[12:])
}

// withIPOptions gives plain an IPv4 header of five words and those of options.
func withIPOptions(options ...byte) []byte {
	b := slices.Concat(plain[:plainIP+20], options, plain[plainIP+20:])
	ip := b[plainIP:]
	ip[0] = 0x40 | byte(5+len(options)/4)
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	return fixIP(b)
}

// edit changes a copy of plain.
func edit(change func(ip []byte)) []byte {
	b := bytes.Clone(plain)
	change(b[plainIP:])
	return b
}

// editIP changes a copy of plain and makes its IPv4 checksum right again.
func editIP(change func(ip []byte)) []byte { return fixIP(edit(change)) }

func fixIP(b []byte) []byte {
	ip := b[plainIP:]
	ip[10], ip[11] = 0, 0
	header := ip[:min(len(ip), int(ip[0]&15)*4)]
	binary.BigEndian.PutUint16(ip[10:], ^slowSum(0, header))
	return b
}

var (
	innerTag  = []byte{0x81, 0x00, 0x20, 0x07}                      // 802.1Q, priority 1, VLAN 7
	outerTags = append([]byte{0x88, 0xa8, 0x01, 0x00}, innerTag...) // 802.1ad, VLAN 256
)

var parseCases = []struct {
	name    string
	frame   []byte
	partial bool
	want    error
	tags    []Tag
}{
	{name: "plain", frame: plain},
	{name: "802.1Q", frame: tagged(innerTag...), tags: []Tag{{0x8100, 0x2007}}},
	{name: "QinQ", frame: tagged(outerTags...), tags: []Tag{{0x88a8, 0x0100}, {0x8100, 0x2007}}},
	{
		name: "802.1Q twice", frame: tagged(0x81, 0, 0, 1, 0x81, 0, 0, 2),
		tags: []Tag{{0x8100, 1}, {0x8100, 2}},
	},
	{
		name: "QinQ before the standard", frame: tagged(0x91, 0, 0, 1, 0x81, 0, 0, 2),
		tags: []Tag{{0x9100, 1}, {0x8100, 2}},
	},
	{name: "three tags", frame: tagged(append(outerTags, innerTag...)...), want: ErrNotIPv4},
	{name: "cut in the second tag", frame: tagged(outerTags...)[:19], want: ErrShort},
	{name: "cut behind the second tag", frame: tagged(outerTags...)[:22], want: ErrShort},

	{name: "ARP", frame: slices.Concat(plain[:12], []byte{0x08, 0x06}, plain[14:]), want: ErrNotIPv4},
	{name: "IPv6", frame: slices.Concat(plain[:12], []byte{0x86, 0xdd}, plain[14:]), want: ErrNotIPv4},
	{name: "802.3 length", frame: slices.Concat(plain[:12], []byte{0x00, 0x20}, plain[14:]), want: ErrNotIPv4},
	{name: "empty", frame: nil, want: ErrShort},

	{name: "router alert", frame: withIPOptions(0x94, 4, 0, 0)},
	{name: "forty bytes of options", frame: withIPOptions(make([]byte, 40)...)},
	{name: "version 5", frame: editIP(func(ip []byte) { ip[0] = 0x55 }), want: ErrIPHeader},
	{name: "four words", frame: editIP(func(ip []byte) { ip[0] = 0x44 }), want: ErrIPHeader},
	{name: "header over total", frame: editIP(func(ip []byte) { ip[0] = 0x48; ip[3] = 31 }), want: ErrIPHeader},
	{name: "total under header", frame: editIP(func(ip []byte) { ip[3] = 19 }), want: ErrIPHeader},
	{name: "total over frame", frame: editIP(func(ip []byte) { ip[3] = 33 }), want: ErrIPHeader},
	{name: "IP checksum", frame: edit(func(ip []byte) { ip[10] ^= 1 }), want: ErrIPChecksum},
	{name: "IP checksum, partial", frame: edit(func(ip []byte) { ip[10] ^= 1 }), partial: true, want: ErrIPChecksum},
	{name: "IP checksum in options", frame: func() []byte {
		b := withIPOptions(0x94, 4, 0, 0)
		b[plainIP+23] = 1
		return b
	}(), want: ErrIPChecksum},

	{name: "TCP", frame: editIP(func(ip []byte) { ip[9] = 6 }), want: ErrNotUDP},
	{name: "more fragments", frame: editIP(func(ip []byte) { ip[6] = 0x20 }), want: ErrFragment},
	{name: "last fragment", frame: editIP(func(ip []byte) { ip[7] = 1 }), want: ErrFragment},
	{name: "fragment far in", frame: editIP(func(ip []byte) { ip[6] = 0x10 }), want: ErrFragment},
	{name: "do not fragment", frame: editIP(func(ip []byte) { ip[6] = 0x40 })},

	{name: "no room for UDP", frame: editIP(func(ip []byte) { ip[3] = 27 }), want: ErrUDPLength},
	{name: "UDP under 8", frame: edit(func(ip []byte) { ip[25] = 7 }), want: ErrUDPLength},
	{name: "UDP beyond IP", frame: edit(func(ip []byte) { ip[25] = 13 }), want: ErrUDPLength},
	{name: "UDP beyond IP, padded frame", frame: append(edit(func(ip []byte) { ip[25] = 13 }), 0, 0), want: ErrUDPLength},
	{name: "UDP checksum", frame: edit(func(ip []byte) { ip[26] ^= 1 }), want: ErrUDPChecksum},
	{name: "UDP checksum, partial", frame: edit(func(ip []byte) { ip[26] ^= 1 }), partial: true},
	{name: "payload changed", frame: edit(func(ip []byte) { ip[31] ^= 1 }), want: ErrUDPChecksum},
	{name: "no UDP checksum", frame: edit(func(ip []byte) { ip[26], ip[27] = 0, 0 })},
	{name: "padding", frame: append(bytes.Clone(plain), make([]byte, 14)...)},
	{name: "padding that is not zero", frame: append(bytes.Clone(plain), 0xff, 0xff, 0xff)},
}

func TestParse(t *testing.T) {
	for _, tt := range parseCases {
		t.Run(tt.name, func(t *testing.T) {
			u := UDP4{NTags: 1, Payload: []byte("of the frame before")}
			if err := u.Parse(tt.frame, tt.partial); !errors.Is(err, tt.want) {
				t.Fatalf("Parse: %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				checkPlain(t, &u, tt.tags)
			}
		})
	}
}

// checkPlain checks the fields that every variation of plain keeps, and tags.
func checkPlain(t *testing.T, u *UDP4, tags []Tag) {
	t.Helper()
	if got := u.Tags[:u.NTags]; !slices.Equal(got, tags) {
		t.Errorf("tags %#x, want %#x", got, tags)
	}
	want := UDP4{
		EthDst: [6]byte{255, 255, 255, 255, 255, 255}, EthSrc: [6]byte{0, 0x1e, 0xc9, 0, 0, 1},
		Dst: [4]byte{255, 255, 255, 255}, SrcPort: 68, DstPort: 67, TTL: 64,
	}
	got := *u
	got.Tags, got.NTags, got.Payload = want.Tags, want.NTags, nil
	if h, w := headerOf(&got), headerOf(&want); h != w {
		t.Errorf("header %+v, want %+v", h, w)
	}
	if payload := plain[42:]; !bytes.Equal(u.Payload, payload) || cap(u.Payload) != len(payload) {
		t.Errorf("payload %x (cap %d), want %x and no room behind it", u.Payload, cap(u.Payload), payload)
	}
}

// headerOf makes the header of a frame that looks like u.
func headerOf(u *UDP4) Header {
	return Header{
		EthDst: u.EthDst, EthSrc: u.EthSrc, Tags: u.Tags, NTags: u.NTags,
		Src: u.Src, Dst: u.Dst, SrcPort: u.SrcPort, DstPort: u.DstPort, TTL: u.TTL,
	}
}

// Data between the end of the datagram and that of its packet is legal and
// not covered by the UDP checksum.
func TestParseDataBehindUDP(t *testing.T) {
	b := append(bytes.Clone(plain), 0xaa, 0xbb, 0xcc)
	b[plainIP+3] += 3
	var u UDP4
	if err := u.Parse(fixIP(b), false); err != nil {
		t.Fatal(err)
	}
	checkPlain(t, &u, nil)
}

// A frame cut anywhere is refused, for the right reason.
func TestParseCut(t *testing.T) {
	for _, whole := range [][]byte{plain, tagged(0x81, 0, 0, 1), tagged(0x88, 0xa8, 0, 1, 0x81, 0, 0, 2)} {
		headers := len(whole) - 4 - 8
		for n := range whole {
			want := ErrIPHeader
			if n < headers {
				want = ErrShort
			}
			var u UDP4
			if err := u.Parse(whole[:n:n], false); !errors.Is(err, want) {
				t.Errorf("%d of %d bytes: %v, want %v", n, len(whole), err, want)
			}
		}
	}
}

// Both checksums together notice any single bit from the IPv4 header on.
func TestParseEveryBit(t *testing.T) {
	for bit := plainIP * 8; bit < len(plain)*8; bit++ {
		b := bytes.Clone(plain)
		b[bit/8] ^= 0x80 >> (bit % 8)
		var u UDP4
		if err := u.Parse(b, false); err == nil {
			t.Errorf("bit %d of byte %d flipped, not noticed", bit%8, bit/8)
		}
	}
}

func TestVLAN(t *testing.T) {
	if got := (Tag{0x8100, 0xf00a}).VLAN(); got != 10 {
		t.Errorf("VLAN = %d, want 10: priority and DEI are no part of it", got)
	}
}

func TestParseNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var u UDP4
	for _, b := range [][]byte{
		plain, tagged(0x88, 0xa8, 0, 1, 0x81, 0, 0, 2), plain[:30],
		edit(func(ip []byte) { ip[10] ^= 1 }), edit(func(ip []byte) { ip[26] ^= 1 }),
	} {
		if n := testing.AllocsPerRun(1000, func() { _ = u.Parse(b, false) }); n != 0 {
			t.Errorf("%x: %v allocations, want 0", b, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	h := testHeader
	frame := append(h.AppendTo(nil), make([]byte, 300)...)
	h.Finish(frame)
	var u UDP4
	b.ReportAllocs()
	for b.Loop() {
		if err := u.Parse(frame, false); err != nil {
			b.Fatal(err)
		}
	}
}
