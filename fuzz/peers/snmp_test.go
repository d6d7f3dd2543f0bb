package peers

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gosnmp/gosnmp"

	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

var errPanic = errors.New("gosnmp panicked")

// unmarshal has gosnmp read a message. Its panics are its own.
func unmarshal(b []byte) (p *gosnmp.SnmpPacket, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return (&gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}).UnmarshalTrap(b, false)
}

// FuzzTrapAgainstGosnmp: a message that one of both takes the other takes too, and it reads the
// same, but where stricter and laxer say why not.
func FuzzTrapAgainstGosnmp(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m snmp.Message
		err := m.Parse(b)
		p, theirErr := unmarshal(bytes.Clone(b))
		switch {
		case err == nil && theirErr == nil:
			compare(t, &m, p)
		case err == nil && !laxer(theirErr):
			t.Errorf("gosnmp: %v; we take % x", theirErr, b)
		case theirErr == nil && !stricter(err, b, p):
			t.Errorf("%v; gosnmp takes % x: %+v", err, b, p)
		}
	})
}

// laxer: values are not decoded before somebody asks (RFC 3416 section 3: each has its own syntax),
// while gosnmp refuses the whole message for one of them, or panics.
func laxer(theirs error) bool {
	return strings.Contains(theirs.Error(), "error decoding value: ") || errors.Is(theirs, errPanic)
}

// stricter reports whether we refuse a message on purpose that gosnmp takes: as far as gosnmp
// gives what it read, the fault that we name has to be in it.
func stricter(err error, b []byte, p *gosnmp.SnmpPacket) bool {
	switch err {
	case snmp.ErrVersion: // 0 and 1 (RFC 1157 section 4, RFC 1901 section 3); gosnmp cuts it to one byte
		return p.Version > gosnmp.Version2c || !bytes.Contains(b, []byte{snmp.TagInteger, 1, byte(p.Version), snmp.TagOctetString})
	case snmp.ErrPDU: // a trap in version 1, a trap or an inform in 2c (RFC 1157 section 4.1.6, RFC 3416 section 4.2)
		return p.PDUType != gosnmp.Trap && p.PDUType != gosnmp.SNMPv2Trap && p.PDUType != gosnmp.InformRequest || (p.PDUType == gosnmp.Trap) != (p.Version == gosnmp.Version1)
	case snmp.ErrTrapOID: // sysUpTime.0 and snmpTrapOID.0 first (RFC 3416 section 4.2.6), of their own types (RFC 3418 section 2)
		return p.Version == gosnmp.Version2c && (!holds(p, 0, ".1.3.6.1.2.1.1.3.0", gosnmp.TimeTicks) || !holds(p, 1, ".1.3.6.1.6.3.1.1.4.1.0", gosnmp.ObjectIdentifier))
	case snmp.ErrLength: // definite lengths alone (RFC 3417 section 8), of no more than four bytes
		return slices.ContainsFunc(b, func(c byte) bool { return c == 0x80 || c > 0x84 })
	case snmp.ErrTag, // the types that the PDUs are defined with (RFC 1157 section 4.1.6, RFC 3416 section 3)
		snmp.ErrTruncated, snmp.ErrTrailing, // a SEQUENCE consists of its parts alone (X.690 section 8.9)
		snmp.ErrInteger, // numbers have 32 bits (RFC 2578 sections 7.1.1 and 7.1.8)
		snmp.ErrOID,     // names in their only encoding, sub-identifiers of 32 bits (X.690 section 8.19, RFC 2578 section 3.5)
		snmp.ErrAddress: // four bytes (RFC 2578 section 7.1.5)
		return true
	}
	return false
}

func holds(p *gosnmp.SnmpPacket, i int, name string, typ gosnmp.Asn1BER) bool {
	return i < len(p.Variables) && p.Variables[i].Name == name && p.Variables[i].Type == typ
}

// compare holds a message against what gosnmp makes of it.
func compare(t *testing.T, m *snmp.Message, p *gosnmp.SnmpPacket) {
	t.Helper()
	if byte(p.PDUType) != m.PDU || byte(p.Version) != byte(m.Version) || p.Community != string(m.Community) {
		t.Errorf("%+v; gosnmp: %+v", m, p)
	}
	if m.PDU != snmp.TagTrapV1 && p.RequestID != uint32(m.RequestID) {
		t.Errorf("request id %d, gosnmp's is %d", m.RequestID, int32(p.RequestID))
	}
	if m.PDU == snmp.TagTrapV1 && (p.AgentAddress != fmt.Sprintf("%d.%d.%d.%d", m.AgentAddr[0], m.AgentAddr[1], m.AgentAddr[2], m.AgentAddr[3]) || uint32(p.Timestamp) != m.UpTime) {
		t.Errorf("%+v; gosnmp: %s, %d", m, p.AgentAddress, p.Timestamp)
	}
	n := 0
	for it := m.VarBinds(); ; n++ {
		v, ok := it.Next()
		if !ok {
			break
		}
		if n == len(p.Variables) {
			t.Fatalf("gosnmp has %d variables only", n)
		}
		w := p.Variables[n]
		if w.Name != "."+v.Name.String() || !sameValue(v, w) {
			t.Errorf("variable %d: %v %#x % x; gosnmp: %+v", n, v.Name, v.Tag, v.Value, w)
		}
	}
	if n != len(p.Variables) {
		t.Errorf("%d variables, gosnmp has %d", n, len(p.Variables))
	}
}

// sameValue compares the types that MAC notifications have. gosnmp gives a type of
// its own to a value that it cannot decode.
func sameValue(v snmp.VarBind, w gosnmp.SnmpPDU) bool {
	if byte(w.Type) != v.Tag {
		return w.Type == gosnmp.UnknownType || w.Type == gosnmp.OpaqueFloat || w.Type == gosnmp.OpaqueDouble || w.Type == gosnmp.Null
	}
	switch v.Tag {
	case snmp.TagOctetString:
		b, ok := w.Value.([]byte)
		return ok && bytes.Equal(b, v.Value)
	case snmp.TagInteger:
		n, ok := v.Int()
		return !ok || w.Value == int(n)
	case snmp.TagOID:
		return len(v.Value) == 0 || v.Value[len(v.Value)-1]&0x80 != 0 || w.Value == "."+snmp.OID(v.Value).String()
	}
	return true
}

// FuzzNotificationForGosnmp: traps of both versions, informs and the Response to
// one, of any community, names and values, read in gosnmp as they were written.
func FuzzNotificationForGosnmp(f *testing.F) {
	for _, in := range corpus.SNMP(f) {
		var m snmp.Message
		if m.Parse(in.Bytes) != nil {
			continue
		}
		for it := m.VarBinds(); ; {
			v, ok := it.Next()
			if !ok {
				break
			}
			f.Add(m.Community, m.RequestID, m.UpTime, uint32(len(v.Name)), v.Value, int32(len(v.Value)))
		}
	}
	f.Fuzz(func(t *testing.T, community []byte, id int32, up, sub uint32, text []byte, num int32) {
		name := snmp.AppendSub([]byte("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x02"), sub)
		objects := snmp.AppendVarBind(nil, name, snmp.TagOctetString, text)
		objects = snmp.AppendVarBind(objects, name, snmp.TagInteger, snmp.AppendInt(nil, num))
		n := snmp.Notification{Community: community, RequestID: id, UpTime: up, TrapOID: name, Objects: objects}
		var inform snmp.Message
		for _, b := range [][]byte{snmp.AppendTrap(nil, &n), snmp.AppendTrapV1(nil, &n, [4]byte{10, 0, 0, 1}, 1), snmp.AppendInform(nil, &n)} {
			if err := inform.Parse(b); err != nil {
				t.Fatal(err)
			}
			p, err := unmarshal(b)
			if err != nil {
				t.Fatalf("gosnmp does not read % x: %v", b, err)
			}
			compare(t, &inform, p)
		}
		p, err := unmarshal(snmp.AppendResponse(nil, &inform))
		if err != nil || p.PDUType != gosnmp.GetResponse || p.RequestID != uint32(id) || p.Error != gosnmp.NoError || p.Community != string(community) || len(p.Variables) != 4 {
			t.Errorf("the response: %+v, %v", p, err)
		}
	})
}
