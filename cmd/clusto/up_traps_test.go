package main

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/netlab"
)

// rackSeed is the README's: what clusto has to know before the first server of a
// rack comes.
const rackSeed = `networks:
  lan: {cidr: 192.168.1.0/24, gateway: 192.168.1.254}
locations:
  sv2: {driver: basicdatacenter, dhcp: {enabled: 1, ipmanager: lan, tftp_filename: /pxelinux.0}}
servers:
  clusto: {ip: 192.168.1.1}     # this machine: its address is not to be given away
entities:
  servernames:
    driver: simpleentitynamemanager
    attrs: [{key: basename, subkey: property, value: s}, {key: digits, subkey: property, value: 4}]
`

// TestDiscoveryIsTheReadmes keeps the README's site and layout the tested ones.
func TestDiscoveryIsTheReadmes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```yaml\n"+rackSeed+"```\n") {
		t.Error("README.md has another site")
	}
	_, rest, _ := strings.Cut(string(readme), `    {"name": "blue"`)
	layout, _, found := strings.Cut(rest, "\n\n")
	if r := runClusto(t, "", "rack", "check", write(t, "blue.json", `{"name": "blue"`+layout)); !found || r.code != 0 || !strings.Contains(r.out, "8 servers on ports 1-8, 21-25") {
		t.Errorf("%+v", r)
	}
}

const (
	newMAC  = "00:1e:c9:00:0a:01"
	histMsg = "1.3.6.1.4.1.9.9.215.1.1.8.1.2.1"
)

// notify has net-snmp send a notification of a MAC on port 25 of a switch. An
// inform is waited for, once.
func notify(t *testing.T, peer *netlab.Net, program, community, patience string) error {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, "-v", "2c", "-c", community, "-r", "0", "-t", patience, "-m", "", "192.168.1.1", "",
		"1.3.6.1.4.1.9.9.215.2.0.1", histMsg, "x", "01002a"+strings.ReplaceAll(newMAC, ":", "")+"001900")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Env = append(os.Environ(), "SNMPCONFPATH="+t.TempDir(), "SNMP_PERSISTENT_DIR="+t.TempDir())
	if err := peer.Start(cmd); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if err != nil {
		t.Logf("%s: %s", program, &out)
	}
	return err
}

// inform gives nil once the inform is acknowledged.
func inform(t *testing.T, peer *netlab.Net, community string) error {
	t.Helper()
	return notify(t, peer, "snmpinform", community, "20")
}

// counted waits until the metrics have a line.
func counted(t *testing.T, line string) (text string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		text, err := fetch("http://127.0.0.1:9967/metrics")
		if err == nil && strings.Contains(text, "\n"+line+"\n") {
			return text
		}
		select {
		case <-late:
			t.Fatalf("no %s in %v\n%s", line, err, text)
		case <-tick.C:
		}
	}
}

// needSNMP leaves out what net-snmp is needed for.
func needSNMP(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("snmpinform"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("*** NOT TESTED: snmpinform is not installed (apt-get install snmp) ***")
	}
}

// rackUp is clusto up with a rack, whose switch is behind the cable.
func rackUp(t *testing.T, args ...string) (peer *netlab.Net, stop func() int) {
	t.Helper()
	needSNMP(t)
	peer = upCable(t)
	if err := peer.AddAddr("cli0", netip.MustParsePrefix("192.168.1.2/24")); err != nil {
		t.Fatal(err)
	}
	stop = up(t, append([]string{"--inventory", write(t, "site.yaml", rackSeed), "--traps-hold-down", "0s"}, args...)...)
	want(t, runClusto(t, "", "rack", "create", "sv2-r01", "--layout", "201001", "--in", "sv2", "--switch-ip", "192.168.1.2", "--discover"), result{})
	return peer, stop
}

// appears waits until clusto has the new server.
func appears(t *testing.T) string {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		r := runClusto(t, "", "show", newMAC)
		if r.code == 0 && strings.Contains(r.out, "eth0") {
			return r.out
		}
		select {
		case <-late:
			t.Fatalf("no server appears: %+v", r)
		case <-tick.C:
		}
	}
}

// TestUpTakesTraps: from a switch's inform to a DHCP answer without a hand, in
// one process, and over a restart.
func TestUpTakesTraps(t *testing.T) {
	db := filepath.Join(t.TempDir(), "clusto.db")
	peer, stop := rackUp(t, "--db", db)
	if err := inform(t, peer, "public"); err != nil {
		t.Error(err)
	}
	if out := appears(t); !strings.HasPrefix(out, "/server/s0001\n") || !strings.Contains(out, "192.168.1.3") {
		t.Error(out)
	}
	bound(t, clientOf(t, peer, [6]byte{0, 0x1e, 0xc9, 0, 10, 1}))
	text := counted(t, `clusto_snmptrapd_events_total{outcome="created"} 1`)
	for _, line := range []string{
		`clusto_snmptrapd_frames_total{verdict="acknowledged"} 1`,
		`clusto_dhcpd_frames_total{verdict="reply"} 2`, "process_num_threads ",
	} {
		if strings.Count(text, "\n"+line) != 1 {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	want(t, runClusto(t, "", "traps", "--journal", db+".traps"), result{"no dead letters\n", "", 0})
	if code := stop(); code != 0 {
		t.Errorf("SIGTERM: code %d", code)
	}
	stop = up(t, "--db", db)
	bound(t, clientOf(t, peer, [6]byte{0, 0x1e, 0xc9, 0, 10, 1}))
	if code := stop(); code != 0 {
		t.Errorf("SIGTERM: code %d", code)
	}
}

// TestUpTrapsSettings: a community of its own; in memory the journal leaves
// nothing behind; and without traps nothing is acknowledged.
func TestUpTrapsSettings(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	conf := write(t, "services.conf", `{"snmp": {"interfaces": ["up0"], "api_url": "http://nowhere:1", "communities": ["secret"]}}`)
	peer, stop := rackUp(t, "--config", conf)
	for _, community := range []string{"public", "secret"} {
		if err := notify(t, peer, "snmptrap", community, "1"); err != nil {
			t.Error(err)
		}
	}
	appears(t)
	counted(t, `clusto_snmptrapd_frames_total{verdict="wrong_community"} 1`)
	counted(t, `clusto_snmptrapd_frames_total{verdict="journaled"} 1`)
	if code := stop(); code != 0 {
		t.Errorf("SIGTERM: code %d", code)
	}
	if left, _ := filepath.Glob(tmp + "/clusto-up-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestUpWithoutTraps(t *testing.T) {
	peer, stop := rackUp(t, "--no-traps")
	if err := notify(t, peer, "snmpinform", "public", "0.5"); err == nil {
		t.Error("an inform is acknowledged")
	}
	if text, err := fetch("http://127.0.0.1:9967/metrics"); err != nil || strings.Contains(text, "snmptrapd") || !strings.Contains(text, "clusto_dhcpd_") {
		t.Errorf("%v\n%s", err, text)
	}
	if code := stop(); code != 0 {
		t.Errorf("SIGTERM: code %d", code)
	}
}

// TestUpTrapsRefuses: in the words of the section, or of the flag.
func TestUpTrapsRefuses(t *testing.T) {
	upCable(t)
	site := write(t, "site.yaml", rackSeed)
	conf := func(text string) string { return write(t, "services.conf", text) }
	bad := conf("{\"dhcp\": {},\n\"snmp\": {\n\"hold_down\": \"-1s\"}}")
	unknown := conf("{\"snmp\": {\n\"hold_dwon\": \"1s\"}}")
	typed := conf("{\"snmp\": {\n\"communities\": \"public\"}}")
	taken := t.TempDir()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--traps-hold-down=-1s"}, "clusto up: --traps-hold-down: want 0s or more, got -1s"},
		{[]string{"--traps-community="}, "clusto up: --traps-community: one is empty, or there is none; write those of the switches"},
		{[]string{"--config", bad}, "clusto up: " + bad + ":3: snmp.hold_down: want 0s or more, got -1s"},
		{[]string{"--config", unknown}, "clusto up: " + unknown + `:2: snmp.hold_dwon: unknown key; did you mean "hold_down"?`},
		{[]string{"--config", typed}, "clusto up: " + typed + `:2: snmp.communities: want a list of texts, got "public"; write ["a", "b"]`},
		{[]string{"--traps-journal", taken}, "journal file " + taken + ": it is no regular file"},
		{[]string{"--traps-rack-layouts", "/nowhere"}, "/nowhere"},
	} {
		r := runClusto(t, "", append([]string{"up", "--interface", "up0", "--inventory", site}, c.args...)...)
		lines := strings.Split(strings.TrimSpace(r.err), "\n")
		if last := lines[len(lines)-1]; r.code != exitUsage || !strings.Contains(last, c.want) {
			t.Errorf("%v: code %d, %q; want %q", c.args, r.code, r.err, c.want)
		}
	}
	// What is switched off is not judged.
	if r := runClusto(t, "", "up", "--check-config", "--no-traps", "--config", bad); r.code != 0 || !strings.Contains(r.out, "snmp.hold_down ") {
		t.Errorf("%+v", r)
	}
}

func TestJournalBeside(t *testing.T) {
	for dsn, want := range map[string]string{
		"": "", ":memory:": "", "sqlite://": "", "sqlite:///:memory:": "",
		"clusto.db": "clusto.db.traps", "/var/x.db?mode=ro": "/var/x.db.traps",
		"sqlite:///x.db": "x.db.traps", "sqlite:////var/x.db?mode=ro": "/var/x.db.traps",
	} {
		if got := journalBeside(dsn); got != want {
			t.Errorf("%s: %q, want %q", dsn, got, want)
		}
	}
	if got := journalBeside("postgresql://u@h/n"); got != "" && got != sharedJournal {
		t.Error(got)
	}
}
