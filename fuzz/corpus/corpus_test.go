package corpus

import (
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
	kinds := map[string][]Input{"dhcp4": DHCP(t), "frame": Frames(t), "snmp": SNMP(t), "macnotify": History(t)}
	least := map[string]int{"dhcp4": 80, "frame": 40, "snmp": 90, "macnotify": 10, "yaml": 4, "csv": 8, "conf": 15, "ini": 3, "http": 30}
	for _, kind := range []string{"yaml", "csv", "conf", "ini", "http"} {
		kinds[kind] = Texts(t, kind)
	}
	for kind, all := range kinds {
		seen, hand := map[string]string{}, 0
		for _, in := range all {
			if other, ok := seen[string(in.Bytes)]; ok && !strings.HasPrefix(in.Name, "recorded/") {
				t.Errorf("%s is %s once more", in.Name, other)
			}
			seen[string(in.Bytes)] = in.Name
			if strings.HasPrefix(in.Name, kind+"/") {
				hand++
				annotated(t, in)
			}
		}
		if hand < least[kind] {
			t.Errorf("%d inputs by hand of %s", hand, kind)
		}
	}
}

// TestRecordings: none of what was recorded gets lost.
func TestRecordings(t *testing.T) {
	for name, got := range map[string][2]int{
		"dhcp4": {len(Recorded(t)), 22}, "exchanges": {len(exchanges(t)), 87}, "traps": {len(Traps(t)), 49}, "udhcpc": {len(Capture(t, "udhcpc")), 20},
	} {
		if got[0] < got[1] {
			t.Errorf("%d of recorded %s, want %d", got[0], name, got[1])
		}
	}
}

// annotated: a file by hand begins with a line that says what is special, and of a text the rest is
// the input.
func annotated(t *testing.T, in Input) {
	t.Helper()
	b, err := files.ReadFile(in.Name + ".hex")
	if err != nil {
		b = read(t, in.Name+".txt")
	}
	about, text, _ := strings.Cut(string(b), "\n")
	if !strings.HasPrefix(about, "# ") || err != nil && text != string(in.Bytes) {
		t.Errorf("%s does not begin with what is special about it", in.Name)
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
