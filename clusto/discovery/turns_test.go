package discovery

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/labtest"
)

// listing is a queue that is listed while a test lets it.
type listing struct {
	*letters
	calls chan struct{} // one token for each call of Switches
	may   chan struct{} // a call returns, with nothing, for a token of this
}

func newListing() *listing { return &listing{calls: make(chan struct{}), may: make(chan struct{})} }

// replaces puts it in the place of the queue in memory that it has.
func (q *listing) replaces(c *Config) { q.letters, c.Queue = c.Queue.(*letters), q }

func (q *listing) Switches(ctx context.Context) ([]netip.Addr, error) {
	select {
	case q.calls <- struct{}{}:
	case <-ctx.Done():
	}
	select {
	case <-q.may:
	case <-ctx.Done():
	}
	return nil, ctx.Err()
}

// told has discovery told of an event, and waits until it has ended.
func (l *lab) told(ev Event) {
	l.t.Helper()
	l.queue.add(ev)
	l.Came(ev.Switch)
	l.send()
	l.wait(1)
}

// TestListingHoldsNobodyUp: while the queue was asked for its switches, which takes
// seconds of a million, nobody's turn came.
func TestListingHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	q := newListing()
	l := newLab(t, openStore(t, originalFile(t)), q.replaces)
	<-q.calls
	for i := range 3 {
		l.told(learnt(fmt.Sprintf("00:1e:c9:00:0a:%02x", i), uint16(25+i)))
	}
	l.want(map[string]uint64{"created": 3})
}

// lateEvent has an event come just after a worker found nothing more to read, and
// before it stops.
type lateEvent struct {
	*listing
	d    *Discovery
	late Event
	once atomic.Bool
}

func (q *lateEvent) Next(ctx context.Context, sw netip.Addr, after int64, limit int) ([]Event, error) {
	events, err := q.letters.Next(ctx, sw, after, limit)
	q.mu.Lock()
	ended := q.done[after]
	q.mu.Unlock()
	if !ended || len(events) > 0 || !q.once.CompareAndSwap(false, true) {
		return events, err
	}
	q.letters.add(q.late)
	q.d.Came(sw)
	q.may <- struct{}{} // the list is done, and does not have it
	q.d.Wake()
	<-q.calls // the next one has begun: all that came before has been seen to
	return nil, nil
}

// TestEventThatComesAtTheEnd: one that came when its switch's worker had read the
// last one, and had not stopped, waited for the queue to be listed again.
func TestEventThatComesAtTheEnd(t *testing.T) {
	t.Parallel()
	late := &lateEvent{listing: newListing(), late: learnt("00:1e:c9:00:0a:02", 26)}
	l := newLab(t, openStore(t, originalFile(t)), late.replaces, func(c *Config) { c.Queue = late })
	late.d = l.Discovery
	<-late.calls
	l.told(learnt("00:1e:c9:00:0a:01", 25))
	l.wait(1)
	l.want(map[string]uint64{"created": 2})
}

// TestWhoseTurnIsOverWaitsInLine: a worker that made room for others was in no line
// until the queue had been listed again; its wake came before it had stopped.
func TestWhoseTurnIsOverWaitsInLine(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	d := New(Config{Queue: newLetters(), turn: time.Nanosecond, atOnce: [classes]int{1, 1}})
	w := &worker{d: d, sw: a, running: true}
	d.workers[a] = w
	w.classify(true)
	l := &d.lines[member]
	l.running = 1
	if w.turnOver() {
		t.Error("its turn is over, and nobody waits")
	}
	l.put(b)
	if !w.turnOver() {
		t.Error("its turn is not over")
	}
	w.stopped()
	for _, want := range []netip.Addr{b, a} {
		if sw, _ := l.next(); sw != want {
			t.Errorf("next is %v, want %v", sw, want)
		}
	}
	if sw, ok := l.next(); ok {
		t.Errorf("%v waits", sw)
	}
}

// TestHoldDownTakesNoTurn: a switch with a new MAC on an unconnected port was one of
// those that are worked on at once while it only waited: so many of them, and no
// other had its turn for the time of a hold-down.
func TestHoldDownTakesNoTurn(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	rackOf5555(t, s, "sv2-r05", "10.42.0.250")
	l := newLab(t, s, func(c *Config) { c.HoldDown, c.anew, c.atOnce = time.Hour, time.Millisecond, [classes]int{1, 1} })
	other := from("10.42.0.250", learnt("00:1e:c9:00:0f:01", 30_000)) // on a port that the layout does not have
	l.send(other)
	held := learnt("00:1e:c9:00:0a:01", 25)
	l.queue.add(held)
	l.Wake()
	labtest.Until(t, time.Minute, "a worker that rests", func() bool { return l.rest() == 1 }, func() any { return l.log })
	l.send(other)
	l.want(map[string]uint64{"unmapped": 2})
}

// rest is how many workers rest.
func (l *lab) rest() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.workers {
		if w.running {
			n++
		}
	}
	for c := range classes {
		n -= l.lines[c].running
	}
	return n
}

// addresses are so many, in their order, that anybody can forge.
func addresses(n int) []netip.Addr {
	all := make([]netip.Addr, n)
	for i := range all {
		var sw [4]byte
		binary.BigEndian.PutUint32(sw[:], 11<<24+uint32(i))
		all[i] = netip.AddrFrom4(sw)
	}
	return all
}

// million is how many addresses are forged.
const million = 1_000_000

// TestMembersGoBeforeAMillion: however many addresses are listed, each that waits is
// in one place, and a switch of clusto's is not behind them.
func TestMembersGoBeforeAMillion(t *testing.T) {
	d := New(Config{Queue: newLetters()})
	all := addresses(million)
	for i := range 3 {
		sw := all[million/4*(i+1)]
		d.workers[sw] = &worker{d: d, sw: sw, class: member}
	}
	d.lines[stranger].last = all[million/2]
	if n := testing.AllocsPerRun(1, func() { d.lineUp(all) }); n > 10 {
		t.Errorf("%v allocations for %d addresses", n, million)
	}
	for i := range 3 {
		if sw, ok := d.lines[member].next(); !ok || sw != all[million/4*(i+1)] {
			t.Errorf("the %d. switch of clusto's is %v", i+1, sw)
		}
	}
	if sw, ok := d.lines[member].next(); ok {
		t.Errorf("%v is taken for one of clusto's", sw)
	}
	var got []netip.Addr
	for sw, ok := d.lines[stranger].next(); ok; sw, ok = d.lines[stranger].next() {
		got = append(got, sw)
	}
	if want := slices.Concat(all[million/2+1:], all[:million/2+1]); !slices.Equal(got, want) {
		t.Errorf("%d strangers wait, from %v on", len(got), got[:min(1, len(got))])
	}
}

// BenchmarkLineUp: for how long a million addresses keep all others waiting.
func BenchmarkLineUp(b *testing.B) {
	d := New(Config{Queue: newLetters()})
	all := addresses(million)
	for i := range rememberStrangers + 1000 {
		c := stranger
		if i < 1000 {
			c = member
		}
		d.workers[all[i*50]] = &worker{d: d, class: c}
	}
	for b.Loop() {
		d.lineUp(all)
	}
}

// TestBusyPortIsAskedSeldom: events on a port of a switch, which come all the time,
// had all that is known of its switch read anew each second.
func TestBusyPortIsAskedSeldom(t *testing.T) {
	t.Parallel()
	var all atomic.Int64
	l := newLab(t, failing{openStore(t, originalFile(t)), func(call string) error {
		if call == "entities" {
			all.Add(1)
		}
		return nil
	}}, func(c *Config) { c.anew, c.Facts = time.Nanosecond, time.Hour })
	l.send(learnt("00:1e:c9:00:0d:00", 44)) // the power strip's
	l.mu.Lock()
	p := l.workers[sw1].ports[44]
	l.mu.Unlock()
	asked := p.asked
	p.asked, p.holds = time.Now(), time.Hour // it was asked often before
	all.Store(0)
	const events = 20
	for range events {
		l.send(learnt("00:1e:c9:00:0d:01", 44))
	}
	if n := all.Load(); n != events || asked.IsZero() { // for the owners of each MAC
		t.Errorf("%d calls for %d events", n, events)
	}
	l.want(map[string]uint64{"not_server_port": events + 1})
}

// TestBadNewsOfAPortIsKept for the longer the sooner it was asked for again.
func TestBadNewsOfAPortIsKept(t *testing.T) {
	w := newWorker(Config{anew: time.Second, Facts: 10 * time.Second})
	ev := Event{Port: 44, Kind: Learnt}
	now := time.Now().Add(-time.Hour)
	for i, c := range []struct {
		after, holds int // seconds
		outcome      Outcome
	}{
		{0, 0, NotServerPort},
		{1, 1, NotServerPort},
		{1, 2, Crowded},
		{0, 2, NotServerPort}, // by the same facts
		{3, 4, NotServerPort},
		{4, 8, NotServerPort},
		{9, 10, NotServerPort},
		{1, 10, Unmapped},
		{9, 10, NotServerPort},
		{23, 0, NotServerPort}, // it was quiet
		{2, 1, NotServerPort},
	} {
		now = now.Add(time.Duration(c.after) * time.Second)
		w.facts, w.filled = &facts{begun: now}, now.Add(-1)
		w.heard(&ev, c.outcome)
		if got := w.ports[44].holds; got != time.Duration(c.holds)*time.Second {
			t.Errorf("%d: %v is kept for %v, want %d s", i, c.outcome, got, c.holds)
		}
	}
	if w.stillHolds(&ev, NotServerPort) {
		t.Error("it holds for an hour")
	}
	w.ports[44].asked = time.Now()
	w.ports[44].holds = time.Hour
	if !w.stillHolds(&ev, NotServerPort) || w.stillHolds(&ev, Unmapped) || w.stillHolds(&Event{Port: 45}, Crowded) {
		t.Error("it does not hold, or for anything")
	}
}
