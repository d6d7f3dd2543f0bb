// Command run runs all fuzz targets, one after the other or several at once,
// each with one worker, and writes a table: executions beyond what was there
// already, new inputs in the cache, crashes. The time of a target counts from the
// moment at which all that was there has been tried. It ends with 1 if there was a
// crash, a target tried nothing else, or all of them took longer than --limit, which is
// five minutes unless --time is given. The limit is for fuzzing: all is built before the
// clock starts, since that takes a bare machine minutes. The input of a crash is left in the target's
// testdata/fuzz, where `go test` tries it again: give it a name that says what it is.
//
//	go run ./fuzz/run [--time 2s] [--jobs 1] [--limit 5m] [--only codec/dhcp4] [--cache DIR] [--table FILE]
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
	limit time.Duration // of all targets together; 0 for none
	only  string
	cache string
	table string
}

// settingsOf reads the flags.
func settingsOf(args []string, progress io.Writer) (s settings, err error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.DurationVar(&s.time, "time", 2*time.Second, "for each target, beside what it takes to try what is there already")
	flags.IntVar(&s.jobs, "jobs", 1, "how many targets run at once")
	flags.DurationVar(&s.limit, "limit", briefly, "fail if all targets together take longer, without what it takes to build them; 0 for no limit, as --time has it unless this is given too")
	flags.StringVar(&s.only, "only", "", "targets whose package and name hold this")
	flags.StringVar(&s.cache, "cache", "", "where inputs of new coverage are kept; Go's build cache by default")
	flags.StringVar(&s.table, "table", "", "write the table to this file too")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if s.time <= 0 || s.jobs < 1 || s.limit < 0 || flags.NArg() > 0 {
		return s, fmt.Errorf("--time %v --jobs %d --limit %v %q: want a time, one job or more, a limit or 0, and nothing else", s.time, s.jobs, s.limit, flags.Args())
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if given["time"] && !given["limit"] {
		s.limit = 0
	}
	return s, nil
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	s, err := settingsOf(args, progress)
	if err != nil {
		return err
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
	results, took, err := runAll(ctx, top, &s, progress)
	if err != nil {
		return err
	}
	table := markdown(results)
	fmt.Fprint(out, table)
	fmt.Fprintln(out, took)
	if s.table != "" {
		err = os.WriteFile(s.table, []byte(table), 0o666)
	}
	for _, r := range results {
		if r.crash != "" {
			err = errors.Join(err, fmt.Errorf("%s in %s: %s", r.Name, r.Dir, r.crash))
		}
	}
	return errors.Join(err, took.beyond(s.limit))
}

// briefly is how long all targets may take where nobody asks for more, as .ci/run does.
const briefly = 5 * time.Minute

// total is what all targets took together.
type total struct{ building, fuzzing time.Duration }

func (t total) String() string {
	return fmt.Sprintf("total: %v to fuzz, and %v before to build", t.fuzzing.Round(time.Second), t.building.Round(time.Second))
}

// beyond is an error if fuzzing took longer than a limit.
func (t total) beyond(limit time.Duration) error {
	if limit == 0 || t.fuzzing <= limit {
		return nil
	}
	return fmt.Errorf("the targets took %v together, and --limit is %v: give them less --time, more --jobs, or smaller corpora", t.fuzzing.Round(time.Millisecond), limit)
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
func runAll(ctx context.Context, top string, s *settings, progress io.Writer) (all []result, took total, err error) {
	dir, err := os.MkdirTemp("", "fuzz-run-")
	if err != nil {
		return nil, took, err
	}
	defer os.RemoveAll(dir)
	targets := slices.DeleteFunc(fuzz.Targets(), func(t fuzz.Target) bool { return !strings.Contains(t.Dir+" "+t.Name, s.only) })
	if len(targets) == 0 {
		return nil, took, fmt.Errorf("no target holds %q: see fuzz/targets.tsv", s.only)
	}
	begun := time.Now()
	built, err := buildAll(ctx, top, dir, targets)
	if err != nil {
		return nil, took, err
	}
	took.building, begun = time.Since(begun), time.Now()
	all = make([]result, len(targets))
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
	took.fuzzing = time.Since(begun)
	return all, took, ctx.Err()
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
