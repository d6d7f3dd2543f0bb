package discovery

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/clusto/store"
)

// programs makes the rack of switch sw1 one whose servers a shell script places,
// with a line in the file "calls" of the folder dir for each time it is asked. No
// other test runs beside: what is being written cannot be run, and whatever starts
// meanwhile has it open too.
func programs(t *testing.T, s *store.Store, script string) (dir string, all rack.Layouts) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"place": "#!/bin/sh\necho >>calls\nquestion=$(cat)\n" + script,
		"blades.json": `{"name": "blades", "devices": {"switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 36}},
			"exec": "place", "timeout": "1m"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	all, err := rack.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, clusto.Op{Op: "attr", Name: "sv2-r01", Key: "racklayout", Value: text("blades")})
	return dir, all
}

// placing answers for any port between 25 and 30.
const placing = `port=${question#*\"port\":}; port=${port%%,*}
echo "{\"driver\": \"penguinserver\", \"ru\": [$((port+1))], \"connections\": [{\"port\": \"nic-eth\", \"num\": 1, \"to\": \"sv2-r01-sw1\", \"to_num\": $port}]}"
`

func calls(t *testing.T, dir string) int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

// TestFailingProgramBlocksItsSwitch: the event that it failed for was tried again
// for ever, and all later ones of its switch waited.
func TestFailingProgramBlocksItsSwitch(t *testing.T) {
	eachSite(t, func(t *testing.T, s *store.Store) {
		dir, all := programs(t, s, `[ -e mended ] || case $question in *\"port\":25,*) echo "no database" >&2; exit 1;; esac
`+placing)
		l := newLab(t, s, func(c *Config) { c.Layouts, c.anew = all, time.Hour }) // on a busy machine too
		ev := learnt("00:1e:c9:00:0d:01", 25)
		l.send(ev, learnt("00:1e:c9:00:0d:02", 26))
		l.want(map[string]uint64{"refused": 1, "created": 1})
		if n := calls(t, dir); n != programTries+1 {
			t.Errorf("it was asked %d times, want %d and one for the other event", n, programTries)
		}
		if d := l.queue.dead; len(d) != 1 || !strings.Contains(d[0].reason, "no database") || !strings.Contains(d[0].reason, "5 times") {
			t.Errorf("dead letters %+v", d)
		}
		if n := l.Retries.Load(); n != 0 {
			t.Errorf("%d retries of the inventory, which did not fail", n)
		}
		if err := os.WriteFile(filepath.Join(dir, "mended"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		l.send(ev) // a dead letter that is retried
		l.want(map[string]uint64{"refused": 1, "created": 2})
	})
}

// TestProgramOfAHalfMadeServer: where servers are made in steps, one whose
// program failed when it was to be finished was taken for one that moved.
func TestProgramOfAHalfMadeServer(t *testing.T) {
	s := openStore(t, originalFile(t))
	_, all := programs(t, s, "[ $(wc -l <calls) -gt 3 ] || exit 1\n"+placing)
	apply(t, s, clusto.Op{Op: "create", Name: "half", Driver: "penguinserver"}, setMAC("half", "bootstrap", "mac", "00:1e:c9:00:0d:03"))
	l := newLab(t, s, func(c *Config) { c.Layouts, c.Stepwise = all, func() bool { return true } })
	l.send(learnt("00:1e:c9:00:0d:03", 25))
	l.want(map[string]uint64{"created": 1})
}

// TestInventoryFailsBetweenProgramsTries: an outage is not one of them, however
// long it takes.
func TestInventoryFailsBetweenProgramsTries(t *testing.T) {
	s := openStore(t, originalFile(t))
	dir, all := programs(t, s, "[ $(wc -l <calls) -gt 4 ] || exit 1\n"+placing)
	fails := 0
	l := newLab(t, failing{s, func(call string) error {
		if call != "entities" {
			return nil
		}
		if fails++; fails%12 < 8 { // there are two of these calls for each try
			return fmt.Errorf("no route: %w", clusto.ErrUnavailable)
		}
		return nil
	}}, func(c *Config) { c.Layouts, c.Facts, c.anew = all, time.Nanosecond, time.Hour })
	l.send(learnt("00:1e:c9:00:0d:04", 25))
	l.want(map[string]uint64{"created": 1})
	if n := calls(t, dir); n != programTries || l.Retries.Load() < 15 {
		t.Errorf("%d calls of the program, %d retries of the inventory", n, l.Retries.Load())
	}
}

// TestShutdownIsNoTryOfAProgram: one that is killed because the daemon ends has
// not failed, and its event is there at the next start.
func TestShutdownIsNoTryOfAProgram(t *testing.T) {
	s := openStore(t, originalFile(t))
	dir, all := programs(t, s, "[ $(wc -l <calls) -gt 4 ] || exit 1\necho >up\nexec sleep 1000\n")
	up := filepath.Join(dir, "up")
	if err := syscall.Mkfifo(up, 0o600); err != nil {
		t.Fatal(err)
	}
	queue, log := newLetters(learnt("00:1e:c9:00:0d:05", 25)), new(syncBuffer)
	d := New(Config{Queue: queue, Inventory: s, Layouts: all, HoldDown: -1, Backoff: time.Millisecond, Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { d.Run(ctx) })
	if _, err := os.ReadFile(up); err != nil { // the last try is under way
		t.Error(err)
	}
	cancel()
	run.Wait()
	if d.Count(Refused) != 0 || len(queue.dead) > 0 || len(queue.done) > 0 || log.Lines("tried again") != 1 {
		t.Errorf("%d refused, %+v\n%s", d.Count(Refused), queue.dead, log)
	}
}
