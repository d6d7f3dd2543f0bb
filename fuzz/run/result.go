package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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
	executions int // beyond what was there
	fresh      int // inputs of new coverage
	total      int // inputs in the cache and among the seeds
	took       time.Duration
	crash      string // "" for none
}

// patience is how long a target may take beside its time: to try what is there, and to
// end.
const patience = 2 * time.Minute

// one runs a target, for d from the moment at which it begins with inputs of its own.
// Inputs are made smaller in ten tries at most: of a target with a database more take
// all its time.
func one(ctx context.Context, dir, binary, cache string, t fuzz.Target, d time.Duration) result {
	ctx, cancel := context.WithTimeout(ctx, d+patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.fuzz=^"+t.Name+"$",
		"-test.fuzzminimizetime=10x", "-test.parallel=1", "-test.fuzzcachedir="+cache)
	cmd.Dir, cmd.WaitDelay = dir, patience
	out := watched{begun: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	err := cmd.Start()
	if err == nil {
		over := make(chan struct{})
		go func() {
			defer close(over)
			out.interrupt(ctx, cmd.Process, d)
		}()
		err = cmd.Wait()
		cancelled := ctx.Err()
		cancel()
		<-over
		if errors.Is(cancelled, context.DeadlineExceeded) {
			err = errHangs
		}
	}
	r := parse(out.text.String(), err)
	r.Target, r.took = t, time.Since(begun)
	return r
}

var errHangs = fmt.Errorf("it hangs: no end %v after its time", patience)

// watched keeps what a target writes, and tells when it has tried what was there.
type watched struct {
	text  strings.Builder
	begun chan struct{}
	told  bool
}

// Write implements io.Writer.
func (w *watched) Write(b []byte) (int, error) {
	w.text.Write(b)
	if !w.told && strings.Contains(w.text.String(), "now fuzzing with") {
		w.told = true
		close(w.begun)
	}
	return len(b), nil
}

// interrupt ends a target in its own way, as Ctrl-C does: a time that Go is given counts
// from the start, and may be over before anything new was tried.
func (w *watched) interrupt(ctx context.Context, p *os.Process, d time.Duration) {
	select {
	case <-ctx.Done():
		return
	case <-w.begun:
	}
	select {
	case <-ctx.Done():
	case <-time.After(d):
		_ = p.Signal(os.Interrupt) // it may have ended by itself
	}
}

var (
	beginLine     = regexp.MustCompile(`(\d+)/\d+ completed, now fuzzing`)
	progressLine  = regexp.MustCompile(`execs: (\d+) .*new interesting: (\d+) \(total: (\d+)\)`)
	failingInput  = regexp.MustCompile(`Failing input written to (\S+)`)
	failingSeed   = regexp.MustCompile(`--- FAIL: Fuzz\w+/(\S+)`)
	nothingBeyond = "it tried nothing beyond what was there"
)

// parse reads the output of a test binary that fuzzed.
func parse(out string, err error) (r result) {
	if all := progressLine.FindAllStringSubmatch(out, -1); all != nil {
		last := all[len(all)-1]
		r.executions, _ = strconv.Atoi(last[1])
		r.fresh, _ = strconv.Atoi(last[2])
		r.total, _ = strconv.Atoi(last[3])
	}
	if begin := beginLine.FindStringSubmatch(out); begin != nil {
		there, _ := strconv.Atoi(begin[1])
		r.executions = max(0, r.executions-there)
	} else {
		r.executions = 0
	}
	written := failingInput.FindStringSubmatch(out)
	seed := failingSeed.FindStringSubmatch(out)
	switch {
	case err == nil && r.executions == 0:
		r.crash = nothingBeyond
	case err == nil:
	case written != nil:
		r.crash = written[1]
	case seed != nil:
		r.crash = "seed " + seed[1]
	case errors.Is(err, errHangs):
		r.crash = err.Error()
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
