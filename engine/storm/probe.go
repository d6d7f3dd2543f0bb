package storm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

// ErrNoReply is what Exchange wraps when nothing that matched came in time.
var ErrNoReply = errors.New("no reply")

// ErrNotSilent is what ExpectSilence wraps when there was a reply.
var ErrNotSilent = errors.New("a reply where there should be none")

// errNoReply tells frames that are no replies from broken ones.
var errNoReply = errors.New("storm: not a DHCP reply to an Ethernet client")

// probeRoom is how many unread frames a Probe keeps.
const probeRoom = 1024

// Probe sends single handmade frames over a Conn and looks at what comes back.
// It is for tests: it allocates. One goroutine at a time may use it.
type Probe struct {
	conn engine.Conn
	in   chan engine.Packet
	gone chan struct{}
	err  error // why the receiver ended; read after gone
}

// NewProbe starts to receive from conn, which it owns until Close.
func NewProbe(conn engine.Conn) *Probe {
	p := &Probe{conn: conn, in: make(chan engine.Packet, probeRoom), gone: make(chan struct{})}
	go p.receive()
	return p
}

// Close stops the Conn and waits for the receiver to end.
func (p *Probe) Close() {
	p.conn.Stop()
	<-p.gone
}

func (p *Probe) receive() {
	defer close(p.gone)
	var b engine.Batch
	for {
		if p.err = p.conn.Recv(&b); p.err != nil {
			return
		}
		for _, pkt := range b.Packets {
			pkt.Data = bytes.Clone(pkt.Data)
			select {
			case p.in <- pkt:
			default: // nobody reads: as a full socket does, lose it
			}
		}
	}
}

// Exchange sends req, again after each wait of the schedule but the last (nil
// means PXE), and returns the first frame that match takes. What came before
// the call is forgotten. The error wraps ErrNoReply when the schedule ended,
// else ctx's or the Conn's.
func (p *Probe) Exchange(ctx context.Context, req []byte, match func(*engine.Packet) bool, schedule ...time.Duration) (engine.Packet, error) {
	p.forget()
	return p.exchange(ctx, req, match, schedule)
}

func (p *Probe) exchange(ctx context.Context, req []byte, match func(*engine.Packet) bool, schedule []time.Duration) (engine.Packet, error) {
	if len(schedule) == 0 {
		schedule = PXE()
	}
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	for _, wait := range schedule {
		if err := p.send(req); err != nil {
			return engine.Packet{}, err
		}
		alarm.Reset(wait)
		pkt, err := p.await(ctx, match, alarm.C)
		if !errors.Is(err, ErrNoReply) {
			return pkt, err
		}
	}
	return engine.Packet{}, fmt.Errorf("storm: request of %d bytes, sent %d times: %w", len(req), len(schedule), ErrNoReply)
}

// Await waits for a frame that match takes, among those that came since the
// last Exchange or ExpectSilence began. The error wraps ErrNoReply after wait.
func (p *Probe) Await(ctx context.Context, match func(*engine.Packet) bool, wait time.Duration) (engine.Packet, error) {
	alarm := time.NewTimer(wait)
	defer alarm.Stop()
	pkt, err := p.await(ctx, match, alarm.C)
	if errors.Is(err, ErrNoReply) {
		err = fmt.Errorf("storm: in %v: %w", wait, err)
	}
	return pkt, err
}

func (p *Probe) await(ctx context.Context, match func(*engine.Packet) bool, late <-chan time.Time) (engine.Packet, error) {
	for {
		select {
		case pkt := <-p.in:
			if match(&pkt) {
				return pkt, nil
			}
		case <-late:
			return engine.Packet{}, ErrNoReply
		case <-ctx.Done():
			return engine.Packet{}, fmt.Errorf("storm: wait for a reply: %w", ctx.Err())
		case <-p.gone:
			return engine.Packet{}, fmt.Errorf("storm: wait for a reply: %w", p.err)
		}
	}
}

// ExpectSilence sends a frame that must stay unanswered, then fence, a request
// that is answered, and waits for the answer to that. Any other DHCP reply
// before it is an error that wraps ErrNotSilent, with the frame. So silence is
// proven without waiting for it, if whoever answers takes frames in order: the
// same worker (give both the last four bytes of chaddr in common if there are
// several) and no miss that may be answered later.
func (p *Probe) ExpectSilence(ctx context.Context, silent, fence []byte, schedule ...time.Duration) error {
	answer, err := ReplyTo(fence)
	if err != nil {
		return fmt.Errorf("storm: fence: %w", err)
	}
	p.forget()
	if err := p.send(silent); err != nil {
		return err
	}
	var r reply
	var loud []byte
	_, err = p.exchange(ctx, fence, func(pkt *engine.Packet) bool {
		if answer(pkt) {
			return true
		}
		if loud == nil && r.parse(pkt) == nil {
			loud = pkt.Data
		}
		return false
	}, schedule)
	if loud != nil {
		return fmt.Errorf("storm: %w: % x", ErrNotSilent, loud)
	}
	return err
}

func (p *Probe) send(f []byte) error {
	if p.conn.Send(&engine.Batch{Replies: [][]byte{f}}) != 1 {
		return fmt.Errorf("storm: the Conn did not take a request of %d bytes", len(f))
	}
	return nil
}

func (p *Probe) forget() {
	for {
		select {
		case <-p.in:
		default:
			return
		}
	}
}

// ReplyTo makes a match for the replies to a request: BOOTP replies with its
// chaddr and xid. The error says why req is no request.
func ReplyTo(req []byte) (match func(*engine.Packet) bool, err error) {
	var u frame.UDP4
	if err := u.Parse(req, false); err != nil {
		return nil, fmt.Errorf("parse the request: %w", err)
	}
	v, err := dhcp4.Parse(u.Payload)
	if err != nil {
		return nil, fmt.Errorf("parse the request: %w", err)
	}
	chaddr, xid := v.CHAddr(), v.XID()
	var r reply
	return func(p *engine.Packet) bool {
		return r.parse(p) == nil && r.view.XID() == xid && r.view.CHAddr() == chaddr
	}, nil
}
