// Command run runs all fuzz targets, one after the other or several at once,
// each with one worker, and writes a table: executions beyond what was there
// already, new inputs in the cache, crashes. The time of a target counts from the
// moment at which all that was there has been tried. It ends with 1 if there was a
// crash, or a target tried nothing else. The input of a crash is left in the target's
// testdata/fuzz, where `go test` tries it again: give it a name that says what it is.
//
//	go run ./fuzz/run [--time 2s] [--jobs 1] [--only codec/dhcp4] [--cache DIR] [--table FILE]
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/clusto/clusto-engine/fuzz"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

type settings struct {
	time  time.Duration
	jobs  int
	only  string
	cache string
	table string
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.DurationVar(&s.time, "time", 2*time.Second, "for each target, beside what it takes to try what is there already")
	flags.IntVar(&s.jobs, "jobs", 1, "how many targets run at once")
	flags.StringVar(&s.only, "only", "", "targets whose package and name hold this")
	flags.StringVar(&s.cache, "cache", "", "where inputs of new coverage are kept; Go's build cache by default")
	flags.StringVar(&s.table, "table", "", "write the table to this file too")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.time <= 0 || s.jobs < 1 || flags.NArg() > 0 {
		return fmt.Errorf("--time %v --jobs %d %q: want a time, one job or more, and nothing else", s.time, s.jobs, flags.Args())
	}
	top, err := command(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/clusto/clusto-engine")
	if err != nil {
		return err
	}
	if s.cache == "" {
		dir, err := command(ctx, ".", "go", "env", "GOCACHE")
		if err != nil {
			return err
		}
		s.cache = filepath.Join(dir, "fuzz-run")
	}
	if s.cache, err = filepath.Abs(s.cache); err != nil {
		return err
	}
	results, err := runAll(ctx, top, &s, progress)
	if err != nil {
		return err
	}
	table := markdown(results)
	fmt.Fprint(out, table)
	if s.table != "" {
		err = os.WriteFile(s.table, []byte(table), 0o666)
	}
	for _, r := range results {
		if r.crash != "" {
			err = errors.Join(err, fmt.Errorf("%s in %s: %s", r.Name, r.Dir, r.crash))
		}
	}
	return err
}

// command gives what a program writes, without the line's end.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// plainSQLite has the database built without the counters of coverage: it is so
// large that to look through them takes longer than a run, and is not what is tested.
const plainSQLite = "-gcflags=modernc.org/...=-d=libfuzzer=0"

// runAll builds the tests of each package, and runs its targets.
func runAll(ctx context.Context, top string, s *settings, progress io.Writer) ([]result, error) {
	dir, err := os.MkdirTemp("", "fuzz-run-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	targets := slices.DeleteFunc(fuzz.Targets(), func(t fuzz.Target) bool { return !strings.Contains(t.Dir+" "+t.Name, s.only) })
	if len(targets) == 0 {
		return nil, fmt.Errorf("no target holds %q: see fuzz/targets.tsv", s.only)
	}
	built, err := buildAll(ctx, top, dir, targets)
	if err != nil {
		return nil, err
	}
	all := make([]result, len(targets))
	next := make(chan int)
	var jobs sync.WaitGroup
	var writing sync.Mutex
	for range s.jobs {
		jobs.Go(func() {
			for i := range next {
				t := targets[i]
				all[i] = patiently(s.time, func(d time.Duration) result {
					return one(ctx, filepath.Join(top, t.Dir), built[t.Dir], filepath.Join(s.cache, t.Dir), t, d)
				})
				writing.Lock()
				fmt.Fprintf(progress, "%-22s %-28s %10d executions  %5d new  %s\n", t.Dir, t.Name, all[i].executions, all[i].fresh, cmp.Or(all[i].crash, "no crash"))
				writing.Unlock()
			}
		})
	}
	for i := range targets {
		next <- i
	}
	close(next)
	jobs.Wait()
	return all, ctx.Err()
}

// patiently runs a target, and once more, ten times as long, if all its time went into what
// was there already: the machine may have been busy with something else.
func patiently(d time.Duration, run func(time.Duration) result) result {
	r := run(d)
	if r.crash == nothingBeyond {
		r = run(10 * d)
	}
	return r
}

// buildAll gives the test binary of each package, by its folder.
func buildAll(ctx context.Context, top, dir string, targets []fuzz.Target) (map[string]string, error) {
	built := map[string]string{}
	for _, t := range targets {
		if built[t.Dir] != "" {
			continue
		}
		binary := filepath.Join(dir, strings.ReplaceAll(t.Dir, "/", "-")+".test")
		module, pkg := t.Module()
		if _, err := command(ctx, filepath.Join(top, module), "go", "test", "-c", "-vet=off", "-fuzz=.", plainSQLite, "-o", binary, pkg); err != nil {
			return nil, err
		}
		built[t.Dir] = binary
	}
	return built, nil
}
