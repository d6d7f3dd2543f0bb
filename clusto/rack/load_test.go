package rack

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// dirOf makes a directory of files.
func dirOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// small is a sound layout of one server in a unit.
func small(name, ru string) string {
	return `{"name": "` + name + `", "devices": {"switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 40}},` + "\n" +
		`"servers": [{"ports": 1, "ru": ` + ru + `}]}`
}

// TestOwnLayouts: those of the directory come beside the built-in ones, and in
// the place of one of their name.
func TestOwnLayouts(t *testing.T) {
	dir := dirOf(t, map[string]string{
		"mine.json": small("mine", "7"), "other.json": small("5555", "9"),
		"README": "no layout", ".hidden.json": "{", "mine.json~": "{",
	})
	if err := os.Mkdir(filepath.Join(dir, "old"), 0o755); err != nil {
		t.Fatal(err)
	}
	layouts, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(layouts) != 4 {
		t.Errorf("%d layouts, want 4", len(layouts))
	}
	for name, want := range map[string]int{"mine": 7, "5555": 9, "4444": 1} {
		if p, err := layouts[name].Place("r", 1); err != nil || p.RUs[0] != want {
			t.Errorf("%s: %v, %v, want unit %d", name, p, err, want)
		}
	}
	if got, want := layouts["5555"].File, filepath.Join(dir, "other.json"); got != want {
		t.Errorf("5555 is of %s, want %s", got, want)
	}
	if got := layouts["4444"].File; got != "built in" {
		t.Errorf("4444 is of %s", got)
	}
}

func TestBrokenDirectories(t *testing.T) {
	many := map[string]string{}
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		many[name+".json"] = "{"
	}
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{
			"one name twice",
			map[string]string{"a.json": small("mine", "1"), "b.json": small("mine", "2")},
			"DIR/b.json:1: layout mine: the name is taken by DIR/a.json:1; give one of them another",
		},
		{
			"form and sense",
			map[string]string{"a.json": small("mine", "46"), "b.json": `{"name": "b"}`, "c.json": small("c", "1")},
			"DIR/a.json:2: layout mine: port 1: there is no unit 46; the rack has 1 to 45\n" +
				"DIR/b.json:1: layout b: devices is missing; write it, with a switch at least\n" +
				"DIR/b.json:1: layout b: servers are missing; map the ports to units, or name a program with exec",
		},
		{"too long", map[string]string{"a.json": strings.Repeat(" ", maxFile+1)}, "DIR/a.json: it has more than 1048576 bytes, which no layout has"},
		{
			"many", many, "DIR/a.json:1: not JSON: unexpected end of JSON input\nDIR/b.json:1: not JSON: unexpected end of JSON input\n" +
				"DIR/c.json:1: not JSON: unexpected end of JSON input\nDIR/d.json:1: not JSON: unexpected end of JSON input\n" +
				"DIR/e.json:1: not JSON: unexpected end of JSON input\nand 2 more",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := dirOf(t, test.files)
			layouts, err := Load(dir)
			if layouts != nil || !errors.Is(err, clusto.ErrInvalid) || err.Error() != strings.ReplaceAll(test.want, "DIR", dir) {
				t.Errorf("got\n%v\nwant\n%s", err, test.want)
			}
			if ps := Problems(nil); test.name == "many" && (!errors.As(err, &ps) || len(ps) != 7) {
				t.Errorf("%d problems in the error, want all 7", len(ps))
			}
		})
	}
}

// TestFilesThatAreNone: a pipe called x.json is not waited for.
func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link.json")); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	want := dir + "/link.json: stat " + dir + "/link.json: no such file or directory\n" + dir + "/pipe.json: it is no regular file; move it away"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestNoDirectory(t *testing.T) {
	_, err := Load("/nowhere/rack_layouts")
	want := "load rack layouts: open /nowhere/rack_layouts: no such file or directory; make the directory, or leave rack_layouts out"
	if !errors.Is(err, fs.ErrNotExist) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
