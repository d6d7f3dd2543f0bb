package macnotify

import (
	"bytes"
	"encoding/binary"
	"math/big"
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
// messages one after the other, and a move what its objects say, by the plainest
// words. What is no message is a history message of one; and any bytes are objects
// of a move.
func FuzzNotification(f *testing.F) {
	corpus.Add(f, corpus.SNMP(f))
	f.Add(learnt)
	f.Add([]byte("\x18\x00\x02\x00\x00\x00\x00\x01\x09\x01\x00\x07\x0a\x01\x00\x08\x0f\x02\x00\x00\x09")) // a whole move
	f.Add([]byte("\x09\x01\x80\x07"))                                                                     // a VLAN below 0
	f.Add([]byte("\x0d\x01\x01\x00\x00"))                                                                 // one beyond 16 bits
	f.Add([]byte("\x09\x00\x00\x07"))                                                                     // and one that is text
	f.Fuzz(func(t *testing.T, b []byte) {
		sameMove(t, message(t, false, snmp.OID(notifications+"\x00\x02"), moveOf(b)))
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
			some, whole := plainRecords(v.Value)
			want, broken = append(want, some...), broken || !whole
		}
		if len(got) != len(want) || broken != (err != nil) {
			t.Fatalf("%d records (%v), want %d (broken: %v)", len(got), err, len(want), broken)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("record %d is %v, want %v", i, got[i], want[i])
			}
		}
		sameMove(t, &m)
	})
}

// plainRecords gives the records of a history message; whole says that it ends where one does.
func plainRecords(b []byte) (all []Record, whole bool) {
	for len(b) > 0 && b[0] != 0 {
		if len(b) < 11 {
			return all, false
		}
		all = append(all, Record{Op(b[0]), binary.BigEndian.Uint16(b[1:]), [6]byte(b[3:]), binary.BigEndian.Uint16(b[9:])})
		b = b[11:]
	}
	return all, true
}

// moveOf makes objects of a move of any bytes: which one and how long it is, its type, and its value.
func moveOf(b []byte) (objects []byte) {
	names := [...]string{moveMAC, moveVLAN, moveFrom, moveTo}
	tags := [...]byte{snmp.TagOctetString, snmp.TagInteger, snmp.TagGauge32, snmp.TagTimeTicks, snmp.TagCounter32, snmp.TagNull}
	for n := 0; len(b) >= 2 && n < 16; n++ {
		end := min(2+int(b[0]>>2)%12, len(b))
		objects = append(objects, bind([]byte(names[b[0]%4]), tags[int(b[1])%len(tags)], b[2:end]...)...)
		b = b[end:]
	}
	return objects
}

// sameMove holds ReadMove against all objects of a message: of each name the last one, all of them of
// the right type; only the VLAN need not be there.
func sameMove(t *testing.T, m *snmp.Message) {
	t.Helper()
	var want Move
	var wantErr error
	there := map[string]bool{}
	for it := m.Objects(); ; {
		v, ok := it.Next()
		if !ok {
			break
		}
		n := new(big.Int).SetBytes(v.Value)
		isNumber := len(v.Value) > 0 && n.BitLen() <= 16 && (v.Tag == snmp.TagGauge32 || v.Tag == snmp.TagCounter32 || v.Tag == snmp.TagTimeTicks ||
			v.Tag == snmp.TagInteger && v.Value[0] < 0x80 && len(v.Value) <= 8)
		number, right := uint16(n.Uint64()), isNumber
		switch string(v.Name) {
		case moveMAC:
			if right = v.Tag == snmp.TagOctetString && len(v.Value) == 6; right {
				want.MAC = [6]byte(v.Value)
			}
		case moveVLAN:
			want.VLAN = number
		case moveFrom:
			want.From = number
		case moveTo:
			want.To = number
		default:
			continue
		}
		if there[string(v.Name)] = true; !right {
			wantErr = ErrType
		}
	}
	if wantErr == nil && !(there[moveMAC] && there[moveFrom] && there[moveTo]) {
		wantErr = ErrMove
	}
	if mv, err := ReadMove(m); err != wantErr || err == nil && mv != want {
		t.Errorf("a move is %+v, %v, want %+v, %v", mv, err, want, wantErr)
	}
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
