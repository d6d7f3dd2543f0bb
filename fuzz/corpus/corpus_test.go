package corpus

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"# nothing\n":                "",
		"0102 03 # three\n\n04*2":    "\x01\x02\x03\x04\x04",
		"0a0b*3 ff*0":                "\x0a\x0b\x0a\x0b\x0a\x0b",
		"638253630a # as recorded\n": "\x63\x82\x53\x63\x0a",
	} {
		if got, err := parse(text); string(got) != want || err != nil {
			t.Errorf("%q is % x, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "xx", "00*x", "*3x"} {
		if got, err := parse(text); err == nil {
			t.Errorf("%q is % x", text, got)
		}
	}
}

// TestInputs: no input is there twice, and those by hand say what they are.
func TestInputs(t *testing.T) {
	for kind, all := range map[string][]Input{"dhcp4": DHCP(t), "frame": Frames(t), "snmp": SNMP(t), "macnotify": History(t)} {
		seen, hand := map[string]string{}, 0
		for _, in := range all {
			if other, ok := seen[string(in.Bytes)]; ok && !strings.HasPrefix(in.Name, "recorded/") {
				t.Errorf("%s is %s once more", in.Name, other)
			}
			seen[string(in.Bytes)] = in.Name
			if !strings.HasPrefix(in.Name, kind+"/") {
				continue
			}
			hand++
			if text := read(t, in.Name+".hex"); !bytes.HasPrefix(text, []byte("# ")) {
				t.Errorf("%s does not begin with what is special about it", in.Name)
			}
		}
		if hand < 10 {
			t.Errorf("%d inputs by hand of %s", hand, kind)
		}
	}
}

func TestWithin(t *testing.T) {
	b := []byte("0123456789")
	for name, c := range map[string]struct {
		val  []byte
		want bool
	}{
		"all": {b, true}, "a part": {b[2:4:4], true}, "the end": {b[8:], true}, "none": {nil, true},
		"room over what follows": {b[2:4], false}, "elsewhere": {[]byte("01"), false},
	} {
		if got := Within(b[:10:10], c.val); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if Within(b[:4:4], b[2:6]) {
		t.Error("half of it is within")
	}
}
