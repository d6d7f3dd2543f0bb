package main

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

// seed is the README's example.
const seed = `networks:
  lan: {baseip: 192.168.1.0, netmask: 255.255.255.0, gateway: 192.168.1.254}

pools:
  pxeboot-servers:
    dhcp:
      enabled: 1
      tftp_server: 192.168.1.1
      tftp_filename: /pxelinux.0
      domain: example.org

servers:
  ex0000:
    driver: basicserver
    in: [pxeboot-servers]
    mac: 00:11:22:33:44:55
    ip: 192.168.1.50
`

// TestSeedIsTheReadmes keeps the README's example and the tested one the same.
func TestSeedIsTheReadmes(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```yaml\n"+seed+"```\n") {
		t.Error("README.md has another example")
	}
}

// upLab is a cable with a client at its end.
func upLab(t *testing.T) *storm.Storm {
	t.Helper()
	return clientOf(t, upCable(t), [6]byte{0, 0x11, 0x22, 0x33, 0x44, 0x55})
}

// upCable leads from up0 to cli0 in a network of its own.
func upCable(t *testing.T) *netlab.Net {
	t.Helper()
	peer, err := netlab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = (*netlab.Net)(nil).Delete("up0")
		_ = peer.Close()
	})
	if err := netlab.Veth(nil, "up0", peer, "cli0"); err != nil {
		t.Fatal(err)
	}
	if err := (*netlab.Net)(nil).AddAddr("up0", netip.MustParsePrefix("192.168.1.1/24")); err != nil {
		t.Fatal(err)
	}
	return peer
}

// clientOf is a client with a MAC at the end of the cable.
func clientOf(t *testing.T, peer *netlab.Net, mac [6]byte) *storm.Storm {
	t.Helper()
	g, err := afpacket.Open(afpacket.Config{Interface: "cli0", Ports: []uint16{68}, OtherHosts: true, In: peer.Do})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	s, err := storm.New(storm.Config{Conn: g.Conn(0)}, []storm.Client{{MAC: mac}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// up runs clusto up until it is ready; stop ends it and gives its code.
func up(t *testing.T, args ...string) (stop func() int) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(os.Args[0], append([]string{"up", "--interface", "up0", "--metrics", "127.0.0.1:9967"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = &log
	if err := (*netlab.Net)(nil).Start(cmd); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the code tells
		close(ended)
	}()
	stop = func() int {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		return cmd.ProcessState.ExitCode()
	}
	t.Cleanup(func() { stop() })
	late := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ready("http://127.0.0.1:9967/readyz") != nil {
		select {
		case <-ended:
			t.Fatalf("clusto up ended:\n%s", &log)
		case <-late:
			t.Fatal("clusto up does not get ready")
		case <-tick.C:
		}
	}
	return stop
}

func bound(t *testing.T, s *storm.Storm) {
	t.Helper()
	res, err := s.Do(t.Context(), storm.DORA)
	if err != nil || res.Done != 1 {
		t.Errorf("%d bound: %v", res.Done, err)
	}
}

// TestUp follows the README on a real network: file, database, and the file
// left out when the database has it.
func TestUp(t *testing.T) {
	client := upLab(t)
	file, db := write(t, "site.yaml", seed), filepath.Join(t.TempDir(), "clusto.db")
	for _, args := range [][]string{
		{"--inventory", file},
		{"--inventory", file, "--db", db},
		{"--db", db},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			stop := up(t, args...)
			bound(t, client)
			r := runClusto(t, "", "show", "192.168.1.50")
			if r.code != 0 || !strings.Contains(r.out, "ex0000") || !strings.Contains(r.out, "/pool/pxeboot-servers") {
				t.Errorf("show: %+v", r)
			}
			if code := stop(); code != 0 {
				t.Errorf("SIGTERM: code %d", code)
			}
		})
	}
}

func TestUpRefuses(t *testing.T) {
	upLab(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := write(t, "site.yaml", seed)
	conflict := filepath.Join(t.TempDir(), "clusto.db")
	if r := runClusto(t, "", "import", "--db", conflict, write(t, "other.yaml", strings.ReplaceAll(seed, "ex0000", "ex0001"))); r.code != 0 {
		t.Fatal(r)
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"nothing", nil, 2, "give --inventory, --db or both"},
		{"no such file", []string{"--inventory", "/nowhere.yaml"}, 2, "open /nowhere.yaml: no such file"},
		{"a broken file", []string{"--inventory", write(t, "bad.yaml", "servers:\n  a: {mac: nonsense}\n")}, 2, "bad.yaml:2: "},
		{"a conflict", []string{"--inventory", good, "--db", conflict}, 2, "MAC 00:11:22:33:44:55"},
		{"a taken port", []string{"--inventory", good, "--listen", taken.Addr().String()}, 2, taken.Addr().String()},
		{"an inventory of another", []string{"--inventory", good, "--api-url", "http://127.0.0.1:1"}, 2, "--api-url has no meaning here"},
		{"no such DSN", []string{"--db", "mysql://x/y"}, 2, "unknown kind \"mysql\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := runClusto(t, "", append([]string{"up", "--interface", "up0"}, c.args...)...)
			lines := strings.Split(strings.TrimSpace(r.err), "\n")
			if last := lines[len(lines)-1]; r.code != c.code || !strings.Contains(last, c.want) {
				t.Errorf("code %d, want %d; %q, want %q", r.code, c.code, r.err, c.want)
			}
		})
	}
}
