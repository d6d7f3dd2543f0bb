package labtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asProgram tells the copy of a test program that it is the program itself.
const asProgram = "CLUSTO_TEST_PROGRAM"

// Main is the first word of a TestMain: it has a copy that Program started be
// the program. main does not return.
func Main(main func()) {
	if os.Getenv(asProgram) != "" {
		main()
	}
}

// Program is the program whose package is tested, out of the test program
// itself. It does not outlive the test program, however that ends.
func Program(args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0") // else a second each
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// Daemon is a run of a program that goes on until it is told to stop.
type Daemon struct {
	*exec.Cmd
	t    testing.TB
	name string
}

// Place is a network namespace, as *netlab.Net is one.
type Place interface {
	Start(cmd *exec.Cmd) error
	Do(f func() error) error
}

// Start runs Program with its standard error in log, and stops it with the test.
func Start(t testing.TB, name string, log *Log, args ...string) *Daemon {
	t.Helper()
	return begin(t, name, log, args, (*exec.Cmd).Start)
}

// StartIn is Start in another namespace.
func StartIn(in Place, t testing.TB, name string, log *Log, args ...string) *Daemon {
	t.Helper()
	return begin(t, name, log, args, in.Start)
}

func begin(t testing.TB, name string, log *Log, args []string, start func(*exec.Cmd) error) *Daemon {
	t.Helper()
	d := &Daemon{Program(args...), t, name}
	d.Stderr = log
	Must(t, start(d.Cmd))
	t.Cleanup(func() {
		d.Stop()
		if t.Failed() {
			log.tell(t, name)
		}
	})
	return d
}

// Stop ends the program with SIGTERM, which it must take well. What has ended
// is left alone.
func (d *Daemon) Stop() {
	if d == nil || d.ProcessState != nil {
		return
	}
	_ = d.Process.Signal(syscall.SIGTERM)
	if err := d.Wait(); err != nil {
		d.t.Errorf("%s after SIGTERM: %v", d.name, err)
	}
}

// Kill ends the program as a power cut does, but for what the disk holds.
func (d *Daemon) Kill() {
	_ = d.Process.Kill()
	_ = d.Wait()
}

// Get reads from a program's HTTP server; status is 0 and body empty if it does
// not answer within bound.
func Get(url string, bound time.Duration) (status int, body string) {
	return get(http.Client{Timeout: bound, Transport: &http.Transport{DisableKeepAlives: true}}, url)
}

// GetIn is Get of a program in another namespace.
func GetIn(in Place, url string, bound time.Duration) (status int, body string) {
	dial := func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = in.Do(func() (err error) {
			c, err = new(net.Dialer).DialContext(ctx, network, addr)
			return err
		})
		return c, err
	}
	return get(http.Client{Timeout: bound, Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}, url)
}

// ServeIn serves HTTP at an address of another namespace until close, which ends
// port and connections at once, as a crash does. A port that was just closed may
// be in use a moment longer: a program that another test starts holds a copy of
// it until it runs.
func ServeIn(t testing.TB, in Place, addr string, h http.Handler) (close func()) {
	t.Helper()
	var l net.Listener
	var err error
	listen := func() error {
		l, err = net.Listen("tcp", addr)
		return err
	}
	free := func() bool { return !errors.Is(in.Do(listen), syscall.EADDRINUSE) }
	Until(t, 10*time.Second, "a port of its own for the server", free, func() any { return err })
	Must(t, err)
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = srv.Serve(l) }()
	return func() {
		_ = l.Close() // the server knows of it only once it has begun to serve
		_ = srv.Close()
	}
}

func get(c http.Client, url string) (status int, body string) {
	resp, err := c.Get(url)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, ""
	}
	return resp.StatusCode, string(b)
}

// Metrics takes metrics in Prometheus' text format apart. Where prefix is not
// empty, only those with it count, by the rest of their names.
func Metrics(text, prefix string) map[string]float64 {
	out := map[string]float64{}
	for line := range strings.Lines(text) {
		line, ours := strings.CutPrefix(strings.TrimSpace(line), prefix)
		at := strings.LastIndexByte(line, ' ') // labels may have some
		if !ours || at < 0 || line[0] == '#' {
			continue
		}
		if n, err := strconv.ParseFloat(line[at+1:], 64); err == nil {
			out[line[:at]] = n
		}
	}
	return out
}

// Resident gives a process's memory in bytes.
func Resident(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	Must(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, err := strconv.Atoi(f[1])
			Must(t, err)
			return kb << 10
		}
	}
	t.Fatal("/proc does not tell a process's memory")
	return 0
}
