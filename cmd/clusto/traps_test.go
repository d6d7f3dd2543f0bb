package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/trap"
)

// running is the journal of a daemon, with three dead letters.
func running(t *testing.T) (j *journal.Journal, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "events")
	j, err := journal.Open(t.Context(), journal.Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	sw := [4]byte{10, 42, 0, 2}
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local).UnixNano()
	for i, port := range []uint16{31, 5, 44} {
		e := trap.Event{At: at, Switch: sw, MAC: [6]byte{0, 0x1e, 0xc9, 0, 10, byte(i + 1)}, VLAN: 42, Port: port, Op: trap.Learnt}
		if _, err := j.Append([]trap.Event{e}); err != nil {
			t.Fatal(err)
		}
		outcome, reason := "unmapped", "servers are on ports 1-30"
		if i == 1 {
			outcome, reason = "refused", "unit 5 is taken"
		}
		if err := j.Bury(t.Context(), &journal.Entry{Seq: int64(i + 1), Event: e}, outcome, reason); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Append(nil); err != nil { // writes the letters too
		t.Fatal(err)
	}
	return j, file
}

const threeLetters = `number  when                 switch     port  vlan  mac                outcome   reason
1       2026-03-04 05:06:07  10.42.0.2  31    42    00:1e:c9:00:0a:01  unmapped  servers are on ports 1-30
2       2026-03-04 05:06:07  10.42.0.2  5     42    00:1e:c9:00:0a:02  refused   unit 5 is taken
3       2026-03-04 05:06:07  10.42.0.2  44    42    00:1e:c9:00:0a:03  unmapped  servers are on ports 1-30
`

// TestTraps: listed, tried again and dropped beside the daemon whose they are.
func TestTraps(t *testing.T) {
	j, file := running(t)
	traps := func(args ...string) result {
		return runClusto(t, "", append(append([]string{"traps"}, args...), "--journal", file)...)
	}
	want(t, traps(), result{threeLetters, "", 0})
	want(t, traps("retry", "2", "9"), result{"", "clusto traps: there is no dead letter 9 in " + file + `; "clusto traps" lists them: nothing was changed` + "\n", exitFailed})
	want(t, traps(), result{threeLetters, "", 0})
	want(t, traps("retry", "2"), result{"1 dead letter to be tried again\n", "", 0})
	select {
	case <-j.Revived():
	case <-time.After(time.Minute):
		t.Fatal("the daemon does not notice")
	}
	again, err := j.Next(t.Context(), [4]byte{10, 42, 0, 2}, 0, 10)
	if err != nil || len(again) != 1 || again[0].Port != 5 {
		t.Errorf("tried again: %+v, %v", again, err)
	}
	want(t, traps("drop", "3", "--json"), result{"{\"drop\":1}\n", "", 0})

	var list struct {
		Letters []struct {
			Number                       int
			When                         time.Time
			Switch, MAC, Outcome, Reason string
			Port, VLAN                   int
		}
	}
	r := traps("--json")
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list.Letters) != 1 {
		t.Fatalf("%v: %+v", err, r)
	}
	if l := list.Letters[0]; l.Number != 1 || l.Port != 31 || l.VLAN != 42 || l.Switch != "10.42.0.2" || l.MAC != "00:1e:c9:00:0a:01" || l.Outcome != "unmapped" || l.When.IsZero() {
		t.Errorf("%+v", l)
	}
	want(t, traps("drop"), result{"1 dead letter dropped\n", "", 0})
	want(t, traps(), result{"no dead letters\n", "", 0})
	want(t, traps("--json"), result{"{\n  \"letters\": []\n}\n", "", 0})
}

// TestDamagedLettersInSilence: a dead letter that cannot be read was not listed, and
// nothing told of it.
func TestDamagedLettersInSilence(t *testing.T) {
	_, file := running(t)
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`UPDATE dead SET body = zeroblob(29) WHERE seq <> 2`); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(threeLetters, "\n")
	said := "clusto traps: 2 dead letters in " + file + " cannot be read any more: the file is damaged, and clusto-snmptrapd drops what is lost\n"
	want(t, runClusto(t, "", "traps", "--journal", file), result{"number  when                 switch     port  vlan  mac                outcome  reason\n" + strings.Replace(lines[2], "refused   ", "refused  ", 1), said, 0})
	want(t, runClusto(t, "", "traps", "drop", "2", "--journal", file), result{"1 dead letter dropped\n", said, 0})
}

// TestTrapsOfTheDaemonsConfiguration: the journal is the daemon's without a word,
// whatever else its section has.
func TestTrapsOfTheDaemonsConfiguration(t *testing.T) {
	_, file := running(t)
	conf := write(t, "services.conf", `{"http": {"nonsense": 1}, "snmp": {"interfaces": ["eth0"], "journal": "`+file+`", "hold_down": "0s"}}`)
	want(t, runClusto(t, "", "traps", "--config", conf), result{threeLetters, "", 0})
	want(t, runClusto(t, "", "traps", "drop", "3", "--config="+conf), result{"1 dead letter dropped\n", "", 0})
	want(t, runClusto(t, "", "traps", "--config", conf, "--journal", "/none"),
		result{"", "clusto traps: journal file /none: there is no journal; --journal says which one is meant\n", exitUsage})
	wrong := write(t, "services.conf", `{"snmp": {"journal": 7}}`)
	want(t, runClusto(t, "", "traps", "--config", wrong),
		result{"", "clusto traps: " + wrong + ":1: snmp.journal: want a text in quotes, got 7\n", exitUsage})
	if _, err := os.Stat("/etc/clusto/services.conf"); err == nil {
		return // this machine has one of its own, which is the first that counts
	}
	t.Setenv("HOME", t.TempDir())
	t.Chdir(filepath.Dir(conf))
	if r := runClusto(t, "", "traps", "drop"); r.out != "2 dead letters dropped\n" {
		t.Errorf("%+v", r)
	}
}

func TestTrapsRefuses(t *testing.T) {
	none := filepath.Join(t.TempDir(), "events")
	text := write(t, "text", "this is something else")
	want(t, runClusto(t, "", "traps", "--journal", none),
		result{"", "clusto traps: journal file " + none + ": there is no journal; --journal says which one is meant\n", exitUsage})
	if _, err := os.Stat(none); err == nil {
		t.Error("looking made a journal")
	}
	want(t, runClusto(t, "", "traps", "--journal", text),
		result{"", "clusto traps: journal file " + text + ": it is something else than a journal; give another name; --journal says which one is meant\n", exitUsage})
	want(t, runClusto(t, "", "traps", "rerty"),
		result{"", "clusto traps: <action>: \"rerty\" is none; write retry or drop, or nothing to list the dead letters; --help lists the flags\n", exitUsage})
	if r := runClusto(t, "", "traps", "retry", "one"); r.code != exitUsage || !regexp.MustCompile(`^clusto traps: .*"one".*\n$`).MatchString(r.err) {
		t.Errorf("%+v", r)
	}
}

// TestTrapsOfAnotherUser: one who may not write beside the journal was told that
// it is damaged.
func TestTrapsOfAnotherUser(t *testing.T) {
	dir := forEveryone(t)
	program := filepath.Join(dir, "clusto")
	copyFile(t, "/proc/self/exe", program)
	_, kept := running(t)
	for what, mode := range map[string]struct{ file, folder os.FileMode }{
		"a folder that may not be written": {0o666, 0o555},
		"a file that may not be written":   {0o444, 0o777},
		"a file that may not be read":      {0o222, 0o777},
		"a folder that may not be entered": {0o666, 0o444},
	} {
		folder, err := os.MkdirTemp(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, "events")
		copyFile(t, kept, file)
		t.Cleanup(func() { _ = os.Chmod(folder, 0o700) }) // or it cannot be removed
		if err := errors.Join(os.Chmod(file, mode.file), os.Chmod(folder, mode.folder)); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		cmd := exec.CommandContext(t.Context(), program, "traps", "--journal", file)
		cmd.Env = []string{asProgram + "=1", "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + dir}
		cmd.Stderr = &errs
		asNobody(t, cmd)
		_ = cmd.Run() // the code tells
		if said := errs.String(); cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(said, "become the daemon's user, or root") {
			t.Errorf("%s: code %d, %s", what, cmd.ProcessState.ExitCode(), said)
		}
	}
}
