package peers

import (
	"testing"

	"github.com/gosnmp/gosnmp"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
	"github.com/clusto/clusto-engine/fuzz"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzInformForGosnmp: the trap engine answers an inform of its community once, and nothing else;
// gosnmp reads that as the Response to what it reads the inform as.
func FuzzInformForGosnmp(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) > 1500 {
			return
		}
		p := fuzz.Received(fuzz.InFrames([]corpus.Input{{Bytes: msg}}, trap.Port)[0].Bytes, false, frame.Tag{})
		s := fuzz.Traps{Room: 256}
		s.Take(t, *p)
		want := 0
		if q, err := unmarshal(msg); err != nil {
			if isInform(msg) { // laxer, as FuzzTrapAgainstGosnmp has it
				want = 1
			}
		} else if q.IsInform && q.Community == "public" && refused(msg) == nil {
			want = 1
		}
		answered := s.Counted.Verdicts[engine.Acknowledged] + s.Counted.Verdicts[engine.Reply]
		if len(s.Sent) != want || answered != uint64(want) {
			t.Fatalf("%d responses, %d counted, want %d", len(s.Sent), answered, want)
		}
		for _, b := range s.Sent {
			var u frame.UDP4
			if err := u.Parse(b, false); err != nil {
				t.Fatal(err)
			}
			answers(t, u.Payload, msg)
		}
	})
}

// isInform reports whether a message is an inform of our community that we have to take.
func isInform(b []byte) bool {
	all := reading{rest: b}
	m := reading{rest: all.next(snmp.TagSequence)}
	m.next(snmp.TagInteger)
	community := m.next(snmp.TagOctetString)
	return string(community) == "public" && len(m.rest) > 0 && m.rest[0] == snmp.TagInform && refused(b) == nil
}

// answers has gosnmp read a message as the Response to an inform: the same version, community,
// request id and variables, and no error (RFC 3416 section 4.2.7).
func answers(t *testing.T, response, inform []byte) {
	t.Helper()
	q, refusal := unmarshal(inform)
	p, err := unmarshal(response)
	if refusal != nil || err != nil {
		if refusal == nil || err == nil || refusal.Error() != err.Error() { // a value that gosnmp cannot decode
			t.Errorf("gosnmp: %v, and of the inform: %v", err, refusal)
		}
		return
	}
	if p.PDUType != gosnmp.GetResponse || p.Version != q.Version || p.Community != q.Community || p.RequestID != q.RequestID ||
		p.Error != gosnmp.NoError || p.ErrorIndex != 0 {
		t.Errorf("the response %+v to %+v", p, q)
	}
	var m snmp.Message
	if err := m.Parse(inform); err != nil {
		t.Fatal(err)
	}
	compareVariables(t, &m, p)
}
