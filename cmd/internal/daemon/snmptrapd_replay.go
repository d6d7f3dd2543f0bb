package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
)

// Frames gives the next frame of a capture, from its Ethernet header on, and when
// it came; cut tells that the capture holds its beginning only. Behind the last one
// err is io.EOF; any other error is of the capture, and no frame comes behind it.
type Frames func() (frame []byte, at time.Time, cut bool, err error)

// ReadCapture begins to read a capture; the error says what is wrong with the
// file.
type ReadCapture func(*os.File) (Frames, error)

// replay is a capture whose traps are taken instead of an interface's.
type replay struct {
	file *os.File
	next Frames
}

// openReplay opens a capture. What it is read from may be a pipe that has nothing to
// give for long, so that it ends with ctx. An error of the file wraps ErrConfig.
func openReplay(ctx context.Context, name string, read ReadCapture) (r *replay, err error) {
	if read == nil {
		return nil, fmt.Errorf("%w: replay %s: this is the program clusto by another name; have the program clusto-snmptrapd itself read the capture", ErrConfig, name)
	}
	opened := make(chan struct{})
	var capture *replay
	var bad error
	go func() {
		defer close(opened)
		capture, bad = beginReplay(name, read)
	}()
	select {
	case <-opened:
		return capture, bad
	case <-ctx.Done():
		return nil, fmt.Errorf("replay %s: %w: nothing of it had come", name, errSignal)
	}
}

func beginReplay(name string, read ReadCapture) (*replay, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: replay: %w", ErrConfig, err)
	}
	next, err := read(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: replay %s: %w", ErrConfig, name, err)
	}
	return &replay{f, next}, nil
}

// errSignal is why a replay ended early.
var errSignal = errors.New("ended by a signal")

// recording collects the events of a capture: they reach the journal all at once, or
// not at all. Whether a port is an uplink shows only when all that came within the
// hold-down is there. It implements trap.Journal, and holds as many events as the
// journal may.
type recording struct {
	max    int
	stats  *engine.Stats // its frames' outcomes, as if the journal had them
	events []trap.Event
	seen   int // events
}

// Append implements trap.Journal.
func (r *recording) Append(events []trap.Event) (int, error) {
	if r.seen += len(events); r.seen <= r.max {
		r.events = append(r.events, events...)
	} else {
		r.events = nil
	}
	return len(events), nil
}

// replay takes the traps of a capture the way those of an interface go, waits
// until something has become of all of them, and tells what. Those before a
// place where the capture is damaged count. The error says what was not taken, or
// is left.
func (s *TrapServer) replay(ctx context.Context, r *replay) error {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	taken, err := s.feed(ctx, r)
	s.written(ctx)
	failed, why := s.keep(ctx, r)
	if why == nil {
		s.count(engine.None)
		s.look()
		s.workedOff(ctx)
	}
	stop()
	err = errors.Join(err, <-ended)
	if why == nil {
		why = s.unfinished(ctx, r, taken)
	} else {
		s.count(failed)
	}
	s.outcomes()
	return errors.Join(err, why)
}

// look has events looked at from now on.
func (s *TrapServer) look() { s.fed.Do(func() { close(s.find) }) }

// together is how many bytes of frames may wait for the recording: less than what
// trap.Server has memory for.
const together = 1 << 20

// feed hands the frames of a capture to the handler until ctx ends it, each of them
// once, and tells how many.
func (s *TrapServer) feed(ctx context.Context, r *replay) (taken int, err error) {
	// A pipe may give nothing for long.
	defer context.AfterFunc(ctx, func() { r.file.Close() })()
	h, counter := s.traps.Handler(), s.stats.Counter(len(s.cfg.Interface)+1)
	link := &engine.Link{Name: "replay", Up: true}
	var dst []byte
	for waiting := 0; ctx.Err() == nil; taken++ {
		data, at, cut, err := r.next()
		if ctx.Err() != nil || errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return taken, fmt.Errorf("replay %s: packet %d: %w; the packets before it count", r.file.Name(), taken+1, err)
		}
		if waiting += len(data); waiting > together {
			s.written(ctx)
			waiting = len(data)
		}
		// Whoever a frame was for, it is taken as ours.
		var u frame.UDP4
		if u.Parse(data, true) == nil {
			link = &engine.Link{Name: "replay", Up: true, Local: map[netip.Addr]struct{}{netip.AddrFrom4(u.Dst): {}}}
		}
		if !at.IsZero() { // a packet may come without a time: it is of that of the one before
			s.at.Store(at.UnixNano())
		}
		var v engine.Verdict
		dst, v = h.Handle(dst[:0], &engine.Packet{Data: data, Link: link, Truncated: cut})
		counter.Count(v)
	}
	return taken, nil
}

// keep writes a recording to the journal, and waits for room if others' events are in
// it: a file waits where a switch does not. If nothing of it was taken, the error says
// why, and failed what becomes of its frames.
func (s *TrapServer) keep(ctx context.Context, r *replay) (failed engine.Verdict, err error) {
	for ctx.Err() == nil {
		events := s.recording.events
		if seen := s.recording.seen; seen > s.recording.max {
			return engine.JournalFull, fmt.Errorf("%w: replay %s: its %d events do not fit into the journal, and nothing of it was taken; raise journal_size from %d to that, or more",
				ErrConfig, r.file.Name(), seen, s.recording.max)
		}
		if err = s.kept.AppendAll(ctx, events); err == nil {
			return engine.None, nil
		} else if ctx.Err() != nil {
			break // a signal came first
		} else if !errors.Is(err, trap.ErrFull) {
			return engine.JournalFailed, fmt.Errorf("replay %s: nothing of it was taken; take the capture once more: %w", r.file.Name(), err)
		}
		if s.warned.first("room", time.Now()) {
			s.log.Warn("the journal has no room for the replay, which waits until events in it are worked off", "events", len(events), "journal", s.cfg.Journal)
		}
		s.look() // it makes room
		sleepFor(ctx, 100*time.Millisecond)
	}
	return engine.JournalFull, fmt.Errorf("replay %s: %w: nothing of it was taken; take the capture once more", r.file.Name(), errSignal)
}

// count counts the frames of a recording, as they would have counted, or as one that
// failed.
func (s *TrapServer) count(failed engine.Verdict) {
	counter, t := s.stats.Counter(len(s.cfg.Interface)), s.recording.stats.Totals()
	for _, v := range []engine.Verdict{engine.Journaled, engine.Acknowledged} {
		counted := v
		if failed != engine.None {
			counted = failed
		}
		counter.Add(counted, int(t.Verdicts[v]))
	}
}

// unfinished says what of a recording that the journal has is left there. Run has to
// have returned.
func (s *TrapServer) unfinished(ctx context.Context, r *replay, taken int) error {
	_, err := s.journal.Append(nil) // takes out what is done
	if waiting := s.journal.Stats().Waiting; ctx.Err() != nil && waiting > 0 {
		return fmt.Errorf("replay %s: %w: all its %d packets were taken; %d events are left in the journal %s, which the daemon works off",
			r.file.Name(), errSignal, taken, waiting, s.cfg.Journal)
	}
	return err
}

func sleepFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// now is the time that events are stamped with: in a replay, the capture's.
func (s *TrapServer) now() time.Time {
	if at := s.at.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Now()
}

// written waits until the recording has all that was handed to the handler.
func (s *TrapServer) written(ctx context.Context) {
	for ctx.Err() == nil {
		t := s.recording.stats.Totals()
		if t.Verdicts[engine.Journaled]+t.Verdicts[engine.Acknowledged] >= s.stats.Totals().Verdicts[engine.Queued] {
			return
		}
		sleepFor(ctx, time.Millisecond)
	}
}

// workedOff waits until no event waits any more.
func (s *TrapServer) workedOff(ctx context.Context) {
	for ctx.Err() == nil && s.journal.Stats().Waiting > 0 {
		sleepFor(ctx, 20*time.Millisecond)
	}
}

// outcomes prints what became of frames and events.
func (s *TrapServer) outcomes() {
	t := s.stats.Totals()
	for v := engine.None + 1; v < engine.Verdicts; v++ {
		if n := t.Verdicts[v]; n > 0 && v != engine.Queued {
			fmt.Printf("frames  %-16s %d\n", v, n)
		}
	}
	for o := range discovery.Outcomes {
		if n := s.finds.Count(o); n > 0 {
			fmt.Printf("events  %-16s %d\n", o, n)
		}
	}
}

var _ trap.Sender = links(nil)
