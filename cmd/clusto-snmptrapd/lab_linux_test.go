package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/netlab"
)

func TestMain(m *testing.M) {
	labtest.Main(main)
	if flag.Parse(); flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // which starts programs of its own, in no namespace
	}
	debug.SetGCPercent(400) // the inventories here are many and small
	netlab.Main(func() int {
		labtest.Parallel(6)
		pgtest.Main(m) // ends the program
		return 0
	})
}

// patience bounds every wait; nothing that works comes near it.
const patience = 30 * time.Second

const (
	apiAddr  = "127.0.0.1:9996" // each lab has a namespace of its own
	serverIP = "10.42.0.5"
)

// lab is a network with clusto-snmptrapd on srv0, the switches of a site behind
// cli0, and the site's clusto-httpd.
type lab struct {
	testing.TB
	*site
	dir     string
	api     *front
	net     *netlab.Net // the daemon's and the inventory's
	peer    *netlab.Net // the switches'
	daemon  *labtest.Daemon
	log     *labtest.Log
	metrics string // HOST:PORT
	port    string // the daemon's interface
	far     string // its other end
}

// newLab makes a site with so many racks, on SQLite, and plugs it in.
func newLab(t testing.TB, racks int) *lab {
	t.Helper()
	return newLabOn(t, newSite(t, inMemory(t)+"/clusto.db", racks))
}

func newLabOn(t testing.TB, s *site) *lab {
	t.Helper()
	l := &lab{TB: t, site: s, dir: t.TempDir(), log: &labtest.Log{}, metrics: "127.0.0.1:9968", port: "srv0", far: "cli0"}
	var err error
	l.net, err = netlab.New()
	must(l, err)
	t.Cleanup(func() { l.net.Close() })
	l.api = newFront(t, l.net, s.store)
	l.plug(serverIP)
	return l
}

// beside is a second daemon on the same inventory, with an interface of its own
// to the same switches.
func (l *lab) beside() *lab {
	l.Helper()
	b := &lab{TB: l.TB, site: l.site, dir: l.TempDir(), log: &labtest.Log{}, api: l.api, net: l.net, metrics: "127.0.0.1:9969", port: "srv1", far: "cli1"}
	b.plug("10.43.0.5")
	return b
}

// plug makes the cable between daemon and switches. Their network has both
// daemons' addresses.
func (l *lab) plug(ip string) {
	l.Helper()
	var err error
	l.peer, err = netlab.New()
	must(l, err)
	l.Cleanup(func() {
		_ = l.net.Delete(l.port)
		l.peer.Close()
	})
	must(l, netlab.Veth(l.net, l.port, l.peer, l.far))
	must(l, l.net.AddAddr(l.port, netip.MustParsePrefix(ip+"/16")))
	mac, err := l.net.MAC(l.port)
	must(l, err)
	for i := range l.racks {
		must(l, l.peer.AddAddr(l.far, netip.PrefixFrom(switchIP(i), 15)))
	}
	must(l, l.peer.AddNeighbour(l.far, netip.MustParseAddr(ip), mac))
}

// journalFile is where the daemon keeps its events.
func (l *lab) journalFile() string { return l.dir + "/events" }

// start runs the real daemon and waits until it is ready.
func (l *lab) start(flags ...string) {
	l.Helper()
	l.launch(flags...)
	l.until("clusto-snmptrapd ready", func() bool { return l.get("/readyz") == "ready\n" })
}

// launch runs the real daemon, and ends it with the test. It must end well.
func (l *lab) launch(flags ...string) {
	l.Helper()
	args := append([]string{
		"--interface", l.port, "--api-url", "http://" + apiAddr, "--metrics", l.metrics, "--journal", l.journalFile(), "--hold-down", "0s",
	}, flags...)
	l.daemon = labtest.StartIn(l.net, l, "clusto-snmptrapd", l.log, args...)
}

// stop ends the daemon with SIGTERM, which it must take well.
func (l *lab) stop() { l.daemon.Stop() }

// kill ends the daemon as a power cut does, but for what the disk holds.
func (l *lab) kill() { l.daemon.Kill() }

// get reads from the daemon's metrics server; "" if it does not answer.
func (l *lab) get(path string) string {
	_, body := labtest.GetIn(l.net, "http://"+l.metrics+path, patience)
	return body
}

// figures reads all metrics, without the program's name in front.
func (l *lab) figures() map[string]uint64 {
	out := map[string]uint64{}
	for name, n := range labtest.Metrics(l.get("/metrics"), "clusto_snmptrapd_") {
		out[name] = uint64(n)
	}
	return out
}

// sum adds up the metrics with the beginning of a name.
func (l *lab) sum(prefix string) (n uint64) {
	for name, v := range l.figures() {
		if strings.HasPrefix(name, prefix) {
			n += v
		}
	}
	return n
}

func verdict(v engine.Verdict) string { return fmt.Sprintf("frames_total{verdict=%q}", v) }

func outcome(o discovery.Outcome) string { return fmt.Sprintf("events_total{outcome=%q}", o) }

// count waits until a metric has a value, and fails if it gets beyond.
func (l *lab) count(name string, want uint64) {
	l.Helper()
	var got uint64
	l.until(fmt.Sprintf("%s %d", name, want), func() bool {
		got = l.figures()[name]
		return got >= want
	})
	if got != want {
		l.Errorf("%s is %d, want %d", name, got, want)
	}
}

// idle waits until nothing waits in the journal.
func (l *lab) idle(within time.Duration) {
	l.Helper()
	l.within(within, "journal worked off", func() bool {
		n, ok := l.figures()["journal_waiting"]
		return ok && n == 0
	})
}

func (l *lab) until(what string, ok func() bool) {
	l.Helper()
	l.within(patience, what, ok)
}

func (l *lab) within(bound time.Duration, what string, ok func() bool) {
	l.Helper()
	labtest.Until(l, bound, what, ok, func() any { return l.figures() })
}

// says waits for a line in the log that has all the words.
func (l *lab) says(words ...string) {
	l.Helper()
	l.until(fmt.Sprintf("a line with %q", words), func() bool { return l.log.Lines(words...) > 0 })
}

// events reads the daemon's journal beside it.
func (l *lab) events() []journal.Entry {
	l.Helper()
	j, err := journal.Open(context.Background(), journal.Config{File: l.journalFile(), Look: true})
	must(l, err)
	defer j.Close()
	switches, err := j.Switches(context.Background())
	must(l, err)
	var all []journal.Entry
	for _, sw := range switches {
		es, err := j.Next(context.Background(), sw, 0, 1<<20)
		must(l, err)
		all = append(all, es...)
	}
	return all
}

// letters reads the dead letters.
func (l *lab) letters() []journal.Dead {
	l.Helper()
	j, err := journal.Open(context.Background(), journal.Config{File: l.journalFile(), Look: true})
	must(l, err)
	defer j.Close()
	dead, err := j.Letters(context.Background(), 1<<20)
	must(l, err)
	return dead
}

// resident is the daemon's memory in MB.
func (l *lab) resident() int {
	l.Helper()
	return labtest.Resident(l, l.daemon.Process.Pid) >> 20
}

func must(t testing.TB, err error) {
	t.Helper()
	labtest.Must(t, err)
}

// run runs a program on the switches' side.
func (l *lab) run(name string, args ...string) (out string, code int) {
	l.Helper()
	var b bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &b, &b
	if errors.Is(cmd.Err, exec.ErrNotFound) {
		if os.Getenv("CI") == "" {
			l.Skipf("NOT TESTED with net-snmp: %v (Debian: apt-get install snmp)", cmd.Err)
		}
		l.Fatal(cmd.Err)
	}
	must(l, l.peer.Start(cmd))
	_ = cmd.Wait()
	return b.String(), cmd.ProcessState.ExitCode()
}

// host resolves a MAC, as clusto-dhcpd does.
func (l *lab) host(mac string) (*clusto.Host, error) {
	m, err := clusto.ParseMAC(mac)
	must(l, err)
	return l.store.Host(context.Background(), m)
}
