package peers

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/fuzz"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzDHCPAgainstInsomniac: a message reads as insomniacslk/dhcp reads it. On purpose we are stricter:
// hlen is 16 at most (RFC 2131 section 2); and laxer: without a cookie, or the bytes for it, a message is
// BOOTP's (RFC 951 section 3), and an End alone may be missing (RFC 2132 section 3.2). It does not know
// overload (RFC 2132 section 9.3): the options field alone is compared.
func FuzzDHCPAgainstInsomniac(f *testing.F) {
	corpus.Add(f, corpus.DHCP(f))
	f.Fuzz(func(t *testing.T, msg []byte) {
		v, err := dhcp4.Parse(msg)
		theirs, theirErr := dhcpv4.FromBytes(msg)
		switch {
		case len(msg) < dhcp4.FixedLen:
			if err != dhcp4.ErrShort || theirErr == nil {
				t.Errorf("%d bytes: %v, and the library says %v", len(msg), err, theirErr)
			}
			return
		case msg[2] > 16:
			if err != dhcp4.ErrHLen {
				t.Errorf("hlen %d: %v", msg[2], err)
			}
			return
		case err != nil:
			t.Fatalf("%d bytes: %v, and the library says %v", len(msg), err, theirErr)
		}
		if cookie := bytes.HasPrefix(msg[dhcp4.FixedLen:], []byte{0x63, 0x82, 0x53, 0x63}); v.HasCookie() != cookie || !cookie {
			if v.HasCookie() || cookie || theirErr == nil {
				t.Errorf("a cookie: %v, we say %v, the library %v", cookie, v.HasCookie(), theirErr)
			}
			return
		}
		ours := map[uint8][]byte{}
		it := v.Options()
		for code, val, ok := it.Next(); ok; code, val, ok = it.Next() {
			ours[code] = append(ours[code], val...)
		}
		if it.Err() == nil && theirErr == io.ErrUnexpectedEOF {
			theirs, theirErr = dhcpv4.FromBytes(append(bytes.Clone(msg), dhcp4.OptEnd)) // it is all that is missing
		}
		if (it.Err() == nil) != (theirErr == nil) {
			t.Fatalf("%v, and the library says %v", it.Err(), theirErr)
		}
		if it.Err() != nil {
			return
		}
		compareFixed(t, v, theirs)
		for code := range 256 {
			if got, want := ours[uint8(code)], theirs.Options[uint8(code)]; !bytes.Equal(got, want) {
				t.Errorf("option %d is % x, the library's % x", code, got, want)
			}
		}
	})
}

func compareFixed(t *testing.T, v dhcp4.View, m *dhcpv4.DHCPv4) {
	t.Helper()
	name := func(b []byte) string { // it ends at the first zero (RFC 2131 section 2)
		s, _, _ := strings.Cut(string(b), "\x00")
		return s
	}
	xid := [4]byte{byte(v.XID() >> 24), byte(v.XID() >> 16), byte(v.XID() >> 8), byte(v.XID())}
	chaddr := v.CHAddr()
	same := v.Op() == uint8(m.OpCode) && v.HType() == uint8(m.HWType) && v.Hops() == m.HopCount && xid == [4]byte(m.TransactionID) &&
		v.Secs() == m.NumSeconds && v.Flags() == m.Flags && v.CIAddr() == [4]byte(m.ClientIPAddr.To4()) && v.YIAddr() == [4]byte(m.YourIPAddr.To4()) &&
		v.SIAddr() == [4]byte(m.ServerIPAddr.To4()) && v.GIAddr() == [4]byte(m.GatewayIPAddr.To4()) &&
		bytes.Equal(chaddr[:v.HLen()], m.ClientHWAddr) && name(v.SName()) == m.ServerHostName && name(v.File()) == m.BootFileName
	if !same {
		t.Errorf("the fixed fields of % x differ from %+v", v.Vend(), m)
	}
}

// checkVerdict: a message without fault is not refused, but where the known host asks for nothing;
// one with a fault is, and the known host that asks on its own network gets a reply (RFC 2131 section
// 4.3.1, RFC 951 section 7.3).
func checkVerdict(t *testing.T, msg []byte, v engine.Verdict) {
	t.Helper()
	fault := corpus.Fault(msg, [4]byte{10, 42, 0, 255})
	want := map[string]engine.Verdict{corpus.Malformed: engine.Malformed, corpus.NotForUs: engine.NotForUs}[fault]
	if fault != "" {
		if v != want {
			t.Errorf("%v, though the message is %s", v, fault)
		}
		return
	}
	if [6]byte(msg[28:34]) != fuzz.Known {
		if v != engine.UnknownHost && v != engine.Disabled {
			t.Errorf("%v to a host that is not known, or switched off", v)
		}
		return
	}
	opts, _ := corpus.Options(msg)
	if (v == engine.Malformed) != forNothing(msg, opts) && v != engine.OtherServer || v == engine.NotForUs || v == engine.BadChecksum {
		t.Errorf("%v, though the message is without fault, or asks for nothing", v)
	}
	afar := opts[82] != nil || opts[118] != nil || [4]byte(msg[12:16]) != [4]byte{} || [4]byte(msg[24:28]) != [4]byte{}
	if long := len(opts[61])+len(opts[97]) > 200; !afar && !long && (opts[53] == nil || opts[53][0] == 1) && v != engine.Reply {
		t.Errorf("%v to a host that is known and asks on its own network", v)
	}
}

// forNothing: an INFORM without an address to send the answer to (RFC 2131 section 4.3.5), a REQUEST
// without an address that is asked for (section 4.3.2).
func forNothing(msg []byte, opts *[256][]byte) bool {
	if len(opts[53]) == 0 || [4]byte(msg[12:16]) != [4]byte{} {
		return false
	}
	return opts[53][0] == 8 || opts[53][0] == 3 && len(bytes.Trim(opts[50], "\x00")) == 0
}

// FuzzReplyForInsomniac: a message is refused where it has a fault and nowhere else, and what the DHCP engine answers to any message, the library
// reads, as a reply to that message with an address of the host's own.
func FuzzReplyForInsomniac(f *testing.F) {
	corpus.Add(f, corpus.DHCP(f))
	handler := fuzz.NewHandler(f)
	slot := make([]byte, 0, engine.FrameSize)
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > 1500 {
			return
		}
		p := fuzz.Received(fuzz.InFrames([]corpus.Input{{Bytes: msg}}, dhcp4.ServerPort)[0].Bytes, false, frame.Tag{})
		out, v := handler.Handle(slot, p)
		checkVerdict(t, msg, v)
		if v != engine.Reply && v != engine.Nak {
			return
		}
		var u frame.UDP4
		if err := u.Parse(out, false); err != nil {
			t.Fatal(err)
		}
		m, err := dhcpv4.FromBytes(u.Payload)
		if err != nil {
			t.Fatalf("the library does not read a reply: %v", err)
		}
		opts, ok := corpus.Options(msg)
		if !ok {
			t.Fatalf("an answer to a broken message: % x", msg)
		}
		typ := opts[53]
		nak := m.MessageType() == dhcpv4.MessageTypeNak
		gives := m.YourIPAddr.String()
		if none := nak || string(typ) == string(rune(dhcp4.Inform)); none && gives != "0.0.0.0" || !none && !slices.Contains(fuzz.Gives, gives) { // RFC 2131 section 4.3.2, 4.3.5
			t.Errorf("%v to type %v gives %s", v, typ, gives)
		}
		if m.OpCode != dhcpv4.OpcodeBootReply || !bytes.Equal(m.ClientHWAddr, fuzz.Known[:]) || m.TransactionID != dhcpv4.TransactionID(msg[4:8]) || nak != (v == engine.Nak) {
			t.Errorf("%v to % x: %v", v, msg[28:34], m.Summary())
		}
		if agent := opts[82]; !bytes.Equal(m.Options[82], agent) {
			t.Errorf("option 82 came back as % x, want % x", m.Options[82], agent)
		}
	})
}
