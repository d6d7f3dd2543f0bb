package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/trap"
)

// onFullDisk runs a program with its journal on a disk that has no room left,
// in a mount namespace of its own: the folder, what is on the disk first, the
// program.
const onFullDisk = `set -e
mount --make-rprivate /
mount -t tmpfs -o size=1m full "$1"
cp "$2"/* "$1" 2>/dev/null || true
dd if=/dev/zero of="$1"/rest bs=4k 2>/dev/null || true
shift 2
exec "$@"
`

// TestDiskFullAtStart ended with 2, as a wrong setting does, after which systemd
// leaves the daemon alone. The events wait inside, and the condition passes.
func TestDiskFullAtStart(t *testing.T) {
	t.Parallel()
	before := t.TempDir()
	j, err := journal.Open(t.Context(), journal.Config{File: before + "/events"})
	must(t, err)
	_, err = j.Append([]trap.Event{{Switch: [4]byte{10, 42, 0, 2}, Op: trap.Learnt}})
	must(t, err)
	must(t, j.Close())
	self, err := os.Executable()
	must(t, err)
	for what, files := range map[string]string{"a journal": before, "no journal yet": t.TempDir()} {
		dir := t.TempDir()
		cmd := exec.Command("sh", "-c", onFullDisk, "sh", dir, files,
			self, "--replay", recording, "--api-url", "http://"+apiAddr, "--journal", dir+"/events")
		cmd.Env = labtest.Program().Env
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		var errs bytes.Buffer
		cmd.Stderr = &errs
		_ = cmd.Run() // the code tells
		if said := errs.String(); cmd.ProcessState.ExitCode() != 1 || strings.Contains(said, "configuration") || strings.Contains(said, "taken") ||
			!strings.Contains(said, "full") && !strings.Contains(said, "no space left") {
			t.Errorf("%s: code %d, %s", what, cmd.ProcessState.ExitCode(), said)
		}
	}
}

// onDiskThatFills is a daemon that is not ready, since the disk that its journal is on
// is full of a file, rest.
func onDiskThatFills(t *testing.T) (l *lab, rest string, sent int) {
	t.Helper()
	l = newLab(t, 1)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command("sh", "-c", `mount --make-rprivate / && mount -t tmpfs -o size=2m full "$1" && shift && exec "$@"`, "sh", l.dir,
		self, "--interface", l.port, "--api-url", "http://"+apiAddr, "--metrics", l.metrics, "--journal", l.journalFile(), "--hold-down", "0s")
	cmd.Env, cmd.Stderr = labtest.Program().Env, l.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	must(t, l.net.Start(cmd))
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: %v", err)
		}
	})
	l.until("ready", func() bool { return l.get("/readyz") == "ready\n" })
	rest = filepath.Join(fmt.Sprintf("/proc/%d/root", cmd.Process.Pid), l.dir, "rest")
	if err := os.WriteFile(rest, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	l.until("not ready", func() bool {
		l.burst(0, "public", 1, sent, 200)
		sent += 200
		return strings.Contains(l.get("/readyz"), "the journal could not be written when a trap came last: traps are lost until it can: write journal ")
	})
	return l, rest, sent
}

// TestReadyWhileNothingIsKept: while the disk was full under the daemon it was ready,
// though no trap came to it.
func TestReadyWhileNothingIsKept(t *testing.T) {
	t.Parallel()
	l, rest, sent := onDiskThatFills(t)
	if l.figures()[verdict(engine.JournalFailed)] == 0 {
		t.Error("nothing failed")
	}
	must(t, os.Remove(rest))
	l.burst(0, "public", 1, sent, 1)
	l.until("ready again", func() bool { return l.get("/readyz") == "ready\n" })
}

// TestNotReadyUntilTheNextTrap: the disk had room again, and the daemon was not ready
// before another trap came.
func TestNotReadyUntilTheNextTrap(t *testing.T) {
	t.Parallel()
	l, rest, sent := onDiskThatFills(t)
	l.until("all is counted", func() bool { return l.sum("frames_total") == uint64(sent) })
	if l.get("/readyz") == "ready\n" {
		t.Error("it is ready while the disk is full")
	}
	must(t, os.Remove(rest))
	l.until("ready again", func() bool { return l.get("/readyz") == "ready\n" })
	before := l.figures()[verdict(engine.Journaled)]
	l.burst(0, "public", 1, sent, 1)
	l.count(verdict(engine.Journaled), before+1)
}
