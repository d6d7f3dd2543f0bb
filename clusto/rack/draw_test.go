package rack

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

func TestDraw(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	layouts["example"] = mustParse(t, Example)
	layouts["colliding"] = mustParse(t, readTestdata(t, "53532U.json"))
	layouts["program"] = mustParse(t, `{"name": "blades", "devices": {"switch": {"suffix": "sw1", "driver": "cisco2960", "ru": 2}}, "maxu": 3, "exec": "/opt/blades"}`)
	for _, name := range []string{"201001", "5555", "example", "colliding", "program"} {
		var b strings.Builder
		if err := Draw(&b, layouts[name]); err != nil {
			t.Fatal(err)
		}
		file := "testdata/" + name + ".txt"
		if *update {
			if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want := readTestdata(t, name+".txt"); b.String() != want {
			t.Errorf("%s is drawn as\n%s\nwant\n%s", name, b.String(), want)
		}
	}
}

func readTestdata(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// mustParse gives a layout of the file x.json.
func mustParse(t *testing.T, text string) *Layout {
	t.Helper()
	l, err := Parse("x.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}
