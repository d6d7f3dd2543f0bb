// Package trap takes the traps and informs of CISCO-MAC-NOTIFICATION-MIB: from
// a frame to events in a Journal and, once they are on disk, the Response to an
// inform. What becomes of an event is not its business. It knows no socket and
// no database: it declares what it needs.
package trap

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
)

// Port is where traps and informs are sent to (RFC 3417 section 6.1.2).
const Port = 162

// Event is one MAC address on one switch port.
type Event struct {
	At     int64 // nanoseconds since 1970
	Switch [4]byte
	MAC    [6]byte
	VLAN   uint16
	Port   uint16 // dot1dBasePort; of a move, the new one
	From   uint16 // of a move, the old one
	Op     Op
}

// Op is what happened.
type Op uint8

// The operations; the first two are macnotify's.
const (
	Learnt     = Op(macnotify.Learnt)
	Removed    = Op(macnotify.Removed)
	Moved   Op = 3
)

// String gives the operation for logs and metrics.
func (o Op) String() string {
	switch o {
	case Learnt:
		return "learnt"
	case Removed:
		return "removed"
	case Moved:
		return "moved"
	}
	return "unknown"
}

// Journal keeps events. Append returns how many of them, from the first one
// on, are on disk, and why not all; it does not keep the slice. An error that
// wraps ErrFull says that there is no room until others are done.
type Journal interface {
	Append(events []Event) (stored int, err error)
}

// Sender sends one frame on an interface.
type Sender interface {
	SendOn(link *engine.Link, frame []byte) error
}

// Config is what a Server is made from. Zero fields mean the defaults: they set
// 40 MiB aside, of two batches, one of which is written while the other one
// fills. The pages are the kernel's until a storm needs them: a trap that finds
// no room is lost, since nobody sends it again.
type Config struct {
	Journal     Journal
	Communities []string         // needed; others are turned away
	Sources     []netip.Prefix   // who may send; anybody if empty
	Counter     *engine.Counter  // where the journal's outcomes count; one of its own by default
	Report      func(Problem)    // told of what was turned away, not more than once a second for each kind and source; nil ignores it
	Events      int              // events that wait for the disk at once, in as many frames at the most; 262,144 (of 32 and 16 bytes)
	Replies     int              // bytes of responses that wait for it; 8 MiB, some 45,000: a switch sends an inform again
	Now         func() time.Time // time.Now
}

func (c Config) withDefaults() Config {
	if c.Counter == nil {
		c.Counter = new(engine.Counter)
	}
	if c.Report == nil {
		c.Report = func(Problem) {}
	}
	if c.Events == 0 {
		c.Events = 1 << 18
	}
	if c.Replies == 0 {
		c.Replies = 8 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// Server is what the workers of all interfaces share.
type Server struct {
	cfg         Config
	communities map[string]struct{}

	mu   sync.Mutex
	fill *batch        // what the workers add to
	more chan struct{} // one token while fill is not empty

	problems problems

	// Tails counts history messages that ended inside a record, or that were
	// none; the records before their end count.
	Tails atomic.Uint64
	// Records counts events by operation, as they were read: unknown, learnt,
	// removed, moved.
	Records [4]atomic.Uint64
}

// NewServer makes a Server. Run has to be running for events to reach the
// journal.
func NewServer(cfg Config) *Server {
	s := &Server{cfg: cfg.withDefaults(), communities: map[string]struct{}{}, more: make(chan struct{}, 1)}
	for _, c := range cfg.Communities {
		s.communities[c] = struct{}{}
	}
	s.fill = newBatch(&s.cfg)
	s.problems.init(s.cfg.Report)
	return s
}

// Handler makes the handler of one worker.
func (s *Server) Handler() *Handler {
	return &Handler{s: s, reply: make([]byte, 0, engine.FrameSize), events: make([]Event, 0, maxEvents)}
}

// maxEvents is how many records one frame may hold: 2,048 bytes of eleven each.
const maxEvents = engine.FrameSize / 11

// allowed reports whether an address may send.
func (s *Server) allowed(ip [4]byte) bool {
	if len(s.cfg.Sources) == 0 {
		return true
	}
	addr := netip.AddrFrom4(ip)
	for _, p := range s.cfg.Sources {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// isUs reports whether a datagram's destination is this machine.
func isUs(l *engine.Link, ip [4]byte) bool {
	addr := netip.AddrFrom4(ip)
	if _, ok := l.Local[addr]; ok {
		return true
	}
	for _, p := range l.Addrs {
		if p.Addr() == addr {
			return true
		}
	}
	return false
}

// record counts and files one event.
func (h *Handler) record(m *snmp.Message, at int64) {
	h.events = h.events[:0]
	if h.kind == macnotify.Moved {
		mv, err := macnotify.ReadMove(m)
		if err != nil {
			h.s.Tails.Add(1)
			h.problem(BadRecord, err)
			return
		}
		h.s.Records[Moved].Add(1)
		h.events = append(h.events, Event{
			At: at, Switch: h.frame.Src, MAC: mv.MAC, VLAN: mv.VLAN, Port: mv.To, From: mv.From, Op: Moved,
		})
		return
	}
	it := macnotify.Records(m)
	for r, ok := it.Next(); ok && len(h.events) < maxEvents; r, ok = it.Next() {
		op := Op(r.Op)
		if op > Removed {
			op = 0
		}
		h.s.Records[op].Add(1)
		h.events = append(h.events, Event{At: at, Switch: h.frame.Src, MAC: r.MAC, VLAN: r.VLAN, Port: r.Port, Op: op})
	}
	if err := it.Err(); err != nil {
		h.s.Tails.Add(1)
		h.problem(BadRecord, err)
	}
}
