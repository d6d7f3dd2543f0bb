package storm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/clusto/clusto-engine/engine"
)

// The defaults and bounds of LoadConfig.
const (
	DefaultTimeout = time.Second
	slotBits       = 20 // of an id; the others tell a slot's exchanges apart
	MaxUnderWay    = 1 << slotBits
	loadLook       = 10 * time.Millisecond  // how often a closed loop looks for what is lost
	loadDoze       = time.Millisecond       // the longest that an open loop sleeps
	loadGrace      = 100 * time.Millisecond // after Time, for what was due before
)

// LoadConfig is how a load asks. Zero fields mean the defaults.
type LoadConfig struct {
	Conn, Sender engine.Conn // as in Config

	// Rate is how many exchanges begin in a second, whatever becomes of those
	// before (open loop); latencies count from the moment that an exchange was
	// due. 0: a further one begins when one has ended (closed loop).
	Rate float64

	// Outstanding is how many exchanges are under way at once: all the time in a
	// closed loop, DefaultOutstanding; at most in an open one, where what is due
	// then waits: DefaultOutstanding, and a quarter more than begin within Timeout,
	// so that there is room although none is lost on the dot. MaxUnderWay at most.
	Outstanding int

	Count   int           // exchanges in all; as many as Time allows if 0
	Time    time.Duration // no exchange begins that is due after it, and none 100 ms later; as long as Count lasts if 0
	Timeout time.Duration // an exchange is lost that is not over by then; DefaultTimeout

	Seed uint64 // of ids, and of random MACs

	// Sleep is for an open loop, a millisecond at most; time.Sleep, which may
	// well take a millisecond where less was asked for.
	Sleep func(time.Duration)

	// OnReply is told of each reply that an exchange waited for, NAKs aside, and
	// how long after the exchange's begin it came: of a DORA step 1 is the OFFER
	// and step 2 the ACK, else there is only step 1. It must be quick.
	OnReply func(step int, latency time.Duration)

	// OnProgress is told how things stand, every 50 ms at most, and at the end.
	OnProgress func(LoadResult)
}

// LoadResult is what a load came to, with
// Begun = Done + Refused + Lost + Unfinished, and
// Received = Taken + Late + Invalid + Stray.
type LoadResult struct {
	Begun      int
	Done       int // exchanges with all their replies; traps that were sent
	Refused    int // by a NAK
	Lost       int // not over within Timeout; traps that were not sent
	Unfinished int // under way when the context or the Conn ended
	NotBegun   int // beside Begun: due in an open loop that had no room for them until its end

	Sent      int // frames that the Conn took
	TxDropped int // frames that it did not take

	Received int
	Taken    int // what exchanges waited for, NAKs included
	Late     int // of an exchange that was over, or did not wait for it
	Invalid  int // what its exchange cannot use: an OFFER without an address or option 54, an ACK of another address
	Stray    int // not a reply, or to nobody's exchange

	Asking   time.Duration // until the last exchange began
	Answered time.Duration // until the last reply was taken or trap sent; 0 if none was
	Elapsed  time.Duration // until all were over, the lost ones by their Timeout
}

// DHCPLoad is what clients ask: in turn, over and over, one frame each and no
// retransmission.
type DHCPLoad struct {
	Clients []Client
	Verbs   Verb // Discover or DORA

	// Strangers gives each exchange a random MAC, locally administered, and all
	// else of a client.
	Strangers bool

	// Mirrored counts the clients' own DISCOVERs that a mirror sends back, in the
	// place of OFFERs: the limit of the machine.
	Mirrored bool
}

// LoadDHCP has clients ask a server. A load returns when Count or Time is reached
// and nothing is under way any more, or with an error when ctx is over or the Conn
// ends. It stops the Conns. Beyond what it sets up it never allocates.
func LoadDHCP(ctx context.Context, cfg LoadConfig, d *DHCPLoad) (LoadResult, error) {
	switch {
	case len(d.Clients) == 0:
		return LoadResult{}, errors.New("storm: a load needs a client")
	case d.Verbs != Discover && (d.Verbs != DORA || d.Mirrored):
		return LoadResult{}, fmt.Errorf("storm: a load is Discover or, of no mirror, DORA, not %#x", uint16(d.Verbs))
	}
	return runLoad(ctx, cfg, &dhcpSpeech{DHCPLoad: d})
}

func runLoad(ctx context.Context, cfg LoadConfig, sp speech) (LoadResult, error) {
	if err := cfg.setDefaults(); err != nil {
		return LoadResult{}, err
	}
	l := newLoad(cfg, sp)
	go l.receive()
	err := l.run(ctx)
	cfg.Conn.Stop()
	if cfg.Sender != cfg.Conn {
		cfg.Sender.Stop()
	}
	<-l.gone
	l.res.Unfinished = l.underWay
	return l.res, err
}

func (c *LoadConfig) setDefaults() error {
	switch {
	case c.Conn == nil:
		return errors.New("storm: LoadConfig.Conn is nil: open one")
	case c.Count <= 0 && c.Time <= 0:
		return errors.New("storm: a load without end: give it a Count or a Time")
	case c.Rate < 0 || math.IsNaN(c.Rate) || math.IsInf(c.Rate, 0):
		return fmt.Errorf("storm: %v exchanges a second are no rate", c.Rate)
	}
	if c.Sender == nil {
		c.Sender = c.Conn
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Sleep == nil {
		c.Sleep = time.Sleep
	}
	switch {
	case c.Outstanding > MaxUnderWay:
		return fmt.Errorf("storm: %d exchanges under way at once are too many: %d at most", c.Outstanding, MaxUnderWay)
	case c.Outstanding <= 0 && c.Rate > 0:
		c.Outstanding = int(min(1.25*c.Rate*c.Timeout.Seconds()+DefaultOutstanding, MaxUnderWay))
	case c.Outstanding <= 0:
		c.Outstanding = DefaultOutstanding
	}
	return nil
}

// exchange is a slot: an exchange under way, or none.
type exchange struct {
	mac          [6]byte
	addr, server [4]byte // of the OFFER
	who          int32   // client or switch
	age          uint32  // how many exchanges the slot has had
	step         int     // the reply that it waits for: 1, of a DORA then 2; 0 if it is over
	due, begun   int64   // nanoseconds since the load's begin; the same in a closed loop
	older, newer int32   // neighbours among those under way
}

// speech is what exchanges say: DHCP's or SNMP's.
type speech interface {
	// begin makes exchange number n, from 0 on. silent says that no reply is
	// awaited: to none of the load or to all.
	begin(e *exchange, n int, rnd *rand.Rand) (silent bool)
	// append appends the frame of the exchange's step; every reply to it has id.
	append(dst []byte, e *exchange, id uint32) []byte
	// hear parses a frame and gives the id that it has; ok is false if it is no
	// reply.
	hear(p *engine.Packet) (id uint32, ok bool)
	// take judges the reply that was heard last, by the exchange that its id
	// names; over is set if that was an earlier one of the slot.
	take(p *engine.Packet, e *exchange, over bool) fate
}

// fate is what becomes of a reply, and of its exchange.
type fate uint8

const (
	stray   fate = iota // not for the exchange's client
	late                // nobody waits for it
	invalid             // the exchange goes on waiting
	refused             // the exchange is over
	further             // the exchange has a further step
	done                // the exchange is over
)

// load is a load that runs.
type load struct {
	cfg    LoadConfig
	speech speech
	begun  time.Time
	wake   chan struct{} // one token when the receiver found nothing under way
	gone   chan struct{} // closed when the receiver ended

	sending sync.Mutex // held while a batch is made and sent
	tx      engine.Batch
	room    [][]byte // slots of tx

	mu       sync.Mutex // guards all below; taken once a batch
	slots    []exchange
	free     []int32 // slots without an exchange
	more     line    // slots that have a further step
	oldest   int32   // the exchange that is lost first; -1 if none is under way
	newest   int32
	underWay int
	silent   bool // no reply is awaited
	last     int  // how many an open loop begins in all; -1 until Time is over
	rnd      *rand.Rand
	salt     uint32 // of ids
	res      LoadResult
	err      error // why the receiver ended
}

func newLoad(cfg LoadConfig, sp speech) *load {
	n := cfg.Outstanding
	rnd := rand.New(rand.NewPCG(cfg.Seed, 1))
	l := &load{
		cfg: cfg, speech: sp, begun: time.Now(),
		wake: make(chan struct{}, 1), gone: make(chan struct{}),
		tx: engine.Batch{Replies: make([][]byte, 0, engine.BatchSize)}, room: slotRoom(),
		slots: make([]exchange, n), free: make([]int32, n), more: newLine(n),
		oldest: -1, newest: -1, last: -1, rnd: rnd, salt: rnd.Uint32(),
	}
	for i := range l.free {
		l.free[i] = int32(n - 1 - i)
	}
	return l
}

// run begins exchanges until it is time to stop, and sees to it that those are
// given up that nobody answers.
func (l *load) run(ctx context.Context) error {
	var told time.Time
	tell := func(final bool) {
		if l.cfg.OnProgress != nil && (final || time.Since(told) >= progressEvery) {
			told = time.Now()
			l.cfg.OnProgress(l.result())
		}
	}
	defer tell(true)
	alarm := time.NewTimer(loadLook)
	defer alarm.Stop()
	for {
		full := l.turn()
		tell(false)
		err, over := l.over(ctx)
		switch {
		case over:
			return err
		case full:
		case l.cfg.Rate > 0:
			l.cfg.Sleep(l.doze())
		default:
			alarm.Reset(loadLook)
			select {
			case <-ctx.Done():
			case <-l.wake:
			case <-alarm.C:
			}
		}
	}
}

// doze is how long an open loop has nothing to begin.
func (l *load) doze() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	wait := time.Duration(l.due(l.res.Begun)) - time.Since(l.begun)
	if wait <= 0 || l.enough(int64(time.Since(l.begun))) { // no slot is free, or none is needed
		return loadDoze
	}
	return min(wait, loadDoze)
}

func (l *load) result() LoadResult {
	l.mu.Lock()
	defer l.mu.Unlock()
	res := l.res
	res.Unfinished, res.Elapsed = l.underWay, time.Since(l.begun)
	return res
}

// over says whether the load has ended, and with what error.
func (l *load) over(ctx context.Context) (err error, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.underWay == 0 && l.enough(int64(time.Since(l.begun))):
		over = true
	case l.err != nil:
		err, over = fmt.Errorf("%w; %d exchanges unfinished", l.err, l.underWay), true
	case ctx.Err() != nil:
		err, over = fmt.Errorf("storm: %d exchanges unfinished: %w", l.underWay, context.Cause(ctx)), true
	}
	if over {
		l.res.Elapsed = time.Since(l.begun)
		l.res.NotBegun = max(0, l.owed(l.res.Elapsed)-l.res.Begun)
	}
	return err, over
}

// enough says whether no further exchange is to begin.
func (l *load) enough(now int64) bool {
	switch {
	case l.cfg.Count > 0 && l.res.Begun >= l.cfg.Count:
		return true
	case l.cfg.Time <= 0 || now < int64(l.cfg.Time):
		return false
	}
	return l.cfg.Rate == 0 || now >= int64(l.cfg.Time+loadGrace) || l.last >= 0 && l.res.Begun >= l.last
}

// settle has an open loop begin, once Time is over, what was due before and has room
// at once: it may have slept meanwhile.
func (l *load) settle(now int64) {
	if l.cfg.Rate > 0 && l.cfg.Time > 0 && now >= int64(l.cfg.Time) && l.last < 0 {
		l.last = l.res.Begun + max(0, min(l.owed(l.cfg.Time)-l.res.Begun, len(l.free)))
	}
}

// owed is how many exchanges of an open loop are due within a time.
func (l *load) owed(d time.Duration) int {
	if l.cfg.Time > 0 {
		d = min(d, l.cfg.Time)
	}
	n := int(min(math.Ceil(d.Seconds()*l.cfg.Rate), 1<<53))
	if l.cfg.Count > 0 {
		n = min(n, l.cfg.Count)
	}
	return n
}

// due is when the exchange of that number is to begin, in an open loop.
func (l *load) due(n int) int64 { return int64(float64(n) / l.cfg.Rate * 1e9) }
