package rack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// What a program may write.
const (
	maxAnswer = 64 << 10
	maxStderr = 1 << 10 // kept, from the beginning
)

// ErrProgram says that the program of a layout could not be run, failed or took
// too long: it may answer at another time.
var ErrProgram = errors.New("the program of the rack layout fails")

// Event is a new server on a switch port.
type Event struct {
	Switch string     `json:"switch"` // name of the entity whose port it is
	Port   int        `json:"port"`
	MAC    clusto.MAC `json:"mac"`
	VLAN   int        `json:"vlan"`
}

// PlaceEvent gives the place of a new server in a rack: what Place gives, or what
// the program of the layout answers. The error wraps
//
//	ErrUnmapped        if the layout has no server there, or the event is of
//	                   another switch than the layout's
//	ErrProgram         if there is no answer of the program
//	clusto.ErrInvalid  if what it answers is no placement in this rack
//	ctx's error        if that ended first; the program is not to blame
func (l *Layout) PlaceEvent(ctx context.Context, e Event, rack *clusto.Object) (Placement, error) {
	if l.exec != "" {
		return l.ask(ctx, e, rack)
	}
	if name := l.Switch(rack.Name); e.Switch != name {
		return Placement{}, fmt.Errorf("place port %d of %s in rack %s: layout %s is about the ports of %s: %w", e.Port, e.Switch, rack.Name, l.Name, name, ErrUnmapped)
	}
	return l.Place(rack.Name, e.Port)
}

// question is what a program finds on its standard input.
type question struct {
	Event   Event             `json:"event"`
	Layout  string            `json:"layout"`
	Devices map[string]string `json:"devices"`
	Rack    *clusto.Object    `json:"rack"`
}

func (l *Layout) ask(ctx context.Context, e Event, rack *clusto.Object) (Placement, error) {
	q := question{e, l.Name, map[string]string{}, rack}
	for _, d := range l.devices() {
		q.Devices[d.role] = d.name(rack.Name)
	}
	in, err := json.Marshal(q)
	if err != nil {
		return Placement{}, fmt.Errorf("write the question for %s: %w", l.exec, err)
	}
	out, err := run(ctx, l.exec, l.timeout, in)
	if err != nil {
		return Placement{}, fmt.Errorf("place port %d of %s in rack %s: layout %s: run %s: %w", e.Port, e.Switch, rack.Name, l.Name, l.exec, err)
	}
	p, err := l.answer(out, e, rack.Name)
	if err != nil {
		return Placement{}, fmt.Errorf("place port %d of %s in rack %s: layout %s: answer of %s: %w", e.Port, e.Switch, rack.Name, l.Name, l.exec, err)
	}
	return p, nil
}

// programsAtOnce is how many programs of layouts run at once: every rack may have
// new servers in the same second.
const programsAtOnce = 16

var turns = make(chan struct{}, programsAtOnce)

// run gives what a program writes to its standard output, once it has its turn;
// limit counts from then on. A program that writes too much, or that has not ended
// in time, or not closed its output, is killed with all its children. The error
// wraps ErrProgram and says what the program wrote to standard error, unless ctx is
// over: then it is ctx's.
func run(ctx context.Context, path string, limit time.Duration, in []byte) ([]byte, error) {
	select {
	case turns <- struct{}{}:
		defer func() { <-turns }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	within, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took longer than %v and was killed", limit))
	defer cancel()
	p, err := start(path, in)
	if err != nil {
		return nil, fmt.Errorf("%w; see that it is executable, and for this machine: %w", err, ErrProgram)
	}
	err = p.finish(within)
	switch said := strings.TrimSpace(string(p.errs)); {
	case err != nil && ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && said != "":
		return nil, fmt.Errorf("%w; it says %q: %w", err, said, ErrProgram)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, ErrProgram)
	}
	return p.out, nil
}

// program is one that runs, in a process group of its own.
type program struct {
	cmd      *exec.Cmd
	pipes    [2]*os.File   // standard output and error, our ends
	read     chan struct{} // closed when both have ended
	too      bool          // it wrote too much; valid after read, as are
	out      []byte
	errs     []byte
	killOnce sync.Once
}

func start(path string, in []byte) (*program, error) {
	p := &program{cmd: exec.Command(path), read: make(chan struct{})}
	p.cmd.Dir = filepath.Dir(path)
	p.cmd.Env = environment()
	p.cmd.Stdin = bytes.NewReader(in)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = time.Second // for standard input, if a child that left the group holds it
	var theirs [2]*os.File
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(p.pipes[:i])
			closeAll(theirs[:i])
			return nil, err
		}
		p.pipes[i], theirs[i] = r, w
	}
	p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1]
	err := p.cmd.Start()
	closeAll(theirs[:])
	if err != nil {
		closeAll(p.pipes[:])
		return nil, err
	}
	go p.collect()
	return p, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// environment is what a program may know of ours. It is never nil, which would
// be all of it.
func environment() []string {
	env := []string{}
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "TMPDIR"} {
		if val, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+val)
		}
	}
	return env
}

// collect reads both outputs to their ends.
func (p *program) collect() {
	var both sync.WaitGroup
	both.Go(func() {
		p.out, _ = io.ReadAll(io.LimitReader(p.pipes[0], maxAnswer+1))
		if p.too = len(p.out) > maxAnswer; p.too {
			p.kill()
		}
	})
	both.Go(func() {
		p.errs, _ = io.ReadAll(io.LimitReader(p.pipes[1], maxStderr))
		io.Copy(io.Discard, p.pipes[1]) //nolint:errcheck // it ends when the pipe does
	})
	both.Wait()
	close(p.read)
}

// kill ends the program and its children. It is only for before the program has
// been waited for: until then its number cannot be another's.
func (p *program) kill() {
	p.killOnce.Do(func() { syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }) //nolint:errcheck // nothing is left to kill, then
}

// finish waits for the program, and kills it when ctx ends.
func (p *program) finish(ctx context.Context) error {
	defer closeAll(p.pipes[:])
	select {
	case <-p.read:
	case <-ctx.Done():
		p.kill()
		closeAll(p.pipes[:]) // a child that left the group may hold them
		<-p.read
		p.cmd.Wait() //nolint:errcheck // it was killed
		return context.Cause(ctx)
	}
	if p.too {
		p.cmd.Wait() //nolint:errcheck // it was killed
		return fmt.Errorf("it writes more than %d bytes and was killed", maxAnswer)
	}
	// Both outputs have ended; the program mostly has, too.
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		if p.cmd.Process.Signal(syscall.Signal(0)) == nil { // not waited for yet
			p.kill()
		}
		<-ended
		return context.Cause(ctx)
	}
}
