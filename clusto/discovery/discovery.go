// Package discovery makes servers of MAC addresses that appear on switch ports:
// named, placed in the switch's rack, connected. What it does is idempotent: an
// event that comes twice, after a crash or from two daemons, leaves one server.
package discovery

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
)

// Event is one MAC address on one port of a switch.
type Event struct {
	Seq    int64 // its place in the queue
	At     time.Time
	Switch netip.Addr
	MAC    clusto.MAC
	VLAN   uint16
	Port   uint16 // dot1dBasePort; of a move, the new one
	From   uint16 // of a move, the old one
	Kind   Kind
}

// Kind is what happened to the MAC address.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota
	Learnt
	Removed
	Moved
)

// Queue holds events until something has become of them.
type Queue interface {
	// Switches lists the switches with events waiting.
	Switches(ctx context.Context) ([]netip.Addr, error)
	// Next gives events of a switch after a place in the queue, in order.
	Next(ctx context.Context, sw netip.Addr, after int64, limit int) ([]Event, error)
	// Done ends events; they may come again after a crash.
	Done(seq ...int64)
	// Bury makes a dead letter of an event.
	Bury(ctx context.Context, ev Event, outcome, reason string) error
}

// Inventory is what discovery needs of one. Errors wrap clusto's sentinels; an
// error of Change may be a *clusto.OpError.
type Inventory interface {
	Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error)
	Object(ctx context.Context, name string) (clusto.Object, error)
	Attrs(ctx context.Context, q clusto.AttrQuery) ([]clusto.Attr, error)
	Change(ctx context.Context, ops []clusto.Op) ([]clusto.Result, error)
}

// Config is what a Discovery is made from. Zero fields mean the defaults.
type Config struct {
	Queue     Queue
	Inventory Inventory
	Layouts   rack.Layouts
	Log       *slog.Logger // nothing is logged if nil

	Names    string        // the simpleentitynamemanager that names servers; "servernames"
	HoldDown time.Duration // how long a new MAC on an unconnected port waits; 2s, none if negative
	MaxMACs  int           // how many MACs such a port may show by then; 2, a NIC and its BMC
	Prefixes []string      // MACs of servers begin with one of these ("00:1e:c9"); any if empty
	Local    bool          // locally administered MACs are servers' too

	SetMAC     bool     // the MAC becomes port-nic-eth 1 mac
	IPManagers []string // an address of the first of these that has one is bound to eth0
	SetIP      bool     // one of the rack's own manager (dhcp/ipmanager), if IPManagers is empty

	// Stepwise reports whether the inventory makes changes in single steps, so
	// that a server may be left half made: it is finished when its event comes
	// again. Nil means that changes are made as a whole.
	Stepwise func() bool

	Switches int           // switches that the inventory is called for at once; 16
	Facts    time.Duration // how long what is known of a switch and its rack holds; 30s
	Timeout  time.Duration // for one call of the inventory; 10s
	Backoff  time.Duration // first wait after a failed call; 500ms, doubling to 10s

	atOnce [classes]int  // how many switches of a class have a worker that runs, while the events of others stay in the queue; 256, 1024
	turn   time.Duration // how long a worker may run while others of its class wait; 1s
	anew   time.Duration // how long facts are left alone that may be out of date, however many events come that are bad news by them; 1s
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Names == "" {
		c.Names = "servernames"
	}
	if c.MaxMACs == 0 {
		c.MaxMACs = 2
	}
	if c.Switches == 0 {
		c.Switches = 16
	}
	if c.Stepwise == nil {
		c.Stepwise = func() bool { return false }
	}
	def(&c.HoldDown, 2*time.Second)
	def(&c.Facts, 30*time.Second)
	def(&c.Timeout, 10*time.Second)
	def(&c.Backoff, 500*time.Millisecond)
	def(&c.turn, time.Second)
	def(&c.anew, time.Second)
	if c.atOnce == [classes]int{} {
		c.atOnce = [classes]int{stranger: 256, member: 1024}
	}
	return c
}

// Outcome is what became of an event.
type Outcome uint8

// The outcomes. Those from UnknownSwitch to Refused leave a dead letter.
const (
	Created       Outcome = iota // a server was made
	Attached                     // the MAC was added to the server on the port
	Known                        // clusto has the MAC where it appeared
	KnownMoved                   // clusto has the MAC, elsewhere
	Uplink                       // the port shows too many MACs
	NotServerPort                // something other than a server is connected to the port
	NotServerMAC                 // no server's: multicast, virtual, or not configured
	Off                          // discovery is not switched on for the switch
	Crowded                      // the server on the port has as many bootstrap MACs as it may
	Gone                         // a removed MAC: nothing changes
	MoveSeen                     // the switch reported a move: nothing changes
	NotUnderstood                // an operation that no MIB has
	UnknownSwitch                // no networkswitch of clusto has the sender's address
	NoLayout                     // the switch is in no rack, or the rack has no known layout
	Unmapped                     // the layout does not map the port
	Refused                      // clusto refused the change
	Outcomes                     // how many there are
)

var outcomeNames = [Outcomes]string{
	"created", "attached", "known", "known_moved", "uplink", "not_server_port", "not_server_mac", "off", "crowded",
	"gone", "move_seen", "not_understood", "unknown_switch", "no_layout", "unmapped", "refused",
}

// String gives the outcome as metrics and dead letters spell it.
func (o Outcome) String() string {
	if o >= Outcomes {
		return "invalid"
	}
	return outcomeNames[o]
}

// mendable reports whether the outcome is one of the facts alone, which somebody
// may have mended since they were read.
func (o Outcome) mendable() bool {
	switch o {
	case Off, UnknownSwitch, NoLayout, Unmapped, NotServerPort, Crowded:
		return true
	}
	return false
}

// dead reports whether the event becomes a dead letter.
func (o Outcome) dead() bool { return o >= UnknownSwitch }

// Discovery works events off.
type Discovery struct {
	cfg   Config
	wake  chan struct{}
	freed chan struct{} // one token when a worker has ended

	calls     chan struct{} // bounds the calls of the inventory
	strangers chan struct{} // bounds those for strangers

	mu      sync.Mutex
	workers map[netip.Addr]*worker
	strange []*worker // those of strangers that have stopped once, the oldest first
	claims  int       // how many others will be among them
	lines   [classes]line

	health   health
	said     said
	outcomes [Outcomes]atomic.Uint64

	// Retries counts calls of the inventory that failed and were made again.
	Retries atomic.Uint64
}

// New makes a Discovery. Run has to be running.
func New(cfg Config) *Discovery {
	cfg = cfg.withDefaults()
	return &Discovery{
		cfg: cfg, wake: make(chan struct{}, 1), freed: make(chan struct{}, 1),
		calls: make(chan struct{}, cfg.Switches), strangers: make(chan struct{}, (cfg.Switches+1)/2),
		workers: map[netip.Addr]*worker{}, health: health{log: cfg.Log},
	}
}

// Count gives how many events ended so.
func (d *Discovery) Count(o Outcome) uint64 { return d.outcomes[o].Load() }

// Wake says that there are new events.
func (d *Discovery) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// health writes one line when the inventory fails, and one when it is back: of
// the same cause once a minute, since it may fail for some calls only.
type health struct {
	log   *slog.Logger
	said  memory
	told  bool // that it fails
	reads bool // changes fail, and reads do not: what they get is no sign that it is back
	mu    sync.Mutex
	since time.Time // it fails
	back  time.Time // it does not any more
}

// oneOutage is how long after a change a read may fail for the same reason: one of
// the two has to be the first that meets an outage.
const oneOutage = time.Minute

// failed notes a call that failed. One that was begun before the inventory was
// back says nothing new.
func (h *health) failed(begun time.Time, change bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	worse := h.reads && !change
	if worse && begun.Sub(h.since) < oneOutage {
		h.reads = false
		return
	}
	if h.since.IsZero() && begun.After(h.back) || worse {
		h.since, h.reads = time.Now(), change
		var more int
		if more, h.told = h.said.first(cause(err), h.since); !h.told {
			return
		}
		args := []any{"error", err}
		if more > 0 {
			args = append(args, "more", more)
		}
		h.log.Warn("the inventory fails: events wait in the journal and are tried again", args...)
	}
}

// cause is an error but for its numbers: ports, entities and times differ.
func cause(err error) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, err.Error())
}

// works notes a call that was answered. One that was begun before the inventory
// failed says nothing new.
func (h *health) works(begun time.Time, change bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.since.IsZero() && begun.After(h.since) && (change || !h.reads) {
		if h.told {
			h.log.Info("the inventory answers again", "after", time.Since(h.since).Round(time.Millisecond).String())
		}
		h.since, h.back, h.reads = time.Time{}, time.Now(), false
	}
}
