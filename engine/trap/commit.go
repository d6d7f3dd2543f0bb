package trap

import (
	"context"
	"errors"
	"net/netip"

	"github.com/clusto/clusto-engine/engine"
)

// ErrFull is what a Journal's error wraps when it has no room.
var ErrFull = errors.New("the journal is full")

// batch is what waits for the disk: it is written as one group. Its memory is
// allocated once.
type batch struct {
	events []Event
	bytes  []byte // the responses' frames, one after the other
	frames []waiting
}

// waiting is one frame whose events wait.
type waiting struct {
	link  *engine.Link
	upto  uint32 // its events and all before it: an index into events
	reply uint32 // where its response ends in bytes; it begins where the one before ends
}

// newBatch makes a batch. Most frames have one event.
func newBatch(c *Config) *batch {
	return &batch{
		events: make([]Event, 0, c.Events), bytes: make([]byte, 0, c.Replies), frames: make([]waiting, 0, c.Events),
	}
}

func (b *batch) reset() {
	clear(b.frames) // they hold interfaces
	b.events, b.bytes, b.frames = b.events[:0], b.bytes[:0], b.frames[:0]
}

// put files the events of one frame, and the response to it if there is to be
// one. It reports false if there is no room.
func (s *Server) put(events []Event, reply []byte, link *engine.Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.fill
	if len(b.events)+len(events) > cap(b.events) || len(b.bytes)+len(reply) > cap(b.bytes) || len(b.frames) == cap(b.frames) {
		return false
	}
	b.events = append(b.events, events...)
	b.bytes = append(b.bytes, reply...)
	b.frames = append(b.frames, waiting{link, uint32(len(b.events)), uint32(len(b.bytes))})
	select {
	case s.more <- struct{}{}:
	default:
	}
	return true
}

// Run writes events to the journal, all that came while the last ones were
// written at once, and answers informs whose events are on disk. When ctx is
// over it writes what is left and returns: the workers have to have ended by
// then. Its goroutine allocates as much as the journal's Append does; nothing else
// from a frame to its Response allocates.
func (s *Server) Run(ctx context.Context, out Sender) {
	spare := newBatch(&s.cfg)
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-s.more:
		}
		s.mu.Lock()
		s.fill, spare = spare, s.fill
		s.mu.Unlock()
		if len(spare.frames) > 0 {
			s.commit(spare, out)
		}
		spare.reset()
	}
}

// commit writes one batch and ends its frames.
func (s *Server) commit(b *batch, out Sender) {
	stored := 0
	var err error
	if len(b.events) > 0 {
		stored, err = s.cfg.Journal.Append(b.events)
	}
	failed := engine.JournalFailed
	if errors.Is(err, ErrFull) {
		failed = engine.JournalFull
	}
	begin, lost := uint32(0), 0
	for _, w := range b.frames {
		reply := b.bytes[begin:w.reply]
		begin = w.reply
		switch {
		case int(w.upto) > stored:
			s.cfg.Counter.Count(failed)
			lost++
		case len(reply) == 0:
			s.cfg.Counter.Count(engine.Journaled)
		default:
			s.cfg.Counter.Count(engine.Acknowledged)
			if out.SendOn(w.link, reply) != nil {
				s.cfg.Counter.Sent(0, 1)
			} else {
				s.cfg.Counter.Sent(1, 0)
			}
		}
	}
	if err == nil {
		return
	}
	kind := NotWritten
	if failed == engine.JournalFull {
		kind = NoRoom
	}
	var first Event
	if stored < len(b.events) {
		first = b.events[stored]
	}
	if !s.problems.quiet(kind, first.Switch, s.cfg.Now().UnixNano()) {
		s.problems.tell(Problem{Kind: kind, Source: netip.AddrFrom4(first.Switch), Err: err, Frames: lost, First: first})
	}
}
