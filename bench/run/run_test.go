package main

import (
	"strings"
	"testing"
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
