package rack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// FuzzLayout: no panic; what is wrong has a line of the file; Check finds
// collisions where the operations of a full rack have some, and nowhere else; and
// Place knows the ports that there are and no others.
func FuzzLayout(f *testing.F) {
	f.Add([]byte(Example))
	for _, glob := range []string{"layouts/*.json", "testdata/*.json"} {
		files, err := filepath.Glob(glob)
		if err != nil || files == nil {
			f.Fatal(files, err)
		}
		for _, name := range files {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	// Made as the tests of Check make theirs: ranges that overlap or go backwards and an outlet twice; lists;
	// a power strip of another driver; a program instead of servers.
	f.Add([]byte(with(`{"ports": ["1-3", "3-5"], "ru": "3-1", "outlets": "aa1, aa1, bb7"}`)))
	f.Add([]byte(with(`{"ports": [1, 2], "ru": [1, 2], "driver": "penguinserver2u", "outlets": ["aa1", "aa1"], "console": 48}`)))
	f.Add([]byte(devices(sw, `"power": {"suffix": "p", "driver": "basicpowerstrip", "ru": 36, "port": 1}`)))
	f.Add([]byte(`{"name": "x", "devices": {` + sw + `}, "exec": "place", "timeout": "1ms"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Parse("x.json", data)
		if err != nil {
			var problems Problems
			if !errors.As(err, &problems) || l != nil {
				t.Fatalf("%v, %v", l, err)
			}
			haveLines(t, problems, data)
			return
		}
		problems := Check(l)
		haveLines(t, problems, data)
		taken := false
		for _, p := range problems {
			taken = taken || strings.Contains(p.What, "is taken by") || strings.Contains(p.What, "mapped twice")
		}
		if want := collides(l); taken && !want || want && len(problems) == 0 {
			t.Errorf("collisions: %v, want %v: %v", taken, want, problems)
		}
		if err := Draw(io.Discard, l); err != nil {
			t.Error(err)
		}
		if len(problems) == 0 {
			places(t, l)
		}
	})
}

func haveLines(t *testing.T, problems []Problem, data []byte) {
	t.Helper()
	for _, p := range problems {
		if p.Line < 1 || p.Line > 1+bytes.Count(data, []byte("\n")) || p.What == "" || p.File != "x.json" {
			t.Errorf("problem %+v", p)
		}
	}
}

// collides reports whether two things of a full rack are at one place.
func collides(l *Layout) bool {
	seen, twice := map[string]bool{}, false
	take := func(what ...any) {
		key := fmt.Sprint(what...)
		twice = twice || seen[key]
		seen[key] = true
	}
	for _, op := range l.Infrastructure("r") {
		switch op.Op {
		case "insert":
			take("unit", " ", op.RU)
		case "connect":
			take(op.To, " ", op.Port, " ", op.ToNum)
		}
	}
	for i := range l.servers {
		p := l.placement("r", &l.servers[i], 1)
		for _, ru := range p.RUs {
			take("unit", " ", ru)
		}
		for _, c := range p.Connections {
			take(c.To, " ", c.Port, " ", c.ToNum)
		}
	}
	return twice
}

// places goes through the ports of a sound layout.
func places(t *testing.T, l *Layout) {
	t.Helper()
	mapped := map[int]bool{}
	for _, port := range l.Ports() {
		mapped[port] = true
		p, err := l.Place("r", port)
		if err != nil {
			t.Fatal(err)
		}
		on := Connection{nic, fmt.Sprint(p.NIC), l.Switch("r"), fmt.Sprint(port)}
		found := 0
		for _, c := range p.Connections {
			if c == on {
				found++
			}
		}
		if found != 1 || len(p.RUs) != unitsOf(p.Driver) {
			t.Errorf("port %d: %+v", port, p)
		}
		for i, ru := range p.RUs {
			if ru < l.minu || ru > l.maxu || ru != p.RUs[0]+i {
				t.Errorf("port %d: units %v", port, p.RUs)
			}
		}
	}
	for port := -1; port < 60; port++ {
		want := ErrUnmapped
		if l.exec != "" {
			want = clusto.ErrInvalid
		}
		if p, err := l.Place("r", port); !mapped[port] && !errors.Is(err, want) {
			t.Errorf("port %d: %v, %v", port, p, err)
		}
	}
}
