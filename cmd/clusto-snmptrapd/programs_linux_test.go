package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/clusto/clusto-engine/engine/labtest"
)

// builtClusto is the program clusto, built once for all tests. Its file has no
// name any more, so that nothing is left of it, however the tests end.
var builtClusto = sync.OnceValues(func() (*os.File, error) {
	dir, err := os.MkdirTemp("", "clusto")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir+"/clusto", "../clusto").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build clusto: %w\n%s", err, out)
	}
	return os.Open(dir + "/clusto")
})

// clusto is a command of the program clusto, which is clusto-httpd and
// clusto-dhcpd by those names.
func (l *lab) clusto(name string, args ...string) *exec.Cmd {
	l.Helper()
	program, err := builtClusto()
	must(l, err)
	cmd := exec.Command(fmt.Sprintf("/proc/self/fd/%d", program.Fd()), args...)
	cmd.Args[0] = name
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// serve runs one of those beside the lab's daemon until the test ends, and waits
// until it is ready at an address.
func (l *lab) serve(name, addr string, args ...string) *labtest.Log {
	l.Helper()
	log, _ := l.serveUntil(name, addr, args...)
	return log
}

// serveUntil is serve of one that kill ends before, with SIGKILL.
func (l *lab) serveUntil(name, addr string, args ...string) (log *labtest.Log, kill func()) {
	l.Helper()
	log = new(labtest.Log)
	cmd := l.clusto(name, args...)
	cmd.Stderr = log
	must(l, l.net.Start(cmd))
	l.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			if err := cmd.Wait(); err != nil {
				l.Errorf("%s after SIGTERM: %v", name, err)
			}
		}
		if l.Failed() {
			l.Logf("%s says:\n%s", name, log.Tail())
		}
	})
	l.until(name+" ready", func() bool {
		status, _ := labtest.GetIn(l.net, "http://"+addr+"/readyz", patience)
		return status == http.StatusOK
	})
	return log, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// httpd runs the real clusto-httpd in the place of the lab's own; kill ends it
// with SIGKILL.
func (l *lab) httpd(args ...string) (kill func()) {
	l.Helper()
	_, kill = l.serveUntil("clusto-httpd", apiAddr, append([]string{"--listen", apiAddr}, args...)...)
	return kill
}
