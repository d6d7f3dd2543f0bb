package snmp

import (
	"bytes"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzBER: no panic; a value lies inside of what holds it, and its parts make up
// all of it; a variable binding found the short way is found the long way;
// numbers and names that are read, written anew, read the same. Any bytes are a
// value behind a length, up to four a number, and any numbers a name.
func FuzzBER(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		walkBER(t, b, 0)
		numbers(t, b)
		taken(t, b)
		if checkOID(b) != nil {
			return
		}
		var again []byte
		for at, sub := 0, uint64(0); at < len(b); at++ {
			if sub = sub<<7 | uint64(b[at]&0x7f); b[at]&0x80 == 0 {
				again, sub = AppendSub(again, uint32(sub)), 0
			}
		}
		if !bytes.Equal(again, b) {
			t.Errorf("OID % x became % x", b, again)
		}
		if text := OID(b).String(); len(text) < 3 || text[0] < '0' || text[0] > '2' || text[1] != '.' {
			t.Errorf("OID % x is %q", b, text)
		}
	})
}

// walkBER takes values apart as long as they have parts.
func walkBER(t *testing.T, b []byte, depth int) {
	t.Helper()
	for at := 0; at < len(b); {
		short, shortErr := findBind(b, at)
		long, longErr := longBind(b, at)
		if short != long || shortErr != longErr {
			t.Fatalf("a binding at %d is %+v, %v, and the long way %+v, %v", at, short, shortErr, long, longErr)
		}
		tag, from, to := tlv(b, at)
		if from == 0 {
			if fault(b, at) == nil {
				t.Errorf("there is no value at %d, and nothing is wrong", at)
			}
			return
		}
		if head := from - at; head < 2 || head > 6 || to < from || to > len(b) || tag != b[at] {
			t.Fatalf("the value at %d of %d is from %d to %d, its tag %#x", at, len(b), from, to, tag)
		}
		val := b[from:to]
		again := append(appendHead(nil, tag, len(val)), val...)
		if tag2, from2, to2 := tlv(again, 0); tag2 != tag || !bytes.Equal(again[from2:to2], val) || to2 < len(again) || len(again) != tlvLen(len(val)) {
			t.Fatalf("a value of %d bytes became %d", len(val), to2-from2)
		}
		r := reader{b: b, at: at}
		if got := r.value(tag); r.err != nil || r.at != to || !bytes.Equal(got, val) || cap(got) != len(got) {
			t.Errorf("reader gives % x and is at %d, %v", got, r.at, r.err)
		}
		if tag&0x20 != 0 && depth < 8 {
			walkBER(t, val, depth+1)
		}
		at = to
	}
}

// taken: what is right is not refused.
func taken(t *testing.T, b []byte) {
	t.Helper()
	whole := plainTLV(TagOctetString, b)
	if tag, from, to := tlv(whole, 0); tag != TagOctetString || to != len(whole) || !bytes.Equal(whole[from:to], b) {
		t.Errorf("a value of %d bytes is from %d to %d of %d", len(b), from, to, len(whole))
	}
	_, signedErr := signed(b)
	_, unsignedErr := unsigned(b)
	if fits := len(b) >= 1 && len(b) <= 4; fits && (signedErr != nil || unsignedErr != nil && b[0] < 0x80) {
		t.Errorf("number % x: %v, %v", b, signedErr, unsignedErr)
	}
	name := []byte{0x2b}
	for _, sub := range b[:min(len(b), 16)] {
		name = AppendSub(name, uint32(sub)<<20)
	}
	if err := checkOID(name); err != nil {
		t.Errorf("OID % x: %v", name, err)
	}
}

// plainTLV is a value with its tag and the shortest length (X.690 section 8.1.3).
func plainTLV(tag byte, parts ...[]byte) []byte {
	val := bytes.Join(parts, nil)
	if len(val) < 0x80 {
		return append([]byte{tag, byte(len(val))}, val...)
	}
	var size []byte
	for n := len(val); n > 0; n >>= 8 {
		size = append([]byte{byte(n)}, size...)
	}
	return append(append([]byte{tag, 0x80 | byte(len(size))}, size...), val...)
}

func numbers(t *testing.T, val []byte) {
	t.Helper()
	if n, err := signed(val); err == nil {
		again := AppendInt(nil, n)
		if m, err := signed(again); m != n || err != nil || len(again) > len(val) || len(again) > 4 {
			t.Errorf("INTEGER % x is %d, then % x, %d, %v", val, n, again, m, err)
		}
	}
	if n, err := unsigned(val); err == nil {
		again := AppendUint(nil, n)
		if m, err := unsigned(again); m != n || err != nil || len(again) > 5 {
			t.Errorf("unsigned % x is %d, then % x, %d, %v", val, n, again, m, err)
		}
	}
}

// FuzzMessage: no panic; what is parsed lies inside the message; both walks see
// the same variables; names print. Any bytes are a community.
func FuzzMessage(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if m.Parse(b) != nil {
			if b = informOf(b); m.Parse(b) != nil {
				t.Fatalf("an inform of %d bytes is refused: % x", len(b), b[:min(len(b), 200)])
			}
		}
		for name, val := range map[string][]byte{
			"community": m.Community, "enterprise": m.enterprise, "trap OID": m.trapOID, "request id": m.id, "list": m.list, "objects": m.binds,
		} {
			if !corpus.Within(b, val) {
				t.Errorf("%s is not of the message", name)
			}
		}
		if (m.PDU == TagTrapV1) != (m.Version == V1) || m.PDU != TagTrapV1 && m.PDU != TagTrapV2 && m.PDU != TagInform {
			t.Errorf("PDU %#x in version %d", m.PDU, m.Version)
		}
		all, own := m.VarBinds(), m.Objects()
		if m.PDU != TagTrapV1 { // sysUpTime.0 and snmpTrapOID.0
			all.Next()
			all.Next()
		}
		for {
			v, ok := all.Next()
			w, also := own.Next()
			if ok != also || !bytes.Equal(v.Name, w.Name) || v.Tag != w.Tag || !bytes.Equal(v.Value, w.Value) {
				t.Fatalf("%v, %v and %v, %v", v, ok, w, also)
			}
			if !ok {
				break
			}
			variable(t, b, v)
		}
		if len(m.AppendTrapOID(nil)) == 0 {
			t.Error("the trap has no name")
		}
	})
}

// informOf is an inform with any bytes as its community.
func informOf(community []byte) []byte {
	return AppendInform(nil, &Notification{Community: community, RequestID: int32(len(community)), TrapOID: OID("\x2b\x06\x01")})
}

func variable(t *testing.T, b []byte, v VarBind) {
	t.Helper()
	if !corpus.Within(b, v.Name) || !corpus.Within(b, v.Value) || checkOID(v.Name) != nil || len(v.Name.String()) == 0 {
		t.Errorf("variable %v is not of the message", v)
	}
	i, isInt := v.Int()
	u, isUint := v.Uint()
	if isInt && (v.Tag != TagInteger || (i >= 0) != isUint || isUint && int64(i) != int64(u)) {
		t.Errorf("variable %v is %d (%v) and %d (%v)", v, i, isInt, u, isUint)
	}
}

// FuzzVarBinds: variables of any names and values, in a trap of either version
// and in an inform, read back as they were written, and each message takes as
// many bytes as its parts.
func FuzzVarBinds(f *testing.F) {
	f.Add([]byte("public"), int32(1), uint32(2), []byte("\x2b\x06\x01"), byte(TagOctetString), []byte("text"), uint8(3))
	for _, in := range corpus.SNMP(f) {
		var m Message
		if m.Parse(in.Bytes) != nil {
			continue
		}
		for it := m.VarBinds(); ; {
			v, ok := it.Next()
			if !ok {
				break
			}
			f.Add(m.Community, m.RequestID, m.UpTime, []byte(v.Name), v.Tag, v.Value, uint8(len(m.list)))
		}
	}
	f.Fuzz(func(t *testing.T, community []byte, id int32, up uint32, name []byte, tag byte, val []byte, times uint8) {
		if checkOID(name) != nil || tag&0x1f == 0x1f || len(val) > 4096 {
			return
		}
		n := Notification{Community: community, RequestID: id, UpTime: up, TrapOID: name}
		for range times {
			n.Objects = AppendVarBind(n.Objects, name, tag, val)
		}
		agent := [4]byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
		for pdu, msg := range map[byte][]byte{
			TagTrapV2: AppendTrap(nil, &n), TagInform: AppendInform(nil, &n), TagTrapV1: AppendTrapV1(nil, &n, agent, times&0x7f),
		} {
			var m Message
			if err := m.Parse(msg); err != nil {
				t.Fatalf("PDU %#x: %v", pdu, err)
			}
			if m.PDU != pdu || !bytes.Equal(m.Community, community) || m.UpTime != up || pdu != TagTrapV1 && m.RequestID != id {
				t.Errorf("%+v of %+v", m, n)
			}
			if want := agent; m.AgentAddr != want && pdu == TagTrapV1 || m.AgentAddr != [4]byte{} && pdu != TagTrapV1 {
				t.Errorf("PDU %#x is of agent %v, want %v", pdu, m.AgentAddr, want)
			}
			if m.enterprise.Is(string(name)) == m.trapOID.Is(string(name)) || pdu == TagTrapV1 && !m.IsTrap(string(name), times&0x7f) {
				t.Errorf("PDU %#x: the trap is another one", pdu)
			}
			count := 0
			for it := m.Objects(); ; count++ {
				v, ok := it.Next()
				if !ok {
					break
				}
				if !bytes.Equal(v.Name, name) || v.Tag != tag || !bytes.Equal(v.Value, val) {
					t.Fatalf("variable %d is %v", count, v)
				}
			}
			if count != int(times) || !bytes.Equal(m.binds, n.Objects) {
				t.Errorf("%d variables, want %d", count, times)
			}
		}
	})
}

// FuzzResponse: the Response to an inform is the inform with another PDU and
// without an error (RFC 3416 section 4.2.7), every length in its shortest form: byte
// by byte, behind what was there. Any bytes are the community of one.
func FuzzResponse(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Add(make([]byte, 1<<16)) // a length of three bytes, in four until then
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, back Message
		if m.Parse(b) != nil || m.PDU != TagInform {
			if b = informOf(b); m.Parse(b) != nil || m.PDU != TagInform {
				t.Fatalf("an inform of %d bytes is refused: % x", len(b), b[:min(len(b), 200)])
			}
		}
		all := AppendResponse([]byte("before"), &m)
		out, ok := bytes.CutPrefix(all, []byte("before"))
		zero := []byte{TagInteger, 1, 0} // error-status, error-index
		pdu := plainTLV(TagResponse, plainTLV(TagInteger, m.id), zero, zero, plainTLV(TagSequence, m.list))
		if want := plainTLV(TagSequence, []byte{TagInteger, 1, 1}, plainTLV(TagOctetString, m.Community), pdu); !ok || !bytes.Equal(out, want) {
			t.Fatalf("%d bytes, want %d: % x, want % x", len(all), len(want), all[:min(len(all), 400)], want[:min(len(want), 400)])
		}
		out[len(out)-len(pdu)] = TagInform
		if err := back.Parse(out); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(back.id, m.id) || !bytes.Equal(back.list, m.list) || !bytes.Equal(back.Community, m.Community) {
			t.Errorf("%+v, want %+v", back, m)
		}
		if again := AppendResponse(nil, &back); len(again) != len(out) || len(out) > len(b)+6 {
			t.Errorf("a response of %d bytes, then %d, to an inform of %d", len(out), len(again), len(b))
		}
	})
}
