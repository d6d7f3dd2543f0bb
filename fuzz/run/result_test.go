package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/fuzz"
)

func TestParse(t *testing.T) {
	const some = "fuzz: elapsed: 3s, execs: 30101 (10033/sec), new interesting: 24 (total: 155)\n"
	const more = "fuzz: elapsed: 6s, execs: 83754 (0/sec), new interesting: 31 (total: 162)\n"
	failed := errors.New("exit status 1")
	for name, c := range map[string]struct {
		out  string
		err  error
		want result
	}{
		"well": {some + more + "PASS\n", nil, result{executions: 83754, fresh: 31, total: 162}},
		"a crash": {
			some + "--- FAIL: FuzzX (3.35s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:102: no\n\n    Failing input written to testdata/fuzz/FuzzX/91b6\n", failed,
			result{executions: 30101, fresh: 24, total: 155, crash: "testdata/fuzz/FuzzX/91b6"},
		},
		"a seed": {"--- FAIL: FuzzX (0.01s)\n    --- FAIL: FuzzX/seed#3 (0.00s)\nFAIL\n", failed, result{crash: "seed seed#3"}},
		"the time was over while an input was made smaller": {
			more + "--- FAIL: FuzzX (6.04s)\n    context deadline exceeded\nFAIL\n", failed, result{executions: 83754, fresh: 31, total: 162},
		},
		"the time was over before anything ran": {"--- FAIL: FuzzX (6.04s)\n    context deadline exceeded\nFAIL\n", failed, result{crash: "exit status 1: FAIL"}},
		"no such test":                          {"something else\n", failed, result{crash: "exit status 1: something else"}},
	} {
		if got := parse(c.out, c.err); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	got := markdown([]result{{fuzz.Target{Dir: "codec/x", Name: "FuzzX"}, 12, 3, 4, 5 * time.Second, ""}, {Target: fuzz.Target{Name: "FuzzY"}, crash: "it hangs"}})
	for _, want := range []string{"| codec/x | FuzzX | 12 | 3 | 4 | 0 | 5s |\n", "| FuzzY | 0 | 0 | 0 | 1: it hangs | 0s |\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestOnlyNothing(t *testing.T) {
	if err := run(t.Context(), []string{"--only", "nothing at all"}, t.Output(), t.Output()); err == nil || !strings.Contains(err.Error(), "targets.tsv") {
		t.Errorf("%v", err)
	}
}
