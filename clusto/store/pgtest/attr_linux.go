package pgtest

import "syscall"

// withParent makes a process end when the test is killed.
func withParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGINT}
}
