package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/fuzz"
)

// result is what became of one target.
type result struct {
	fuzz.Target
	executions int
	fresh      int // inputs of new coverage
	total      int // inputs in the cache and among the seeds
	took       time.Duration
	crash      string // "" for none
}

// one runs a target. A worker that hangs is ended a minute after its time. Inputs are
// made smaller in ten tries at most: of a target with a database more take all its time.
func one(ctx context.Context, dir, binary, cache string, t fuzz.Target, d time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, d+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.fuzz=^"+t.Name+"$", "-test.fuzztime="+d.String(),
		"-test.fuzzminimizetime=10x", "-test.parallel=1", "-test.fuzzcachedir="+cache)
	cmd.Dir = dir
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	r := parse(string(out), err)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		r.crash = "it hangs: no end a minute after its time"
	}
	r.Target, r.took = t, time.Since(begun)
	return r
}

var (
	progressLine = regexp.MustCompile(`execs: (\d+) .*new interesting: (\d+) \(total: (\d+)\)`)
	failingInput = regexp.MustCompile(`Failing input written to (\S+)`)
	failingSeed  = regexp.MustCompile(`--- FAIL: Fuzz\w+/(\S+)`)
)

// parse reads the output of a test binary that fuzzed.
func parse(out string, err error) (r result) {
	if all := progressLine.FindAllStringSubmatch(out, -1); all != nil {
		last := all[len(all)-1]
		r.executions, _ = strconv.Atoi(last[1])
		r.fresh, _ = strconv.Atoi(last[2])
		r.total, _ = strconv.Atoi(last[3])
	}
	written := failingInput.FindStringSubmatch(out)
	seed := failingSeed.FindStringSubmatch(out)
	switch {
	case err == nil:
	case written != nil:
		r.crash = written[1]
	case seed != nil:
		r.crash = "seed " + seed[1]
	case strings.Contains(out, "context deadline exceeded") && r.executions > 0:
		// The time was over while an input was made smaller: no finding, and Go
		// says so in no other way.
	default:
		lines := strings.Split(strings.TrimSpace(out), "\n")
		r.crash = fmt.Sprintf("%v: %s", err, lines[len(lines)-1])
	}
	return r
}

// markdown writes the table.
func markdown(all []result) string {
	var b strings.Builder
	b.WriteString("| package | target | executions | new inputs | inputs | crashes | time |\n|---|---|---|---|---|---|---|\n")
	for _, r := range all {
		crash := "0"
		if r.crash != "" {
			crash = "1: " + r.crash
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %d | %d | %s | %s |\n", r.Dir, r.Name, r.executions, r.fresh, r.total, crash, r.took.Round(time.Second))
	}
	return b.String()
}
