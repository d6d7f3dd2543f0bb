package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFirstStartKilled: a daemon that was killed while it made its journal never
// started again: the file was "something else than a journal".
func TestFirstStartKilled(t *testing.T) {
	if name := os.Getenv("JOURNAL_TO_OPEN"); name != "" {
		fmt.Println("opening")
		j := open(t, Config{File: name})
		fmt.Println("open")
		_ = j.Close()
		return
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	sizes := map[string]int{}
	window := int64(8 * time.Millisecond)
	for range 3 { // a build with the race detector takes several times as long
		begun := time.Now()
		j := open(t, Config{File: file(t)})
		window = max(window, 3*int64(time.Since(begun)))
		_ = j.Close()
	}
	for range 80 {
		name := file(t)
		killedOpening(t, name, time.Duration(rnd.Int64N(window)))
		sizes[size(name)+"/"+size(name+"-wal")]++
		j, err := Open(ctx, Config{File: name})
		if err != nil {
			t.Errorf("with files of %s/%s: %v", size(name), size(name+"-wal"), err)
			continue
		}
		add(t, j, events(swA, 0, 3))
		if got := all(t, j)[swA]; !slices.Equal(got, events(swA, 0, 3)) || j.Stats().Damaged != 0 {
			t.Errorf("%v, %+v", got, j.Stats())
		}
		_ = j.Close()
	}
	t.Logf("files that were left, main/-wal: %v", sizes)
	if len(sizes) < 3 {
		t.Errorf("the kills came all at the same moment: %v", sizes)
	}
}

func killedOpening(t *testing.T, name string, after time.Duration) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestFirstStartKilled$")
	cmd.Env = append(os.Environ(), "JOURNAL_TO_OPEN="+name)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("%q, %v", line, err)
	}
	time.Sleep(after) // the moment, whichever it is
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func size(name string) string {
	st, err := os.Stat(name)
	if err != nil {
		return "none"
	}
	return fmt.Sprint(st.Size())
}

// TestUnfinishedJournal: what an earlier version left when it was killed while it
// made the tables, one after the other, and what SQLite makes of nothing.
func TestUnfinishedJournal(t *testing.T) {
	var made []string
	for _, tb := range tables {
		made = append(made, "CREATE "+tb.kind+" "+tb.name+tb.rest)
	}
	made = append(made, fmt.Sprintf("PRAGMA application_id = %d", applicationID))
	for n := range len(made) + 1 {
		from := file(t)
		db, err := openFile(from)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range append([]string{`PRAGMA user_version`}, made[:n]...) {
			if _, err := db.Exec(text); err != nil {
				t.Fatal(err)
			}
		}
		name := killed(t, from)
		_ = db.Close()
		j, err := Open(ctx, Config{File: name})
		if err != nil {
			t.Errorf("after %d statements, files of %s/%s: %v", n, size(name), size(name+"-wal"), err)
			continue
		}
		add(t, j, events(swA, 0, 1))
		if st := j.Stats(); st.Damaged != 0 || st.Waiting != 1 {
			t.Errorf("after %d statements: %+v", n, st)
		}
		_ = j.Close()
	}
}

// killed gives a copy of a journal's files as they are: as kill -9 leaves them.
func killed(t *testing.T, from string) (name string) {
	t.Helper()
	name = file(t)
	for _, ext := range []string{"", "-wal", ".lock"} {
		data, err := os.ReadFile(from + ext)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(name+ext, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return name
}

// TestNewJournalNeedsNoLog: the tables were in the write-ahead log alone, and
// gone with it.
func TestNewJournalNeedsNoLog(t *testing.T) {
	j := open(t, Config{File: file(t)})
	name := killed(t, j.cfg.File)
	if err := os.Remove(name + "-wal"); err != nil {
		t.Fatal(err)
	}
	open(t, Config{File: name, Look: true})
}

// TestLinkedJournal: a second daemon ran on a symbolic link to the first one's
// journal.
func TestLinkedJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for link, to := range map[string]string{"same": "j", "folder": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	name := filepath.Join(dir, "j")
	for _, first := range []string{"j", "same", "folder/j", "folder/same"} { // the link leads nowhere at first
		j := open(t, Config{File: filepath.Join(dir, first)})
		if _, err := os.Stat(name + ".lock"); err != nil {
			t.Errorf("%s: %v", first, err)
		}
		for _, second := range []string{"j", "same", "folder/j", "folder/same"} {
			two, err := Open(ctx, Config{File: filepath.Join(dir, second)})
			if err == nil {
				_ = two.Close()
			}
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "another process uses it") {
				t.Errorf("%s beside %s: %v", second, first, err)
			}
		}
		_ = j.Close()
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOtherVersions: one that this program does not know is left as it is.
func TestOtherVersions(t *testing.T) {
	for text, says := range map[string]string{
		"PRAGMA user_version = 2":                        "a newer version of this program made it (2, not 1)",
		"ALTER TABLE dead ADD COLUMN more INTEGER":       "another version of this program made it: its dead is ",
		"PRAGMA user_version = 0; PRAGMA user_version":   "", // that of before there were any
		"CREATE INDEX mine ON dead (outcome); SELECT 1 ": "", // no matter
	} {
		name := file(t)
		j := open(t, Config{File: name})
		add(t, j, events(swA, 0, 1))
		_ = j.Close()
		db, err := openFile(name)
		if err == nil {
			_, err = db.Exec(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = db.Close()
		before, _ := os.ReadFile(name)
		j, err = Open(ctx, Config{File: name})
		if err == nil {
			_ = j.Close()
		}
		if says == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		if after, _ := os.ReadFile(name); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), says) || !bytes.Equal(before, after) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
