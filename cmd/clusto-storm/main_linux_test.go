package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/netlab"
)

func TestMain(m *testing.M) {
	labtest.Main(main)
	netlab.Main(m.Run)
}

const (
	patience    = 30 * time.Second
	hosts       = 300
	serverIP    = "10.42.0.1"
	relayIP     = "10.42.255.254"
	metricsAddr = "127.0.0.1:9967" // the namespace is the test's own
)

var here *netlab.Net

// cable leads from srv0 here to cli0 in a network of its own.
func cable(t *testing.T) *netlab.Net {
	t.Helper()
	peer, err := netlab.New()
	labtest.Must(t, err)
	t.Cleanup(func() {
		_ = here.Delete("srv0")
		_ = peer.Close()
	})
	labtest.Must(t, netlab.Veth(here, "srv0", peer, "cli0"))
	labtest.Must(t, here.AddAddr("srv0", netip.MustParsePrefix(serverIP+"/16")))
	labtest.Must(t, peer.AddAddr("cli0", netip.MustParsePrefix(relayIP+"/16")))
	return peer
}

// serve runs clusto up on srv0 with hosts of which firstMAC is the first.
func serve(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "clusto")
	if out, err := exec.Command("go", "build", "-o", program, "../clusto").CombinedOutput(); err != nil {
		t.Fatalf("build clusto: %v\n%s", err, out)
	}
	var site bytes.Buffer
	site.WriteString("networks: {lan: {cidr: 10.42.0.0/16, gateway: 10.42.0.1}}\npools: {boot: {dhcp: {enabled: 1}}}\nservers:\n")
	for i := range hosts {
		fmt.Fprintf(&site, "  h%03d: {in: boot, mac: '02:00:00:00:%02x:%02x', ip: 10.42.%d.%d}\n", i, i>>8, i&255, 1+i>>8, i&255)
	}
	file, conf := filepath.Join(dir, "site.yaml"), filepath.Join(dir, "services.conf")
	labtest.Must(t, os.WriteFile(file, site.Bytes(), 0o600))
	labtest.Must(t, os.WriteFile(conf, []byte("{}\n"), 0o600))
	log := new(labtest.Log)
	cmd := exec.Command(program, "up", "--config", conf, "--interface", "srv0", "--inventory", file, "--db", filepath.Join(dir, "clusto.db"),
		"--listen", "127.0.0.1:9996", "--metrics", metricsAddr)
	cmd.Stderr = log
	labtest.Must(t, here.Start(cmd))
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("clusto up: %v\n%s", err, log.Tail())
		}
	})
	labtest.Until(t, patience, "clusto up to be ready", func() bool {
		status, _ := labtest.Get("http://"+metricsAddr+"/readyz", time.Second)
		return status == 200
	}, func() any { return log.Tail() })
}

// counted gives one of clusto's counters.
func counted(t *testing.T, name string) int {
	t.Helper()
	status, text := labtest.Get("http://"+metricsAddr+"/metrics", time.Second)
	n, ok := labtest.Metrics(text, "")[name]
	if status != 200 || !ok {
		t.Fatalf("there is no metric %s: %d\n%s", name, status, text)
	}
	return int(n)
}

// stormed runs clusto-storm at cli0 and gives its result and exit code.
func stormed(t *testing.T, peer *netlab.Net, args ...string) (r result, code int) {
	t.Helper()
	text, log, code := execute(t, peer, append(args, "--json")...)
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("clusto-storm %s: %v: %q\n%s", args, err, text, log)
	}
	return r, code
}

func execute(t *testing.T, peer *netlab.Net, args ...string) (out, log string, code int) {
	t.Helper()
	cmd := labtest.Program(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	labtest.Must(t, peer.Start(cmd))
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

const fleet = firstMAC + "+300"

const firstMAC = "02:00:00:00:00:00"

// TestAgainstClusto: all loads, by the count of the server that took them.
func TestAgainstClusto(t *testing.T) {
	peer := cable(t)
	serve(t)
	on := []string{"--interface", "cli0"}
	clients := append([]string{"--macs", fleet}, on...)
	relayed := append([]string{"--relay", relayIP, "--server", serverIP}, clients...)
	with := func(mode string, flags []string, more ...string) []string {
		return append(append([]string{mode}, flags...), more...)
	}
	replies, unknown := 0, 0
	for _, c := range []struct {
		args             []string
		done             int // of the exchanges that are done, each has so many
		replies, unknown int
		code             int
	}{
		{with("discover", clients, "-n", "2000"), 2000, 1, 0, 0},
		{with("discover", clients, "-n", "500", "--rate", "2000"), 500, 1, 0, 0},
		{with("dora", clients, "-n", "1000", "-w", "16"), 1000, 2, 0, 0},
		{with("dora", relayed, "-n", "1000"), 1000, 2, 0, 0},
		{with("storm", clients), hosts, 2, 0, 0},
		{with("storm", relayed), hosts, 2, 0, 0},
		{with("flood", on, "-n", "400", "--rate", "2000", "--timeout", "100ms"), 0, 0, 400, 0},
		{with("discover", on, "--macs", "02:ff:00:00:00:00+10", "-n", "10", "--timeout", "100ms"), 0, 0, 10, exitLost},
	} {
		r, code := stormed(t, peer, c.args...)
		if r.Done != c.done || code != c.code || r.Stray+r.Invalid != 0 || r.Lost != r.Begun-r.Done {
			t.Errorf("%s: code %d, %+v", c.args, code, r)
		}
		if len(r.Latencies) > 0 && r.Latencies[0].Max <= 0 {
			t.Errorf("%s took no time: %+v", c.args, r.Latencies)
		}
		replies += c.done * c.replies
		unknown += c.unknown
		var got []int
		labtest.Until(t, patience, "the server's counts", func() bool { // it may still be at what nobody waits for
			got = []int{counted(t, `clusto_dhcpd_frames_total{verdict="reply"}`), counted(t, `clusto_dhcpd_frames_total{verdict="unknown_host"}`)}
			return got[0] >= replies && got[1] >= unknown
		}, func() any { return fmt.Sprint(c.args, got, replies, unknown) })
		if got[0] > replies+r.Retransmitted {
			t.Fatalf("%s: the server counts %v replies and unknown hosts, want %d and %d", c.args, got, replies, unknown)
		}
	}
}

// TestNotificationsArrive: the server has as many traps and informs as were sent.
func TestNotificationsArrive(t *testing.T) {
	peer := cable(t)
	serve(t)
	for mode, verdict := range map[string]string{"traps": "journaled", "informs": "acknowledged"} {
		r, code := stormed(t, peer, mode, "-i", "cli0", "--server", serverIP, "--switches", "10.42.200.1+7", "-n", "700", "--rate", "5000", "--records", "3", "--macs", "00:1e:c9:00:00:00+63")
		if code != 0 || r.Done != 700 || r.Sent != 700 {
			t.Errorf("%s: code %d, %+v", mode, code, r)
		}
		labtest.Until(t, patience, mode+" to be counted", func() bool {
			return counted(t, fmt.Sprintf(`clusto_snmptrapd_frames_total{verdict=%q}`, verdict)) == 700
		}, nil)
	}
}

// TestMirror: what goes to a mirror comes back, until a signal.
func TestMirror(t *testing.T) {
	peer := cable(t)
	log := new(labtest.Log)
	d := labtest.Start(t, "mirror", log, "mirror", "--interface", "srv0")
	labtest.Until(t, patience, "the mirror", func() bool { return log.Lines("ready") == 1 }, nil)
	r, code := stormed(t, peer, "discover", "--mirrored", "-i", "cli0", "--macs", fleet, "-n", "3000")
	if code != 0 || r.Done != 3000 || r.Received != 3000 {
		t.Errorf("code %d, %+v", code, r)
	}
	d.Stop()
}

// TestTag: frames have the tag that they are to have, and come back with it.
func TestTag(t *testing.T) {
	peer := cable(t)
	log := new(labtest.Log)
	labtest.Start(t, "mirror", log, "mirror", "--interface", "srv0")
	labtest.Until(t, patience, "the mirror", func() bool { return log.Lines("ready") == 1 }, nil)
	seen, err := afpacket.Open(afpacket.Config{Interface: "srv0", Ports: []uint16{67}, OtherHosts: true})
	labtest.Must(t, err)
	defer seen.Close()
	r, code := stormed(t, peer, "discover", "--mirrored", "-i", "cli0", "--macs", fleet, "-n", "10", "-w", "1", "--vlan", "42")
	if code != 0 || r.Done != 10 || r.Stray != 0 {
		t.Errorf("code %d, %+v", code, r)
	}
	var b engine.Batch
	for n := 0; n < 10; n += len(b.Packets) {
		labtest.Must(t, seen.Conn(0).Recv(&b))
		for _, p := range b.Packets {
			if p.TPID != 0x8100 || p.TCI != 42 {
				t.Errorf("a frame with tag %#x %d", p.TPID, p.TCI)
			}
		}
	}
}

// TestWhatStandsInTheWay: each with a sentence, and the code of a wrong flag.
func TestWhatStandsInTheWay(t *testing.T) {
	peer := cable(t)
	labtest.Must(t, peer.AddRoute(netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr(serverIP)))
	chart := filepath.Join(t.TempDir(), "no", "chart.svg")
	for want, args := range map[string][]string{
		"the default route leaves by cli0": {"discover", "-i", "cli0", "--macs", fleet},
		"there is none of that name":       {"discover", "-i", "none", "--macs", fleet},
		"is no address of this machine":    {"dora", "-i", "cli0", "--on-default-route", "--macs", fleet, "--relay", "10.42.9.9", "--server", serverIP},
		"--relay ADDRESS plays a relay":    {"dora", "-i", "cli0", "--on-default-route", "--macs", fleet, "--server", serverIP},
		"1 to 4094":                        {"dora", "-i", "cli0", "--on-default-route", "--macs", fleet, "--vlan", "4095"},
		"more than 0":                      {"dora", "-i", "cli0", "--on-default-route", "--macs", fleet, "--time", "0s"},
		"--records is 1 to 23":             {"traps", "-i", "cli0", "--on-default-route", "--server", serverIP, "--switches", "10.42.1.1", "--records", "24"},
		"one for each at least":            {"traps", "-i", "cli0", "--on-default-route", "--server", serverIP, "--switches", "10.42.1.1+3", "--macs", firstMAC + "+2"},
		"--rate, --outstanding":            {"dora", "-i", "cli0", "--on-default-route", "--macs", fleet, "--rate", "NaN"},
		"--community is 255 bytes":         {"traps", "-i", "cli0", "--on-default-route", "--server", serverIP, "--switches", "10.42.1.1", "--community", strings.Repeat("c", 256)},
		"--vendor is 255 bytes":            {"discover", "-i", "cli0", "--on-default-route", "--macs", fleet, "--vendor", strings.Repeat("v", 256)},
		"no IPv4 address":                  {"traps", "-i", "cli0", "--on-default-route", "--switches", "10.42.1.1"},
		"missing flags: --macs":            {"dora", "-i", "cli0"},
		"no such file or directory":        {"storm", "-i", "cli0", "--on-default-route", "--macs", fleet, "--chart", chart},
	} {
		out, log, code := execute(t, peer, args...)
		if code != exitUsage || !strings.Contains(log, want) || strings.Count(log, "\n") > 40 {
			t.Errorf("%s: code %d, want %d and %q:\n%s%s", args, code, exitUsage, want, log, out)
		}
	}
	_, log, code := execute(t, peer, "traps", "-i", "cli0", "--on-default-route", "--server", "10.42.77.77", "--switches", "10.42.1.1")
	if code != exitLost || !strings.Contains(log, "nobody answers ARP") {
		t.Errorf("code %d: %s", code, log)
	}
}

// TestTooShortATime: what has not been done by then is an error that says so.
func TestTooShortATime(t *testing.T) {
	peer := cable(t)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"10 of --count 1,000 had begun after 10s", []string{"flood", "-n", "1000", "--rate", "1", "--timeout", "10ms"}},
		{"--time 10ms is over", []string{"storm", "--macs", fleet, "-t", "10ms"}},
	} {
		if out, log, code := execute(t, peer, append(c.args, "-i", "cli0")...); code != exitLost || !strings.Contains(log, c.want) {
			t.Errorf("%s: code %d, want %q: %s%s", c.args, code, c.want, log, out)
		}
	}
}

// TestFramesThatWereNotSent: they are not done, and the code says it.
func TestFramesThatWereNotSent(t *testing.T) {
	peer := cable(t)
	mac, err := here.MAC("srv0")
	labtest.Must(t, err)
	labtest.Must(t, peer.AddNeighbour("cli0", netip.MustParseAddr(serverIP), mac))
	labtest.Must(t, peer.Do(func() error {
		l, err := netlink.LinkByName("cli0")
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(l, 100)
	}))
	for _, args := range [][]string{
		{"traps", "--server", serverIP, "--switches", "10.42.1.1"},
		{"flood", "--rate", "1000", "--timeout", "10ms"},
	} {
		out, log, code := execute(t, peer, append(args, "-i", "cli0", "-n", "10", "--json")...)
		var r result
		labtest.Must(t, json.Unmarshal([]byte(out), &r))
		if code != exitLost || r.Done != 0 || r.Sent != 0 || r.NotSent != 10 || r.Lost != 10 || !strings.Contains(log, "10 frames were not sent") {
			t.Errorf("%s: code %d, %+v: %s", args, code, r, log)
		}
	}
}

// TestNothingLeavesByAnotherInterface: not the datagram either that has the kernel
// look for the server, although its routes lead elsewhere.
func TestNothingLeavesByAnotherInterface(t *testing.T) {
	peer := cable(t)
	const elsewhere = "10.43.0.1"
	labtest.Must(t, netlab.Veth(here, "srv1", peer, "cli1"))
	t.Cleanup(func() { _ = here.Delete("srv1") })
	labtest.Must(t, here.AddAddr("srv1", netip.MustParsePrefix(elsewhere+"/16")))
	labtest.Must(t, peer.AddAddr("cli1", netip.MustParsePrefix("10.43.0.2/16")))
	c, err := net.ListenPacket("udp4", elsewhere+":9")
	labtest.Must(t, err)
	defer c.Close()
	// The kernel here answers ARP for all of its addresses on srv0 too.
	if _, log, code := execute(t, peer, "traps", "-i", "cli0", "--server", elsewhere, "--switches", "10.42.1.1", "-n", "1"); code != 0 {
		t.Errorf("code %d: %s", code, log)
	}
	labtest.Must(t, peer.Do(func() error {
		c, err := net.Dial("udp4", elsewhere+":9")
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("the last one"))
		return err
	}))
	labtest.Must(t, c.SetReadDeadline(time.Now().Add(patience)))
	for b, last := make([]byte, 100), false; !last; {
		n, from, err := c.ReadFrom(b)
		labtest.Must(t, err)
		if last = n > 0; !last && !strings.HasPrefix(from.String(), relayIP) {
			t.Errorf("a datagram came from %v", from)
		}
	}
}

// TestInterrupted: what there is so far is told at a signal, and the code says it.
func TestInterrupted(t *testing.T) {
	peer := cable(t)
	cmd := labtest.Program("flood", "--interface", "cli0", "--time", "1m", "--rate", "1000", "--json")
	var out bytes.Buffer
	cmd.Stdout = &out
	labtest.Must(t, peer.Start(cmd))
	labtest.Until(t, patience, "frames to arrive", func() bool {
		b, err := os.ReadFile("/proc/net/dev")
		labtest.Must(t, err)
		for line := range strings.Lines(string(b)) { // name: bytes packets ...
			if f := strings.Fields(line); len(f) > 2 && f[0] == "srv0:" {
				return f[2] != "0"
			}
		}
		return false
	}, nil)
	labtest.Must(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	var r result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || cmd.ProcessState.ExitCode() != exitInterrupted || r.Begun == 0 || r.Begun != r.Lost+r.Unfinished {
		t.Errorf("code %d, %v: %s", cmd.ProcessState.ExitCode(), err, &out)
	}
}
