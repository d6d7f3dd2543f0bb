package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/netlab"
)

const bigIP = "10.64.255.1" // the server's, in the network of the crowd

// crowd are hosts in a network that perfdhcp is the relay of, and their MACs.
func crowd(n int) (yaml string, macs []byte) {
	var site, list bytes.Buffer
	site.WriteString("networks: {wide: {cidr: 10.64.0.0/16, gateway: 10.64.255.254}}\nservers:\n")
	for i := range n {
		m := fmt.Sprintf("02:01:00:00:%02x:%02x", i>>8, i&255)
		fmt.Fprintf(&site, "  p%05d: {in: boot, mac: %q, ip: 10.64.%d.%d}\n", i, m, 1+i/250, 1+i%250)
		fmt.Fprintln(&list, m)
	}
	return site.String(), list.Bytes()
}

// perfdhcp runs Kea's load generator against the daemon, and gives what it says
// in the end. It must end well.
func (l *lab) perfdhcp(args ...string) string {
	l.t.Helper()
	args = append(append([]string{"-4", "-B", "-l", "cli0"}, args...), bigIP)
	cmd := exec.Command(need(l.t, "perfdhcp", "kea-admin"), args...)
	var out journal
	cmd.Stdout, cmd.Stderr = &out, &out
	l.hide()
	must(l.t, l.peer.Start(cmd))
	first(l.t, cmd.Process.Pid)
	// By itself it has the kernel's default, 166 frames, and loses answers while its
	// other thread has the processor, for sending.
	must(l.t, netlab.Widen(cmd.Process.Pid, 67, 16<<20))
	l.show()
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		l.t.Fatalf("perfdhcp %q: %v\n%s", args, err, &out)
	}
	return out.String()
}

// first gives a process the processor before all other work of the machine, if the
// kernel lets it. Of every request that perfdhcp repeated, the answer was on the
// wire already, after 40 ms at most: it had not come to read it.
func first(t *testing.T, pid int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		must(t, err)
		if err := unix.SchedSetAttr(tid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0); err != nil {
			t.Logf("other work of the machine may make perfdhcp ask again: SCHED_RR is refused: %v", err)
			return
		}
	}
}

// hide keeps the server's MAC from cli0, so that what is sent there waits.
func (l *lab) hide() {
	l.t.Helper()
	must(l.t, l.net.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/srv0/arp_ignore", []byte("8"), 0)
	}))
	must(l.t, l.peer.Do(func() error { // all that a socket may have under way
		return os.WriteFile("/proc/sys/net/ipv4/neigh/cli0/unres_qlen_bytes", []byte("1000000"), 0)
	}))
	flush := exec.Command(need(l.t, "ip", "iproute2"), "neigh", "flush", "dev", "cli0", "nud", "all")
	must(l.t, l.peer.Start(flush))
	must(l.t, flush.Wait())
}

func (l *lab) show() {
	l.t.Helper()
	server, err := l.net.MAC("srv0")
	must(l.t, err)
	must(l.t, l.peer.AddNeighbour("cli0", netip.MustParseAddr(bigIP), server))
}

// needRoot skips a test that an ordinary user's namespace is not enough for.
func needRoot(t *testing.T, why string) {
	t.Helper()
	var inside, outside, count uint64
	b, err := os.ReadFile("/proc/self/uid_map")
	must(t, err)
	_, err = fmt.Sscan(string(b), &inside, &outside, &count)
	must(t, err)
	if outside != 0 || count < 1<<32-1 {
		t.Skipf("*** NOT TESTED *** as an ordinary user: %s", why)
	}
}

// TestPerfdhcp: ten thousand hosts come at once, and not one has to ask twice.
func TestPerfdhcp(t *testing.T) {
	needRoot(t, "only root may give perfdhcp's socket a receive buffer that is large enough")
	l, n := newLab(t), scaled(10000)
	yaml, macs := crowd(n)
	l.apply(yaml)
	must(t, l.peer.AddAddr("cli0", netip.MustParsePrefix("10.64.255.2/16")))
	must(t, l.net.AddAddr("srv0", netip.MustParsePrefix(bigIP+"/16")))
	file := t.TempDir() + "/macs"
	must(t, os.WriteFile(file, macs, 0o600))
	l.start()
	first(t, l.daemon.Process.Pid)
	many := fmt.Sprint(n)
	for name, args := range map[string][]string{
		"DISCOVERs and REQUESTs": {"-M", file, "--scenario", "avalanche", "-R", many},
		"DISCOVERs":              {"-M", file, "-i", "--scenario", "avalanche", "-R", many},
		"at a rate":              {"-M", file, "-r", "2000", "-n", "1000", "-W", "500000", "-R", many}, // ends with 3 if an answer is missing
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.patient(args)
		})
	}
	l.t = t
	received := l.metric("clusto_dhcpd_received_total")
	if l.verdicts(engine.Reply) != received || l.metric("clusto_dhcpd_sent_total") != received || l.metric(`clusto_dhcpd_kernel_dropped_total{interface="srv0"}`) != 0 {
		t.Errorf("not every frame was answered:\n%s", l.get("/metrics"))
	}
}

// patient runs perfdhcp until nobody had to ask again, thrice at most: it lets a
// client wait for 0 to 2 s, by lot, so that a moment without a processor counts.
func (l *lab) patient(args []string) {
	l.t.Helper()
	var out string
	for range 3 {
		out = l.perfdhcp(args...)
		for _, want := range []string{"drops: 0\n", "rejected leases: 0\n", "Malformed packets: 0\n"} {
			if !strings.Contains(out, want) {
				l.t.Errorf("perfdhcp does not say %q:\n%s", want, out)
			}
		}
		if !strings.Contains(out, "resent:") || strings.Contains(out, "Requests resent: 0\n") {
			return
		}
	}
	l.t.Errorf("hosts had to ask again:\n%s", out)
}
