package macnotify

import (
	"bytes"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

var (
	msgName   = snmp.OID(histMsg + "\x01")
	changed   = snmp.OID(notifications + "\x00\x01")
	moved     = snmp.OID(notifications + "\x00\x02")
	learnt    = []byte{1, 0, 42, 0x00, 0x1e, 0xc9, 0, 10, 1, 0, 25}
	removed   = []byte{2, 15, 255, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa, 255, 255}
	aLearnt   = Record{Learnt, 42, [6]byte{0x00, 0x1e, 0xc9, 0, 10, 1}, 25}
	aRemoved  = Record{Removed, 4095, [6]byte{0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0xfa}, 65535}
	timestamp = snmp.AppendVarBind(nil, snmp.OID(mib+"\x01\x01\x08\x01\x03\x01"), snmp.TagTimeTicks, snmp.AppendUint(nil, 123456))
)

func collect(it Iter) (got []Record, err error) {
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		got = append(got, r)
	}
	return got, it.Err()
}

func TestRecordsOf(t *testing.T) {
	full := append(bytes.Repeat(learnt, 23), 0) // 254 bytes, the most that the MIB allows
	for _, c := range []struct {
		name string
		msg  []byte
		want []Record
		err  error
	}{
		{"nothing", nil, nil, nil},
		{"only the end", []byte{0}, nil, nil},
		{"one", append(slices.Clone(learnt), 0), []Record{aLearnt}, nil},
		{"without an end", learnt, []Record{aLearnt}, nil},
		{"two", slices.Concat(removed, learnt, []byte{0}), []Record{aRemoved, aLearnt}, nil},
		{"full", full, slices.Repeat([]Record{aLearnt}, 23), nil},
		{"zeros behind the end", append(slices.Clone(learnt), 0, 0, 0, 0), []Record{aLearnt}, nil},
		{"more behind the end", slices.Concat(learnt, []byte{0}, removed), []Record{aLearnt}, nil},
		{"a tail", append(slices.Clone(learnt), removed[:10]...), []Record{aLearnt}, ErrTail},
		{"a byte", []byte{1}, nil, ErrTail},
		{"another operation", append([]byte{9}, learnt[1:]...), []Record{{9, 42, aLearnt.MAC, 25}}, nil},
	} {
		got, err := collect(RecordsOf(c.msg))
		if !slices.Equal(got, c.want) || err != c.err {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, err, c.want, c.err)
		}
	}
}

// message builds a notification and parses it.
func message(t *testing.T, v1 bool, trap snmp.OID, objects []byte) *snmp.Message {
	t.Helper()
	n := snmp.Notification{Community: []byte("public"), TrapOID: trap, Objects: objects}
	b := snmp.AppendInform(nil, &n)
	if v1 {
		n.TrapOID = trap[:len(trap)-2]
		b = snmp.AppendTrapV1(nil, &n, [4]byte{}, trap[len(trap)-1])
	}
	m := new(snmp.Message)
	if err := m.Parse(b); err != nil {
		t.Fatal(err)
	}
	return m
}

func bind(name snmp.OID, tag byte, val ...byte) []byte {
	return snmp.AppendVarBind(nil, name, tag, val)
}

func TestRecords(t *testing.T) {
	first := bind(msgName, snmp.TagOctetString, slices.Concat(learnt, removed, []byte{0})...)
	second := bind(snmp.AppendSub(snmp.OID(histMsg), 1<<32-1), snmp.TagOctetString, learnt...)
	cut := bind(msgName, snmp.TagOctetString, learnt[:5]...)
	for _, c := range []struct {
		name    string
		objects []byte
		want    []Record
		err     error
	}{
		{"as a switch sends it", slices.Concat(first, timestamp), []Record{aLearnt, aRemoved}, nil},
		{"two messages, the index at its end", slices.Concat(first, timestamp, second), []Record{aLearnt, aRemoved, aLearnt}, nil},
		{"a tail in the first of two", slices.Concat(cut, second), []Record{aLearnt}, ErrTail},
		{"an empty one", slices.Concat(bind(msgName, snmp.TagOctetString), second), []Record{aLearnt}, nil},
		{"a number", slices.Concat(bind(msgName, snmp.TagInteger, 7), second), []Record{aLearnt}, ErrType},
		{"none", timestamp, nil, nil},
		{"a name without an index", bind(snmp.OID(histMsg), snmp.TagOctetString, learnt...), nil, nil},
	} {
		for _, v1 := range []bool{false, true} {
			m := message(t, v1, changed, c.objects)
			got, err := collect(Records(m))
			if !slices.Equal(got, c.want) || err != c.err || KindOf(m) != Changed {
				t.Errorf("%s (SNMPv1 %v): %v, %v; want %v, %v", c.name, v1, got, err, c.want, c.err)
			}
		}
	}
}

func TestMove(t *testing.T) {
	mac := bind(snmp.OID(moveMAC), snmp.TagOctetString, 0, 0x1e, 0xc9, 0, 10, 1)
	vlan := bind(snmp.OID(moveVLAN), snmp.TagGauge32, 0x0f, 0xff)
	from := bind(snmp.OID(moveFrom), snmp.TagInteger, 3)
	to := bind(snmp.OID(moveTo), snmp.TagInteger, 0, 0xff, 0xff)
	want := Move{[6]byte{0, 0x1e, 0xc9, 0, 10, 1}, 4095, 3, 65535}
	for _, c := range []struct {
		name    string
		objects []byte
		err     error
	}{
		{"whole", slices.Concat(mac, vlan, from, to), nil},
		{"in another order", slices.Concat(to, from, mac, timestamp, vlan), nil},
		{"no MAC", slices.Concat(vlan, from, to), ErrMove},
		{"no port", slices.Concat(mac, vlan, from), ErrMove},
		{"nothing", nil, ErrMove},
		{"a MAC of five bytes", slices.Concat(bind(snmp.OID(moveMAC), snmp.TagOctetString, 1, 2, 3, 4, 5), from, to), ErrType},
		{"a MAC that is a number", slices.Concat(bind(snmp.OID(moveMAC), snmp.TagInteger, 1), from, to), ErrType},
		{"a port over 16 bits", slices.Concat(mac, from, bind(snmp.OID(moveTo), snmp.TagInteger, 1, 0, 0)), ErrType},
		{"a port under zero", slices.Concat(mac, from, bind(snmp.OID(moveTo), snmp.TagInteger, 0xff)), ErrType},
	} {
		m := message(t, false, moved, c.objects)
		got, err := ReadMove(m)
		if err != c.err || err == nil && got != want || KindOf(m) != Moved {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.err)
		}
	}
}

func TestKindOf(t *testing.T) {
	for trap, want := range map[string]Kind{
		notifications + "\x00\x01": Changed, notifications + "\x00\x02": Moved, notifications + "\x00\x03": Other,
		notifications + "\x01\x01": Other, notifications + "\x00\x01\x01": Other, mib + "\x03\x00\x01": Other,
	} {
		if got := KindOf(message(t, false, snmp.OID(trap), nil)); got != want {
			t.Errorf("%s: %d, want %d", snmp.OID(trap), got, want)
		}
	}
}

func recorded(tb testing.TB) (payloads [][]byte) { return corpus.Traps(tb) }

// TestRecorded counts what the captured traps, which the original misread in
// part, hold.
func TestRecorded(t *testing.T) {
	records, broken := map[Op]int{}, 0
	per := map[int]int{}
	for i, b := range recorded(t) {
		var m snmp.Message
		if m.Parse(b) != nil {
			continue
		}
		got, err := collect(Records(&m))
		if err != nil {
			broken++
		}
		per[i] = len(got)
		for _, r := range got {
			records[r.Op]++
		}
	}
	// 8 and 9 hold two records each, 11 two messages, 41 a record cut short, 42
	// an empty message, 48 a number for a message.
	for i, want := range map[int]int{0: 1, 7: 1, 8: 2, 9: 2, 11: 2, 13: 1, 14: 1, 41: 0, 42: 0, 48: 0} {
		if per[i] != want {
			t.Errorf("datagram %d: %d records, want %d", i, per[i], want)
		}
	}
	if records[Learnt] != 43 || records[Removed] != 2 || records[3] != 1 || broken != 2 {
		t.Errorf("%v records, %d broken", records, broken)
	}
}

func TestNoAllocs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	full := bind(msgName, snmp.TagOctetString, append(bytes.Repeat(learnt, 23), 0)...)
	whole := snmp.AppendInform(nil, &snmp.Notification{Community: []byte("public"), TrapOID: changed, Objects: append(full, timestamp...)})
	for name, b := range map[string][]byte{"full": whole, "cut": whole[:100], "garbage": {1, 2, 3}} {
		var m snmp.Message
		n := testing.AllocsPerRun(1000, func() { walk(&m, b) })
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func walk(m *snmp.Message, b []byte) (n int) {
	if m.Parse(b) != nil || KindOf(m) == Other {
		return 0
	}
	it := Records(m)
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		n += int(r.Port)
	}
	if _, err := ReadMove(m); err == nil {
		n++
	}
	return n
}

func BenchmarkTrap(b *testing.B) {
	msg := recorded(b)[0]
	var m snmp.Message
	b.ReportAllocs()
	for b.Loop() {
		walk(&m, msg)
	}
}
