// Command peers measures the codecs and the cache beside libraries that do the
// same, on the same bytes, and prints a table with their ratios. It is a module of
// its own, so that those libraries are none of the project's.
//
//	cd bench/peers && go run .            # the table
//	cd bench/peers && go test -bench .    # the same, for benchstat
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"testing"
)

// contest is one piece of work, done by several.
type contest struct {
	name string
	by   []entrant // ours first
}

// entrant does the work of a contest. prepare gives what does it once, and says
// whether it was done.
type entrant struct {
	name    string
	prepare func() func() bool
}

// bench measures an entrant.
func (e *entrant) bench(b *testing.B) {
	once := e.prepare()
	if !once() {
		b.Fatalf("%s does not do it", e.name)
	}
	b.ReportAllocs()
	for b.Loop() {
		once()
	}
}

var contests = []contest{dhcpParse, dhcpBuild, dhcpAnswer, trapParse, informBuild, lruGet(10_000), lruGet(100_000)}

func main() {
	testing.Init()
	flag.Parse()
	fmt.Println("| | | ns | allocations | bytes | times ours |\n|---|---|---|---|---|---|")
	for _, c := range contests {
		if err := c.print(); err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1)
		}
	}
}

// rounds are how often each has its turn: the median counts.
const rounds = 3

func (c *contest) print() error {
	turns := make([][]testing.BenchmarkResult, len(c.by))
	for range rounds {
		for i, e := range c.by {
			r := testing.Benchmark(e.bench)
			if r.N == 0 {
				return fmt.Errorf("%s: %s does not do it", c.name, e.name)
			}
			turns[i] = append(turns[i], r)
		}
	}
	ours := nanoseconds(turns[0])
	for i, e := range c.by {
		what := ""
		if i == 0 {
			what = c.name
		}
		r := turns[i][0]
		ns := nanoseconds(turns[i])
		fmt.Printf("| %s | %s | %.1f | %d | %d | %.1f |\n", what, e.name, ns, r.AllocsPerOp(), r.AllocedBytesPerOp(), ns/ours)
	}
	return nil
}

// nanoseconds gives the median of one piece of work.
func nanoseconds(turns []testing.BenchmarkResult) float64 {
	var all []float64
	for _, r := range turns {
		all = append(all, float64(r.T.Nanoseconds())/float64(r.N))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
