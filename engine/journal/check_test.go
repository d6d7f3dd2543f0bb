package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// checked has Check refuse a file, unless says is empty, and leave all beside it as
// it was.
func checked(t *testing.T, name, says string) (damaged bool) {
	t.Helper()
	before := beside(t, name)
	damaged, err := Check(name)
	switch {
	case says == "" && err != nil:
		t.Errorf("%s: %v", name, err)
	case says != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says)):
		t.Errorf("%s: %v does not say %q", name, err, says)
	}
	if after := beside(t, name); after != before {
		t.Errorf("%s: there was %s, and is %s", name, before, after)
	}
	return damaged
}

// beside tells which files are in a folder, and what is in them.
func beside(t *testing.T, name string) (all string) {
	t.Helper()
	files, _ := os.ReadDir(filepath.Dir(name)) // it may be missing
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(name), f.Name()))
		all += fmt.Sprintf("%s: %x %v; ", f.Name(), sha256.Sum256(data), err)
	}
	return all
}

// TestCheckIsOpenThatMakesNothing: it refuses what the daemon refuses when it starts,
// in the same words, and takes the rest.
func TestCheckIsOpenThatMakesNothing(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"text": "not a journal", "empty": ""} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"to-new": "new", "to-nowhere": "gone/new", "loop": "loop"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, Config{File: at("closed")})
	add(t, j, events(swA, 0, 3))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for name, says := range map[string]string{
		"gone/new":   "no such file or directory; give a file in a folder that exists and may be written",
		"to-nowhere": "no such file or directory; give a file in a folder that exists",
		"text/new":   "not a directory; give a file in a folder that exists",
		"text/a/new": "text/a: not a directory; give a file in a folder that exists",
		"loop":       "loop: too many levels of symbolic links",
		"text":       "it is something else than a journal; give another name",
		".":          "it is no regular file",
		"new":        "", "to-new": "", "empty": "", "closed": "",
	} {
		if checked(t, at(name), says) {
			t.Errorf("%s is damaged", name)
		}
		if says != "" {
			refused(t, Config{File: at(name)}, says)
		}
	}
}

// TestCheckOfAJournalInUse takes it for good, and lets its daemon go on.
func TestCheckOfAJournalInUse(t *testing.T) {
	name := file(t)
	j := open(t, Config{File: name})
	add(t, j, events(swA, 0, 3))
	if checked(t, name, "") {
		t.Error("it is damaged")
	}
	add(t, j, events(swA, 3, 5))
}

// TestCheckOfADamagedJournal says so, and that is no mistake of the set-up.
func TestCheckOfADamagedJournal(t *testing.T) {
	from := open(t, Config{File: file(t)})
	add(t, from, events(swA, 0, 3))
	name := killed(t, from.cfg.File)
	if err := os.WriteFile(name, make([]byte, pageSize), 0o600); err != nil { // its first page is gone
		t.Fatal(err)
	}
	if !checked(t, name, "") {
		t.Error("it is not damaged")
	}
	if j := open(t, Config{File: name}); len(all(t, j)[swA]) != 3 {
		t.Errorf("%+v", j.Stats())
	}
}
