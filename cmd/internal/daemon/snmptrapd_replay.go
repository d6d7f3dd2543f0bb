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

// openReplay opens a capture. An error wraps ErrConfig.
func openReplay(name string, read ReadCapture) (*replay, error) {
	if read == nil {
		return nil, fmt.Errorf("%w: replay %s: this is the program clusto by another name; have the program clusto-snmptrapd itself read the capture", ErrConfig, name)
	}
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

// replay takes the traps of a capture the way those of an interface go, waits
// until something has become of all of them, and tells what. Those before a
// place where the capture is damaged count. The error says what was not taken, or
// is left.
func (s *TrapServer) replay(ctx context.Context, r *replay) error {
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	taken, left, err := s.feed(ctx, r)
	s.written(ctx)
	s.look()
	s.workedOff(ctx)
	stop()
	err = errors.Join(err, <-ended)
	s.outcomes()
	return errors.Join(err, s.unfinished(ctx, r, taken, left))
}

// look has events looked at from now on.
func (s *TrapServer) look() { s.fed.Do(func() { close(s.find) }) }

// feed hands the frames of a capture to the handler, and tells how many, and how
// many are left if ctx ends it.
func (s *TrapServer) feed(ctx context.Context, r *replay) (taken, left int, err error) {
	h, counter := s.traps.Handler(), s.stats.Counter(len(s.cfg.Interface)+1)
	link := &engine.Link{Name: "replay", Up: true}
	var dst []byte
	for n := 1; ; n++ {
		data, at, cut, err := r.next()
		if errors.Is(err, io.EOF) {
			return taken, left, nil
		} else if err != nil {
			return taken, left, fmt.Errorf("replay %s: packet %d: %w; the packets before it count", r.file.Name(), n, err)
		}
		// Whoever a frame was for, it is taken as ours.
		var u frame.UDP4
		if u.Parse(data, true) == nil {
			link = &engine.Link{Name: "replay", Up: true, Local: map[netip.Addr]struct{}{netip.AddrFrom4(u.Dst): {}}}
		}
		s.at.Store(at.UnixNano())
		p := engine.Packet{Data: data, Link: link, Truncated: cut}
		v := engine.JournalFull
		for v == engine.JournalFull && ctx.Err() == nil {
			if dst, v = h.Handle(dst[:0], &p); v == engine.JournalFull {
				sleepFor(ctx, 10*time.Millisecond) // until a group is written
			}
		}
		if v == engine.JournalFull {
			left++
			continue
		}
		taken++
		counter.Count(v)
	}
}

// room waits until the journal has room: a file waits where a switch does not. It
// reports false once ctx is over.
func (s *TrapServer) room(ctx context.Context) bool {
	s.look() // it makes room
	if s.journal.Full() && s.warned.first("room", time.Now()) {
		s.log.Warn("the journal is full: the replay waits until events in it are worked off", "journal", s.cfg.Journal)
	}
	for s.journal.Full() && ctx.Err() == nil {
		sleepFor(ctx, 10*time.Millisecond)
	}
	return ctx.Err() == nil
}

// unfinished says what of a capture was not taken, and what is left in the journal.
// Run has to have returned.
func (s *TrapServer) unfinished(ctx context.Context, r *replay, taken, left int) error {
	t := s.stats.Totals()
	lost := int(t.Verdicts[engine.JournalFull] + t.Verdicts[engine.JournalFailed])
	_, err := s.journal.Append(nil) // takes out what is done
	waiting := s.journal.Stats().Waiting
	why := "ended by a signal"
	switch {
	case ctx.Err() == nil && lost > 0:
		why = "the journal could not be written"
	case ctx.Err() == nil, lost+left+waiting == 0:
		return err
	}
	was := fmt.Sprintf("all its %d packets were taken", taken)
	if lost+left > 0 {
		was = fmt.Sprintf("%d of its packets were taken, %d were not: take the capture once more", taken-lost, lost+left)
	}
	return fmt.Errorf("replay %s: %s: %s; %d events are left in the journal %s, which the daemon works off",
		r.file.Name(), why, was, waiting, s.cfg.Journal)
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

// onDisk reports whether the journal has told the outcome of all frames.
func (s *TrapServer) onDisk() bool {
	t := s.stats.Totals()
	kept := t.Verdicts[engine.Journaled] + t.Verdicts[engine.Acknowledged] + t.Verdicts[engine.JournalFull] + t.Verdicts[engine.JournalFailed]
	return kept >= t.Verdicts[engine.Queued]
}

// written waits until no frame waits for the disk. Only then are events looked at:
// their hold-down was over long ago, and what came within it has to be there.
func (s *TrapServer) written(ctx context.Context) {
	for !s.onDisk() && ctx.Err() == nil {
		sleepFor(ctx, time.Millisecond)
	}
}

// workedOff waits until no event waits any more.
func (s *TrapServer) workedOff(ctx context.Context) {
	for ctx.Err() == nil && (!s.onDisk() || s.journal.Stats().Waiting > 0) {
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
