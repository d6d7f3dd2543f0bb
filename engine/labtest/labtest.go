// Package labtest is what tests of running programs share: logs that are read
// while they are written, and waiting with a bound.
package labtest

import (
	"bytes"
	"flag"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Parallel has up to n parallel tests run at once, unless the command line says
// how many: tests that wait for timers of others need no processor meanwhile. It
// comes before m.Run.
func Parallel(n int) {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(n)) // every test program has it
	}
}

// Must ends a test that cannot go on.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Until waits for a condition that the kernel, a program or another goroutine
// brings about, and ends the test if it does not in time. state, if not nil,
// tells what there was instead.
func Until(t testing.TB, bound time.Duration, what string, ok func() bool, state func() any) {
	t.Helper()
	pause := time.Millisecond
	late := time.After(bound)
	for !ok() {
		select {
		case <-time.After(pause):
			pause = min(2*pause, 20*time.Millisecond) // to look costs as well
		case <-late:
			if state != nil {
				t.Fatalf("%s: not in %v\n%v", what, bound, state())
			}
			t.Fatalf("%s: not in %v", what, bound)
		}
	}
}

// Log keeps what is written to it, for a test to read meanwhile. Its zero value
// is empty.
type Log struct {
	mu   sync.Mutex
	b    bytes.Buffer
	told int // how much of it tell has told
}

// Write implements io.Writer.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String is all of it.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Tail is the end of it, as much as helps.
func (l *Log) Tail() string {
	s := l.String()
	return s[max(0, len(s)-16<<10):]
}

// tell logs the end of it, unless that was told before: it may be of several
// runs.
func (l *Log) tell(t testing.TB, name string) {
	t.Helper()
	if s := l.String(); len(s) > l.told {
		l.told = len(s)
		t.Logf("%s says:\n%s", name, l.Tail())
	}
}

// Lines counts the lines that have all the words.
func (l *Log) Lines(words ...string) (n int) {
	for line := range strings.Lines(l.String()) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			n++
		}
	}
	return n
}
