package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/netlab"
)

// runAs tells the copy of the test program that it is the daemon itself.
const runAs = "CLUSTO_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(runAs) != "" {
		main()
	}
	netlab.Main(func() int {
		pgtest.Main(m) // ends the program
		return 0
	})
}

// patience bounds every wait; nothing that works comes near it.
const patience = 30 * time.Second

const (
	apiAddr  = "127.0.0.1:9996" // the namespace is the test's own
	serverIP = "10.42.0.5"
)

var here *netlab.Net // the process's own namespace

// lab is a network with clusto-snmptrapd on srv0, the switches of a site behind
// cli0, and the site's clusto-httpd.
type lab struct {
	testing.TB
	*site
	dir     string
	api     *front
	peer    *netlab.Net
	daemon  *exec.Cmd
	log     *logged
	metrics string // HOST:PORT
	port    string // the daemon's interface
	far     string // its other end
}

// newLab makes a site with so many racks, on SQLite, and plugs it in.
func newLab(t testing.TB, racks int) *lab {
	t.Helper()
	file := t.TempDir() + "/clusto.db"
	return newLabOn(t, newSite(t, file, racks))
}

func newLabOn(t testing.TB, s *site) *lab {
	t.Helper()
	l := &lab{TB: t, site: s, dir: t.TempDir(), log: &logged{}, metrics: "127.0.0.1:9968", port: "srv0", far: "cli0"}
	l.api = newFront(t, s.store)
	l.plug(serverIP)
	return l
}

// beside is a second daemon on the same inventory, with an interface of its own
// to the same switches.
func (l *lab) beside() *lab {
	l.Helper()
	b := &lab{TB: l.TB, site: l.site, dir: l.TempDir(), log: &logged{}, api: l.api, metrics: "127.0.0.1:9969", port: "srv1", far: "cli1"}
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
		_ = here.Delete(l.port)
		l.peer.Close()
	})
	must(l, netlab.Veth(here, l.port, l.peer, l.far))
	must(l, here.AddAddr(l.port, netip.MustParsePrefix(ip+"/16")))
	mac, err := here.MAC(l.port)
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
	cmd := program(args...)
	cmd.Stderr = l.log
	must(l, cmd.Start())
	l.daemon = cmd
	l.Cleanup(func() {
		l.stop()
		if l.Failed() {
			l.Logf("clusto-snmptrapd says:\n%s", l.log.tail())
		}
	})
}

func program(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), runAs+"=1", "GORACE=atexit_sleep_ms=0") // else a second each
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// stop ends the daemon with SIGTERM, which it must take well.
func (l *lab) stop() {
	if l.daemon == nil {
		return
	}
	cmd := l.daemon
	l.daemon = nil
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		l.Errorf("clusto-snmptrapd after SIGTERM: %v", err)
	}
}

// kill ends the daemon as a power cut does, but for what the disk holds.
func (l *lab) kill() {
	cmd := l.daemon
	l.daemon = nil
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// get reads from the daemon's metrics server; "" if it does not answer.
func (l *lab) get(path string) string {
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + l.metrics + path)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		return ""
	}
	return b.String()
}

// figures reads all metrics, without the program's name in front.
func (l *lab) figures() map[string]uint64 {
	out := map[string]uint64{}
	for line := range strings.Lines(l.get("/metrics")) {
		name, val, ok := strings.Cut(strings.TrimSpace(line), " ")
		if name, ours := strings.CutPrefix(name, "clusto_snmptrapd_"); ok && ours {
			if n, err := strconv.ParseFloat(val, 64); err == nil {
				out[name] = uint64(n)
			}
		}
	}
	return out
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
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(bound)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			l.Fatalf("%s: not in %v\n%v", what, bound, l.figures())
		}
	}
}

// says waits for a line in the log that has all the words.
func (l *lab) says(words ...string) {
	l.Helper()
	l.until(fmt.Sprintf("a line with %q", words), func() bool { return l.log.lines(words...) > 0 })
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
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.daemon.Process.Pid))
	must(l, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			must(l, err)
			return kb / 1024
		}
	}
	l.Fatal("/proc does not tell the daemon's memory")
	return 0
}

// logged keeps what the daemon logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *logged) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *logged) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// tail is the end of it, as much as helps.
func (j *logged) tail() string {
	s := j.String()
	return s[max(0, len(s)-16<<10):]
}

// lines counts the lines that have all the words.
func (j *logged) lines(words ...string) (n int) {
	for line := range strings.Lines(j.String()) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			n++
		}
	}
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
