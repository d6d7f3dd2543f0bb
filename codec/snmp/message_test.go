package snmp

import (
	"bytes"
	"slices"
	"testing"
)

// inform is a whole message, by hand.
var inform = []byte{
	0x30, 0x4c, // SEQUENCE
	0x02, 0x01, 0x01, // version 2c
	0x04, 0x02, 'p', 'w', // community
	0xa6, 0x43, // InformRequest
	0x02, 0x04, 0x80, 0x00, 0x00, 0x01, // request-id -2147483647
	0x02, 0x01, 0x00, 0x02, 0x01, 0x00, // error-status, error-index
	0x30, 0x35, // variable bindings
	0x30, 0x0f, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x01, 0x03, 0x00, // sysUpTime.0
	0x43, 0x03, 0x05, 0x65, 0x12, // 353554
	0x30, 0x17, 0x06, 0x0a, 0x2b, 0x06, 0x01, 0x06, 0x03, 0x01, 0x01, 0x04, 0x01, 0x00, // snmpTrapOID.0
	0x06, 0x09, 0x2b, 0x06, 0x01, 0x06, 0x03, 0x01, 0x01, 0x05, 0x03, // linkDown
	0x30, 0x09, 0x06, 0x04, 0x2b, 0x06, 0x81, 0x57, 0x02, 0x01, 0x07, // 1.3.6.215 = INTEGER 7
}

// trapV1 is a whole message, by hand.
var trapV1 = []byte{
	0x30, 0x28, // SEQUENCE
	0x02, 0x01, 0x00, // version 1
	0x04, 0x02, 'p', 'w', // community
	0xa4, 0x1f, // Trap
	0x06, 0x05, 0x2b, 0x06, 0x01, 0x04, 0x09, // enterprise 1.3.6.1.4.9
	0x40, 0x04, 10, 0, 0, 1, // agent
	0x02, 0x01, 0x06, // enterpriseSpecific
	0x02, 0x01, 0x05, // specific
	0x43, 0x01, 0x2a, // 42
	0x30, 0x07, 0x30, 0x05, 0x06, 0x01, 0x2b, 0x05, 0x00, // 1.3 = NULL
}

// with gives a copy of msg with bytes replaced from the offset on.
func with(msg []byte, at int, b ...byte) []byte {
	out := bytes.Clone(msg)
	copy(out[at:], b)
	return out
}

func TestParse(t *testing.T) {
	var m Message
	if err := m.Parse(inform); err != nil {
		t.Fatal(err)
	}
	if m.PDU != TagInform || m.RequestID != -2147483647 || m.UpTime != 353554 || string(m.Community) != "pw" {
		t.Errorf("%+v", m)
	}
	if got := string(m.AppendTrapOID(nil)); got != "1.3.6.1.6.3.1.1.5.3" {
		t.Errorf("trap %s", got)
	}
	all, own := m.VarBinds(), m.Objects()
	for _, it := range []*VarBindIter{&all, &own} {
		n := 0
		var last VarBind
		for v, ok := it.Next(); ok; v, ok = it.Next() {
			last, n = v, n+1
		}
		if i, ok := last.Int(); !ok || i != 7 || last.Name.String() != "1.3.6.215" {
			t.Errorf("the last variable is %v", last)
		}
		if want := map[*VarBindIter]int{&all: 3, &own: 1}[it]; n != want {
			t.Errorf("%d variables, want %d", n, want)
		}
	}
	if err := m.Parse(trapV1); err != nil {
		t.Fatal(err)
	}
	if m.PDU != TagTrapV1 || m.UpTime != 42 || m.AgentAddr != [4]byte{10, 0, 0, 1} {
		t.Errorf("%+v", m)
	}
	if got := string(m.AppendTrapOID(nil)); got != "1.3.6.1.4.9.0.5" || !m.IsTrap("\x2b\x06\x01\x04\x09", 5) {
		t.Errorf("trap %s", got)
	}
	if err := m.Parse(with(trapV1, 26, 3)); err != nil || string(m.AppendTrapOID(nil)) != "1.3.6.1.6.3.1.1.5.4" || m.IsTrap("\x2b\x06\x01\x04\x09", 5) {
		t.Errorf("linkUp: %v, %s", err, m.AppendTrapOID(nil))
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		msg  []byte
		want error
	}{
		{"nothing", nil, ErrTruncated},
		{"one byte", []byte{0x30}, ErrTruncated},
		{"an empty sequence", []byte{0x30, 0}, ErrTruncated},
		{"no sequence", with(inform, 0, 0x31), ErrTag},
		{"a tag of several bytes", with(inform, 0, 0x3f), ErrTag},
		{"something behind it", append(bytes.Clone(inform), 0), ErrTrailing},
		{"longer than the datagram", with(inform, 1, 0x4d), ErrTruncated},
		{"the indefinite form", with(inform, 1, 0x80), ErrLength},
		{"a length of five bytes", with(inform, 1, 0x85), ErrLength},
		{"a length of four bytes, all set", append([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, inform[2:]...), ErrTruncated},
		{"a length that is cut off", []byte{0x30, 0x82, 0}, ErrTruncated},
		{"version 3", with(inform, 4, 3), ErrVersion},
		{"version 257", append([]byte{0x30, 0x4d, 2, 2, 1, 1}, inform[5:]...), ErrVersion},
		{"a community that is a number", with(inform, 5, 2), ErrTag},
		{"a community over the end", with(inform, 6, 0x7f), ErrTruncated},
		{"a Response", with(inform, 9, TagResponse), ErrPDU},
		{"a GetRequest", with(inform, 9, 0xa0), ErrPDU},
		{"SNMPv1's trap in SNMPv2c", with(inform, 9, TagTrapV1), ErrPDU},
		{"SNMPv2's trap in SNMPv1", with(trapV1, 9, TagTrapV2), ErrPDU},
		{"a PDU that ends before the message", with(inform, 10, 0x42), ErrTrailing},
		{"a request id of no bytes", with(inform, 12, 0), ErrInteger},
		{"a list that ends before its PDU", with(inform, 24, 0x34), ErrTrailing},
		{"a variable over the end", with(inform, 26, 0x7f), ErrTruncated},
		{"a name longer than its variable", with(inform, 70, 0x0a), ErrTruncated},
		{"a variable with a third part", with(inform, 76, 0), ErrTrailing},
		{"a name that is no OID", with(inform, 27, 4), ErrTag},
		{"a name that ends inside a sub-identifier", with(inform, 36, 0x80), ErrOID},
		{"a sub-identifier with a leading zero", with(inform, 31, 0x80), ErrOID},
		{"sysUpTime is an INTEGER", with(inform, 37, TagInteger), ErrTrapOID},
		{"the first is not sysUpTime.0", with(inform, 36, 1), ErrTrapOID},
		{"the second is not snmpTrapOID.0", with(inform, 55, 1), ErrTrapOID},
		{"snmpTrapOID is a text", with(inform, 56, TagOctetString), ErrTrapOID},
		{"snmpTrapOID ends inside a sub-identifier", with(inform, 66, 0x83), ErrOID},
		{"no variables", []byte{0x30, 0x15, 2, 1, 1, 4, 2, 'p', 'w', 0xa6, 0x0c, 2, 2, 0, 1, 2, 1, 0, 2, 1, 0, 0x30, 0}, ErrTrapOID},
		{"an enterprise that is no OID", with(trapV1, 11, 4), ErrTag},
		{"an agent of three bytes", with(trapV1, 19, 3), ErrAddress},
		{"an agent that is a text", with(trapV1, 18, 4), ErrTag},
		{"the variables are missing", append([]byte{0x30, 0x1f, 2, 1, 0, 4, 2, 'p', 'w', 0xa4, 0x16}, trapV1[11:33]...), ErrTruncated},
	} {
		var m Message
		if err := m.Parse(c.msg); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	// Cut anywhere, both are refused.
	for _, msg := range [][]byte{inform, trapV1} {
		for n := range msg {
			var m Message
			if m.Parse(msg[:n]) == nil {
				t.Errorf("cut after %d bytes: no error", n)
			}
		}
	}
}

// TestLongLengths: lengths may take more bytes than they need (X.690 8.1.3.5).
func TestLongLengths(t *testing.T) {
	for _, head := range [][]byte{{0x30, 0x81, 0x4c}, {0x30, 0x82, 0, 0x4c}, {0x30, 0x83, 0, 0, 0x4c}, {0x30, 0x84, 0, 0, 0, 0x4c}} {
		var m Message
		if err := m.Parse(append(head, inform[2:]...)); err != nil || m.RequestID != -2147483647 {
			t.Errorf("% x: %v", head, err)
		}
	}
}

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want int64
		err  error
	}{
		{[]byte{0}, 0, nil},
		{[]byte{0x7f}, 127, nil},
		{[]byte{0x80}, -128, nil},
		{[]byte{0xff, 0xff}, -1, nil},
		{[]byte{0, 0, 0, 0, 0, 0, 0, 7}, 7, nil},
		{[]byte{0x7f, 0xff, 0xff, 0xff}, 1<<31 - 1, nil},
		{[]byte{0x80, 0, 0, 0}, -1 << 31, nil},
		{[]byte{0, 0x80, 0, 0, 0}, 0, ErrInteger},
		{nil, 0, ErrInteger},
		{make([]byte, 9), 0, ErrInteger},
	} {
		if n, err := signed(c.in); int64(n) != c.want || err != c.err {
			t.Errorf("% x: %d, %v", c.in, n, err)
		}
	}
	for _, c := range []struct {
		in   []byte
		want uint32
		err  error
	}{
		{[]byte{0}, 0, nil},
		{[]byte{0, 0xff, 0xff, 0xff, 0xff}, 1<<32 - 1, nil},
		{[]byte{0xff, 0xff, 0xff, 0xff}, 1<<32 - 1, nil}, // as some agents write it
		{[]byte{1, 0, 0, 0, 0}, 0, ErrInteger},
		{nil, 0, ErrInteger},
	} {
		if n, err := unsigned(c.in); n != c.want || err != c.err {
			t.Errorf("% x: %d, %v", c.in, n, err)
		}
	}
}

func TestOID(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		text string
	}{
		{[]byte{0x2b}, "1.3"},
		{[]byte{0x00}, "0.0"},
		{[]byte{0x78}, "2.40"},
		{[]byte{0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f}, "1.3.4294967295"},
		{[]byte{0x2b, 0x90, 0x80, 0x80, 0x80, 0x00}, ""},
		{[]byte{0x2b, 0x81, 0x80, 0x80, 0x80, 0x80, 0x00}, ""},
		{[]byte{0x2b, 0x80, 0x01}, ""},
		{[]byte{0x2b, 0x81}, ""},
		{nil, ""},
	} {
		err := checkOID(c.in)
		if (err == nil) != (c.text != "") {
			t.Errorf("% x: %v", c.in, err)
		} else if err == nil && OID(c.in).String() != c.text {
			t.Errorf("% x: %s, want %s", c.in, OID(c.in), c.text)
		}
	}
	for _, sub := range []uint32{0, 1, 127, 128, 16383, 16384, 1<<28 - 1, 1 << 28, 1<<32 - 1} {
		o := OID(AppendSub([]byte{0x2b}, sub))
		if err := checkOID(o); err != nil || o.String() != string(appendSub([]byte("1.3"), int64(sub))) {
			t.Errorf("%d: %v, %s", sub, err, o)
		}
	}
	if _, ok := OID("\x2b\x06").Below("\x2b\x06"); ok {
		t.Error("an OID is not below itself")
	}
}

// TestAppend: what is written reads back, in every length class.
func TestAppend(t *testing.T) {
	name := OID("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x01\x01\x08\x01\x02\x01")
	for _, size := range []int{0, 1, 100, 127, 128, 255, 256, 1000, 70000} {
		text := bytes.Repeat([]byte{0xa5}, size)
		n := Notification{
			Community: []byte("secret"), RequestID: -77, UpTime: 1<<32 - 1, TrapOID: OID("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x02\x00\x01"),
			Objects: AppendVarBind(AppendVarBind(nil, name, TagOctetString, text), name, TagGauge32, AppendUint(nil, 128)),
		}
		v1 := n
		v1.TrapOID = n.TrapOID[:len(n.TrapOID)-2]
		for pdu, msg := range map[byte][]byte{
			TagTrapV2: AppendTrap(nil, &n), TagInform: AppendInform(nil, &n),
			TagTrapV1: AppendTrapV1(nil, &v1, [4]byte{1, 2, 3, 4}, 1),
		} {
			var m Message
			if err := m.Parse(msg); err != nil {
				t.Fatalf("%d bytes, PDU %#x: %v", size, pdu, err)
			}
			it := m.Objects()
			v, _ := it.Next()
			u, _ := it.Next()
			_, more := it.Next()
			if g, ok := u.Uint(); !bytes.Equal(v.Value, text) || !v.Name.Is(string(name)) || g != 128 || !ok || more {
				t.Errorf("%d bytes, PDU %#x: %d bytes read back, then %d", size, pdu, len(v.Value), g)
			}
			if m.PDU != pdu || m.UpTime != 1<<32-1 || string(m.AppendTrapOID(nil)) != "1.3.6.1.4.1.9.9.215.2.0.1" || pdu != TagTrapV1 && m.RequestID != -77 {
				t.Errorf("%d bytes: %+v", size, m)
			}
		}
	}
}

// TestResponse: the answer to an inform is the inform with another tag, and no
// error in it (RFC 3416 section 4.2.7).
func TestResponse(t *testing.T) {
	var m Message
	if err := m.Parse(with(inform, 19, 5, 2, 1, 9)); err != nil { // an inform has no business to carry an error
		t.Fatal(err)
	}
	if got, want := AppendResponse([]byte("x"), &m), append([]byte("x"), with(inform, 9, TagResponse)...); !bytes.Equal(got, want) {
		t.Errorf("% x, want\n% x", got, want)
	}
	for i, b := range recorded(t) {
		if m.Parse(b) == nil && m.PDU == TagInform {
			want := bytes.Clone(b)
			want[slices.Index(b, TagInform)] = TagResponse
			if got := AppendResponse(nil, &m); !bytes.Equal(got, want) {
				t.Errorf("datagram %d: % x", i, got)
			}
		}
	}
}

func TestNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	out := make([]byte, 0, 2048)
	for name, msg := range map[string][]byte{"inform": inform, "trap": trapV1, "cut": inform[:50], "garbage": {0xde, 0xad}} {
		var m Message
		if n := testing.AllocsPerRun(1000, func() { walk(&m, msg, out) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	note := Notification{Community: []byte("public"), TrapOID: OID("\x2b\x06\x01"), Objects: AppendVarBind(nil, OID("\x2b"), TagNull, nil)}
	if n := testing.AllocsPerRun(1000, func() { AppendTrap(out, &note); AppendInform(out, &note); AppendTrapV1(out, &note, [4]byte{}, 1) }); n != 0 {
		t.Errorf("appenders: %v allocations", n)
	}
}

// walk is what a receiver does with a message.
func walk(m *Message, msg, out []byte) int {
	if m.Parse(msg) != nil {
		return 0
	}
	n := 0
	it := m.Objects()
	for v, ok := it.Next(); ok; v, ok = it.Next() {
		n += len(v.Value)
	}
	return n + len(AppendResponse(out, m))
}

func BenchmarkParse(b *testing.B) {
	msg := recorded(b)[0]
	out := make([]byte, 0, 2048)
	var m Message
	b.ReportAllocs()
	for b.Loop() {
		walk(&m, msg, out)
	}
}

// TestLengthBeyondAnInt: in an int of 32 bits it was negative, and the message was
// cut there.
func TestLengthBeyondAnInt(t *testing.T) {
	for _, b := range [][]byte{{0x30, 0x84, 0xff, 0xff, 0xff, 0xff}, {0x30, 0x84, 0x80, 0, 0, 0}} {
		var m Message
		if err := m.Parse(b); err != ErrTruncated {
			t.Errorf("% x: %v, want %v", b, err, ErrTruncated)
		}
	}
}

// TestIntegerCutOff: the bytes end where an integer of one byte should be.
func TestIntegerCutOff(t *testing.T) {
	var m Message
	if err := m.Parse([]byte{0x30, 0x02, 0x02, 0x01}); err != ErrTruncated {
		t.Errorf("%v, want %v", err, ErrTruncated)
	}
}
