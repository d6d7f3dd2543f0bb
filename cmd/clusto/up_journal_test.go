package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/engine/journal"
)

// TestJournalOfAnother: --check-config passed a journal that the user may not write,
// and one in a folder that the user may not write. Root may.
func TestJournalOfAnother(t *testing.T) {
	dir := forEveryone(t)
	program := filepath.Join(dir, "clusto-snmptrapd")
	copyFile(t, "/proc/self/exe", program)
	open := filepath.Join(dir, "open")
	locked := filepath.Join(dir, "locked")
	for folder, mode := range map[string]os.FileMode{open: 0o777, locked: 0o755} {
		if err := os.Mkdir(folder, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(folder, mode); err != nil { // whatever umask is
			t.Fatal(err)
		}
	}
	j, err := journal.Open(t.Context(), journal.Config{File: open + "/roots"})
	if err == nil {
		err = j.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	const remedy = ": permission denied; become the daemon's user, or give a file in a folder that may be written"
	for file, want := range map[string]string{
		open + "/new":   "",
		open + "/roots": "clusto-snmptrapd: --journal: journal file: " + open + "/roots",
		locked + "/new": "clusto-snmptrapd: --journal: journal file: " + locked + ": ",
	} {
		code, said := checkAsNobody(t, program, "--journal", file)
		if (code == 0) != (want == "") || !strings.HasPrefix(said, want) || want != "" && !strings.Contains(said, remedy) || want == "" && said != "" {
			t.Errorf("%s: code %d: %s; want %q", file, code, said, want)
		}
	}
}
