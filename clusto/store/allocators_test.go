package store

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// allocatorsDSN names the database to a process that TestAllocators starts.
const allocatorsDSN = "CLUSTO_TEST_ALLOCATORS_DSN"

// TestAllocators has four processes take names and addresses from the same
// managers at once: none is given out twice, and none is left out.
func TestAllocators(t *testing.T) {
	if dsn := os.Getenv(allocatorsDSN); dsn != "" {
		allocator(t, dsn)
		return
	}
	for _, kind := range []string{"sqlite", "postgresql"} {
		t.Run(kind, func(t *testing.T) {
			dsn := kinds[kind](t)
			s := openTest(t, dsn)
			apply(t, s, network("lan", "10.0.0.0", "255.255.0.0", "10.0.0.1")...)
			apply(t, s, create("names", "simpleentitynamemanager"), attrAt("names", "digits/property", num(5)), attrAt("names", "basename/property", str("n")),
				create("n00007", "pool"))
			runAllocators(t, dsn)
			n := allocators * batches * perBatch
			text := func(q string) string {
				t.Helper()
				got, err := s.list(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				return got[0]
			}
			for what, tt := range map[string]struct {
				query string
				want  int
			}{
				"names":            {`SELECT CAST(count(DISTINCT name) AS VARCHAR(20)) FROM entities WHERE type = 'server'`, n},
				"entities":         {`SELECT CAST(count(*) AS VARCHAR(20)) FROM entities WHERE type = 'server'`, n},
				"the next name":    {`SELECT CAST(value AS VARCHAR(20)) FROM counters WHERE attr_key = 'next'`, n + 2}, // n00007 is left out
				"addresses":        {`SELECT CAST(count(DISTINCT int_value) AS VARCHAR(20)) FROM entity_attrs WHERE "key" = 'ip' AND subkey IS NULL`, n},
				"bindings":         {`SELECT CAST(count(*) AS VARCHAR(20)) FROM entity_attrs WHERE "key" = 'ip' AND subkey IS NULL`, n},
				"their numbers":    {`SELECT CAST(count(DISTINCT number) AS VARCHAR(20)) FROM entity_attrs WHERE "key" = 'ip' AND subkey IS NULL`, n},
				"the last address": {`SELECT CAST(int_value - 167772160 + 2147483648 AS VARCHAR(20)) FROM entity_attrs WHERE "key" = '_lastip'`, n + 1}, // behind the gateway
			} {
				if got, want := text(tt.query), strconv.Itoa(tt.want); got != want {
					t.Errorf("%s: %s, want %s", what, got, want)
				}
			}
		})
	}
}

const (
	allocators = 4
	perBatch   = 50
)

// batches of each process: 10,000 names and as many addresses in all, and fewer
// where the race detector makes SQLite slow.
var batches = map[bool]int{false: 50, true: 2}[raceDetector]

func runAllocators(t *testing.T, dsn string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var running []*exec.Cmd
	for range allocators {
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestAllocators$")
		cmd.Env = append(os.Environ(), allocatorsDSN+"="+dsn)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// allocator is one of the processes.
func allocator(t *testing.T, dsn string) {
	s := openTest(t, dsn)
	var ops []clusto.Op
	for i := range perBatch {
		label := "n" + strconv.Itoa(i)
		ops = append(ops, labelled(allocateEntity("names", "basicserver"), label), allocateTo("lan", "$"+label))
	}
	for done := 0; done < batches; {
		switch _, err := s.Change(t.Context(), ops); {
		case errors.Is(err, clusto.ErrUnavailable): // it waited long for the others
			t.Log(err)
		case err != nil:
			t.Fatal(err)
		default:
			done++
		}
	}
}
