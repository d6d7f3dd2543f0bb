package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/clusto/clusto-engine/engine/netlab"
)

// The network: the server at srv0 in the process's own namespace, the clients at
// cli0 in another.
var (
	network    = netip.MustParsePrefix("10.96.0.0/12")
	serverAddr = netip.MustParseAddr("10.96.0.1")
	clientAddr = netip.MustParseAddr("10.111.255.254") // of the clients' relay
)

const (
	firstMAC = "02:00:00:00:00:00"
	patience = time.Minute // for a server to come up
)

// lab is the network with its programs.
type lab struct {
	*flags
	ctx     context.Context
	dir     string // of programs, configurations, databases
	clients *netlab.Net
	results []result
}

func newLab(ctx context.Context, f *flags) (*lab, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	l := &lab{flags: f, ctx: ctx}
	var err error
	if l.dir, err = folders(); err != nil {
		return nil, err
	}
	l.say("building the programs ...")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", l.program("")+"/", "./cmd/...").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("build the programs, which has to be done in the project's folder: %w\n%s", err, out)
	}
	if l.clients, err = netlab.New(); err != nil {
		return nil, err
	}
	if err := netlab.Veth(nil, "srv0", l.clients, "cli0"); err != nil {
		return nil, err
	}
	if err := (*netlab.Net)(nil).AddAddr("srv0", netip.PrefixFrom(serverAddr, network.Bits())); err != nil {
		return nil, err
	}
	return l, l.clients.AddAddr("cli0", netip.PrefixFrom(clientAddr, network.Bits()))
}

// folders makes the lab's folder, and that of the programs in it. What runs as root
// from there nobody else may swap; a server that gives up root reads its
// configuration all the same.
func folders() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "clusto-bench-"); err != nil {
		return "", err
	}
	return dir, errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, "programs"), 0o700))
}

func (l *lab) close() error { return errors.Join(l.clients.Close(), os.RemoveAll(l.dir)) }

func (l *lab) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

// program gives the path of one of ours.
func (l *lab) program(name string) string { return filepath.Join(l.dir, "programs", name) }

// host gives the number of a host's address and MAC.
func (l *lab) host(i int) (addr netip.Addr, mac string) {
	n := i + 256 // from 10.96.1.0 on
	return netip.AddrFrom4([4]byte{10, byte(96 + n>>16), byte(n >> 8), byte(n)}), fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255)
}

// macs is what clusto-storm takes as the clients.
func (l *lab) macs() string { return fmt.Sprintf("%s+%d", firstMAC, l.Hosts) }

// process is a server's program.
type process struct {
	cmd   *exec.Cmd
	log   lines
	ended chan struct{}
	err   error
}

// lines is what a program writes, readable meanwhile.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a program beside srv0.
func (l *lab) start(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.Dir = l.dir
	p.cmd.Env = append(os.Environ(), "KEA_PIDFILE_DIR="+l.dir, "KEA_LOCKFILE_DIR="+l.dir, "HOME="+l.dir)
	if err := (*netlab.Net)(nil).Start(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// await waits until a program is ready, or has ended instead.
func (l *lab) await(p *process, ready func() bool) error {
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.ended:
			return fmt.Errorf("%s ended right away: %v\n%s", p.cmd.Path, p.err, &p.log)
		case <-late:
			return fmt.Errorf("%s does not get ready in %v; it says\n%s", p.cmd.Path, patience, &p.log)
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		case <-tick.C:
		}
	}
	return nil
}

// stop ends a program that start started.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// load runs a program beside cli0 and gives what it prints. Of some a code is no
// error: they tell by it that something was lost. It ends with ctx.
func (l *lab) load(ctx context.Context, codes []int, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := l.clients.Start(cmd); err != nil {
		return "", fmt.Errorf("start %s: %w", name, err)
	}
	if filepath.Base(name) == "perfdhcp" {
		// By itself it has room for 166 answers, and what it loses would look like
		// the server's loss.
		if err := netlab.Widen(cmd.Process.Pid, 67, 16<<20); err != nil {
			return "", err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	err := cmd.Wait()
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s was ended: %w", filepath.Base(name), context.Cause(ctx))
	}
	for _, code := range codes {
		if cmd.ProcessState.ExitCode() == code {
			err = nil
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, &out, &log)
	}
	return out.String(), nil
}
