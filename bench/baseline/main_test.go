package main

import (
	"slices"
	"strings"
	"testing"
)

const measured = `goos: linux
pkg: example.org/codec
BenchmarkParse 	 100	 33.30 ns/op	 0 B/op	 0 allocs/op
BenchmarkParse 	 100	 39.30 ns/op	 16 B/op	 1 allocs/op
BenchmarkAppend/long-2 	 100	 33.30 ns/op	 12.5 MB/s	 0 B/op	 0 allocs/op
pkg: example.org/cache
BenchmarkParse-16 	 100	 33.30 ns/op	 0 B/op	 2 allocs/op
PASS
`

func TestJudge(t *testing.T) {
	got := allocations([]byte(measured))
	if len(got) != 3 || got["example.org/codec.BenchmarkParse"] != 1 || got["example.org/cache.BenchmarkParse"] != 2 {
		t.Fatalf("read %v", got)
	}
	if err := judge(got, got); err != nil {
		t.Errorf("the same: %v", err)
	}
	for name, tc := range map[string]struct {
		was, is map[string]int
		want    string
	}{
		"more":           {map[string]int{"a": 0}, map[string]int{"a": 1}, "a makes 1 allocations, where 0"},
		"new":            {map[string]int{"a": 0}, map[string]int{"a": 0, "b": 0}, "b is not on record"},
		"gone":           {map[string]int{"a": 0, "b": 0}, map[string]int{"a": 0}, "b is on record, and was not"},
		"nothing at all": {nil, nil, "no benchmark was run"},
	} {
		if err := judge(tc.was, tc.is); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
	if err := judge(map[string]int{"a": 3}, map[string]int{"a": 1}); err != nil {
		t.Errorf("fewer: %v", err)
	}
}

func TestSlowed(t *testing.T) {
	table := `pkg: example.org/codec
,recorded,,now,,,
,sec/op,CI,sec/op,CI,vs base,P
Parse,1.8e-08,2%,2.4e-08,1%,+33.33%,p=0.002 n=6
Append/long,1.8e-08,2%,1.7e-08,1%,-5.56%,p=0.002 n=6
Same,1.8e-08,2%,1.8e-08,1%,~,p=1.000 n=6
geomean,1.8e-08,,2.0e-08,,+9.00%,

,recorded,,now,,,
,allocs/op,CI,allocs/op,CI,vs base,P
Parse,0,0%,1,0%,+99.00%,p=0.002 n=6
`
	got, err := slowed([]byte(table))
	if want := []string{"example.org/codec.Parse takes +33.33% time (p=0.002 n=6)"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	same := `pkg: example.org/codec
,recorded,,now,,,
,sec/op,CI,sec/op,CI,vs base,P
Same,1.8e-08,2%,1.8e-08,1%,~,p=1.000 n=6
`
	if got, err := slowed([]byte(same)); err != nil || len(got) != 0 {
		t.Errorf("the same time: got %q, %v", got, err)
	}
	for name, table := range map[string]string{
		"nothing": "",
		"a table for each processor": `pkg: example.org/codec
cpu: this one
,now,
,sec/op,CI
Parse,2.4e-08,1%
geomean,2.4e-08,

cpu: the other
,recorded,
,sec/op,CI
Parse,1.8e-08,2%
`,
		"no benchmark on both sides": `pkg: example.org/codec
,recorded,,now,,,
,sec/op,CI,sec/op,CI,vs base,P
Gone,1.8e-08,2%
New,,,2.4e-08,1%,,
geomean,1.8e-08,,2.4e-08,,+33.33%,
`,
		"allocations alone": `pkg: example.org/codec
,recorded,,now,,,
,allocs/op,CI,allocs/op,CI,vs base,P
Parse,0,0%,1,0%,~,p=1.000 n=6
`,
	} {
		if got, err := slowed([]byte(table)); err == nil {
			t.Errorf("%s: got %q and no error", name, got)
		}
	}
}

func TestOtherCPU(t *testing.T) {
	here, there := cpus([]byte("cpu: Here\nBenchmarkParse 1\ncpu: Here   \n")), cpus([]byte("cpu: There\n"))
	if got := otherCPU(here, here); got != "" {
		t.Errorf("of the same: %q", got)
	}
	if got, want := otherCPU(there, here), "; on record is another processor: There, not Here"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
