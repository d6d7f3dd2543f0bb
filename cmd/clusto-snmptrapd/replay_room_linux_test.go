package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/trap"
)

// recordedEvents is how many the recording has.
const recordedEvents = 45

// wait has events of a switch that clusto does not know wait in the journal.
func (l *lab) wait(n int) {
	l.Helper()
	j, err := journal.Open(l.Context(), journal.Config{File: l.journalFile()})
	must(l, err)
	for range n {
		_, err := j.Append([]trap.Event{{Switch: [4]byte{10, 99, 0, 1}, MAC: recordedServers[0].mac, Port: 1, Op: trap.Learnt}})
		must(l, err)
	}
	must(l, j.Close())
}

// TestReplayLostWhatHadNoRoom: of a capture larger than what others had left of the
// journal, the rest was lost, and the replay ended with 0.
func TestReplayLostWhatHadNoRoom(t *testing.T) {
	t.Parallel()
	l := newReplayLab(t)
	l.wait(5)
	out, errs, code := l.replay(recording, "--journal-size", fmt.Sprint(recordedEvents))
	if !strings.HasPrefix(out, recordedFrames) || !strings.Contains(out, "\nevents created 9\n") || errs != "" || code != 0 {
		t.Errorf("code %d, %s\nstdout:\n%s", code, errs, out)
	}
	l.eachOnce(9)
	if left := l.events(); len(left) > 0 {
		t.Errorf("%d events are left", len(left))
	}
}

// TestReplayBeganBeforeAllWasThere: a capture that did not fit into the journal was
// worked off in pieces, and a port that showed many MACs later had a server by then.
func TestReplayBeganBeforeAllWasThere(t *testing.T) {
	t.Parallel()
	l := newReplayLab(t)
	uplink := write(t, threeOnAPort(t, time.Millisecond))
	out, errs, code := l.replay(uplink, "--hold-down", "2s", "--journal-size", "2")
	says := "its 3 events do not fit into the journal, and nothing of it was taken; raise journal_size from 2 to that, or more"
	if out != "frames journal_full 3\n" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, says) || code != 2 {
		t.Errorf("code %d, %s\nstdout:\n%s\nwant %s", code, errs, out, says)
	}
	if left := l.events(); len(left) > 0 {
		t.Errorf("%d events are left", len(left))
	}
	l.wait(1) // others': it has to be worked off first
	out, errs, code = l.replay(uplink, "--hold-down", "2s", "--journal-size", "3")
	if out != "frames journaled 3\nevents uplink 3\nevents unknown_switch 1\n" || errs != "" || code != 0 {
		t.Errorf("code %d, %s\nstdout:\n%s", code, errs, out)
	}
	l.eachOnce(0)
}

// begin starts a replay without waiting for its end.
func (l *lab) begin(args ...string) (cmd *exec.Cmd, stdout *bytes.Buffer) {
	l.Helper()
	cmd, stdout = labtest.Program(append(args, "--api-url", "http://"+apiAddr, "--journal", l.journalFile(), "--metrics", l.metrics, "--hold-down", "0s")...), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, l.log
	return cmd, stdout
}

// replayPipe begins a replay of what is written to a pipe.
func (l *lab) replayPipe(t *testing.T) (cmd *exec.Cmd, stdout *bytes.Buffer, from, to *os.File) {
	t.Helper()
	from, to, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { _ = from.Close(); _ = to.Close() })
	cmd, stdout = l.begin("--replay", "/dev/stdin")
	cmd.Stdin = from
	must(t, l.net.Start(cmd))
	return cmd, stdout, from, to
}

// signalled ends a replay with SIGTERM, and checks what it says.
func (l *lab) signalled(cmd *exec.Cmd, stdout *bytes.Buffer, want, says string) {
	l.Helper()
	must(l, cmd.Process.Signal(syscall.SIGTERM))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended: // the code tells
	case <-time.After(patience):
		_ = cmd.Process.Kill()
		<-ended
		l.Fatal("it goes on after SIGTERM")
	}
	out := ""
	for line := range strings.Lines(stdout.String()) {
		out += strings.Join(strings.Fields(line), " ") + "\n"
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 || out != want || l.log.Lines(says) != 1 {
		l.Errorf("code %d\n%s\nwant\n%s\n%s\nwant %s", code, out, want, l.log, says)
	}
}

// TestReplayEndedInSilence: a replay that a signal ended while it worked off said
// nothing, and ended well; one that waits for room says that it took nothing.
func TestReplayEndedInSilence(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		size   int
		before int // events of others
		left   int
		frames string
		says   string
	}{
		"works off": {1000, 0, recordedEvents, recordedFrames, "ended by a signal: all its 49 packets were taken; 45 events are left in the journal"},
		"has no room": {
			recordedEvents, 5, 5, "frames malformed 3\nframes wrong_community 1\nframes journal_full 45\n",
			"ended by a signal: nothing of it was taken; take the capture once more",
		},
	} {
		t.Run(what, func(t *testing.T) {
			l := newReplayLab(t)
			l.wait(c.before)
			l.api.down()
			cmd, stdout := l.begin("--replay", recording, "--journal-size", fmt.Sprint(c.size))
			must(t, l.net.Start(cmd))
			l.until("the capture is read", func() bool {
				f := l.figures()
				return f["queued_total"] == 45 && f[verdict(engine.Malformed)] == 3 && f[verdict(engine.WrongCommunity)] == 1 && f["journal_waiting"] == uint64(c.left)
			})
			if c.before > 0 {
				l.says(`"WARN"`, "the journal has no room for the replay, which waits")
			}
			l.signalled(cmd, stdout, c.frames, c.says)
			if left := l.events(); len(left) != c.left {
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

// TestReplayReadsOnAfterTheSignal: of a pipe, whose end may never come.
func TestReplayReadsOnAfterTheSignal(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		bytes  int // of the recording
		queued uint64
		frames string
		says   string
	}{
		"half a header": {10, 0, "", "ended by a signal: nothing of it had come"},
		"a packet":      {24 + 16 + 174, 1, "frames journal_full 1\n", "ended by a signal: nothing of it was taken; take the capture once more"},
		"half a packet": {24 + 16 + 174 + 50, 1, "frames journal_full 1\n", "ended by a signal: nothing of it was taken; take the capture once more"},
	} {
		t.Run(what, func(t *testing.T) {
			l := newReplayLab(t)
			cmd, stdout, from, to := l.replayPipe(t)
			_, err := to.Write(contents(t, recording)[:c.bytes])
			must(t, err)
			l.until("it reads", func() bool {
				n, err := unix.IoctlGetInt(int(from.Fd()), unix.TIOCINQ)
				return err == nil && n == 0 && l.figures()["queued_total"] == c.queued
			})
			l.signalled(cmd, stdout, c.frames, c.says)
			if c.queued > 0 && len(l.events()) > 0 {
				t.Error("events are left")
			}
		})
	}
}

// TestReplayWaitedForTheJournalAfterTheSignal: while it was on its way to the journal, a
// signal ended it once all of it was there, or could not be.
func TestReplayWaitedForTheJournalAfterTheSignal(t *testing.T) {
	t.Parallel()
	l := newReplayLab(t)
	cmd, stdout, _, to := l.replayPipe(t)
	const first = 24 + 16 + 174 // the first packet ends
	pcap := contents(t, recording)
	_, err := to.Write(pcap[:first])
	must(t, err)
	l.until("it reads", func() bool { return l.figures()["queued_total"] == 1 })
	db, err := sql.Open("sqlite", "file:"+l.journalFile()+"?_txlock=immediate&_pragma=busy_timeout(10000)")
	must(t, err)
	defer db.Close()
	others, err := db.Begin() // nobody else writes meanwhile
	must(t, err)
	_, err = to.Write(pcap[first:])
	must(t, err)
	must(t, to.Close())
	l.until("all is read", func() bool {
		f := l.figures()
		return f["queued_total"] == 45 && f[verdict(engine.Malformed)] == 3 && f[verdict(engine.WrongCommunity)] == 1
	})
	l.signalled(cmd, stdout, "frames malformed 3\nframes wrong_community 1\nframes journal_full 45\n", "ended by a signal: nothing of it was taken; take the capture once more")
	must(t, others.Rollback())
	if left := l.events(); len(left) > 0 {
		t.Errorf("%d events are left", len(left))
	}
}

// TestReplayCountsOnce: what waited for memory was told of as lost, and its records
// counted with each try.
func TestReplayCountsOnce(t *testing.T) {
	t.Parallel()
	frames := scaled(12_000)
	const records = 20
	l := newReplayLab(t)
	l.api.down()
	cmd, stdout := l.begin("--replay", write(t, longInforms(t, frames, records)))
	must(t, l.net.Start(cmd))
	l.count("journal_waiting", uint64(frames*records))
	for name, want := range map[string]int{
		`records_total{op="learnt"}`: frames * records, "queued_total": frames, verdict(engine.Acknowledged): frames, verdict(engine.JournalFull): 0,
	} {
		if got := l.figures()[name]; got != uint64(want) {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if l.log.Lines("lost") > 0 {
		t.Error("something is lost")
	}
	l.signalled(cmd, stdout, fmt.Sprintf("frames acknowledged %d\n", frames),
		fmt.Sprintf("all its %d packets were taken; %d events are left in the journal", frames, frames*records))
}

// longInforms is a capture of informs that fill the memory for their responses soon.
func longInforms(t *testing.T, frames, records int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	must(t, w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	n := &snmp.Notification{Community: []byte("public"), TrapOID: oidChanged}
	n.Objects = snmp.AppendVarBind(nil, snmp.OID("\x2b\x06\x01\x02\x01\x01\x05\x00"), snmp.TagOctetString, make([]byte, 1200))
	for port := range records {
		n.Objects = snmp.AppendVarBind(n.Objects, snmp.AppendSub(append([]byte(nil), oidHistMsg...), uint32(port+1)), snmp.TagOctetString,
			learnt(testMAC(port), uint16(port+1)))
	}
	h := frame.Header{Src: [4]byte{10, 42, 0, 2}, Dst: [4]byte{10, 42, 0, 5}, SrcPort: 5000, DstPort: trap.Port}
	data := snmp.AppendInform(h.AppendTo(nil), n)
	h.Finish(data)
	for i := range frames {
		must(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1_700_000_000, int64(i)*1000), CaptureLength: len(data), Length: len(data)}, data))
	}
	return b.Bytes()
}
