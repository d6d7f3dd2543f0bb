package dhcp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

const (
	// sweepEvery is how often parked frames are looked through for those whose
	// time is up.
	sweepEvery = 50 * time.Millisecond
	// grace is how long the loads on their way at the end have.
	grace = 500 * time.Millisecond
)

// Sender sends one frame on an interface. Each of the filler's goroutines
// calls it, so it has to be safe for that.
type Sender interface {
	SendOn(link *engine.Link, frame []byte) error
}

// Run answers parked frames until ctx is over: it loads their hosts and sends
// what the handlers could not. Then it gives the loads that are on their way
// half a second, so that a shutdown loses little, and returns.
func (s *Server) Run(ctx context.Context, out Sender) {
	last, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives ctx by the grace
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, stop) })
	var filler, rest sync.WaitGroup
	report, done := context.WithCancel(context.WithoutCancel(ctx))
	rest.Go(func() { s.report.run(report) })
	for range s.cfg.Loads {
		filler.Go(func() { s.newFiller(out).load(ctx, last) })
	}
	filler.Go(func() { s.newFiller(out).sweep(ctx) })
	filler.Go(func() { s.prober(ctx) })
	filler.Go(func() { s.pinger(ctx) })
	filler.Go(func() { s.adopt.run(ctx) })
	filler.Wait()
	s.drop(time.Now().Add(time.Hour))
	done()
	rest.Wait()
}

// filler is one goroutine that answers parked frames, with a handler and
// buffers of its own.
type filler struct {
	*Handler
	out   Sender
	frame engine.Packet
	reply []byte
}

func (s *Server) newFiller(out Sender) *filler {
	return &filler{
		Handler: s.Handler(), out: out,
		frame: engine.Packet{Data: make([]byte, 0, engine.LotSlotSize)}, reply: make([]byte, 0, engine.FrameSize),
	}
}

// load fetches the host of one parked frame after the other, until ctx is over.
// The load that is on its way then has until last is over too.
func (f *filler) load(ctx, last context.Context) {
	for {
		mac, ok := f.s.cfg.Lot.Next(ctx)
		if !ok {
			return
		}
		leave, ok := f.s.health.enter(ctx)
		if !ok {
			return
		}
		f.one(last, mac)
		leave()
	}
}

// one loads a host and answers the frame that waits for it. A load that failed
// leaves the frame where it is, to be tried again in a moment: the client may
// be patient for longer than the inventory is down.
func (f *filler) one(ctx context.Context, mac clusto.MAC) {
	p, state, err := f.s.fetch(ctx, mac)
	if err != nil && state != Stale {
		time.AfterFunc(probeEvery, func() { f.s.cfg.Lot.Retry(mac) })
		return
	}
	f.finish(mac, p, state)
}

// fetch asks the inventory and keeps count of its health.
func (s *Server) fetch(ctx context.Context, mac clusto.MAC) (*Prepared, State, error) {
	start := s.health.begin(mac)
	defer s.health.done(mac)
	late := time.AfterFunc(s.cfg.Slow, func() { s.health.overdue(mac, start) })
	p, state, err := s.cfg.Hosts.Fetch(ctx, mac)
	late.Stop()
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return p, state, err // that says nothing of the inventory
	}
	for _, odd := range s.health.ended(mac, start, err) {
		s.tell(event{verdict: engine.InventoryDown, mac: odd.mac, err: odd.err})
	}
	return p, state, err
}

// finish takes the frame of a MAC out of the Lot and answers it, on the same
// way as a hit.
func (f *filler) finish(mac clusto.MAC, p *Prepared, state State) {
	if !f.s.cfg.Lot.Take(mac, &f.frame) {
		return // it expired, or someone else answered it
	}
	out, v := f.settle(p, state)
	f.s.cfg.Counter.Count(v)
	if v != engine.Reply && v != engine.Nak {
		return
	}
	if f.out.SendOn(f.req.Link, out) != nil {
		f.s.cfg.Counter.Sent(0, 1)
		return
	}
	f.s.cfg.Counter.Sent(1, 0)
}

func (f *filler) settle(p *Prepared, state State) ([]byte, engine.Verdict) {
	if v := f.req.Parse(&f.frame); v != engine.None {
		return nil, v
	}
	switch state {
	case Fresh, Stale:
		return f.answer(f.reply, p, state == Fresh)
	case Absent:
		return nil, f.unknown()
	}
	return nil, engine.InventoryDown
}

// sweep answers from stale entries what has waited too long for fresh ones,
// and drops what nobody waits for any more.
func (f *filler) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var macs [][6]byte
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			macs = f.overdue(macs[:0], now)
			f.s.drop(now)
		}
	}
}

func (f *filler) overdue(macs [][6]byte, now time.Time) [][6]byte {
	since := now.Add(-f.s.cfg.Slow)
	if f.s.health.degraded.Load() {
		since = now
	}
	macs = f.s.cfg.Lot.Older(macs, since.UnixNano())
	for _, mac := range macs {
		if p, state := f.s.cfg.Hosts.Lookup(mac, now.UnixNano()); state == Fresh || state == Stale {
			f.finish(mac, p, state)
		}
	}
	return macs
}

// drop counts the frames whose time is up: for want of the inventory, if that
// is the reason, else for want of anything.
func (s *Server) drop(now time.Time) {
	v := engine.Expired
	if s.health.degraded.Load() {
		v = engine.InventoryDown
	}
	s.cfg.Counter.Add(v, s.cfg.Lot.Expire(now.UnixNano(), s.health.down.Load()))
}

// prober keeps asking while the inventory is in trouble and no frame is parked:
// stale entries answer at once then, so nobody else would notice its return.
func (s *Server) prober(ctx context.Context) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if mac, ok := s.health.idle(); ok {
				_, _, _ = s.fetch(ctx, mac)
			}
		}
	}
}

// pinger notices that an inventory which was away is back, though all loads
// hang on connections of before.
func (s *Server) pinger(ctx context.Context) {
	if s.cfg.Ping == nil {
		return
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for away := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		mac, hangs := s.health.hanging()
		away = away && s.health.doubt.Load()
		if !hangs && !s.health.doubt.Load() {
			continue
		}
		err := s.soon(ctx, s.cfg.Ping)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.health.away(err)
			away = true
		case away && s.health.quiet(), (away || hangs || s.health.down.Load()) && s.try(ctx, mac):
			away = false
			s.health.returned()
			s.cfg.Returned()
		}
	}
}

// try reports whether a load that begins now ends well, and soon: one that has
// begun before and hangs on will never end then. An inventory that is there and
// takes its time for each host does not pass, and its loads go on.
func (s *Server) try(ctx context.Context, mac clusto.MAC) bool {
	return s.soon(ctx, func(ctx context.Context) error { return s.cfg.Try(ctx, mac) }) == nil
}

// soon gives a question half the time after which a load is late. It may itself
// be what hangs when the inventory returns, and all that waits waits for its end.
func (s *Server) soon(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Slow/2)
	defer cancel()
	return ask(ctx)
}
