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
// place where the capture is damaged count.
func (s *TrapServer) replay(ctx context.Context, r *replay) error {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	err := s.feed(ctx, r)
	s.written(ctx)
	s.fed.Do(func() { close(s.find) })
	s.workedOff(ctx)
	stop()
	return errors.Join(err, <-ended)
}

// feed hands the frames of a capture to the handler.
func (s *TrapServer) feed(ctx context.Context, r *replay) error {
	h, counter := s.traps.Handler(), s.stats.Counter(len(s.cfg.Interface)+1)
	link := &engine.Link{Name: "replay", Up: true}
	var dst []byte
	for n := 1; ; n++ {
		data, at, cut, err := r.next()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("replay %s: packet %d: %w; the packets before it count", r.file.Name(), n, err)
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
				if s.journal.Full() {
					s.fed.Do(func() { close(s.find) }) // it makes room
				}
				sleepFor(ctx, 10*time.Millisecond) // a file waits where a switch does not
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("replay %s: ended by a signal at packet %d: take the capture once more", r.file.Name(), n)
		}
		counter.Count(v)
	}
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

// workedOff waits until no event waits any more, and tells what became of them.
func (s *TrapServer) workedOff(ctx context.Context) {
	for {
		if s.onDisk() && s.journal.Stats().Waiting == 0 {
			break
		}
		if sleepFor(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return
		}
	}
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
