package snmp

import (
	"bytes"
	"testing"
)

// FuzzMessage: no panic; what is parsed lies inside the message; variables are
// all the same however they are walked; a Response reads as what was asked.
func FuzzMessage(f *testing.F) {
	f.Add(inform)
	f.Add(trapV1)
	for _, b := range recorded(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if m.Parse(b) != nil {
			return
		}
		n, size := 0, 0
		it := m.VarBinds()
		for v, ok := it.Next(); ok; v, ok = it.Next() {
			n, size = n+1, size+len(v.Name)+len(v.Value)
			if again := AppendVarBind(nil, v.Name, v.Tag, v.Value); !bytes.Contains(b, v.Name) || len(again) > size+18 {
				t.Errorf("variable %v is not of the message", v)
			}
			_ = v.Name.String()
		}
		if size > len(b) {
			t.Errorf("%d bytes of variables in a message of %d", size, len(b))
		}
		if m.PDU != TagInform {
			return
		}
		out := AppendResponse(nil, &m)
		back := bytes.Clone(out)
		back[bytes.IndexByte(back, TagResponse)] = TagInform
		if i := bytes.IndexByte(out[:len(out)-len(m.list)], TagResponse); bytes.IndexByte(m.Community, TagResponse) < 0 && i >= 0 {
			var r Message
			if err := r.Parse(back); err != nil || r.RequestID != m.RequestID || !bytes.Equal(r.list, m.list) || !bytes.Equal(r.Community, m.Community) {
				t.Errorf("the response does not read back: %v", err)
			}
		}
	})
}
