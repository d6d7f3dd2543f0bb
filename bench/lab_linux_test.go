package bench

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

func TestMain(m *testing.M) { netlab.Main(m.Run) }

const (
	apiAddr     = "127.0.0.1:9996" // the namespace is the benchmark's own
	metricsAddr = "127.0.0.1:9967"
	patience    = time.Minute
)

var here *netlab.Net

func must(b testing.TB, err error) {
	b.Helper()
	labtest.Must(b, err)
}

// programs builds what ships, once for a benchmark.
func programs(b *testing.B) (dir string) {
	b.Helper()
	dir = b.TempDir()
	out, err := exec.Command("go", "build", "-o", dir+"/", "../cmd/...").CombinedOutput()
	if err != nil {
		b.Fatalf("build the programs: %v\n%s", err, out)
	}
	must(b, os.WriteFile(filepath.Join(dir, "services.conf"), []byte("{}\n"), 0o600))
	return dir
}

// run starts a program and ends it with the benchmark, or by stop before.
func run(b *testing.B, cmd *exec.Cmd) (pid int, stop func()) {
	b.Helper()
	return runLogged(b, cmd, new(labtest.Log))
}

func runLogged(b *testing.B, cmd *exec.Cmd, log *labtest.Log) (pid int, stop func()) {
	b.Helper()
	cmd.Stderr = log
	must(b, here.Start(cmd))
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || b.Failed() {
			b.Errorf("%s: %v\n%s", cmd.Path, err, log)
		}
	}
	b.Cleanup(stop)
	return cmd.Process.Pid, stop
}

// startEcho runs clusto-storm's mirror: the same sockets and batches as
// clusto-dhcpd's, and no work.
func startEcho(b *testing.B, dir string) (stop func()) {
	b.Helper()
	log := new(labtest.Log)
	_, stop = runLogged(b, exec.Command(filepath.Join(dir, "clusto-storm"), "mirror", "--interface", "srv0"), log)
	labtest.Until(b, patience, "the echo", func() bool { return log.Lines("ready") == 1 }, func() any { return log.Tail() })
	return stop
}

// await waits for a program's /readyz.
func await(b *testing.B, addr string) {
	b.Helper()
	labtest.Until(b, patience, addr+" ready", func() bool {
		status, _ := labtest.Get("http://"+addr+"/readyz", patience)
		return status == http.StatusOK
	}, nil)
}

// metric reads one of clusto-dhcpd's metrics.
func metric(b *testing.B, name string) float64 {
	b.Helper()
	_, body := labtest.Get("http://"+metricsAddr+"/metrics", patience)
	n, ok := labtest.Metrics(body, "")[name]
	if !ok {
		b.Fatalf("there is no metric %s", name)
	}
	return n
}

// cable is srv0 here and cli0 with the clients, who have the frames of a hall.
type cable struct {
	conn   engine.Conn
	frames [][]byte // a DISCOVER of each client
	in     engine.Batch
	out    engine.Batch
	next   int
}

// plug makes a cable. The server's address is the first of each network.
func plug(b *testing.B, site *inventory.Site) *cable {
	b.Helper()
	peer, err := netlab.New()
	must(b, err)
	must(b, netlab.Veth(here, "srv0", peer, "cli0"))
	for _, n := range site.Networks() {
		must(b, here.AddAddr("srv0", netip.PrefixFrom(n.Prefix.Masked().Addr().Next(), n.Prefix.Bits())))
	}
	g, err := afpacket.Open(afpacket.Config{Interface: "cli0", Ports: []uint16{68, 67}, OtherHosts: true, In: peer.Do})
	must(b, err)
	b.Cleanup(func() {
		g.Close()
		_ = here.Delete("srv0")
		_ = peer.Close()
	})
	c := &cable{conn: g.Conn(0)}
	for i, s := range site.Servers() {
		client := storm.Client{MAC: s.MAC, ParameterList: []byte{1, 3, 6, 12, 15, 28, 42, 66, 67}}
		c.frames = append(c.frames, storm.AppendFrame(nil, &client, &storm.Message{Type: dhcp4.Discover, XID: uint32(i + 1)}))
	}
	return c
}

// send sends n requests, a batch at a time.
func (c *cable) send(n int) error {
	for n > 0 {
		c.out.Replies = c.out.Replies[:0]
		for len(c.out.Replies) < min(n, engine.BatchSize) {
			c.out.Replies = append(c.out.Replies, c.frames[c.next])
			c.next = (c.next + 1) % len(c.frames)
		}
		if sent := c.conn.Send(&c.out); sent != len(c.out.Replies) {
			return fmt.Errorf("the kernel took %d of %d requests", sent, len(c.out.Replies))
		}
		n -= len(c.out.Replies)
	}
	return nil
}

// receive waits for some replies and gives their number.
func (c *cable) receive() (int, error) {
	if err := c.conn.Recv(&c.in); err != nil {
		return 0, errors.Join(errors.New("a reply was lost"), err)
	}
	return len(c.in.Packets), nil
}

// site makes a sample site of n servers and imports it into a database.
func site(b *testing.B, dir string, n int) (s *inventory.Site, db string) {
	b.Helper()
	text := inventory.Sample(n)
	s, err := inventory.Parse("site.yaml", text)
	must(b, err)
	file := filepath.Join(dir, fmt.Sprintf("site%d.yaml", n))
	db = filepath.Join(dir, fmt.Sprintf("clusto%d.db", n))
	must(b, os.WriteFile(file, text, 0o600))
	out, err := exec.Command(filepath.Join(dir, "clusto"), "import", file, "--db", db).CombinedOutput()
	if err != nil {
		b.Fatalf("import: %v\n%s", err, out)
	}
	return s, db
}

// daemons runs clusto-httpd on a database and clusto-dhcpd on srv0, ready.
func daemons(b *testing.B, dir, db string, flags ...string) (pid int, stop func()) {
	b.Helper()
	conf := []string{"--config", filepath.Join(dir, "services.conf")}
	_, stopHTTP := run(b, exec.Command(filepath.Join(dir, "clusto-httpd"), append(conf, "--db", db, "--listen", apiAddr)...))
	await(b, apiAddr)
	args := append(conf, "--interface", "srv0", "--api-url", "http://"+apiAddr, "--metrics", metricsAddr, "--cache-file", "")
	pid, stopDHCP := run(b, exec.Command(filepath.Join(dir, "clusto-dhcpd"), append(args, flags...)...))
	await(b, metricsAddr)
	return pid, func() {
		stopDHCP()
		stopHTTP()
	}
}
