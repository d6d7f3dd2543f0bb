package peers

import (
	"bytes"
	"errors"
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

// FuzzDHCPAgainstInsomniac: a message reads as insomniacslk/dhcp reads it. On
// purpose we are laxer: a missing cookie is BOOTP's (RFC 951 section 3), and a
// missing End is tolerated (RFC 2132 section 3.2); and
// stricter: hlen is 16 at most (RFC 2131 section 2). It does not know overload (RFC
// 2132 section 9.3): the options field alone is compared.
func FuzzDHCPAgainstInsomniac(f *testing.F) {
	corpus.Add(f, corpus.DHCP(f))
	f.Fuzz(func(t *testing.T, msg []byte) {
		v, err := dhcp4.Parse(msg)
		theirs, theirErr := dhcpv4.FromBytes(msg)
		if err != nil || !v.HasCookie() {
			if theirErr == nil && !errors.Is(err, dhcp4.ErrHLen) {
				t.Errorf("%v, and the library takes it", err)
			}
			return
		}
		ours := map[uint8][]byte{}
		it := v.Options()
		for code, val, ok := it.Next(); ok; code, val, ok = it.Next() {
			ours[code] = append(ours[code], val...)
		}
		if it.Err() == nil && errors.Is(theirErr, io.ErrUnexpectedEOF) {
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
	name := func(b []byte) string {
		s, _, _ := strings.Cut(string(b), "\x00")
		return s
	}
	xid := [4]byte{byte(v.XID() >> 24), byte(v.XID() >> 16), byte(v.XID() >> 8), byte(v.XID())}
	chaddr := v.CHAddr()
	same := v.Op() == uint8(m.OpCode) && v.HType() == uint8(m.HWType) && v.Hops() == m.HopCount && xid == [4]byte(m.TransactionID) &&
		v.Secs() == m.NumSeconds && v.Flags() == m.Flags && v.CIAddr() == [4]byte(m.ClientIPAddr.To4()) && v.YIAddr() == [4]byte(m.YourIPAddr.To4()) &&
		v.SIAddr() == [4]byte(m.ServerIPAddr.To4()) && v.GIAddr() == [4]byte(m.GatewayIPAddr.To4()) &&
		bytes.HasPrefix(chaddr[:], m.ClientHWAddr) && name(v.SName()) == m.ServerHostName && name(v.File()) == m.BootFileName
	if !same {
		t.Errorf("the fixed fields of % x differ from %+v", v.Vend(), m)
	}
}

// FuzzReplyForInsomniac: what the DHCP engine answers to any message, the library
// reads, as a reply to that message with an address of the host's own.
func FuzzReplyForInsomniac(f *testing.F) {
	corpus.Add(f, corpus.DHCP(f))
	handler := fuzz.NewHandler(f)
	slot := make([]byte, 0, engine.FrameSize)
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > 1500 {
			return
		}
		p := fuzz.Received(fuzz.InFrames([]corpus.Input{{Bytes: msg}}, dhcp4.ServerPort)[0].Bytes, false)
		out, v := handler.Handle(slot, p)
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
		q, _ := dhcp4.Parse(msg)
		yours := m.YourIPAddr.String()
		nak := m.MessageType() == dhcpv4.MessageTypeNak
		given := slices.Contains(fuzz.Gives, yours) || yours == "0.0.0.0" && (nak || m.MessageType() == dhcpv4.MessageTypeAck)
		if m.OpCode != dhcpv4.OpcodeBootReply || !bytes.Equal(m.ClientHWAddr, fuzz.Known[:]) || m.TransactionID != dhcpv4.TransactionID(msg[4:8]) || nak != (v == engine.Nak) || !given {
			t.Errorf("%v to % x: %v", v, q.MAC(), m.Summary())
		}
		var x dhcp4.Index
		if err := x.Build(q); err != nil {
			t.Fatalf("an answer to a broken message: %v", err)
		}
		if agent, _ := x.Get(dhcp4.OptAgentInfo); !bytes.Equal(m.Options[dhcp4.OptAgentInfo], agent) {
			t.Errorf("option 82 came back as % x, want % x", m.Options[dhcp4.OptAgentInfo], agent)
		}
	})
}
