package clusto

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var testMAC = MAC{0x00, 0x1e, 0xc9, 0xab, 0xcd, 0xef}

// testMACs are spellings of testMAC, noMACs are refused.
var (
	testMACs = []string{
		"00:1e:c9:ab:cd:ef", "00:1E:C9:AB:CD:EF", "00:1e:C9:aB:Cd:ef",
		"00-1e-c9-ab-cd-ef", "00.1e.c9.ab.cd.ef",
		"001e.c9ab.cdef", "001E.C9AB.CDEF", "001e-c9ab-cdef", "001e:c9ab:cdef",
		"001ec9-abcdef", "001ec9abcdef", "001EC9ABCDEF",
	}
	noMACs = []string{
		"", ":", "00", "00:1e:c9:ab:cd", "00:1e:c9:ab:cd:e", "00:1e:c9:ab:cd:ef:", ":00:1e:c9:ab:cd:ef",
		"00:1e:c9:ab:cd:ef:01", "00:1e:c9:ab:cd:eg", "00:1e:c9:ab:cd: f", " 00:1e:c9:ab:cd:ef", "0:1e:c9:ab:cd:ef",
		"00:1e-c9:ab-cd:ef", "00:1e:c9:ab:cdef:", "001ec9abcde", "001ec9abcdefg", "00_1e_c9_ab_cd_ef",
		"001e..c9ab.cdef", "001ec9_abcdef", "0000000000001", "00:1e:c9:ab:cd:\xff\xff",
		strings.Repeat("00:", 1000),
	}
)

func TestParseMAC(t *testing.T) {
	for _, s := range testMACs {
		if m, err := ParseMAC(s); m != testMAC || err != nil {
			t.Errorf("%q: %v, %v; want %v", s, m, err, testMAC)
		}
	}
}

func TestParseMACRefuses(t *testing.T) {
	for _, s := range noMACs {
		m, err := ParseMAC(s)
		if !errors.Is(err, ErrInvalid) || m != (MAC{}) {
			t.Errorf("%q: %v, %v; want ErrInvalid", s, m, err)
			continue
		}
		if len(err.Error()) > 300 {
			t.Errorf("%q: %d bytes of error", s, len(err.Error()))
		}
	}
}

// aMAC is a MAC in one of the forms of ParseMAC: groups of equal length, one separator
// between them all.
var aMAC = func() *regexp.Regexp {
	forms := []string{"[0-9a-f]{12}"}
	for _, between := range []string{":", "-", `\.`} {
		for _, group := range []int{2, 4, 6} {
			digits := fmt.Sprintf("[0-9a-f]{%d}", group)
			forms = append(forms, digits+strings.Repeat(between+digits, 12/group-1))
		}
	}
	return regexp.MustCompile("^(?i:" + strings.Join(forms, "|") + ")$")
}()

// FuzzParseMAC: a text is taken if it has one of the forms, and only then; it is its twelve
// digits. Any six bytes come back in every spelling.
func FuzzParseMAC(f *testing.F) {
	for _, s := range slices.Concat(testMACs, noMACs) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var drawn MAC
		copy(drawn[:], s)
		readBack(t, drawn)
		m, err := ParseMAC(s)
		if (err == nil) != aMAC.MatchString(s) {
			t.Errorf("%q is %v, %v", s, m, err)
		}
		if err != nil {
			return
		}
		digits := strings.NewReplacer(":", "", "-", "", ".", "").Replace(s)
		if got := fmt.Sprintf("%x", m[:]); got != strings.ToLower(digits) {
			t.Errorf("%q is %s", s, got)
		}
		readBack(t, m)
	})
}

func readBack(t *testing.T, m MAC) {
	t.Helper()
	for _, form := range m.Spellings() {
		if back, err := ParseMAC(form); back != m || err != nil {
			t.Errorf("%x as %q is %x, %v", m[:], form, back[:], err)
		}
	}
}

func TestMACText(t *testing.T) {
	const want = "00:1e:c9:ab:cd:ef"
	if got := testMAC.String(); got != want {
		t.Errorf("String = %q", got)
	}
	if got := string(testMAC.AppendTo([]byte("mac="))); got != "mac="+want {
		t.Errorf("AppendTo = %q", got)
	}
	if got := (MAC{}).String(); got != "00:00:00:00:00:00" {
		t.Errorf("zero MAC = %q", got)
	}
	b, err := json.Marshal(map[MAC]MAC{testMAC: testMAC})
	if err != nil || string(b) != `{"`+want+`":"`+want+`"}` {
		t.Errorf("as JSON: %s, %v", b, err)
	}
	var back map[MAC]MAC
	if err := json.Unmarshal(b, &back); err != nil || back[testMAC] != testMAC {
		t.Errorf("from JSON: %v, %v", back, err)
	}
	m := testMAC
	if err := m.UnmarshalText([]byte("no MAC")); err == nil || m != testMAC {
		t.Errorf("a text that is none: %v, %v; want an error, and the MAC as it was", m, err)
	}
}

func TestSpellings(t *testing.T) {
	want := [MACForms]string{
		"00:1e:c9:ab:cd:ef", "00-1e-c9-ab-cd-ef", "001ec9abcdef", "001e.c9ab.cdef",
		"00:1E:C9:AB:CD:EF", "00-1E-C9-AB-CD-EF", "001EC9ABCDEF", "001E.C9AB.CDEF",
	}
	if got := testMAC.Spellings(); got != want {
		t.Errorf("spellings = %q\nwant        %q", got, want)
	}
}

func TestMACAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	buf := make([]byte, 0, 17)
	var s string
	for name, c := range map[string]struct {
		most float64
		do   func()
	}{
		"AppendTo": {0, func() { testMAC.AppendTo(buf) }},
		"ParseMAC": {0, func() { _, _ = ParseMAC("00:1e:c9:ab:cd:ef") }},
		"String":   {1, func() { s = testMAC.String() }},
	} {
		if n := testing.AllocsPerRun(1000, c.do); n > c.most {
			t.Errorf("%s: %v allocations, want %v", name, n, c.most)
		}
	}
	_ = s
}

func TestValue(t *testing.T) {
	for _, c := range []struct {
		v    Value
		text string
		on   bool
	}{
		{Value{Type: Int, Int: 1}, "1", true},
		{Value{Type: Int, Int: 0}, "0", false},
		{Value{Type: Int, Int: -7}, "-7", true},
		{Value{Type: Int, Int: 0, Str: "1"}, "0", false},
		{Value{Type: String, Str: "1"}, "1", true},
		{Value{Type: String, Str: "true"}, "true", true},
		{Value{Type: String, Str: "True"}, "True", true},
		{Value{Type: String, Str: "0"}, "0", false},
		{Value{Type: String, Str: "false"}, "false", false},
		{Value{Type: String, Str: ""}, "", false},
		{Value{Type: String, Str: "yes"}, "yes", false},
		{Value{Type: JSON, Str: "true"}, "true", true},
		{Value{Type: JSON, Str: "[1]"}, "[1]", false},
		{Value{Type: Relation, Str: "/server/1"}, "/server/1", false},
		{Value{}, "", false},
	} {
		if got := c.v.Text(); got != c.text {
			t.Errorf("%+v: text %q, want %q", c.v, got, c.text)
		}
		if got := c.v.True(); got != c.on {
			t.Errorf("%+v: %v, want %v", c.v, got, c.on)
		}
	}
}

func TestOpErrorUnwraps(t *testing.T) {
	err := error(&OpError{Index: 3, Err: ErrConflict})
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "operation 3") {
		t.Errorf("%v does not name its operation and its reason", err)
	}
}
