package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	packageLine   = regexp.MustCompile(`^pkg: (\S+)$`)
	benchmarkLine = regexp.MustCompile(`^(Benchmark\S*?)(?:-[0-9]+)?\s.*\s([0-9]+) allocs/op`)
)

// allocations gives the allocations of each benchmark in what go test prints, by
// package and name: the most of its runs.
func allocations(text []byte) map[string]int {
	most, pkg := map[string]int{}, ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if m := packageLine.FindStringSubmatch(line); m != nil {
			pkg = m[1]
		}
		if m := benchmarkLine.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[2]) // digits
			name := pkg + "." + m[1]
			most[name] = max(most[name], n)
		}
	}
	return most
}

// judge gives an error that names all that allocates more than is on record, and
// what only one side has: nobody would notice what that allocates.
func judge(recorded, measured map[string]int) error {
	var faults []string
	for _, name := range slices.Sorted(maps.Keys(measured)) {
		switch was, ok := recorded[name]; {
		case !ok:
			faults = append(faults, name+" is not on record")
		case measured[name] > was:
			faults = append(faults, fmt.Sprintf("%s makes %d allocations, where %d are on record", name, measured[name], was))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(recorded)) {
		if _, ok := measured[name]; !ok {
			faults = append(faults, name+" is on record, and was not measured")
		}
	}
	switch {
	case len(measured) == 0:
		return fmt.Errorf("no benchmark was run")
	case len(faults) > 0:
		return fmt.Errorf("%s\nif that is meant to be: go run ./bench/baseline --record", strings.Join(faults, "\n"))
	}
	return nil
}

// cpus gives the processors that benchmarks say they ran on.
func cpus(text []byte) (names []string) {
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "cpu: "); ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// otherCPU is what a warning adds if what is on record is of another processor.
func otherCPU(recorded, measured []string) string {
	if slices.Equal(recorded, measured) {
		return ""
	}
	return fmt.Sprintf("; on record is another processor: %s, not %s", strings.Join(recorded, ", "), strings.Join(measured, ", "))
}

// slowed reads benchstat's table as CSV and gives what takes more time, as far
// as chance does not explain it. A table that compares no times is an error: it
// would warn of nothing.
func slowed(table []byte) (names []string, err error) {
	r := csv.NewReader(bytes.NewReader(table))
	r.FieldsPerRecord = -1
	pkg, unit, compared := "", "", false
	for {
		row, err := r.Read()
		switch {
		case err == io.EOF && !compared:
			return nil, errors.New("benchstat compares no times: what is on record and what was measured have nothing in common")
		case err == io.EOF:
			return names, nil
		case err != nil:
			return names, fmt.Errorf("read what benchstat prints: %w", err)
		case len(row) == 1 && strings.HasPrefix(row[0], "pkg: "):
			pkg = strings.TrimPrefix(row[0], "pkg: ")
		case len(row) > 5 && row[0] == "":
			unit = row[1]
		case len(row) > 6 && unit == "sec/op" && row[5] != "" && row[0] != "geomean":
			compared = true
			if strings.HasPrefix(row[5], "+") {
				names = append(names, fmt.Sprintf("%s.%s takes %s time (%s)", pkg, row[0], row[5], row[6]))
			}
		}
	}
}
