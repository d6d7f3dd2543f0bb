package dhcp4

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// recorded gives what clients and an older server really sent, whole and
// broken, by name.
func recorded(tb testing.TB) map[string][]byte {
	tb.Helper()
	all := make(map[string][]byte)
	for _, in := range corpus.Recorded(tb) {
		all[path.Base(in.Name)] = in.Bytes
	}
	return all
}

// every has another value in every field.
func every() []byte {
	b := []byte{
		0x01, 0x06, 0x08, 0x03, // op, htype, hlen, hops
		0xde, 0xad, 0xbe, 0xef, // xid
		0x01, 0x02, 0x83, 0x04, // secs, flags
		10, 0, 0, 1, // ciaddr
		10, 0, 0, 2, // yiaddr
		10, 0, 0, 3, // siaddr
		10, 0, 0, 4, // giaddr
		0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, // chaddr
	}
	b = append(b, bytes.Repeat([]byte{'s'}, 64)...)
	b = append(b, bytes.Repeat([]byte{'f'}, 128)...)
	return append(b,
		0x63, 0x82, 0x53, 0x63, // magic cookie
		53, 1, 1, // DISCOVER
		255,
	)
}

func TestView(t *testing.T) {
	msg := every()
	v, err := Parse(msg)
	if err != nil {
		t.Fatal(err)
	}
	chaddr := [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	for name, field := range map[string]struct{ got, want any }{
		"op": {v.Op(), uint8(1)}, "htype": {v.HType(), uint8(6)}, "hlen": {v.HLen(), uint8(8)},
		"hops": {v.Hops(), uint8(3)}, "xid": {v.XID(), uint32(0xdeadbeef)},
		"secs": {v.Secs(), uint16(0x0102)}, "flags": {v.Flags(), uint16(0x8304)},
		"broadcast": {v.Broadcast(), true},
		"ciaddr":    {v.CIAddr(), [4]byte{10, 0, 0, 1}}, "yiaddr": {v.YIAddr(), [4]byte{10, 0, 0, 2}},
		"siaddr": {v.SIAddr(), [4]byte{10, 0, 0, 3}}, "giaddr": {v.GIAddr(), [4]byte{10, 0, 0, 4}},
		"chaddr": {v.CHAddr(), chaddr}, "mac": {v.MAC(), [6]byte{0, 1, 2, 3, 4, 5}},
		"sname": {string(v.SName()), strings.Repeat("s", 64)}, "file": {string(v.File()), strings.Repeat("f", 128)},
		"vend": {string(v.Vend()), string(msg[236:])}, "cookie": {v.HasCookie(), true},
	} {
		if field.got != field.want {
			t.Errorf("%s = %v, want %v", name, field.got, field.want)
		}
	}
	if cap(v.SName()) != 64 || cap(v.File()) != 128 {
		t.Errorf("an append to sname (cap %d) or file (cap %d) would reach the next field", cap(v.SName()), cap(v.File()))
	}
	msg[10] = 0x7f
	if v.Broadcast() {
		t.Error("broadcast without its bit")
	}
}

func TestParse(t *testing.T) {
	hlen := func(n byte) []byte { b := every(); b[2] = n; return b }
	for _, tt := range []struct {
		name   string
		msg    []byte
		want   error
		cookie bool
	}{
		{name: "empty", msg: nil, want: ErrShort},
		{name: "a byte short", msg: every()[:235], want: ErrShort},
		{name: "without vend", msg: every()[:236]},
		{name: "three bytes of the cookie", msg: every()[:239]},
		{name: "only the cookie", msg: every()[:240], cookie: true},
		{name: "hlen 0", msg: hlen(0), cookie: true},
		{name: "hlen 16", msg: hlen(16), cookie: true},
		{name: "hlen 17", msg: hlen(17), want: ErrHLen},
		{name: "hlen 255", msg: hlen(255), want: ErrHLen},
		{name: "BOOTP, vend all zero", msg: append(every()[:236], make([]byte, 64)...)},
		{name: "another cookie", msg: append(every()[:236], 0x63, 0x82, 0x53, 0x64, 53, 1, 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := Parse(tt.msg)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Parse: %v, want %v", err, tt.want)
			}
			if err != nil {
				return
			}
			if v.HasCookie() != tt.cookie {
				t.Errorf("HasCookie = %v", v.HasCookie())
			}
			it := v.Options()
			if code, _, ok := it.Next(); ok && !tt.cookie {
				t.Errorf("option %d without a cookie", code)
			}
		})
	}
}

// option is one instance.
type option struct {
	code byte
	val  string
}

func collect(it OptionIter) (all []option, err error) {
	for code, val, ok := it.Next(); ok; code, val, ok = it.Next() {
		all = append(all, option{code, string(val)})
	}
	return all, it.Err()
}

// Everything recorded, and every cut of it, reads as gopacket reads it.
func TestAgainstGopacket(t *testing.T) {
	for name, msg := range recorded(t) {
		t.Run(name, func(t *testing.T) {
			for n := range len(msg) + 1 {
				compare(t, msg[:n:n])
			}
		})
	}
}

// compare holds a message against what gopacket makes of it. On purpose we are stricter with hlen, of which
// chaddr holds 16 (RFC 2131 section 2): gopacket reads on, and panics from 228 on. We are laxer with vend,
// which BOOTP leaves to the vendor (RFC 951 section 3): gopacket wants four bytes, and DHCP's cookie in them.
func compare(t *testing.T, msg []byte) {
	t.Helper()
	v, err := Parse(msg)
	switch {
	case len(msg) < FixedLen:
		if err != ErrShort {
			t.Fatalf("%d bytes: %v", len(msg), err)
		}
		return
	case msg[2] > 16:
		if err != ErrHLen {
			t.Fatalf("hlen %d: %v", msg[2], err)
		}
		return
	case err != nil:
		t.Fatalf("%d bytes, hlen %d: %v", len(msg), msg[2], err)
	}
	var want layers.DHCPv4
	wantErr := want.DecodeFromBytes(msg, gopacket.NilDecodeFeedback)
	if len(v.Vend()) < 4 {
		if wantErr == nil || v.HasCookie() {
			t.Fatalf("%d bytes: gopacket takes them (%v), or there is a cookie", len(msg), wantErr)
		}
		return
	}
	compareFixed(t, v, &want)
	if v.HasCookie() == errors.Is(wantErr, layers.InvalidMagicCookie) {
		t.Fatalf("%d bytes: HasCookie %v, gopacket says %v", len(msg), v.HasCookie(), wantErr)
	}
	if !v.HasCookie() {
		return
	}
	got, err := collect(v.Options())
	if cut := wantErr == layers.DecOptionNotEnoughData || wantErr == layers.DecOptionMalformed; cut != (err == ErrTruncated) || !cut && (err != nil || wantErr != nil) {
		t.Fatalf("%d bytes: %v, gopacket says %v", len(msg), err, wantErr)
	}
	compareOptions(t, got, want.Options)
}

func compareFixed(t *testing.T, v View, want *layers.DHCPv4) {
	t.Helper()
	chaddr := v.CHAddr()
	same := v.Op() == byte(want.Operation) && v.HType() == byte(want.HardwareType) &&
		v.HLen() == want.HardwareLen && v.Hops() == want.HardwareOpts && v.XID() == want.Xid &&
		v.Secs() == want.Secs && v.Flags() == want.Flags &&
		v.CIAddr() == [4]byte(want.ClientIP) && v.YIAddr() == [4]byte(want.YourClientIP) &&
		v.SIAddr() == [4]byte(want.NextServerIP) && v.GIAddr() == [4]byte(want.RelayAgentIP) &&
		bytes.Equal(chaddr[:v.HLen()], want.ClientHWAddr) &&
		bytes.Equal(v.SName(), want.ServerName) && bytes.Equal(v.File(), want.File)
	if !same {
		t.Fatalf("fixed fields differ from %+v", want)
	}
}

func compareOptions(t *testing.T, got []option, want layers.DHCPOptions) {
	t.Helper()
	for _, o := range want {
		if o.Type == layers.DHCPOptPad {
			continue
		}
		w := option{byte(o.Type), string(o.Data)}
		if len(got) == 0 || got[0] != w {
			t.Fatalf("options left %q, gopacket has %q", got, w)
		}
		got = got[1:]
	}
	if len(got) != 0 {
		t.Fatalf("gopacket does not have %q", got)
	}
}

func TestOptions(t *testing.T) {
	cookie := []byte{0x63, 0x82, 0x53, 0x63}
	for _, tt := range []struct {
		name  string
		field []byte
		want  []option
		err   error
	}{
		{name: "nothing"},
		{name: "only the end", field: []byte{255}},
		{name: "only pads", field: []byte{0, 0, 0}},
		{name: "no end", field: []byte{53, 1, 1}, want: []option{{53, "\x01"}}},
		{name: "no end, pads", field: []byte{53, 1, 1, 0, 0}, want: []option{{53, "\x01"}}},
		{name: "pads between", field: []byte{0, 53, 1, 1, 0, 0, 12, 1, 'a', 255}, want: []option{{53, "\x01"}, {12, "a"}}},
		{name: "length 0", field: []byte{80, 0, 53, 1, 1, 255}, want: []option{{80, ""}, {53, "\x01"}}},
		{name: "after the end", field: []byte{53, 1, 1, 255, 12, 1, 'a'}, want: []option{{53, "\x01"}}},
		{name: "broken after the end", field: []byte{255, 12, 200}},
		{name: "twice", field: []byte{12, 1, 'a', 12, 1, 'b'}, want: []option{{12, "a"}, {12, "b"}}},
		{name: "end and pad in a value", field: []byte{43, 2, 255, 0, 12, 1, 'a'}, want: []option{{43, "\xff\x00"}, {12, "a"}}},
		{name: "code alone", field: []byte{53}, err: ErrTruncated},
		{name: "length without value", field: []byte{53, 1}, err: ErrTruncated},
		{name: "a byte missing", field: []byte{53, 1, 1, 12, 3, 'a', 'b'}, want: []option{{53, "\x01"}}, err: ErrTruncated},
		{name: "ends with length 0", field: []byte{80, 0}, want: []option{{80, ""}}},
		{name: "length 255", field: append([]byte{12, 255}, strings.Repeat("a", 255)...), want: []option{{12, strings.Repeat("a", 255)}}},
		{name: "length 255, one missing", field: append([]byte{12, 255}, strings.Repeat("a", 254)...), err: ErrTruncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := Parse(append(append(every()[:236], cookie...), tt.field...))
			if err != nil {
				t.Fatal(err)
			}
			got, err := collect(v.Options())
			if !errors.Is(err, tt.err) {
				t.Errorf("Err = %v, want %v", err, tt.err)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("got %q, want %q", got[i], tt.want[i])
				}
			}
		})
	}
}

// A walk that ended stays ended, and its error stays.
func TestOptionsAfterEnd(t *testing.T) {
	for _, field := range [][]byte{{53, 1, 1, 255, 12, 1, 'a'}, {53, 1, 1, 12, 9, 'a'}} {
		it := OptionIter{rest: field}
		it.Next()
		for range 3 {
			if code, _, ok := it.Next(); ok {
				t.Errorf("%v: option %d after the end", field, code)
			}
		}
	}
	it := OptionIter{rest: []byte{12, 9}}
	it.Next()
	it.Next()
	if !errors.Is(it.Err(), ErrTruncated) {
		t.Errorf("the error got lost: %v", it.Err())
	}
}

func TestAgentSub(t *testing.T) {
	opt82 := []byte{
		1, 4, 'e', 't', 'h', '0', // circuit id
		5, 4, 10, 42, 0, 0, // link selection
		19, 0, // source port
		11, 4, 10, 42, 0, 1, // server id
		1, 1, 'x', // circuit id, again
		9, 3, 'a', 'b', // vendor-specific, a byte missing
	}
	for _, tt := range []struct {
		opt82 []byte
		sub   byte
		want  string
		ok    bool
	}{
		{opt82: opt82, sub: AgentCircuitID, want: "eth0", ok: true},
		{opt82: opt82, sub: AgentLinkSelection, want: "\x0a\x2a\x00\x00", ok: true},
		{opt82: opt82, sub: AgentSourcePort, want: "", ok: true},
		{opt82: opt82, sub: AgentServerID, want: "\x0a\x2a\x00\x01", ok: true},
		{opt82: opt82, sub: AgentRemoteID},
		{opt82: opt82, sub: 9},
		{opt82: opt82, sub: 4}, // a length is no code
		{opt82: nil, sub: 1},
		{opt82: []byte{1}, sub: 1},
		{opt82: []byte{1, 1}, sub: 1},
		{opt82: []byte{2, 9, 0, 1, 1, 'a'}, sub: 1},           // hidden behind a truncated one
		{opt82: []byte{0, 0, 255, 0, 1, 0}, sub: 1, ok: true}, // neither pads nor end here
	} {
		got, ok := AgentSub(tt.opt82, tt.sub)
		if string(got) != tt.want || ok != tt.ok || cap(got) != len(got) {
			t.Errorf("AgentSub(%v, %d) = %q (cap %d), %v, want %q, %v", tt.opt82, tt.sub, got, cap(got), ok, tt.want, tt.ok)
		}
	}
}

func TestMessageTypeString(t *testing.T) {
	want := map[MessageType]string{
		0: "type 0", 1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE",
		5: "ACK", 6: "NAK", 7: "RELEASE", 8: "INFORM", 9: "type 9", 255: "type 255",
	}
	for typ, name := range want {
		if got := typ.String(); got != name {
			t.Errorf("%d: %q, want %q", typ, got, name)
		}
	}
}
