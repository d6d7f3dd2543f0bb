package dhcp4

import (
	"bytes"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzParse: no panic; views lie inside the message; the fixed fields that
// AppendHeader writes of what was read are the bytes that were read.
func FuzzParse(f *testing.F) {
	corpus.Add(f, corpus.DHCP(f))
	f.Fuzz(func(t *testing.T, msg []byte) {
		v, err := Parse(msg)
		if short, long := len(msg) < FixedLen, len(msg) >= FixedLen && msg[2] > 16; (err == ErrShort) != short || (err == ErrHLen) != long || (err == nil) == (short || long) {
			t.Fatalf("%d bytes: %v", len(msg), err)
		}
		if err != nil {
			return
		}
		for name, val := range map[string][]byte{"sname": v.SName(), "file": v.File(), "vend": v.Vend()} {
			if !corpus.Within(msg, val) {
				t.Errorf("%s is not of the message", name)
			}
		}
		h := header(v)
		again := AppendHeader(nil, &h)
		if !bytes.Equal(again[:FixedLen], msg[:FixedLen]) {
			t.Errorf("the fixed fields came back as\n% x, want\n% x", again[:FixedLen], msg[:FixedLen])
		}
		if v.HasCookie() != bytes.HasPrefix(msg[FixedLen:], again[FixedLen:]) {
			t.Errorf("HasCookie = %v of % x", v.HasCookie(), v.Vend())
		}
	})
}

// FuzzOptions: no panic; the walk ends; each option lies inside the field, behind
// the one before; what was walked, appended anew, walks the same.
func FuzzOptions(f *testing.F) {
	for _, in := range corpus.DHCP(f) {
		if v, err := Parse(in.Bytes); err == nil {
			f.Add(v.options())
		}
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		it := OptionIter{rest: field}
		var again []byte
		var all []option
		for code, val, ok := it.Next(); ok; code, val, ok = it.Next() {
			if code == OptPad || code == OptEnd || !corpus.Within(field, val) || cap(val) != len(val) {
				t.Fatalf("option %d of %d bytes, room for %d, is not of the field", code, len(val), cap(val))
			}
			before := len(again)
			if again = AppendOption(again, code, val); len(again) != before+2+len(val) || len(again) > len(field) {
				t.Fatalf("option %d of %d bytes became %d bytes", code, len(val), len(again)-before)
			}
			all = append(all, option{code, string(val)})
			walkAgent(t, val)
		}
		if _, _, ok := it.Next(); ok {
			t.Error("it goes on after its end")
		}
		back, err := collect(OptionIter{rest: AppendEnd(again)})
		if err != nil || len(back) != len(all) {
			t.Fatalf("%d options became %d, %v", len(all), len(back), err)
		}
		for i := range all {
			if back[i] != all[i] {
				t.Errorf("option %v became %v", all[i], back[i])
			}
		}
	})
}

// walkAgent reads a value as option 82: every sub-option is the one that the plainest walk
// finds, and lies inside the value.
func walkAgent(t *testing.T, val []byte) {
	t.Helper()
	for sub := range 256 {
		got, ok := AgentSub(val, byte(sub))
		want, has := corpus.SubOption(val, byte(sub))
		if ok != has || !bytes.Equal(got, want) || ok && (!corpus.Within(val, got) || cap(got) != len(got)) {
			t.Errorf("sub-option %d of % x is % x, %v, want % x, %v", sub, val, got, ok, want, has)
		}
	}
}

// FuzzOverload: option 52 with any value and any bytes in all three fields is
// what RFC 2132 section 9.3 and RFC 3396 section 5 say, in the plainest words.
func FuzzOverload(f *testing.F) {
	for i, in := range corpus.DHCP(f) {
		if v, err := Parse(in.Bytes); err == nil {
			f.Add(byte(i%5), v.options(), v.File(), v.SName())
		}
	}
	x := new(Index)
	f.Fuzz(func(t *testing.T, overload byte, options, file, sname []byte) {
		field := AppendByte(nil, OptOverload, overload)
		v, err := Parse(message(append(field, options...), file[:min(len(file), FileLen)], sname[:min(len(sname), SNameLen)]))
		if err != nil {
			t.Fatal(err)
		}
		if checkIndex(t, x, v) == nil && (overload == 0 || overload > 3) {
			t.Errorf("option 52 may be %d", overload)
		}
	})
}

// FuzzIndex: what an Index holds is what the plainest words say, and is the same
// when its values are appended to a new message.
func FuzzIndex(f *testing.F) {
	corpus.Add(f, corpus.DHCP(f))
	f.Add(manyParts(400)) // two options in turns, in the smallest parts
	x, y := new(Index), new(Index)
	f.Fuzz(func(t *testing.T, msg []byte) {
		v, err := Parse(msg)
		if err != nil || checkIndex(t, x, v) != nil {
			return
		}
		again := AppendHeader(nil, &Header{})
		for code := 1; code < 255; code++ {
			if val, ok := x.Get(byte(code)); ok && code != OptOverload {
				again = AppendOption(again, byte(code), val)
			}
		}
		if v, err = Parse(AppendEnd(again)); err != nil {
			t.Fatal(err)
		}
		if err := checkIndex(t, y, v); err != nil {
			t.Fatal(err)
		}
		for code := range 256 {
			if code == OptOverload {
				continue
			}
			a, hasA := x.Get(byte(code))
			b, hasB := y.Get(byte(code))
			if hasA != hasB || !bytes.Equal(a, b) {
				t.Errorf("option %d: %q, %v became %q, %v", code, a, hasA, b, hasB)
			}
		}
	})
}

// FuzzAgainstGopacket: a message reads as gopacket reads it, but where compare says
// why not.
func FuzzAgainstGopacket(f *testing.F) {
	corpus.Add(f, corpus.DHCP(f))
	f.Fuzz(compare)
}

// FuzzReply: a message of any fields, names and options reads back as it was
// given, padded or not; a name that is too long is left out.
func FuzzReply(f *testing.F) {
	for _, in := range corpus.DHCP(f) {
		if v, err := Parse(in.Bytes); err == nil {
			f.Add(in.Bytes[:sname], string(v.SName()), string(v.File()), byte(12), v.Vend(), len(in.Bytes))
		}
	}
	longest := every()[:sname]
	longest[2] = 16
	f.Add(longest, "", "", byte(12), []byte("a"), 0)
	f.Add(every()[:sname], strings.Repeat("s", SNameLen+1), strings.Repeat("f", FileLen+1), byte(43), bytes.Repeat([]byte{1}, 700), 300)
	x := new(Index)
	f.Fuzz(func(t *testing.T, fixed []byte, server, boot string, code byte, val []byte, least int) {
		if code == OptPad || code == OptEnd || code == OptOverload {
			return // AppendOption takes none of them; a value of the last one is FuzzOverload's
		}
		raw := [FixedLen]byte{}
		copy(raw[:sname], fixed)
		raw[2] %= 17 // 16 is the longest (RFC 2131 section 2)
		from, err := Parse(raw[:])
		if err != nil {
			t.Fatal(err)
		}
		h := header(from)
		h.SName, h.File = server, boot
		msg := AppendHeader([]byte("before"), &h)
		msg = AppendUint32(AppendUint16(AppendByte(msg, OptMessageType, 2), OptMaxSize, 1500), OptLeaseTime, h.XID)
		msg = AppendOptionString(AppendOption(msg, code, val), code, string(val))
		msg = Pad(AppendEnd(AppendAddr(msg, OptServerID, h.YIAddr)), len("before"), least%4096)
		if string(msg[:6]) != "before" || len(msg)-6 < least%4096 {
			t.Fatalf("%d bytes, want %d at least, behind what was there", len(msg)-6, least%4096)
		}
		v, err := Parse(msg[6:])
		if err == nil {
			err = x.Build(v)
		}
		if err != nil {
			t.Fatal(err)
		}
		h.SName, h.File = fitted(server, SNameLen), fitted(boot, FileLen)
		if got := header(v); got != h {
			t.Errorf("%+v came back as %+v", h, got)
		}
		xid := h.XID
		want := map[byte]string{
			OptMessageType: "\x02", OptMaxSize: "\x05\xdc",
			OptLeaseTime: string([]byte{byte(xid >> 24), byte(xid >> 16), byte(xid >> 8), byte(xid)}),
		}
		want[code] += string(val) + string(val)
		want[OptServerID] += string(h.YIAddr[:]) // the last one, so behind another of its code
		for code, want := range want {
			if got, ok := x.Get(code); !ok || string(got) != want {
				t.Errorf("option %d: %q came back as %q", code, want, got)
			}
		}
	})
}

// fitted is a name as it is read back: without zeros behind it, and nothing if it
// is longer than its field.
func fitted(name string, n int) string {
	if len(name) > n {
		return ""
	}
	return strings.TrimRight(name, "\x00")
}
