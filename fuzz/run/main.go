// Command run runs all fuzz targets in turn, one process and one worker at a
// time, and writes a table: executions, new inputs in the cache, crashes. It ends with 1
// if there was a crash. The input of one is left in the target's testdata/fuzz,
// where `go test` tries it again: give it a name that says what it is.
//
//	go run ./fuzz/run [--time 2s] [--only codec/dhcp4] [--cache DIR] [--table FILE]
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
	"strings"
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
	only  string
	cache string
	table string
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.DurationVar(&s.time, "time", 2*time.Second, "for each target")
	flags.StringVar(&s.only, "only", "", "targets whose package and name hold this")
	flags.StringVar(&s.cache, "cache", "", "where inputs of new coverage are kept; Go's build cache by default")
	flags.StringVar(&s.table, "table", "", "write the table to this file too")
	if err := flags.Parse(args); err != nil {
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

// runAll builds the tests of each package once, and runs its targets.
func runAll(ctx context.Context, top string, s *settings, progress io.Writer) (all []result, err error) {
	dir, err := os.MkdirTemp("", "fuzz-run-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	built := map[string]string{}
	for _, t := range fuzz.Targets() {
		if !strings.Contains(t.Dir+" "+t.Name, s.only) {
			continue
		}
		binary := built[t.Dir]
		if binary == "" {
			binary = filepath.Join(dir, strings.ReplaceAll(t.Dir, "/", "-")+".test")
			module, pkg := t.Module()
			if _, err := command(ctx, filepath.Join(top, module), "go", "test", "-c", "-vet=off", "-fuzz=.", plainSQLite, "-o", binary, pkg); err != nil {
				return nil, err
			}
			built[t.Dir] = binary
		}
		r := one(ctx, filepath.Join(top, t.Dir), binary, filepath.Join(s.cache, t.Dir), t, s.time)
		fmt.Fprintf(progress, "%-22s %-28s %10d executions  %5d new  %s\n", t.Dir, t.Name, r.executions, r.fresh, cmp.Or(r.crash, "no crash"))
		all = append(all, r)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no target holds %q: see fuzz/targets.tsv", s.only)
	}
	return all, nil
}
