package dhcp

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// oddOptions makes options that the policy looks at, mostly with lengths and
// values that nobody would send.
func oddOptions(rnd *rand.Rand) (opts []byte) {
	codes := []byte{0, 12, 43, 50, 51, 52, 53, 54, 55, 57, 60, 61, 66, 67, 77, 82, 93, 94, 97, 116, 118, 175, 255}
	likely := map[byte][]string{
		52: {"\x01", "\x02", "\x03"}, 57: {"\x00\x00", "\x02\x40", "\xff\xff"}, 60: {"HTTPClient", "PXEClient"}, 77: {"iPXE", "\x04iPXE"},
		50: {"\x0a\x2a\x00\x0b"}, 54: {"\x0a\x2a\x00\x05"}, 118: {"\x0a\x2b\x00\x00"},
		82: {"\x05\x04\x0a\x2a\x00\x00", "\x0b\x04\x0a\x2a\x00\x01\x13\x00", "\x05\x02\x0a\x2a", "\x01\xff\x00", "\x13\x00\x05\x04\x00\x00\x00\x00"},
	}
	for range rnd.IntN(7) {
		c := codes[rnd.IntN(len(codes))]
		val := make([]byte, rnd.IntN(1<<rnd.IntN(9)))
		for i := range val {
			val[i] = byte(rnd.Uint32())
		}
		if l := likely[c]; l != nil && rnd.IntN(4) > 0 {
			val = []byte(l[rnd.IntN(len(l))])
		}
		if len(opts)+len(val) < 1000 {
			opts = append(append(opts, c, byte(len(val))), val...)
		}
	}
	return opts
}

// TestOddRequests: whatever clients and relays send, each reply is sound: an
// independent decoder reads it, it is no longer than allowed, and the relay's
// option comes back untouched.
func TestOddRequests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	ips := []string{"", "", "", "10.42.0.11", "255.255.255.255", "127.0.0.1", "224.0.0.1", "10.43.0.1", "10.42.0.5", "0.0.0.1"}
	ip := func() string { return ips[rnd.IntN(len(ips))] }
	h := handlerFor(prepared(t, testHost(attr("tftp_filename", "x"), attr("tftp_filename-ipxe", "y"))), Fresh, Site{NakPXE: true})
	replies := 0
	for range 20_000 {
		a := ask{typ: dhcp4.MessageType(rnd.IntN(10)), ciaddr: ip(), giaddr: ip(), requested: ip(), flags: uint16(rnd.Uint32()), opts: oddOptions(rnd)}
		v, out := handle(h, a)
		if v != engine.Reply && v != engine.Nak {
			continue
		}
		replies++
		if a.giaddr != "" && !strings.HasPrefix(a.giaddr, "10.") {
			t.Fatalf("%+v: a reply to that relay", a)
		}
		r := decode(t, out)
		if len(r.raw) > max(minMessage, h.req.room()) {
			t.Fatalf("%+v: %d bytes where %d are allowed", a, len(r.raw), h.req.room())
		}
		if agent := h.req.agent; agent != nil && len(agent) < 256 && !bytes.Equal(r.opt(dhcp4.OptAgentInfo), agent) {
			t.Fatalf("%+v: option 82 is % x, want % x", a, r.opt(dhcp4.OptAgentInfo), agent)
		}
	}
	if replies < 1000 {
		t.Errorf("only %d replies: the requests are too odd to test much", replies)
	}
}
