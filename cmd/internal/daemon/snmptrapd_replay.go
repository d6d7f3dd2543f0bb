package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/google/gopacket/pcapgo"

	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
)

// replay takes the traps of a capture the way those of an interface go, waits
// until something has become of all of them, and tells what.
func (s *TrapServer) replay(ctx context.Context, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("%w: replay: %w", ErrConfig, err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		return fmt.Errorf("%w: replay %s: %w; it must be a capture in pcap format, as tcpdump -w writes it", ErrConfig, name, err)
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	err = s.feed(ctx, r)
	if err == nil {
		err = s.workedOff(ctx)
	}
	stop()
	return errors.Join(err, <-ended)
}

// feed hands the frames of a capture to the handler.
func (s *TrapServer) feed(ctx context.Context, r *pcapgo.Reader) error {
	h, counter := s.traps.Handler(), s.stats.Counter(len(s.cfg.Interface)+1)
	link := &engine.Link{Name: "replay", Up: true}
	var dst []byte
	for n := 1; ctx.Err() == nil; n++ {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("replay: packet %d: %w", n, err)
		}
		// Whoever a frame was for, it is taken as ours.
		var u frame.UDP4
		if u.Parse(data, true) == nil {
			link = &engine.Link{Name: "replay", Up: true, Local: map[netip.Addr]struct{}{netip.AddrFrom4(u.Dst): {}}}
		}
		p := engine.Packet{Data: data, Link: link, Truncated: info.CaptureLength < info.Length}
		var v engine.Verdict
		for {
			if dst, v = h.Handle(dst[:0], &p); v != engine.JournalFull {
				break
			}
			sleepFor(ctx, 10*time.Millisecond) // a file waits where a switch does not
			if ctx.Err() != nil {
				break
			}
		}
		counter.Count(v)
	}
	return ctx.Err()
}

func sleepFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// workedOff waits until no event waits any more, and tells what became of them.
func (s *TrapServer) workedOff(ctx context.Context) error {
	for {
		t := s.stats.Totals()
		kept := t.Verdicts[engine.Journaled] + t.Verdicts[engine.Acknowledged] + t.Verdicts[engine.JournalFull] + t.Verdicts[engine.JournalFailed]
		if kept >= t.Verdicts[engine.Queued] && s.journal.Stats().Waiting == 0 {
			break
		}
		if sleepFor(ctx, 20*time.Millisecond); ctx.Err() != nil {
			return nil
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
	return nil
}

var _ trap.Sender = links(nil)
