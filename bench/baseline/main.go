// Command baseline runs the benchmarks of the hot path and holds them against
// baseline.txt beside it: more allocations than there, a benchmark that is not
// there or one that is gone are failures, more time is a warning, for machines
// differ.
//
//	go run ./bench/baseline             # compare
//	go run ./bench/baseline --record    # write a new baseline.txt
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"

	"github.com/alecthomas/kong"
)

// file and benchstat are seen from the top of the project.
const (
	file      = "bench/baseline/baseline.txt"
	benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"
)

// packages are those between a frame that comes in and a reply or record that
// goes out, and fuzz, which has them read all that the corpus holds.
var packages = []string{"./codec/...", "./cache", "./engine", "./engine/dhcp", "./engine/trap", "./fuzz"}

type flags struct {
	Record bool   `help:"Write what is measured to ${file}."`
	Time   string `default:"20ms" help:"Of one benchmark, as go test takes it (${default})."`
	Count  int    `default:"6" help:"How often each is run: benchstat wants 6 (${default})."`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Description("Holds the hot path's benchmarks against those on record."), kong.Vars{"file": file})
	if err := f.run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/baseline:", err)
		os.Exit(1)
	}
}

func (f *flags) run() error {
	args := append([]string{"test", "-run", "-", "-bench", ".", "-benchmem", "-cpu", "1", "-benchtime", f.Time, "-count", fmt.Sprint(f.Count)}, packages...)
	measured, err := output("go", args...)
	if err != nil {
		return err
	}
	if f.Record {
		return os.WriteFile(file, measured, 0o644) //nolint:gosec // anyone may read it
	}
	recorded, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read what is on record: %w; run this at the top of the project", err)
	}
	return errors.Join(compare(recorded, measured), judge(allocations(recorded), allocations(measured)))
}

// compare has benchstat print its table, and warns of what takes more time.
func compare(recorded, measured []byte) error {
	now, err := os.CreateTemp("", "bench-*.txt")
	if err != nil {
		return err
	}
	defer os.Remove(now.Name()) //nolint:errcheck // a file in the folder for temporary ones
	defer now.Close()
	if _, err := now.Write(measured); err != nil {
		return err
	}
	// By itself benchstat compares nothing of one processor with another.
	run, names := []string{"run", benchstat, "-ignore", "cpu"}, []string{"recorded=" + file, "now=" + now.Name()}
	text, err := output("go", slices.Concat(run, names)...)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n", text)
	table, err := output("go", slices.Concat(run, []string{"-format", "csv"}, names)...)
	if err != nil {
		return err
	}
	slower, err := slowed(table)
	note := otherCPU(cpus(recorded), cpus(measured))
	for _, s := range slower {
		fmt.Printf("warning: %s%s\n", s, note)
	}
	return err
}

func output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s%s", cmd, err, out, &log)
	}
	return out, nil
}
