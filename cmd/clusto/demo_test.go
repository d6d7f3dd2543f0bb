package main

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
)

// TestDemo runs the main job as a newcomer does.
func TestDemo(t *testing.T) {
	r := runClusto(t, "", "demo", "--servers", "300")
	if r.code != 0 || r.err != "" {
		t.Fatalf("code %d\n%s%s", r.code, r.out, r.err)
	}
	for _, line := range []string{
		"300 of 300 bound", "ex0000 (00:11:22:33:44:55) was told:", "  yiaddr                      192.168.1.50\n",
		"  reply                600\n", "Every client has exactly the address that site.yaml gives it",
		"They are switched on and ask in vain: clusto-dhcpd counts 30 unknown_host, and leaves them so for 1h unless the change feed names them.\n",
		"\n  41  sv2-r01-pwr1\n  36  sv2-r01-sw1\n  34  sv2-r01-ts1\n  31  node0030 ", " 30           aa7     30            00:1e:c9:00:0a:1e  10.42.0.32\n",
		"30 of 30 bound", "node0001 (00:1e:c9:00:0a:01) was told:", "  yiaddr                      10.42.0.3\n", "exactly the address that discovery gave it",
		"  00:1e:c9:00:0a:1f  unmapped  ",
	} {
		if !strings.Contains(r.out, line) {
			t.Errorf("no %q in\n%s", line, r.out)
		}
	}
	if left, _ := filepath.Glob(os.TempDir() + "/clusto-demo-*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDemoAsOrdinaryUser needs user namespaces.
func TestDemoAsOrdinaryUser(t *testing.T) {
	dir := forEveryone(t)
	program := filepath.Join(dir, "clusto")
	copyFile(t, "/proc/self/exe", program)
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program, "demo", "--servers", "50")
	cmd.Env = []string{asProgram + "=1", "TMPDIR=" + dir, "GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + dir}
	cmd.Stdout, cmd.Stderr = &out, &out
	asNobody(t, cmd)
	err := cmd.Run()
	if err != nil && strings.Contains(out.String(), "namespace") && os.Getenv("CI") == "" {
		t.Skipf("*** NOT TESTED: ordinary users cannot make namespaces here ***\n%s", &out)
	}
	if err != nil || !strings.Contains(out.String(), "50 of 50 bound") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// TestDemoIgnoresTheMachinesConfiguration: a services.conf of this machine has
// no say.
func TestDemoIgnoresTheMachinesConfiguration(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "services.conf"), []byte(`{"dhcp": {"nonsense": 1}, "http": {"nonsense": 1}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if r := runClusto(t, "", "demo", "--servers", "20"); r.code != 0 {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.err)
	}
}

// forEveryone gives a folder that other users may use.
func forEveryone(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "clusto-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDemoJudges proves that the demo's last word depends on what the clients
// were sent.
func TestDemoJudges(t *testing.T) {
	w := expectation{"s1", hardware{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("10.0.0.5")}
	for name, tc := range map[string]struct {
		frame []byte
		want  string // of the error; "" for none
	}{
		"as the file says": {ack(w.mac, [4]byte{10, 0, 0, 5}, dhcp4.Ack), ""},
		"another address":  {ack(w.mac, [4]byte{10, 0, 0, 6}, dhcp4.Ack), "got 10.0.0.6, want 10.0.0.5"},
		"another client":   {ack(hardware{2, 9}, [4]byte{10, 0, 0, 5}, dhcp4.Ack), "the reply is for 02:09:00:00:00:00"},
		"an OFFER only":    {ack(w.mac, [4]byte{10, 0, 0, 5}, dhcp4.Offer), "type OFFER, not an ACK"},
		"no reply":         {nil, "there was no reply"},
		"cut short":        {ack(w.mac, [4]byte{10, 0, 0, 5}, dhcp4.Ack)[:100], "malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			err := w.check(tc.frame)
			if got := fmt.Sprint(err); tc.want == "" && err != nil || !strings.Contains(got, tc.want) && tc.want != "" {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
	d := demo{want: []expectation{w}, acks: [][]byte{nil}}
	if err := d.judge("site.yaml gives it"); err == nil {
		t.Error("a client without a reply is no failure")
	}
}

func ack(mac hardware, yiaddr [4]byte, typ dhcp4.MessageType) []byte {
	h := frame.Header{EthDst: mac, Src: [4]byte{10, 0, 0, 1}, Dst: yiaddr, SrcPort: 67, DstPort: 68}
	m := dhcp4.Header{Op: dhcp4.OpReply, HType: 1, HLen: 6, YIAddr: yiaddr}
	copy(m.CHAddr[:], mac[:])
	b := dhcp4.AppendHeader(h.AppendTo(nil), &m)
	b = dhcp4.AppendEnd(dhcp4.AppendByte(b, dhcp4.OptMessageType, byte(typ)))
	h.Finish(b)
	return b
}

// TestDemoInterrupted: whatever ends the demo, it says so and leaves nothing.
func TestDemoInterrupted(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := t.TempDir()
			var errs bytes.Buffer
			cmd := exec.CommandContext(t.Context(), os.Args[0], "demo", "--servers", "5000")
			cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+dir, "GORACE=atexit_sleep_ms=0")
			cmd.Stderr = &errs
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 1)); err != nil { // it has begun
				t.Fatal(err)
			}
			_ = cmd.Process.Signal(sig)
			_, _ = io.Copy(io.Discard, out)
			_ = cmd.Wait() // the code tells
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(errs.String(), "interrupted") {
				t.Errorf("code %d: %s", code, &errs)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestDemoWithoutAReader: its words cannot be shown, and that is a failure.
func TestDemoWithoutAReader(t *testing.T) {
	dir := t.TempDir()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "demo", "--servers", "10")
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stdout = full
	if err := cmd.Run(); err == nil {
		t.Error("it ends well though nothing could be shown")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
