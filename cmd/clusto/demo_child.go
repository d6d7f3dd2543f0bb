package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/engine/netlab"
)

// child is a daemon that the demo started: this very program by another name.
type child struct {
	name  string
	cmd   *exec.Cmd
	log   string        // file that it writes to
	ended chan struct{} // closed when it has ended
	err   error         // how; read after ended
}

// start starts a daemon in the demo's network namespace.
func (d *demo) start(name string, args ...string) (*child, error) {
	c := &child{name: name, log: filepath.Join(d.dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(c.log)
	if err != nil {
		return nil, fmt.Errorf("make the log of %s: %w", name, err)
	}
	defer log.Close() // the daemon has it as its own
	c.cmd = exec.Command("/proc/self/exe")
	c.cmd.Args = append([]string{name, "--config", filepath.Join(d.dir, "services.conf")}, args...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	// From a thread that lasts, since the daemon is to die with its parent.
	if err := (*netlab.Net)(nil).Start(c.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	d.running = append(d.running, c)
	return c, nil
}

// await waits until a daemon is ready, or has ended instead.
func (c *child) await(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, demoPatience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-c.ended:
			return fmt.Errorf("%s ended right away: %v", c.name, c.err)
		case <-ctx.Done():
			return fmt.Errorf("%s did not get ready: %w: %w", c.name, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// stop ends the daemon, and shows the end of its log if something failed.
func (c *child) stop(failed bool) error {
	_ = c.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-c.ended:
	case <-time.After(demoPatience):
		_ = c.cmd.Process.Kill()
		<-c.ended
	}
	if failed || c.err != nil {
		fmt.Fprintf(os.Stderr, "the last lines of %s:\n%s\n", c.name, tail(c.log, 15))
	}
	if c.err != nil {
		return fmt.Errorf("%s ended badly: %w", c.name, c.err)
	}
	return nil
}

func tail(file string, n int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// ready asks a daemon's health; its words are the error.
func ready(url string) error {
	_, err := fetch(url)
	return err
}

func fetch(url string) (string, error) {
	c := http.Client{Timeout: 5 * time.Second}
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(strings.TrimSpace(string(body)))
	}
	return string(body), err
}
