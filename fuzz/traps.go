package fuzz

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
)

// Traps is what becomes of frames in a trap engine whose worker, journal and
// interface are real but for the kernel: a Conn and a journal in memory.
type Traps struct {
	Room int  // how many events the journal takes
	Deaf bool // no frame can be sent

	Events  []trap.Event // in the journal
	Sent    [][]byte     // frames, in their order
	Records int          // as they were read
	Counted engine.Totals
	packets []engine.Packet
}

// Append implements trap.Journal.
func (s *Traps) Append(events []trap.Event) (int, error) {
	stored := min(len(events), s.Room-len(s.Events))
	s.Events = append(s.Events, events[:stored]...)
	if stored < len(events) {
		return stored, fmt.Errorf("%d events: %w", len(events), trap.ErrFull)
	}
	return stored, nil
}

// SendOn implements trap.Sender.
func (s *Traps) SendOn(_ *engine.Link, b []byte) error {
	if s.Deaf {
		return context.Canceled
	}
	s.Sent = append(s.Sent, bytes.Clone(b))
	return nil
}

// Recv implements engine.Conn.
func (s *Traps) Recv(b *engine.Batch) error {
	if len(s.packets) == 0 {
		return engine.ErrStopped
	}
	b.Packets, s.packets = s.packets, nil
	return nil
}

// Send implements engine.Conn.
func (s *Traps) Send(b *engine.Batch) (sent int) {
	for _, reply := range b.Replies {
		if s.SendOn(nil, reply) == nil {
			sent++
		}
	}
	return sent
}

// Stop implements engine.Conn.
func (s *Traps) Stop() {}

// Take has an engine take packets, of which Worker makes one batch, and write what is to
// be kept. Nothing is in the journal, and no inform with events answered, before that.
func (s *Traps) Take(tb testing.TB, packets ...engine.Packet) {
	tb.Helper()
	over, cancel := context.WithCancel(tb.Context())
	cancel()
	stats := engine.NewStats(1)
	server := trap.NewServer(trap.Config{
		Journal: s, Communities: []string{"public"}, Counter: stats.Counter(0),
		Events: len(packets) * engine.FrameSize / 11, Replies: len(packets) * 2 * engine.FrameSize, // as many records as there may be
	})
	s.packets = packets
	w := engine.Worker{Conn: s, Handler: server.Handler(), Counter: stats.Counter(0), Crashed: func(err error) { tb.Error(err) }}
	if err := w.Run(); err != nil {
		tb.Fatal(err)
	}
	if before := stats.Totals(); len(s.Events) > 0 || before.Sent+before.TxDropped != before.Verdicts[engine.Reply] {
		tb.Errorf("%d events are kept and %d frames sent before their time", len(s.Events), len(s.Sent))
	}
	server.Run(over, s)
	for i := range server.Records {
		s.Records += int(server.Records[i].Load())
	}
	s.Counted = stats.Totals()
}
