package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/fuzz"
)

func TestParse(t *testing.T) {
	const begun = "fuzz: elapsed: 1s, gathering baseline coverage: 0/131 completed\nfuzz: elapsed: 2s, gathering baseline coverage: 131/131 completed, now fuzzing with 1 workers\n"
	const some = begun + "fuzz: elapsed: 3s, execs: 30101 (10033/sec), new interesting: 24 (total: 155)\n"
	const more = "fuzz: elapsed: 6s, execs: 83754 (0/sec), new interesting: 31 (total: 162)\n"
	failed := errors.New("exit status 1")
	for name, c := range map[string]struct {
		out  string
		err  error
		want result
	}{
		"well": {some + more + "PASS\n", nil, result{executions: 83623, fresh: 31, total: 162}},
		"a crash": {
			some + "--- FAIL: FuzzX (3.35s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:102: no\n\n    Failing input written to testdata/fuzz/FuzzX/91b6\n", failed,
			result{executions: 29970, fresh: 24, total: 155, crash: "testdata/fuzz/FuzzX/91b6"},
		},
		"a seed":         {"--- FAIL: FuzzX (0.01s)\n    --- FAIL: FuzzX/seed#3 (0.00s)\nFAIL\n", failed, result{crash: "seed seed#3"}},
		"nothing beyond": {begun + "fuzz: elapsed: 4s, execs: 131 (0/sec), new interesting: 0 (total: 131)\nPASS\n", nil, result{total: 131, crash: nothingBeyond}},
		"not even that":  {"fuzz: elapsed: 1s, gathering baseline coverage: 0/131 completed\nPASS\n", nil, result{crash: nothingBeyond}},
		"it hangs":       {begun, errHangs, result{crash: "it hangs: no end 2m0s after its time"}},
		"no such test":   {"something else\n", failed, result{crash: "exit status 1: something else"}},
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

// TestTimeCounts: a target's time begins when it has tried what was there, however long
// that takes.
func TestTimeCounts(t *testing.T) {
	w := watched{begun: make(chan struct{})}
	w.Write([]byte("fuzz: elapsed: 9s, gathering baseline coverage: 130/131 completed\n"))
	select {
	case <-w.begun:
		t.Error("it counts before all was tried")
	default:
	}
	for _, part := range []string{"fuzz: elapsed: 10s, gathering baseline coverage: 131/131 completed, now fuzz", "ing with 1 workers\n", "more\n"} {
		w.Write([]byte(part))
	}
	<-w.begun
}

func TestPatiently(t *testing.T) {
	for name, c := range map[string]struct {
		first result
		want  []time.Duration
	}{
		"well": {result{executions: 1}, []time.Duration{2}}, "nothing": {result{crash: nothingBeyond}, []time.Duration{2, 20}}, "a crash": {result{crash: "seed seed#1"}, []time.Duration{2}},
	} {
		var ran []time.Duration
		if got := patiently(2, func(d time.Duration) result { ran = append(ran, d); return c.first }); got != c.first || !slices.Equal(ran, c.want) {
			t.Errorf("%s: %+v after %v", name, got, ran)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, args := range [][]string{{"--time", "0s"}, {"--jobs", "0"}, {"--limit", "-1s"}, {"codec"}} {
		if err := run(t.Context(), args, t.Output(), t.Output()); err == nil || !strings.Contains(err.Error(), "want a time") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestOnlyNothing(t *testing.T) {
	if err := run(t.Context(), []string{"--only", "nothing at all"}, t.Output(), t.Output()); err == nil || !strings.Contains(err.Error(), "targets.tsv") {
		t.Errorf("%v", err)
	}
}

// TestLimit: a run that takes longer than its limit fails, and says so; the brief one has a
// limit of five minutes, a longer one none unless it is asked for.
func TestLimit(t *testing.T) {
	took := total{building: time.Hour, fuzzing: 6 * time.Minute}
	if err := took.beyond(briefly); err == nil || !strings.Contains(err.Error(), "took 6m0s together, and --limit is 5m0s") {
		t.Errorf("%v", err)
	}
	if err := errors.Join(took.beyond(0), took.beyond(6*time.Minute)); err != nil {
		t.Error(err)
	}
	if testing.Short() {
		t.Skip("it builds a target and runs it")
	}
	args := []string{"--only", "FuzzParseMAC", "--cache", t.TempDir()}
	for _, c := range []struct {
		args   []string
		beyond bool
	}{{[]string{"--limit", "1ms"}, true}, {[]string{"--limit", "1ms", "--time", "100ms"}, true}, {[]string{"--time", "100ms"}, false}} {
		var out strings.Builder
		err := run(t.Context(), slices.Concat(args, c.args), &out, t.Output())
		if beyond := err != nil && strings.Contains(err.Error(), "--limit is 1ms"); beyond != c.beyond || !beyond && err != nil || !strings.Contains(out.String(), "\ntotal: ") {
			t.Errorf("%q: %v\n%s", c.args, err, &out)
		}
	}
	if got, err := settingsOf(nil, t.Output()); err != nil || got.limit != 5*time.Minute {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := settingsOf([]string{"--time", "10m"}, t.Output()); err != nil || got.limit != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
