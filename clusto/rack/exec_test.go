package rack

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// blades makes a layout whose servers a shell script places. Its devices are the
// switch in unit 36, the console server in 34 and the power strip in 41.
func blades(t *testing.T, timeout, script string) *Layout {
	t.Helper()
	dir := t.TempDir()
	if script != "" {
		if err := os.WriteFile(filepath.Join(dir, "place"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := with("")
	text = text[:strings.Index(text, `"servers"`)] + `"exec": "place", "timeout": "` + timeout + `"}`
	l, err := Parse(filepath.Join(dir, "blades.json"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

const sh = "#!/bin/sh\n"

var (
	event  = Event{Switch: "r1-sw1", Port: 25, MAC: clusto.MAC{0, 0x1e, 0xc9, 0, 0xa, 1}, VLAN: 42}
	inRack = &clusto.Object{
		Entity: clusto.Entity{Name: "r1", Type: "rack", Driver: "apcrack"},
		Attrs:  []clusto.Attr{{Key: "racklayout", Value: clusto.Value{Type: clusto.String, Str: "x"}}},
	}
)

// TestProgramPlaces: it finds the question on its standard input, in its own
// directory, and may answer with numbers or texts.
func TestProgramPlaces(t *testing.T) {
	l := blades(t, "1m", sh+`cat >question
[ "$#" = 0 ] || exit 1
echo 'that is not part of the answer' >&2
cat <<END
{"driver": "penguinserver2u", "ru": [11, 10], "connections": [
  {"port": "nic-eth", "num": 2, "to": "r1-sw1", "to_num": "25"},
  {"port": "pwr-nema-5", "num": 1, "to": "r1-pwr1", "to_num": "aa2"},
  {"port": "pwr-nema-5", "num": "2", "to": "r1-pwr2", "to_num": 5},
  {"port": "console-serial", "num": 1, "to": "r1-ts1", "to_num": 7}]}
END
`)
	if p := Check(l); p != nil {
		t.Error(p)
	}
	got, err := l.PlaceEvent(t.Context(), event, inRack)
	want := Placement{Driver: "penguinserver2u", RUs: []int{10, 11}, NIC: 2, Connections: []Connection{
		{"nic-eth", "2", "r1-sw1", "25"},
		{"pwr-nema-5", "1", "r1-pwr1", "aa2"},
		{"pwr-nema-5", "2", "r1-pwr2", "5"},
		{"console-serial", "1", "r1-ts1", "7"},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %v\nwant %v", got, err, want)
	}
	asked, err := os.ReadFile(filepath.Join(filepath.Dir(l.File), "question"))
	if err != nil {
		t.Fatal(err)
	}
	var q, wantQ any
	if err := json.Unmarshal(asked, &q); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(`{
		"event": {"switch": "r1-sw1", "port": 25, "mac": "00:1e:c9:00:0a:01", "vlan": 42},
		"layout": "x",
		"devices": {"switch": "r1-sw1", "console": "r1-ts1", "power": "r1-pwr1"},
		"rack": {"name": "r1", "type": "rack", "driver": "apcrack", "parents": null, "attrs": [
			{"key": "racklayout", "subkey": null, "number": null, "value": {"type": "string", "str": "x"}}]}
	}`), &wantQ); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(q, wantQ) {
		t.Errorf("it was asked %s", asked)
	}
}

// TestProgramsThatFail may be asked again, and the error tells what they said.
// It is not the inventory's: that is waited for, for ever.
func TestProgramsThatFail(t *testing.T) {
	for _, test := range []struct{ name, timeout, script, want string }{
		{"exit 1", "1m", sh + "echo 'no database' >&2; exit 1", `exit status 1; it says "no database"`},
		{"exit 1 with an answer", "1m", sh + `echo '{"unmapped": "x"}'; exit 1`, `exit status 1`},
		{"killed", "1m", sh + "kill -9 $$", `signal: killed`},
		{"missing", "1m", "", `no such file or directory; see that it is executable, and for this machine`},
		{"no #!", "1m", "echo", `exec format error; see that it is executable, and for this machine`},
		{"hanging", "50ms", sh + "exec sleep 1000", `it took longer than 50ms and was killed`},
		{"hanging with its outputs closed", "50ms", sh + "exec >&- 2>&-; exec sleep 1000", `it took longer than 50ms and was killed`},
		{"a child that keeps the output", "50ms", sh + "sleep 1000 &\nexit 0", `it took longer than 50ms and was killed`},
		{"endless output", "1m", sh + "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done", `it writes more than 65536 bytes and was killed`},
		{"endless output against all signals", "1m", sh + "trap '' PIPE TERM HUP; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 2>/dev/null; done", `it writes more than 65536 bytes and was killed`},
		{"endless errors", "300ms", sh + "while :; do echo bbbbbbb >&2; done", `it took longer than 300ms and was killed`},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := blades(t, test.timeout, test.script)
			p, err := l.PlaceEvent(t.Context(), event, inRack)
			if !errors.Is(err, ErrProgram) || errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), l.exec) {
				t.Errorf("%v, %v, want %s", p, err, test.want)
			}
			if len(err.Error()) > 2*maxStderr {
				t.Errorf("the error has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestProgramThatMayNotBeExecuted(t *testing.T) {
	l := blades(t, "1m", sh)
	if err := os.Chmod(l.exec, 0o644); err != nil {
		t.Fatal(err)
	}
	want := l.File + ":4: layout x: exec: " + l.exec + " may not be executed; chmod +x " + l.exec
	if p := Check(l); len(p) != 1 || p[0].String() != want {
		t.Errorf("%v, want %s", p, want)
	}
	if p, err := l.PlaceEvent(t.Context(), event, inRack); !errors.Is(err, ErrProgram) || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v, %v", p, err)
	}
}

// pipe makes a pipe in the directory of a layout and reads it; the script
// has it as "pipe". What was read comes once no process holds the other end.
func pipe(t *testing.T, l *Layout, first func(line string)) (all <-chan string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(l.File), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	out := make(chan string, 1)
	go func() {
		f, err := os.Open(path)
		if err != nil {
			out <- err.Error()
			return
		}
		defer f.Close()
		r := bufio.NewReader(f)
		line, _ := r.ReadString('\n')
		first(line)
		rest, _ := io.ReadAll(r)
		out <- line + string(rest)
	}()
	return out
}

// TestChildrenAreKilledToo: the pipe ends only once none of them is left.
func TestChildrenAreKilledToo(t *testing.T) {
	l := blades(t, "1m", sh+"exec 3>pipe\n(sleep 1000; sleep 1000) &\nsleep 1000 &\necho up >&3\nwait\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := pipe(t, l, func(string) { cancel() })
	if p, err := l.PlaceEvent(ctx, event, inRack); !errors.Is(err, context.Canceled) || errors.Is(err, ErrProgram) {
		t.Errorf("%v, %v", p, err)
	}
	if got := <-all; got != "up\n" {
		t.Errorf("read %q", got)
	}
}

// TestChildOfAnEndedProgramIsKilled: it holds the output, so that nobody knows
// whether the answer is whole.
func TestChildOfAnEndedProgramIsKilled(t *testing.T) {
	l := blades(t, "1m", sh+"exec 3>pipe\nsleep 1000 &\necho up >&3\necho '{\"unmapped\": \"x\"}'\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := pipe(t, l, func(string) { cancel() })
	if p, err := l.PlaceEvent(ctx, event, inRack); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", p, err)
	}
	if got := <-all; got != "up\n" {
		t.Errorf("read %q", got)
	}
}

// TestChildThatLeftTheGroup is not found any more, and not waited for either.
func TestChildThatLeftTheGroup(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		const lack = "*** NOT TESTED *** that a child in a session of its own is not waited for: %v (Debian: apt-get install util-linux)"
		if os.Getenv("CI") != "" {
			t.Fatalf(lack, err)
		}
		t.Skipf(lack, err)
	}
	l := blades(t, "1m", sh+"setsid sleep 1000 &\necho $! >pipe\nwait\n")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := pipe(t, l, func(string) { cancel() })
	if p, err := l.PlaceEvent(ctx, event, inRack); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", p, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(<-all))
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // it may have been killed with the group
}

// TestProgramsKnowNothingOfOurs: tokens and passwords of the daemon stay there.
func TestProgramsKnowNothingOfOurs(t *testing.T) {
	t.Setenv("CLUSTODSN", "postgresql://secret")
	t.Setenv("TZ", "UTC")
	l := blades(t, "1m", sh+`echo "{\"unmapped\": \"${CLUSTODSN-nothing} $TZ\"}"`)
	if _, err := l.PlaceEvent(t.Context(), event, inRack); !errors.Is(err, ErrUnmapped) || !strings.Contains(err.Error(), `"nothing UTC"`) {
		t.Error(err)
	}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR"} {
		t.Setenv(name, "") // so that it is there again after the test
		os.Unsetenv(name)
	}
	if _, err := l.PlaceEvent(t.Context(), event, inRack); !errors.Is(err, ErrUnmapped) || !strings.Contains(err.Error(), `"nothing "`) {
		t.Error(err)
	}
}

// TestProgramThatReadsNothing: a question longer than what a pipe holds does not
// keep it from answering.
func TestProgramThatReadsNothing(t *testing.T) {
	rack := *inRack
	rack.Attrs = []clusto.Attr{{Key: "notes", Value: clusto.Value{Type: clusto.String, Str: strings.Repeat("x", 1<<20)}}}
	l := blades(t, "1m", sh+`echo '{"unmapped": "whatever it is"}'`)
	if _, err := l.PlaceEvent(t.Context(), event, &rack); !errors.Is(err, ErrUnmapped) {
		t.Error(err)
	}
}

// TestProgramsRunAFewAtOnce: one ran for each rack that had a new server, however
// many racks there were.
func TestProgramsRunAFewAtOnce(t *testing.T) {
	l := blades(t, "1m", sh+`mkdir runs.$$
ls -d runs.* | wc -l >>many
read x <gate
rmdir runs.$$
echo '{"unmapped": "not here"}'
`)
	dir := filepath.Dir(l.File)
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(gate, os.O_RDWR, 0) // it blocks nobody who opens it
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	const asked = 3 * programsAtOnce
	var all sync.WaitGroup
	for range asked {
		all.Go(func() {
			if _, err := l.PlaceEvent(t.Context(), event, inRack); !errors.Is(err, ErrUnmapped) {
				t.Error(err)
			}
		})
	}
	counted := func() (n []int) {
		data, _ := os.ReadFile(filepath.Join(dir, "many"))
		for text := range strings.FieldsSeq(string(data)) {
			i, _ := strconv.Atoi(text)
			n = append(n, i)
		}
		return n
	}
	for late := time.After(30 * time.Second); len(counted()) < programsAtOnce; {
		select {
		case <-late:
			t.Fatalf("%d programs run, want %d", len(counted()), programsAtOnce)
		case <-time.After(time.Millisecond):
		}
	}
	if _, err := open.WriteString(strings.Repeat("\n", asked)); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if n := counted(); len(n) != asked || slices.Max(n) > programsAtOnce {
		t.Errorf("%d programs ran, %d at once; want %d, %d at once", len(n), slices.Max(n), asked, programsAtOnce)
	}
}

// TestEventOfAnotherSwitch: port 5 of a second switch is not port 5 of the
// layout's.
func TestEventOfAnotherSwitch(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	l := layouts["201001"]
	if p, err := l.PlaceEvent(t.Context(), event, inRack); err != nil || p.RUs[0] != 26 {
		t.Errorf("%v, %v", p, err)
	}
	other := event
	other.Switch = "r1-sw2"
	_, err = l.PlaceEvent(t.Context(), other, inRack)
	if !errors.Is(err, ErrUnmapped) || !strings.Contains(err.Error(), "r1-sw1") {
		t.Error(err)
	}
}

// TestPlaceDoesNotAskPrograms: a table of ports there is none.
func TestPlaceDoesNotAskPrograms(t *testing.T) {
	if p, err := blades(t, "1m", sh).Place("r1", 25); !errors.Is(err, clusto.ErrInvalid) {
		t.Errorf("%v, %v", p, err)
	}
}
