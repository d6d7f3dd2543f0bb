package main

import (
	"database/sql"
	"os"
	"slices"
	"testing"

	"github.com/google/gopacket/pcapgo"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/engine"
)

// newRecordedLab has the inventory that the original had when the recording was
// made, its racks and switches in it, served by the real clusto-httpd.
func newRecordedLab(t *testing.T) *lab {
	t.Helper()
	file := t.TempDir() + "/clusto.db"
	db, err := sql.Open("sqlite", file)
	must(t, err)
	defer db.Close()
	text, err := os.ReadFile("../../clusto/store/testdata/clusto.sql")
	must(t, err)
	_, err = db.ExecContext(t.Context(), string(text))
	must(t, err)
	s := &site{dsn: file, named: []string{"sv2-r01", "sv2-r02"}}
	s.open(t)
	t.Cleanup(func() { s.store.Close() })
	l := newLabOn(t, s)
	l.api.down()
	l.httpd("--db", "sqlite:///"+file)
	return l
}

// TestRecordingTheWholeWay: what the switches sent to the original, on the cable
// once more: through the daemon, its journal and clusto-httpd into the database
// that the original had.
func TestRecordingTheWholeWay(t *testing.T) {
	t.Parallel()
	l := newRecordedLab(t)
	l.start()
	before := l.servers()
	l.resend(recording, 49)
	for v, n := range map[engine.Verdict]uint64{engine.Malformed: 3, engine.WrongCommunity: 1, engine.Journaled: 43, engine.Acknowledged: 2} {
		l.count(verdict(v), n)
	}
	l.idle(patience)
	for o, n := range map[discovery.Outcome]uint64{
		discovery.Created: 8, discovery.Attached: 6, discovery.Known: 19, discovery.Gone: 2, discovery.NotUnderstood: 1, discovery.NotServerPort: 1,
		discovery.Off: 1, discovery.UnknownSwitch: 3, discovery.Unmapped: 4,
	} {
		l.count(outcome(o), n)
	}
	if dead := l.letters(); len(dead) != 7 {
		t.Errorf("%d dead letters: %+v", len(dead), dead)
	}
	made := slices.DeleteFunc(l.servers(), func(n string) bool { return slices.Contains(before, n) })
	if want := []string{"s0029", "s0030", "s0031", "s0032", "s0033", "s0034", "s0035", "s0036"}; !slices.Equal(made, want) {
		t.Errorf("made %v, want %v", made, want)
	}
	for i, port := range []int{25, 26, 27, 28, 29, 24, 23} {
		l.placed(made[i], 0, port)
	}
	l.inVLAN(0, 22, "0") // as the last one says, s0036
	l.inVLAN(0, 1, "42")
	l.inVLAN(0, 44, "") // the power strip's
	for name, want := range map[string][]string{
		"s0001": {"00:1e:c9:00:00:01"},
		"s0029": {"00:1e:c9:00:0a:01", "00:1e:c9:00:0a:02"},
		"s0030": {"00:1e:c9:00:0a:04", "18:66:da:00:00:01"},
		"s0031": {"00:1e:c9:00:0a:05"},
		"s0032": {"00:1e:c9:00:0a:06", "00:1e:c9:00:0a:09", "00:1e:c9:00:0a:0a"},
		"s0033": {"00:1e:c9:00:0a:08", "00:1e:c9:00:0a:0b"},
		"s0036": {"00:1e:c9:00:0a:16"},
	} {
		if got := l.bootstrap(name); !slices.Equal(got, want) {
			t.Errorf("%s has bootstrap/mac %v, want %v", name, got, want)
		}
	}
}

// bootstrap lists the bootstrap MACs of a server.
func (l *lab) bootstrap(name string) (macs []string) {
	l.Helper()
	o := l.object(l, name)
	for i := range o.Attrs {
		if a := &o.Attrs[i]; a.Key == "bootstrap" && a.Sub() == "mac" {
			macs = append(macs, a.Value.Text())
		}
	}
	slices.Sort(macs)
	return macs
}

// resend puts the first n frames of a capture on the cable, to the daemon.
func (l *lab) resend(file string, frames int) {
	l.Helper()
	f, err := os.Open(file)
	must(l, err)
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	must(l, err)
	c := l.handmade()
	for n := range frames {
		data, _, err := r.ReadPacketData()
		must(l, err)
		copy(data, c.head.EthDst[:])
		copy(data[6:], c.head.EthSrc[:])
		data[40], data[41] = 0, 0 // no UDP checksum (RFC 768): the kernel had left it to the card
		c.batch.Replies = [][]byte{data}
		if c.group.Conn(0).Send(&c.batch) != 1 {
			l.Fatalf("frame %d is not sent", n)
		}
	}
}

// TestRetryAfterTheSwitchIsKnown: a dead letter of a switch that clusto did not
// know makes its server once somebody has bound the address and retries it, with
// the real programs all the way.
func TestRetryAfterTheSwitchIsKnown(t *testing.T) {
	t.Parallel()
	l := newRecordedLab(t)
	l.apply(t, clusto.Op{Op: "unbind", Name: "sv2-r01-sw1", IP: "10.42.0.2"})
	l.start()
	retry := func() string {
		cmd := l.clusto("clusto", "traps", "retry", "--journal", l.journalFile())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("clusto traps retry: %v\n%s", err, out)
		}
		return string(out)
	}
	l.resend(recording, 1)
	l.count(outcome(discovery.UnknownSwitch), 1)
	l.until("a dead letter", func() bool { return len(l.letters()) == 1 })
	retry()
	l.count(outcome(discovery.UnknownSwitch), 2)
	l.until("a dead letter again", func() bool { return len(l.letters()) == 1 })
	l.apply(t, clusto.Op{Op: "bind", Name: "sv2-r01-sw1", IP: "10.42.0.2"})
	t.Log(retry())
	l.count(outcome(discovery.Created), 1)
	l.complete("s0029", 0, 25, recordedServers[0].mac)
	if dead := l.letters(); len(dead) > 0 {
		t.Errorf("left: %+v", dead)
	}
}
