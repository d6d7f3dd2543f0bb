package peers

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gosnmp/gosnmp"

	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// unmarshal has gosnmp read a message.
func unmarshal(b []byte) (*gosnmp.SnmpPacket, error) {
	return (&gosnmp.GoSNMP{Version: gosnmp.Version2c, Community: "public"}).UnmarshalTrap(bytes.Clone(b), false)
}

// FuzzTrapAgainstGosnmp: a message that one of both takes the other takes too, and it reads the
// same. What we refuse on purpose is in refused, what we take on purpose in undecodable and in
// longTicks: each form of a message with its section, and no other form.
func FuzzTrapAgainstGosnmp(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m snmp.Message
		err := m.Parse(b)
		p, theirErr := unmarshal(b)
		switch {
		case theirErr == nil:
			if want := refused(b); err != want {
				t.Fatalf("%v, want %v; gosnmp takes % x: %+v", err, want, b, p)
			}
			if err == nil {
				compare(t, b, &m, p)
			}
		case err == nil && !laxer(b, &m, theirErr):
			t.Errorf("gosnmp: %v; we take % x", theirErr, b)
		}
	})
}

// laxer reports whether gosnmp refuses on its own a message that we take.
func laxer(b []byte, m *snmp.Message, theirs error) bool {
	if strings.HasSuffix(theirs.Error(), "error in parseUint: "+gosnmp.ErrIntegerTooLarge.Error()) {
		return longTicks(b)
	}
	for it := m.VarBinds(); ; {
		v, ok := it.Next()
		if !ok {
			return false
		}
		if undecodable(v) {
			return strings.Contains(theirs.Error(), "error decoding value: ")
		}
	}
}

// compare holds a message, whose bytes are b, against what gosnmp makes of it.
func compare(t *testing.T, b []byte, m *snmp.Message, p *gosnmp.SnmpPacket) {
	t.Helper()
	if byte(p.PDUType) != m.PDU || byte(p.Version) != byte(m.Version) || p.Community != string(m.Community) {
		t.Errorf("%+v; gosnmp: %+v", m, p)
	}
	if m.PDU == snmp.TagTrapV1 {
		compareV1(t, b, m, p)
	} else {
		compareV2(t, m, p)
	}
	compareVariables(t, m, p)
}

// compareVariables compares all variable bindings.
func compareVariables(t *testing.T, m *snmp.Message, p *gosnmp.SnmpPacket) {
	t.Helper()
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

// compareV1 compares all fields of a Trap-PDU. We give enterprise, generic-trap and specific-trap as
// the name of the trap alone, in which the first and the last are for enterpriseSpecific only (RFC
// 3584 section 3.1): of others they are seen in the same trap made enterpriseSpecific.
func compareV1(t *testing.T, b []byte, m *snmp.Message, p *gosnmp.SnmpPacket) {
	t.Helper()
	addr := fmt.Sprintf("%d.%d.%d.%d", m.AgentAddr[0], m.AgentAddr[1], m.AgentAddr[2], m.AgentAddr[3])
	if p.AgentAddress != addr || uint64(p.Timestamp) != uint64(m.UpTime) {
		t.Errorf("%s, %d; gosnmp: %s, %d", addr, m.UpTime, p.AgentAddress, p.Timestamp)
	}
	same := func(m *snmp.Message, generic int) {
		t.Helper()
		want := fmt.Sprintf("%s.0.%d", p.Enterprise, p.SpecificTrap)
		if generic != enterpriseSpecific {
			want = fmt.Sprintf(".1.3.6.1.6.3.1.1.5.%d", generic+1)
		}
		if got := "." + string(m.AppendTrapOID(nil)); got != want {
			t.Errorf("trap %s of %d; gosnmp: %s, %d, %d", got, generic, p.Enterprise, p.GenericTrap, p.SpecificTrap)
		}
		head := headV1(b)
		n, base := p.SpecificTrap, string(head.next(snmp.TagOID))
		if is := m.IsTrap(base, uint8(n)); n >= 0 && n < 128 && is != (generic == enterpriseSpecific) {
			t.Errorf("a trap of %d is number %d of %s: %v", generic, n, p.Enterprise, is)
		}
	}
	same(m, p.GenericTrap)
	var own snmp.Message
	if err := own.Parse(madeSpecific(b)); err != nil {
		t.Fatal(err)
	}
	same(&own, enterpriseSpecific)
}

const enterpriseSpecific = 6 // generic-trap

// madeSpecific gives the same trap with enterpriseSpecific for its generic-trap.
func madeSpecific(b []byte) []byte {
	b = bytes.Clone(b)
	r := headV1(b)
	r.next(snmp.TagOID)
	r.next(snmp.TagIPAddress)
	generic := r.next(snmp.TagInteger)
	clear(generic)
	generic[len(generic)-1] = enterpriseSpecific
	return b
}

// compareV2 compares the request id, sysUpTime.0 and snmpTrapOID.0.
func compareV2(t *testing.T, m *snmp.Message, p *gosnmp.SnmpPacket) {
	t.Helper()
	if p.RequestID != uint32(m.RequestID) || p.IsInform != (m.PDU == snmp.TagInform) {
		t.Errorf("request id %d of PDU %#x, gosnmp's is %d (inform: %v)", m.RequestID, m.PDU, int32(p.RequestID), p.IsInform)
	}
	if len(p.Variables) < 2 || p.Variables[0].Value != m.UpTime || p.Variables[1].Value != "."+string(m.AppendTrapOID(nil)) {
		t.Errorf("trap %s at %d; gosnmp: %+v", m.AppendTrapOID(nil), m.UpTime, p.Variables)
	}
}

// FuzzNotificationForGosnmp: traps of both versions, informs and the Response to
// one, of any community, names and values, read in gosnmp as they were written.
func FuzzNotificationForGosnmp(f *testing.F) {
	f.Add([]byte("public"), int32(1), uint32(2), uint32(3), []byte("text"), int32(4))
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
		w := written{community, id, up, fmt.Sprintf(".1.3.6.1.4.1.9.9.215.2.%d", sub), text, num}
		var inform snmp.Message
		for _, b := range [][]byte{snmp.AppendTrap(nil, &n), snmp.AppendTrapV1(nil, &n, [4]byte{10, 0, 0, 1}, 1), snmp.AppendInform(nil, &n)} {
			if err := inform.Parse(b); err != nil {
				t.Fatal(err)
			}
			p, err := unmarshal(b)
			if err != nil {
				t.Fatalf("gosnmp does not read % x: %v", b, err)
			}
			compare(t, b, &inform, p)
			w.compare(t, p)
		}
		response := snmp.AppendResponse(nil, &inform)
		answers(t, response, snmp.AppendInform(nil, &n))
		p, err := unmarshal(response)
		if err != nil {
			t.Fatalf("gosnmp does not read % x: %v", response, err)
		}
		w.compare(t, p)
	})
}

// written is what a notification was written of: a trap of that name, and two objects of it.
type written struct {
	community []byte
	id        int32
	up        uint32
	name      string
	text      []byte
	num       int32
}

// compare holds what gosnmp reads against it.
func (w *written) compare(t *testing.T, p *gosnmp.SnmpPacket) {
	t.Helper()
	objects := p.Variables
	if p.PDUType == gosnmp.Trap {
		if p.Version != gosnmp.Version1 || p.Enterprise != w.name || p.AgentAddress != "10.0.0.1" || p.GenericTrap != enterpriseSpecific || p.SpecificTrap != 1 || p.Timestamp != uint(w.up) {
			t.Errorf("gosnmp: %+v, written was %+v", p, w)
		}
	} else {
		if len(objects) != 4 || p.Version != gosnmp.Version2c || int32(p.RequestID) != w.id || p.Error != gosnmp.NoError || p.ErrorIndex != 0 ||
			objects[0].Name != ".1.3.6.1.2.1.1.3.0" || !is(objects[0], byte(gosnmp.TimeTicks), w.up) ||
			objects[1].Name != ".1.3.6.1.6.3.1.1.4.1.0" || !is(objects[1], byte(gosnmp.ObjectIdentifier), w.name) {
			t.Fatalf("gosnmp: %+v, written was %+v", p, w)
		}
		objects = objects[2:]
	}
	if p.Community != string(w.community) || len(objects) != 2 {
		t.Fatalf("gosnmp: %+v, written was %+v", p, w)
	}
	text, _ := objects[0].Value.([]byte)
	if objects[0].Name != w.name || objects[0].Type != gosnmp.OctetString || !bytes.Equal(text, w.text) ||
		objects[1].Name != w.name || !is(objects[1], byte(gosnmp.Integer), int(w.num)) {
		t.Errorf("gosnmp: %+v, written was %+v", objects, w)
	}
}

// TestForms: each form that one of both takes alone is there in the corpus, and gosnmp still does
// what is said of it.
func TestForms(t *testing.T) {
	forms := map[string]error{ // nil: we take it, and gosnmp does not
		"version-of-257":         snmp.ErrVersion,
		"get-request":            snmp.ErrPDU,
		"version-1-with-trap-v2": snmp.ErrPDU,
		"v1-version-is-octets":   snmp.ErrTag,
		"community-is-oid":       snmp.ErrTag,
		"request-id-is-octets":   snmp.ErrTag,
		"name-is-octets":         snmp.ErrTag,
		"value-tag-of-two-bytes": snmp.ErrTag,
		"lengths-of-5":           snmp.ErrLength,
		"value-without-length":   snmp.ErrTruncated,
		"value-of-octets-cut":    snmp.ErrTruncated,
		"request-id-of-5":        snmp.ErrInteger,
		"error-status-over":      snmp.ErrInteger,
		"v1-specific-of-5":       snmp.ErrInteger,
		"v1-time-of-0":           snmp.ErrInteger,
		"v1-time-of-5-over":      snmp.ErrInteger,
		"uptime-of-0":            snmp.ErrInteger,
		"uptime-of-5-over":       snmp.ErrInteger,
		"oid-leading-80":         snmp.ErrOID,
		"oid-empty":              snmp.ErrOID,
		"v1-enterprise-empty":    snmp.ErrOID,
		"v1-agent-of-0":          snmp.ErrAddress,
		"no-variables":           snmp.ErrTrapOID,
		"uptime-second":          snmp.ErrTrapOID,
		"v1-time-of-10-padded":   nil,
		"value-integer-of-0":     nil,
		"value-integer-of-9":     nil,
		"value-address-of-3":     nil,
		"value-oid-cut":          nil,
		"value-oid-over":         nil,
		"value-opaque-of-0":      nil,
		"value-float-of-3":       nil,
		"value-double-of-4":      nil,
	}
	for _, in := range corpus.SNMP(t) {
		name := strings.TrimPrefix(in.Name, "snmp/")
		var m snmp.Message
		err := m.Parse(in.Bytes)
		_, theirErr := unmarshal(in.Bytes)
		want, ok := forms[name]
		if delete(forms, name); ok && (err != want || (theirErr == nil) != (want != nil)) {
			t.Errorf("%s: %v, want %v; gosnmp: %v", name, err, want, theirErr)
		}
	}
	for name := range forms {
		t.Errorf("no %s in the corpus", name)
	}
}
