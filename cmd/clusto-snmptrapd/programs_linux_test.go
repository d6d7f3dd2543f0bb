package main

import (
	"net/http"
	"os/exec"
	"syscall"

	"github.com/clusto/clusto-engine/engine/labtest"
)

// clusto is a command of the program clusto, which is clusto-httpd and
// clusto-dhcpd by those names.
func (l *lab) clusto(name string, args ...string) *exec.Cmd {
	l.Helper()
	if l.program == "" {
		l.program = l.TempDir() + "/clusto"
		if out, err := exec.Command("go", "build", "-o", l.program, "../clusto").CombinedOutput(); err != nil {
			l.Fatalf("build clusto: %v\n%s", err, out)
		}
	}
	cmd := exec.Command(l.program, args...)
	cmd.Args[0] = name
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// serve runs one of those beside the lab's daemon until the test ends, and waits
// until it is ready at an address.
func (l *lab) serve(name, addr string, args ...string) *labtest.Log {
	l.Helper()
	log := new(labtest.Log)
	cmd := l.clusto(name, args...)
	cmd.Stderr = log
	must(l, l.net.Start(cmd))
	l.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			l.Errorf("%s after SIGTERM: %v", name, err)
		}
		if l.Failed() {
			l.Logf("%s says:\n%s", name, log.Tail())
		}
	})
	l.until(name+" ready", func() bool {
		status, _ := labtest.GetIn(l.net, "http://"+addr+"/readyz", patience)
		return status == http.StatusOK
	})
	return log
}

// httpd runs the real clusto-httpd in the place of the lab's own.
func (l *lab) httpd(args ...string) {
	l.Helper()
	l.serve("clusto-httpd", apiAddr, append([]string{"--listen", apiAddr}, args...)...)
}
