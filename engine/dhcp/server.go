// Package dhcp answers DHCP and BOOTP requests from an inventory: the policy
// of RFC 2131 as a pure function (Decide) over hosts that were encoded
// beforehand (Prepare), and the way around a host that is not at hand yet (the
// filler). It knows no socket, no cache and no HTTP: it declares what it needs.
package dhcp

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

// State tells how far an entry of Hosts can be trusted.
type State uint8

// The states, in the order of trust.
const (
	Missing State = iota // not known: ask
	Absent               // the inventory has no such host
	Fresh                // younger than its time to live
	Stale                // older, but still good for an answer where the inventory fails
)

// Hosts is what Server needs from a cache. Lookup allocates nothing and waits for no
// inventory; State tells a fresh entry from a stale, absent or missing one. now is in
// nanoseconds since 1970. PeekAll appends the entries that are there, of whatever age,
// for who will look them up soon; none counts as used for it. Fetch asks the inventory,
// once however many wait for the same MAC; with an error it may still return a stale
// entry.
type Hosts interface {
	Lookup(mac clusto.MAC, now int64) (*Prepared, State)
	PeekAll(to []*Prepared, macs []clusto.MAC) []*Prepared
	Fetch(ctx context.Context, mac clusto.MAC) (*Prepared, State, error)
}

// Config is what a Server is made from. Zero fields mean the defaults.
type Config struct {
	Hosts   Hosts
	Lot     *engine.Lot     // frames that wait for the inventory; 16,384 slots
	Log     *slog.Logger    // slog.Default()
	Site    Site            // as it holds at start; SetSite changes it
	Loads   int             // inventory calls at once; 64
	Slow    time.Duration   // how long a stale entry waits for a fresh one; 1s
	Warn    time.Duration   // the same warning about one MAC comes once in this time; 1h
	Counter *engine.Counter // where the filler counts; one of its own by default

	// Ping asks whether the inventory is there at all, and Try whether it answers
	// for a host, each for half of Slow at most, again and again while that is in
	// doubt. When both go well though loads hang, Returned is called: these should
	// end with context.Canceled, and are tried again. It is called too when Ping
	// alone goes well after it did not and no load has ended well meanwhile, for
	// Try may have to wait for what hangs. Nil for all three asks nothing.
	Ping     func(context.Context) error
	Try      func(context.Context, clusto.MAC) error
	Returned func()

	Adopt AdoptConfig // nothing is stored by default
}

// Server is what the workers of all interfaces share.
type Server struct {
	cfg    Config
	site   atomic.Pointer[Site]
	health health
	report reporter
	adopt  *adopter // nil: nothing is stored

	// DroppedOptions counts options left out of replies that were too long;
	// LostEvents counts warnings that came faster than they could be written.
	DroppedOptions, LostEvents atomic.Uint64
}

// NewServer makes a Server. Run has to be running for misses to be answered.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Loads == 0 {
		cfg.Loads = 64
	}
	if cfg.Slow == 0 {
		cfg.Slow = time.Second
	}
	if cfg.Warn == 0 {
		cfg.Warn = time.Hour
	}
	if cfg.Lot == nil {
		cfg.Lot = engine.NewLot(engine.LotConfig{})
	}
	if cfg.Counter == nil {
		cfg.Counter = new(engine.Counter)
	}
	s := &Server{cfg: cfg}
	s.site.Store(&cfg.Site)
	s.report.init(cfg)
	s.health.init(cfg)
	s.adopt = newAdopter(cfg)
	return s
}

// SetSite replaces what the policy knows of the site.
func (s *Server) SetSite(site Site) { s.site.Store(&site) }

// Degraded reports whether the inventory fails or is slow at the moment, so
// that stale entries answer at once.
func (s *Server) Degraded() bool { return s.health.degraded.Load() }

// Handler makes the handler of one worker.
func (s *Server) Handler() *Handler {
	return &Handler{s: s, next: make([]*Prepared, 0, engine.BatchSize)}
}

// Handler answers the frames of one worker. It implements engine.Handler.
type Handler struct {
	s    *Server
	req  Request
	macs [engine.BatchSize]clusto.MAC // of Ahead
	next []*Prepared
	near int
}

var _ engine.Ahead = (*Handler)(nil)

// Handle is the hot path: parse, look up, decide, append. A host that is not
// at hand is parked; the filler answers it through the same answer.
func (h *Handler) Handle(dst []byte, p *engine.Packet) ([]byte, engine.Verdict) {
	if v := h.req.Parse(p); v != engine.None {
		return dst, v
	}
	now := p.Now()
	host, state := h.s.cfg.Hosts.Lookup(h.req.MAC, now)
	switch {
	case state == Fresh:
		return h.answer(dst, host, true)
	case state == Absent:
		return dst, h.unknown()
	case state == Missing:
		return dst, h.s.cfg.Lot.Park(h.req.MAC, p, now)
	}
	return h.stale(dst, host, p, now)
}

// Ahead implements engine.Ahead. While a hall boots, its hosts are in no cache of the
// processor, and each line of memory that an answer reads leads to the next. Those of
// a batch come side by side here.
func (h *Handler) Ahead(ps []engine.Packet) {
	macs := h.macs[:0]
	for i := range ps {
		if mac, ok := likelyMAC(ps[i].Data); ok {
			macs = append(macs, mac)
		}
	}
	h.next = h.s.cfg.Hosts.PeekAll(h.next[:0], macs)
	for _, p := range h.next {
		h.near += p.touch() // kept, so that it is done
	}
}

// stale has an old host fetched anew: the frame waits for it, or is answered
// at once where the inventory is in trouble or there is no room to wait.
func (h *Handler) stale(dst []byte, host *Prepared, p *engine.Packet, now int64) ([]byte, engine.Verdict) {
	switch {
	case !h.s.health.degraded.Load():
		if v := h.s.cfg.Lot.ParkKnown(h.req.MAC, p, now); v != engine.Shed {
			return dst, v
		}
	case !h.s.health.down.Load():
		h.s.cfg.Lot.Want(h.req.MAC, now)
	}
	return h.answer(dst, host, false)
}

// unknown ends a request that no host has made.
func (h *Handler) unknown() engine.Verdict {
	h.note(engine.UnknownHost, nil, 0)
	h.s.adopt.note(&h.req, false)
	return engine.UnknownHost
}

// answer decides on the parsed request and appends the reply, if there is one.
func (h *Handler) answer(dst []byte, p *Prepared, fresh bool) ([]byte, engine.Verdict) {
	h.s.adopt.saw(h.req.MAC)
	d := Decide(&h.req, p, fresh, h.s.site.Load())
	if d.Verdict != engine.Reply && d.Verdict != engine.Nak {
		h.note(d.Verdict, p, 0)
		h.unaddressed(d.Verdict, p)
		return dst, d.Verdict
	}
	out, dropped := appendReply(dst, &h.req, p, &d)
	switch {
	case dropped < 0:
		h.note(engine.Oversize, p, 0)
		return dst, engine.Oversize
	case dropped > 0:
		h.s.DroppedOptions.Add(uint64(dropped))
		h.note(engine.Reply, p, dropped)
	case d.Verdict == engine.Nak:
		h.note(engine.Nak, p, 0)
	}
	return out, d.Verdict
}

// note hands a warning to the reporter, which writes it off the hot path; it
// never waits.
func (h *Handler) note(v engine.Verdict, p *Prepared, dropped int) {
	h.s.tell(event{
		verdict: v, mac: h.req.MAC, host: p, dropped: dropped, link: h.req.Link,
		vlan: h.req.vlan(), typ: h.req.Type, network: h.req.network(), relay: word(h.req.Msg.GIAddr()),
		requested: h.req.requested, ciaddr: word(h.req.Msg.CIAddr()),
	})
}

func (s *Server) tell(e event) {
	select {
	case s.report.events <- e:
	default:
		s.LostEvents.Add(1)
	}
}
