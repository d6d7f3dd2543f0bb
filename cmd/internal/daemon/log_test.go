package daemon

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// TestLongErrorInTheLog: an inventory that answered 10 MB of nonsense had them
// written into the log, as the reason of its own outage.
func TestLongErrorInTheLog(t *testing.T) {
	huge := strings.Repeat("\u00e4", 5<<20)
	for _, text := range []bool{false, true} {
		var b bytes.Buffer
		log := newLogger(&b, text, "info")
		log.Error("odd "+huge, "error", errors.New("no sense in "+huge), "name", huge, "hosts", 3)
		if line := b.String(); len(line) > 4*lineMost || strings.Count(line, "... (") != 3 || !strings.Contains(line, "no sense in") {
			t.Errorf("%d bytes: %.200s", len(line), line)
		}
		b.Reset()
		log.Error("what is short", "error", errors.New("stays"), "hosts", 3)
		if line := b.String(); !strings.Contains(line, "stays") || strings.Contains(line, "...") {
			t.Error(line)
		}
	}
}
