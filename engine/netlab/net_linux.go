package netlab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

type space struct {
	mu   sync.Mutex
	file *os.File    // /proc/.../ns/net; nil once closed
	jobs chan func() // for the thread that starts commands
}

// home is the thread that starts commands in the process's own namespace.
var home = sync.OnceValue(func() chan func() {
	jobs := make(chan func())
	go work(jobs, func() bool { return true })
	return jobs
})

// work is a thread that does jobs, until the channel is closed or first says
// no; then the thread ends, and with it all that it started (Pdeathsig).
func work(jobs chan func(), first func() bool) {
	apart(func() (reuse bool) {
		for ok := first(); ok; {
			var job func()
			if job, ok = <-jobs; ok {
				job()
			}
		}
		return false
	})
}

// apart runs f on a locked thread and waits. The thread is used for other
// goroutines again if f says so. It is never the process's first, whose
// namespace /proc/self and /proc/net show to everyone.
func apart(f func() (reuse bool)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == os.Getpid() {
			apart(f)
			runtime.UnlockOSThread()
		} else if f() {
			runtime.UnlockOSThread()
		}
	}()
	<-done
}

// current opens the namespace of the calling thread.
func current() (*os.File, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("open a thread's network namespace: %w", err)
	}
	return f, nil
}

func newNet() (*Net, error) {
	n := &Net{}
	n.jobs = make(chan func())
	made := make(chan error)
	go work(n.jobs, func() bool {
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.file, err = current()
		}
		made <- err
		return err == nil
	})
	if err := <-made; err != nil {
		return nil, fmt.Errorf("make a network namespace: %w (call Enter first, or run as root)", err)
	}
	if err := n.setUp("lo"); err != nil {
		_ = n.close()
		return nil, err
	}
	return n, nil
}

func (n *Net) do(f func() error) error {
	err := errors.New("work in a network namespace: the function ended its goroutine")
	apart(func() (reuse bool) {
		if n == nil {
			err = f()
			return true
		}
		back, failed := current()
		if failed == nil {
			failed = n.join()
		}
		if failed != nil {
			err = failed
			return false
		}
		defer back.Close()
		err = f()
		return unix.Setns(int(back.Fd()), unix.CLONE_NEWNET) == nil
	})
	return err
}

// join puts the calling thread into the namespace.
func (n *Net) join() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return fmt.Errorf("join a network namespace: %w", os.ErrClosed)
	}
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("join a network namespace: %w", err)
	}
	return nil
}

func (n *Net) start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if cmd.SysProcAttr.Pdeathsig == 0 {
		cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	}
	done := make(chan error, 1)
	job := func() { done <- cmd.Start() }
	if n == nil {
		home() <- job
		return <-done
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return fmt.Errorf("start %s in a network namespace: %w", cmd.Path, os.ErrClosed)
	}
	n.jobs <- job
	return <-done
}

func (n *Net) close() error {
	if n == nil {
		return errors.New("close the process's own network namespace: it has to stay")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.file == nil {
		return os.ErrClosed
	}
	close(n.jobs)
	err := n.file.Close()
	n.file = nil
	return err
}
