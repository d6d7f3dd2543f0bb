package main

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/trap"
)

// TestReplayLostWhatHadNoRoom: of a capture larger than the journal, or than what
// others had left of it, the rest was lost, and the replay ended with 0.
func TestReplayLostWhatHadNoRoom(t *testing.T) {
	for what, before := range map[string]int{"a larger capture": 0, "others' events": 5} {
		t.Run(what, func(t *testing.T) {
			l := newReplayLab(t)
			j, err := journal.Open(t.Context(), journal.Config{File: l.journalFile()})
			must(t, err)
			for range before {
				_, err := j.Append([]trap.Event{{Switch: [4]byte{10, 99, 0, 1}, Op: trap.Learnt}})
				must(t, err)
			}
			must(t, j.Close())
			out, errs, code := l.replay(recording, "--journal-size", "5")
			if !strings.HasPrefix(out, recordedFrames) || !strings.Contains(out, "\nevents created 9\n") || errs != "" || code != 0 {
				t.Errorf("code %d, %s\nstdout:\n%s", code, errs, out)
			}
			l.eachOnce(9)
			if left := l.events(); len(left) > 0 {
				t.Errorf("%d events are left", len(left))
			}
		})
	}
}

// TestReplayEndedInSilence: a replay that a signal ended while it worked off said
// nothing, and ended well; one that waits for room says what it did not take.
func TestReplayEndedInSilence(t *testing.T) {
	for what, c := range map[string]struct {
		size   int
		kept   int // events
		frames string
		says   string
	}{
		"works off": {1000, 45, recordedFrames, "ended by a signal: all its 49 packets were taken; 45 events are left in the journal"},
		"has no room": {
			5, 5, "frames malformed 3\nframes wrong_community 1\nframes journaled 5\nframes journal_full 40\n",
			"ended by a signal: 9 of its packets were taken, 40 were not: take the capture once more; 5 events are left in the journal",
		},
	} {
		t.Run(what, func(t *testing.T) {
			l := newReplayLab(t)
			l.api.down()
			var stdout bytes.Buffer
			cmd := labtest.Program("--replay", recording, "--api-url", "http://"+apiAddr, "--journal", l.journalFile(),
				"--metrics", l.metrics, "--journal-size", fmt.Sprint(c.size), "--hold-down", "0s")
			cmd.Stdout, cmd.Stderr = &stdout, l.log
			must(t, l.net.Start(cmd))
			l.until("the capture is read", func() bool {
				f := l.figures()
				return f["queued_total"] == 45 && f[verdict(engine.Malformed)] == 3 && f[verdict(engine.WrongCommunity)] == 1 && f["journal_waiting"] == uint64(c.kept)
			})
			if c.size < 45 {
				l.says(`"WARN"`, "the journal is full: the replay waits")
			}
			must(t, cmd.Process.Signal(syscall.SIGTERM))
			_ = cmd.Wait() // the code tells
			out := ""
			for line := range strings.Lines(stdout.String()) {
				out += strings.Join(strings.Fields(line), " ") + "\n"
			}
			if code := cmd.ProcessState.ExitCode(); code != 1 || out != c.frames || l.log.Lines(c.says) != 1 {
				t.Errorf("code %d\n%s\nwant %s", code, out, c.says)
			}
			if left := l.events(); len(left) != c.kept {
				t.Errorf("%d events are left", len(left))
			}
			l.api.up()
			if out, errs, code := l.replay(recording); !strings.HasPrefix(out, recordedFrames) || errs != "" || code != 0 {
				t.Errorf("once more: code %d, %s\n%s", code, errs, out)
			}
			l.eachOnce(9)
		})
	}
}
