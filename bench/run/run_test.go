package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// row gives the table's row of a server.
func row(t *testing.T, r *report, server string) string {
	t.Helper()
	for line := range strings.Lines(r.markdown()) {
		if strings.HasPrefix(line, "| "+server) {
			return line
		}
	}
	t.Fatalf("no row of %s in\n%s", server, r.markdown())
	return ""
}

func TestFailedTurns(t *testing.T) {
	ok := []figures{{Rate: 1000}, {Rate: 3000}}
	r := &report{
		Machine: machine{Rounds: 2},
		Results: []result{
			{Load: "window", Server: "clusto", Turns: ok},
			{Load: "window", Server: "kea", Turns: ok[:1], Failed: []string{"round 2: it ended\nand said this"}},
			{Load: "window", Server: "isc", Failed: []string{"round 1: not there", "round 2: not there"}},
		},
	}
	if got := row(t, r, "clusto"); !strings.HasPrefix(got, "| clusto | 2000 |") {
		t.Error(got)
	}
	if got := row(t, r, "kea"); !strings.HasPrefix(got, "| kea (1 of 2 rounds) | 1000 |") {
		t.Error(got)
	}
	if got := row(t, r, "isc"); got != "| isc | failed: round 1: not there |\n" {
		t.Error(got)
	}
	r.Results[1].Turns = []figures{{Rate: 1000, Unwarmed: 7}}
	if got := row(t, r, "kea"); !strings.HasPrefix(got, "| kea (1 of 2 rounds; up to 7 hosts not answered before) | 1000 |") {
		t.Error(got)
	}
	r.Cold = []coldResult{{Delay: "1ms"}, {Delay: "1s", Failed: "too slow"}}
	r.Burst = &burstResult{Failed: "no room"}
	want := `kea under window failed, round 2: it ended
isc under window failed, round 1: not there
isc under window failed, round 2: not there
the cold storm of 1s a call failed: too slow
the burst of traps failed: no room`
	if err := r.failures(); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := (&report{Results: r.Results[:1], Cold: r.Cold[:1], Burst: &burstResult{}}).failures(); err != nil {
		t.Errorf("where nothing failed: %v", err)
	}
}

func TestCheck(t *testing.T) {
	good := flags{Hosts: 1, Rounds: 1, Time: time.Second, Servers: []string{"mirror", "kea"}, Loads: []string{"window", "avalanche"}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*flags){
		"--hosts":                       func(f *flags) { f.Hosts = 0 },
		`--servers: there is no "kae"`:  func(f *flags) { f.Servers = []string{"mirror", "kae"} },
		`--loads: there is no "windwo"`: func(f *flags) { f.Loads = []string{"lone", "windwo"} },
		"--rounds 1 or more":            func(f *flags) { f.Rounds = 0 },
		"--time 100ms or more":          func(f *flags) { f.Time = time.Millisecond },
	} {
		f := good
		change(&f)
		if err := f.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMissingProgram(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	l := &lab{flags: &flags{Loads: []string{"window", "avalanche"}}}
	var m machine
	if got := l.possible(&m); len(got) != 1 || got[0].name != "window" {
		t.Errorf("possible without perfdhcp: %v", got)
	}
	if !slices.Equal(m.Missing, []string{"perfdhcp"}) {
		t.Errorf("missing: %q", m.Missing)
	}
}

func TestInstalled(t *testing.T) {
	for _, tc := range []struct{ script, want string }{
		{"echo 2.2.0; echo more", "2.2.0"},
		{"echo Dnsmasq version 2.90  Copyright", "2.90"},
		{"echo isc-dhcpd-4.4.3", "4.4.3"},
		{"echo dpkg-query: no packages found >&2; exit 1", "of unknown version"},
	} {
		s := server{program: "sh", version: []string{"sh", "-c", tc.script}}
		if got := s.installed(); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.script, got, tc.want)
		}
	}
	if got := (&server{program: "no-such-server"}).installed(); got != "" {
		t.Errorf("not there: %q", got)
	}
}

func TestProvisioned(t *testing.T) {
	const text = `***Statistics for: DISCOVER-OFFER***
sent packets: 100
received packets: 80
drops: 20
***Statistics for: REQUEST-ACK***
sent packets: 80
received packets: 50
drops: 30
Requests sent + resent: 187
Requests resent: 7
Responses received: 130
`
	f, replies, err := provisioned(text, 100, 2)
	if want := (figures{Seconds: 2, Done: 50, Rate: 25, Again: 7, Loss: 0.35}); f != want || replies != 130 || err != nil {
		t.Errorf("got %+v, %d replies, %v", f, replies, err)
	}
	if _, _, err := provisioned(strings.Replace(text, "received", "lost", 1), 100, 2); err == nil {
		t.Error("no error where a count is missing")
	}
}

func TestAskedRate(t *testing.T) {
	r := &report{Machine: machine{Rounds: 1}, Results: []result{
		{Load: "open", Server: "clusto", Turns: []figures{{Rate: 900, Asked: 990, Due: 1000}}},
		{Load: "open", Server: "kea", Turns: []figures{{Rate: 900, Asked: 990}}},
		{Load: "open", Server: "isc", Turns: []figures{{Rate: 900}}},
	}}
	for server, want := range map[string]string{"clusto": "| 900 | 990 of 1000 |", "kea": "| 900 | 990 |", "isc": "| 900 |  |"} {
		if got := row(t, r, server); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	lines := strings.Split(r.markdown(), "\n")
	i := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, "|---") })
	for _, line := range lines[i-1 : i+2] {
		if n := strings.Count(line, "|"); n != strings.Count(lines[i], "|") {
			t.Errorf("%d bars: %s", n, line)
		}
	}
}

func TestFoldersAreNotOthers(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, err := folders()
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o755, filepath.Join(dir, "programs"): 0o700} {
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, st.Mode(), err, want)
		}
	}
}
