package macnotify

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzRecords: no panic, progress, and no record that is not in the message; the
// end is a byte 0, the end of the message, or what is reported.
func FuzzRecords(f *testing.F) {
	corpus.Add(f, corpus.History(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		it := RecordsOf(b)
		got, err := collect(it)
		for i, r := range got {
			if at := b[i*recordLen:]; string(encode(r)) != string(at[:recordLen]) {
				t.Errorf("record %d is %v", i, r)
			}
		}
		rest := b[len(got)*recordLen:]
		ended := len(rest) == 0 || rest[0] == 0
		if ended != (err == nil) || err != nil && (err != ErrTail || len(rest) >= recordLen) {
			t.Errorf("%d bytes are left, and the error is %v", len(rest), err)
		}
	})
}

func encode(r Record) []byte {
	b := binary.BigEndian.AppendUint16([]byte{byte(r.Op)}, r.VLAN)
	return binary.BigEndian.AppendUint16(append(b, r.MAC[:]...), r.Port)
}

// FuzzNotification: no panic on any message; records are those of its history
// messages one after the other, however they are found. What is no message is a
// history message of one.
func FuzzNotification(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m snmp.Message
		if m.Parse(b) != nil {
			name := snmp.AppendSub([]byte(histMsg), 1)
			m = *message(t, false, snmp.OID(notifications+"\x00\x01"), bind(name, snmp.TagOctetString, b...))
			if it := m.Objects(); KindOf(&m) != Changed {
				t.Fatalf("kind %d", KindOf(&m))
			} else if v, ok := it.Next(); !ok || !bytes.Equal(v.Value, b) {
				t.Fatalf("%v is not what was written", v)
			}
		}
		got, err := collect(Records(&m))
		var want []Record
		broken := false
		for it := m.Objects(); ; {
			v, ok := it.Next()
			if !ok {
				break
			}
			if _, ours := v.Name.Below(histMsg); !ours {
				continue
			}
			if v.Tag != snmp.TagOctetString {
				broken = true
				continue
			}
			some, err := collect(RecordsOf(v.Value))
			want, broken = append(want, some...), broken || err != nil
		}
		if len(got) != len(want) || broken != (err != nil) {
			t.Fatalf("%d records (%v), want %d (broken: %v)", len(got), err, len(want), broken)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("record %d is %v, want %v", i, got[i], want[i])
			}
		}
		if mv, err := ReadMove(&m); err == nil && !bytes.Contains(b, mv.MAC[:]) {
			t.Errorf("%v is not of the message", mv)
		}
	})
}

// FuzzWritten: records and moves that a switch may write, in a trap of either
// version, read back as they were written.
func FuzzWritten(f *testing.F) {
	for _, in := range corpus.History(f) {
		f.Add(in.Bytes, uint32(1), false)
		f.Add(in.Bytes, ^uint32(0), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, index uint32, v1 bool) {
		whole := b[:len(b)/recordLen*recordLen]
		var want []Record
		for i := 0; i < len(whole); i += recordLen {
			if whole[i] == 0 {
				return // no operation
			}
			r := whole[i:]
			want = append(want, Record{Op(r[0]), be16(r[1], r[2]), [6]byte(r[3:9]), be16(r[9], r[10])})
		}
		name := snmp.AppendSub([]byte(histMsg), index)
		m := message(t, v1, snmp.OID(notifications+"\x00\x01"), bind(name, snmp.TagOctetString, append(bytes.Clone(whole), 0)...))
		if KindOf(m) != Changed {
			t.Fatalf("kind %d", KindOf(m))
		}
		got, err := collect(Records(m))
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d records, %v, want %d", len(got), err, len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("record %d is %v, want %v", i, got[i], want[i])
			}
			checkMove(t, v1, got[i], uint16(index))
		}
	})
}

// checkMove writes a record as a move to its port.
func checkMove(t *testing.T, v1 bool, r Record, from uint16) {
	t.Helper()
	number := func(n uint16) []byte { return snmp.AppendInt(nil, int32(n)) }
	objects := bind([]byte(moveMAC), snmp.TagOctetString, r.MAC[:]...)
	objects = append(objects, bind([]byte(moveVLAN), snmp.TagInteger, number(r.VLAN)...)...)
	objects = append(objects, bind([]byte(moveFrom), snmp.TagInteger, number(from)...)...)
	objects = append(objects, bind([]byte(moveTo), snmp.TagInteger, number(r.Port)...)...)
	mv, err := ReadMove(message(t, v1, snmp.OID(notifications+"\x00\x02"), objects))
	if err != nil || mv != (Move{r.MAC, r.VLAN, from, r.Port}) {
		t.Errorf("a move of %v from %d is %v, %v", r, from, mv, err)
	}
}
