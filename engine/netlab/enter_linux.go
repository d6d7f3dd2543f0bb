package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// marker tells the copy that it is one: "PID NETNS", the original's. The copy
// compares both, as a variable may have been inherited from anywhere.
const marker = "CLUSTO_NETLAB"

func enter() error {
	ours, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("this kernel has no network namespaces: %w", err)
	}
	var pid int
	var theirs string
	_, err = fmt.Sscan(os.Getenv(marker), &pid, &theirs)
	_ = os.Unsetenv(marker)
	switch {
	case err != nil || pid != os.Getppid():
		return reexec(ours)
	case ours == theirs:
		return errors.New("enter a network namespace: the kernel made none, and did not say why")
	}
	if err := (*Net)(nil).setUp("lo"); err != nil {
		return refused(err, "/proc")
	}
	return nil
}

// reexec runs the copy and ends as it ends. It returns only errors.
func reexec(ours string) error {
	runtime.LockOSThread() // Pdeathsig means the thread, not the process
	sigs := make(chan os.Signal, 16)
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT} {
		if !signal.Ignored(s) { // as under nohup
			signal.Notify(sigs, s)
		}
	}
	cmd, err := startCopy(ours)
	if err != nil {
		signal.Reset()
		runtime.UnlockOSThread()
		return refused(err, "/proc")
	}
	go func() {
		for s := range sigs {
			_ = cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	if cmd.ProcessState == nil {
		return fmt.Errorf("wait for the copy of the program in a namespace: %w", err)
	}
	os.Exit(exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus)))
	return nil
}

func startCopy(ours string) (cmd *exec.Cmd, err error) {
	if os.Geteuid() == 0 {
		cmd = command(ours, false)
		if err = cmd.Start(); err == nil || !errors.Is(err, syscall.EPERM) {
			return cmd, err
		}
	}
	cmd = command(ours, true)
	return cmd, cmd.Start()
}

func command(ours string, user bool) *exec.Cmd {
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true, // a terminal's SIGINT comes through us only, once
	}
	if user {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return &exec.Cmd{
		Path: "/proc/self/exe", Args: os.Args,
		Env:   append(os.Environ(), fmt.Sprintf("%s=%d %s", marker, os.Getpid(), ours)),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: attr,
	}
}

func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal()) // as a shell has it
	}
	return s.ExitStatus()
}
