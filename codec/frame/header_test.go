package frame

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// testHeader is that of a reply to a client on its own network.
var testHeader = Header{
	EthDst: [6]byte{0x00, 0x1e, 0xc9, 0x00, 0x00, 0x01}, EthSrc: [6]byte{0xea, 0x15, 0x27, 0x4c, 0x40, 0x44},
	Src: [4]byte{10, 42, 0, 5}, Dst: [4]byte{10, 42, 0, 11}, SrcPort: 67, DstPort: 68,
}

// tagCases are all the depths that a reply can have. outer is what the kernel
// took out of the request.
var tagCases = []struct {
	name  string
	outer Tag
	tags  []Tag
}{
	{name: "none"},
	{name: "one", tags: []Tag{{0x8100, 0x2007}}},
	{name: "outer", outer: Tag{0x8100, 7}},
	{name: "QinQ", tags: []Tag{{0x88a8, 100}, {0x8100, 7}}},
	{name: "QinQ, outer", outer: Tag{0x88a8, 100}, tags: []Tag{{0x8100, 7}}},
	{name: "three", outer: Tag{0x9100, 4094}, tags: []Tag{{0x8100, 100}, {0x8100, 0xe007}}},
}

// oracle has gopacket make the same frame.
func oracle(t *testing.T, h *Header, payload []byte) []byte {
	t.Helper()
	tags := h.Tags[:h.NTags]
	if h.Outer.TPID != 0 {
		tags = append([]Tag{h.Outer}, tags...)
	}
	eth := &layers.Ethernet{SrcMAC: h.EthSrc[:], DstMAC: h.EthDst[:], EthernetType: layers.EthernetTypeIPv4}
	stack := []gopacket.SerializableLayer{eth}
	next := &eth.EthernetType
	for _, tag := range tags {
		*next = layers.EthernetType(tag.TPID)
		dot1q := &layers.Dot1Q{
			Priority: uint8(tag.TCI >> 13), DropEligible: tag.TCI>>12&1 == 1,
			VLANIdentifier: tag.TCI & 0xfff, Type: layers.EthernetTypeIPv4,
		}
		next, stack = &dot1q.Type, append(stack, dot1q)
	}
	ttl := h.TTL
	if ttl == 0 {
		ttl = 64
	}
	ip := &layers.IPv4{
		Version: 4, IHL: 5, TTL: ttl, Id: h.ID, Protocol: layers.IPProtocolUDP,
		SrcIP: net.IP(h.Src[:]), DstIP: net.IP(h.Dst[:]),
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(h.SrcPort), DstPort: layers.UDPPort(h.DstPort)}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, append(stack, ip, udp, gopacket.Payload(payload))...); err != nil {
		t.Fatal(err)
	}
	out := buf.Bytes()
	if udp.Checksum == 0 { // laxer: it writes that there is none for a checksum that comes out as 0 (RFC 768)
		putBE16(out[14+4*len(tags)+ipLen+6:], 0xffff)
	}
	return out[:len(out):len(out)]
}

// Every depth of tags and every length around the checksum's steps comes out
// as gopacket makes it, and Parse reads it back.
func TestHeaderAgainstGopacket(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tc := range tagCases {
		t.Run(tc.name, func(t *testing.T) {
			for n := range 340 {
				h := testHeader
				h.Outer, h.ID, h.TTL = tc.outer, uint16(rng.Uint32()), uint8(rng.Uint32())
				h.NTags = copy(h.Tags[:], tc.tags)
				payload := make([]byte, n)
				for i := range payload {
					payload[i] = byte(rng.Uint32())
				}
				got := build(t, &h, payload)
				want := oracle(t, &h, payload)
				if n < 18 { // gopacket pads to 60 bytes; DHCP never needs it
					want = want[:len(got)]
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("%d bytes:\n got %x\nwant %x", n, got, want)
				}
				roundTrip(t, &h, got, payload)
			}
		})
	}
}

// build makes a frame behind other bytes, as a caller with one buffer would,
// in memory that is not zero.
func build(t *testing.T, h *Header, payload []byte) []byte {
	t.Helper()
	dst := append(bytes.Repeat([]byte{0xee}, 2048)[:0], "before"...)
	dst = h.AppendTo(dst)
	if n := len(dst) - len("before"); n != h.Len() {
		t.Fatalf("AppendTo wrote %d bytes, Len says %d", n, h.Len())
	}
	dst = append(dst, payload...)
	frame := dst[len("before"):]
	h.Finish(frame)
	h.Finish(frame) // a second time must change nothing
	return frame
}

// roundTrip parses a frame as the client would get it: with the outer tag
// taken out by its kernel.
func roundTrip(t *testing.T, h *Header, frame, payload []byte) {
	t.Helper()
	if h.Outer.TPID != 0 {
		frame = append(bytes.Clone(frame[:12]), frame[16:]...)
	}
	var u UDP4
	if err := u.Parse(frame, false); err != nil {
		t.Fatalf("%d bytes: %v", len(payload), err)
	}
	want := *h
	want.Outer, want.ID = Tag{}, 0
	if want.TTL == 0 {
		want.TTL = 64
	}
	if got := headerOf(&u); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if !bytes.Equal(u.Payload, payload) {
		t.Fatalf("payload %x, want %x", u.Payload, payload)
	}
}

// A checksum that comes out as 0 is sent as 0xffff, since 0 means none.
func TestFinishZeroChecksum(t *testing.T) {
	h := testHeader
	frame := build(t, &h, []byte{1, 2, 0, 0})
	copy(frame[44:], frame[40:42]) // the checksum so far, where zeros were
	h.Finish(frame)
	if got := be16(frame[40:]); got != 0xffff {
		t.Errorf("checksum %#04x, want 0xffff", got)
	}
	roundTrip(t, &h, frame, frame[42:])
}

// recorded gives the frames of a capture: udhcpc through its raw socket, and a
// server that answered it by broadcast.
func recorded(t *testing.T) [][]byte { return corpus.Capture(t, "udhcpc") }

// What was sent once can be made again byte for byte, but for DF, which the
// server had set.
func TestRecorded(t *testing.T) {
	frames := recorded(t)
	if len(frames) != 20 {
		t.Fatalf("%d frames, want 20", len(frames))
	}
	for i, b := range frames {
		var u UDP4
		if err := u.Parse(b, false); err != nil {
			t.Errorf("frame %d: %v", i, err)
			continue
		}
		h := headerOf(&u)
		h.ID = be16(b[plainIP+4:])
		want := bytes.Clone(b)
		want[plainIP+6] &^= 0x40
		if got := build(t, &h, u.Payload); !bytes.Equal(got, fixIP(want)) {
			t.Errorf("frame %d:\n got %x\nwant %x", i, got, want)
		}
	}
}

// A sender that leaves the checksum to its NIC writes the sum of the pseudo
// header: refused, unless the kernel said that it is partial.
func TestRecordedPartialChecksum(t *testing.T) {
	for i, b := range recorded(t) {
		ip := b[plainIP:]
		putLE16(ip[26:], fold(pseudo(ip, len(ip)-ipLen)))
		var u UDP4
		if err := u.Parse(b, false); !errors.Is(err, ErrUDPChecksum) {
			t.Errorf("frame %d: %v, want %v", i, err, ErrUDPChecksum)
		}
		if err := u.Parse(b, true); err != nil {
			t.Errorf("frame %d, partial: %v", i, err)
		}
	}
}

func TestAppendNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	buf, payload := make([]byte, 0, 512), make([]byte, 300)
	for _, tc := range tagCases {
		h := testHeader
		h.Outer = tc.outer
		h.NTags = copy(h.Tags[:], tc.tags)
		n := testing.AllocsPerRun(1000, func() {
			h.Finish(append(h.AppendTo(buf), payload...))
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", tc.name, n)
		}
	}
}

func BenchmarkFinish(b *testing.B) {
	for _, size := range []int{300, 548, 1472} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h := testHeader
			frame := append(h.AppendTo(nil), make([]byte, size)...)
			b.ReportAllocs()
			for b.Loop() {
				h.Finish(frame)
			}
		})
	}
}

func BenchmarkAppendTo(b *testing.B) {
	h, buf := testHeader, make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = h.AppendTo(buf[:0])
	}
}
