package journal

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestJournalOfTwoNames: two daemons wrote to one file by two names of it, each
// with a lock and a log of its own.
func TestJournalOfTwoNames(t *testing.T) {
	name := file(t)
	linked, symbolic := name+"-linked", name+"-symbolic"
	if err := os.Symlink(name, symbolic); err != nil {
		t.Fatal(err)
	}
	j := open(t, Config{File: name})
	add(t, j, events(swA, 0, 3))
	refused(t, Config{File: symbolic}, "another process uses it")
	if err := os.Link(name, linked); err != nil {
		t.Fatal(err)
	}
	const says = "it has 2 names (hard links), and another daemon may use it by another one; keep the name"
	refused(t, Config{File: linked}, says)
	refused(t, Config{File: linked, Look: true}, says)
	if got := size(linked+".lock") + size(linked+"-wal"); got != "nonenone" {
		t.Errorf("something is beside the second name: %s", got)
	}
	add(t, j, events(swA, 3, 5)) // the first daemon goes on
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, Config{File: name}, says)
	if err := os.Remove(linked); err != nil {
		t.Fatal(err)
	}
	j = open(t, Config{File: symbolic})
	if got := all(t, j)[swA]; !slices.Equal(got, events(swA, 0, 5)) || j.Stats().Damaged != 0 {
		t.Errorf("%v, %+v", got, j.Stats())
	}
}

func refused(t *testing.T, cfg Config, says string) {
	t.Helper()
	j, err := Open(ctx, cfg)
	if err == nil {
		_ = j.Close()
	}
	if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) {
		t.Errorf("%+v: %v does not say %q", cfg, err, says)
	}
}
