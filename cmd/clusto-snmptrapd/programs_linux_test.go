package main

import (
	"net/http"
	"os/exec"
	"syscall"

	"github.com/clusto/clusto-engine/engine/labtest"
)

// clusto is a command of the program clusto, which is clusto-httpd by that name.
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

// httpd runs the real clusto-httpd in the place of the lab's own, and waits until
// it is ready.
func (l *lab) httpd(args ...string) {
	l.Helper()
	log := new(labtest.Log)
	cmd := l.clusto("clusto-httpd", append([]string{"--listen", apiAddr}, args...)...)
	cmd.Stderr = log
	must(l, l.net.Start(cmd))
	l.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			l.Errorf("clusto-httpd: %v\n%s", err, log)
		}
	})
	l.until("clusto-httpd ready", func() bool {
		status, _ := labtest.GetIn(l.net, "http://"+apiAddr+"/readyz", patience)
		return status == http.StatusOK
	})
}
