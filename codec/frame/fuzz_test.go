package frame

import (
	"bytes"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzParse: no panic; the payload lies inside the frame; without its checksum
// being looked at a frame reads the same or better; what Parse accepts can be
// sent again, with nothing lost.
func FuzzParse(f *testing.F) {
	corpus.Add(f, corpus.Frames(f), false)
	corpus.Add(f, corpus.Frames(f), true)
	f.Fuzz(func(t *testing.T, b []byte, partial bool) {
		var u, again UDP4
		if err := u.Parse(b, partial); err != nil {
			if loose := again.Parse(b, true); loose == nil && err != ErrUDPChecksum || loose != nil && loose != err {
				t.Errorf("%v, and without the checksum %v", err, loose)
			}
			return
		}
		if !corpus.Within(b, u.Payload) || cap(u.Payload) != len(u.Payload) || u.NTags < 0 || u.NTags > len(u.Tags) {
			t.Fatalf("%d bytes of payload with room for %d, %d tags", len(u.Payload), cap(u.Payload), u.NTags)
		}
		h := headerOf(&u)
		out := append(h.AppendTo(nil), u.Payload...)
		h.Finish(out)
		if err := again.Parse(out, false); err != nil {
			t.Fatalf("what Finish made of %x: %v", b, err)
		}
		// TTL 0 is sent as 64; tags beyond NTags hold nothing.
		if u.TTL == 0 {
			u.TTL = again.TTL
		}
		sameTags := slices.Equal(again.Tags[:again.NTags], u.Tags[:u.NTags])
		again.Tags, again.NTags = u.Tags, u.NTags
		if !sameTags || headerOf(&again) != headerOf(&u) || !bytes.Equal(again.Payload, u.Payload) {
			t.Errorf("%+v became %+v", u, again)
		}
	})
}

// FuzzHeader: a header of any fields and any payload reads back as it was given, is
// the one that gopacket makes, its checksums are those of the plainest words, and no single bit of what they
// cover can change unnoticed.
func FuzzHeader(f *testing.F) {
	for _, in := range corpus.Frames(f) {
		f.Add(in.Bytes[:min(34, len(in.Bytes))], in.Bytes[min(42, len(in.Bytes)):], uint16(0x88a8), uint16(7), byte(1), uint16(3))
	}
	f.Fuzz(func(t *testing.T, fixed, payload []byte, tpid, tci uint16, tags byte, bit uint16) {
		if len(payload) > 1<<16-1-ipLen-udpLen {
			return // more than Finish takes
		}
		var raw [34]byte
		copy(raw[:], fixed)
		h := Header{
			EthDst: [6]byte(raw[0:6]), EthSrc: [6]byte(raw[6:12]), Src: [4]byte(raw[12:16]), Dst: [4]byte(raw[16:20]),
			SrcPort: be16(raw[20:]), DstPort: be16(raw[22:]), TTL: raw[24], ID: be16(raw[25:]),
			NTags: int(tags % 3),
		}
		copy(h.Tags[:h.NTags], []Tag{{0x8100, tci}, {0x9100, ^tci}})
		if isTag(tpid) && h.NTags < 2 {
			h.Outer = Tag{tpid, tci}
		}
		out := append(h.AppendTo(nil), payload...)
		if len(out) != h.Len()+len(payload) {
			t.Fatalf("%d bytes of header, want %d", len(out)-len(payload), h.Len())
		}
		h.Finish(out)
		roundTrip(t, &h, out, payload)
		if want := oracle(t, &h, payload); len(want) < len(out) || !bytes.Equal(want[:len(out)], out) { // it pads to 60 bytes
			t.Errorf("got %x, gopacket makes %x", out, want)
		}
		ip := out[h.ethLen():]
		if got := slowSum(0, ip[:ipLen]); got != 0xffff {
			t.Errorf("the words of the IP header sum up to %#04x", got)
		}
		flip(t, out, ip, int(bit)%(len(ip)*8))
	})
}

// flip changes one bit of the packet ip in frame b. The lengths are left alone: with
// them what is summed up changes too, and may have the same sum.
func flip(t *testing.T, b, ip []byte, at int) {
	t.Helper()
	const words, udpLength, udpSum = 0, ipLen + 4, ipLen + 6
	if i := at / 8; i == words || i == udpLength || i == udpLength+1 {
		return
	}
	ip[at/8] ^= 0x80 >> (at % 8)
	var u UDP4
	if none := be16(ip[udpSum:]) == 0; !none && u.Parse(b, false) == nil {
		t.Errorf("bit %d changed, and nothing was noticed", at)
	}
}
