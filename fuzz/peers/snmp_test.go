package peers

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gosnmp/gosnmp"

	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// unmarshal has gosnmp read a message. Its panics are its own.
func unmarshal(b []byte) (p *gosnmp.SnmpPacket, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("gosnmp panicked: %v", r)
		}
	}()
	return (&gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}).UnmarshalTrap(b, false)
}

// FuzzTrapAgainstGosnmp: a message that both take reads the same. On purpose we are
// laxer: values are not decoded before somebody asks (RFC 3416 section 3), so that gosnmp
// refuses more of them; and stricter: numbers of 32 bits (RFC 2578 section 7.1), names
// in their only encoding (X.690 section 8.19), nothing behind the last value,
// sysUpTime.0 and snmpTrapOID.0 first (RFC 3416 section 4.2.6).
func FuzzTrapAgainstGosnmp(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m snmp.Message
		err := m.Parse(b)
		p, theirErr := unmarshal(bytes.Clone(b))
		if err != nil || theirErr != nil {
			return
		}
		compare(t, &m, p)
	})
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
