package inventory

import (
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// parsed holds what either format gives: a few errors, each with its line, or
// operations with a name and a place.
func parsed(t *testing.T, file string, site *Site, err error) {
	t.Helper()
	if err != nil {
		if n := strings.Count(err.Error(), "\n"); n > maxErrors*4 || site != nil {
			t.Fatalf("%d lines of errors, and %v", n, site)
		}
		if !strings.Contains(err.Error(), file) {
			t.Fatalf("an error without a place: %v", err)
		}
		return
	}
	for i, op := range site.Ops() {
		if op.Name == "" || site.Where(i) == file {
			t.Fatalf("operation %d has no name or no place: %+v", i, op)
		}
	}
}

// FuzzParse: no panic on any YAML.
func FuzzParse(f *testing.F) {
	f.Add(Sample(2))
	corpus.Add(f, corpus.Texts(f, "yaml"))
	f.Fuzz(func(t *testing.T, data []byte) {
		site, err := Parse("f.yaml", data)
		parsed(t, "f.yaml", site, err)
	})
}

// FuzzCSV: no panic on any CSV.
func FuzzCSV(f *testing.F) {
	corpus.Add(f, corpus.Texts(f, "csv"))
	f.Fuzz(func(t *testing.T, data []byte) {
		site, err := ParseCSV("f.csv", data)
		parsed(t, "f.csv", site, err)
	})
}
