package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
)

// worker works off the events of one switch, in their order.
type worker struct {
	d       *Discovery
	sw      netip.Addr
	running bool      // guarded by d.mu
	told    bool      // of events that came while it ran; guarded by d.mu
	kept    bool      // in d.strange; guarded by d.mu
	claims  bool      // one of d.claims; guarded by d.mu
	class   class     // written by the worker alone, with d.mu held
	began   time.Time // to run, but for the time that it rested
	over    bool      // its turn is

	after  int64     // the last event that has ended
	read   int64     // the last event that was read
	filled time.Time // all events that were read had come by then
	queue  []Event   // read, not ended
	ports  map[uint16]*portMACs
	facts  *facts
	failed int // calls of the inventory in a row
	tries  int // of the program of the rack's layout, that failed for the event at hand
}

// portMACs are the MACs that a port showed of late.
type portMACs struct {
	seen   map[clusto.MAC]time.Time
	uplink time.Time // when it last showed too many at once

	asked time.Time     // when the facts were read that said the port is no server's, or crowded
	holds time.Duration // that, from then on
}

// uplinkFor is how long a port that showed too many MACs remains an uplink,
// unless the switch reports them as removed.
const uplinkFor = time.Hour

const (
	readAhead      = 2048
	macsPerPort    = 64   // more need not be told apart
	portsPerSwitch = 4096 // remembered; a sender can name any of 65,536
	// portsOfStranger is how many are remembered before clusto was asked about the
	// switch.
	portsOfStranger = 8
	backoffMost     = 10 * time.Second
	// stepwiseLonger is how many times longer a call may take that is dozens of
	// them, in turn with those for other switches.
	stepwiseLonger = 10
	afterRefusal   = 3 // how often a decision is made anew when the facts have changed
	programTries   = 5 // how often the program of a layout may fail for an event; then those behind it go on
)

func (w *worker) run(ctx context.Context) {
	defer w.stopped()
	if w.class == stranger && !w.room(ctx) {
		w.wait(ctx, 0)
		return
	}
	for ctx.Err() == nil && !w.turnOver() {
		if len(w.queue) == 0 && !w.fill(ctx) {
			return
		}
		ev := w.queue[0]
		outcome, reason, err := w.one(ctx, ev)
		if errors.Is(err, errNotNow) {
			return
		}
		if errors.Is(err, rack.ErrProgram) {
			outcome, reason, err = w.noPlace(ctx, err)
		} else if err != nil && ctx.Err() == nil {
			w.d.Retries.Add(1)
			w.wait(ctx, w.failed)
			w.failed++
		}
		if err == nil {
			w.end(ctx, ev, outcome, reason)
		}
	}
}

// noPlace counts a failure of the program that places the event at hand: it is
// tried again in a while, unless that was the last time.
func (w *worker) noPlace(ctx context.Context, err error) (Outcome, string, error) {
	w.failed = 0 // the inventory has answered
	if w.tries++; w.tries < programTries {
		w.wait(ctx, w.tries-1)
		return 0, "", err
	}
	return Refused, fmt.Sprintf("%v; %d times in a row", err, w.tries), nil
}

// fill reads more events. It reports whether any wait.
func (w *worker) fill(ctx context.Context) bool {
	if len(w.queue) >= readAhead {
		return true
	}
	more, err := w.d.cfg.Queue.Next(ctx, w.sw, w.read, readAhead-len(w.queue))
	if err != nil {
		if ctx.Err() == nil {
			w.d.seldom(&w.d.said.queue, slog.LevelWarn, "", "the journal cannot be read", "error", err)
		}
		return len(w.queue) > 0
	}
	if n := len(more); n > 0 {
		w.read, w.filled = more[n-1].Seq, time.Now()
	}
	w.queue = append(w.queue, more...)
	return len(w.queue) > 0
}

// note remembers which MACs a port showed, of an event that has ended. Of an
// address that no switch has nothing is, and little of one that clusto was not asked
// about yet, as when it shows such MACs alone as are no server's: anybody can send
// from any.
func (w *worker) note(ev *Event, outcome Outcome) {
	p := w.ports[ev.Port]
	if ev.Kind == Removed && p != nil {
		delete(p.seen, ev.MAC)
	}
	if ev.Kind != Learnt || outcome == UnknownSwitch {
		return
	}
	most := max(macsPerPort, w.d.cfg.MaxMACs+1)
	if w.class == stranger {
		if most = w.d.cfg.MaxMACs + 1; p == nil && len(w.ports) >= portsOfStranger {
			return
		}
	}
	p = w.port(ev)
	if len(p.seen) >= most {
		p.forget(ev.At, max(w.d.cfg.HoldDown, 0))
	}
	if _, ok := p.seen[ev.MAC]; ok || len(p.seen) < most {
		p.seen[ev.MAC] = ev.At
	}
}

// port gives what is remembered of an event's port, from now on if nothing was.
// When there are too many, those go that show nothing now, and if that is less than
// half of them, any.
func (w *worker) port(ev *Event) *portMACs {
	p := w.ports[ev.Port]
	if p != nil {
		return p
	}
	if len(w.ports) >= portsPerSwitch {
		maps.DeleteFunc(w.ports, func(_ uint16, p *portMACs) bool {
			p.forget(ev.At, max(w.d.cfg.HoldDown, 0))
			return len(p.seen) == 0 && ev.At.Sub(p.uplink) >= uplinkFor
		})
		for port := range w.ports {
			if len(w.ports) <= portsPerSwitch/2 {
				break
			}
			delete(w.ports, port)
		}
	}
	p = &portMACs{seen: map[clusto.MAC]time.Time{}}
	w.ports[ev.Port] = p
	return p
}

// forget drops what was shown longer than a hold-down before now; of an uplink,
// longer than it remains one.
func (p *portMACs) forget(now time.Time, hold time.Duration) {
	if now.Sub(p.uplink) < uplinkFor {
		hold = max(hold, uplinkFor)
	}
	t := now.Add(-hold)
	maps.DeleteFunc(p.seen, func(_ clusto.MAC, at time.Time) bool { return at.Before(t) })
}

// macsOn counts the MACs that a port showed around an event: those that came a
// hold-down before it or after it at most, or longer ago on an uplink. The event
// may have waited for hours.
func (w *worker) macsOn(ev Event) int {
	hold := max(w.d.cfg.HoldDown, 0)
	macs := map[clusto.MAC]bool{ev.MAC: true}
	if p := w.ports[ev.Port]; p != nil {
		p.forget(ev.At, hold)
		for mac := range p.seen {
			macs[mac] = true
		}
	}
	for _, next := range w.queue {
		if next.Kind == Learnt && next.Port == ev.Port && !next.At.After(ev.At.Add(hold)) {
			macs[next.MAC] = true
		}
	}
	return len(macs)
}

// markUplink remembers that a port showed too many MACs when an event came.
func (w *worker) markUplink(ev Event) { w.port(&ev).uplink = ev.At }

// wait passes the time after something failed that had failed n times before:
// longer each time, and not the same for all.
func (w *worker) wait(ctx context.Context, n int) {
	d := min(w.d.cfg.Backoff<<min(n, 10), backoffMost)
	sleep(ctx, d/2+rand.N(d/2+1))
}

func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// end counts an outcome, says it, and takes the event out of the queue.
func (w *worker) end(ctx context.Context, ev Event, outcome Outcome, reason string) {
	d := w.d
	d.outcomes[outcome].Add(1)
	d.say(ev, outcome, reason)
	w.note(&ev, outcome)
	w.failed, w.tries = 0, 0
	w.after, w.queue = ev.Seq, w.queue[1:]
	if !outcome.dead() {
		d.cfg.Queue.Done(ev.Seq)
		return
	}
	if err := d.cfg.Queue.Bury(ctx, ev, outcome.String(), reason); err != nil {
		d.seldom(&d.said.bury, slog.LevelWarn, "", "a dead letter is not on disk yet; it is kept in memory, and written as soon as that works", "error", err)
	}
}

// say logs an outcome: a server always, what somebody can mend as a warning at a
// limited rate, as what a switch says that changes nothing, all else for debugging.
func (d *Discovery) say(ev Event, outcome Outcome, reason string) {
	args := []any{
		"outcome", outcome.String(), "switch", ev.Switch.String(), "port", ev.Port, "vlan", ev.VLAN, "mac", ev.MAC.String(),
	}
	if reason != "" {
		args = append(args, "reason", reason)
	}
	level, key := slog.LevelWarn, ev.Switch.String()
	switch outcome {
	case Created, Attached:
		d.cfg.Log.Info("discovered", args...)
		return
	case UnknownSwitch, NoLayout, Off: // the same for all MACs of the switch
	case KnownMoved, Uplink, Crowded, Unmapped, Refused, NotUnderstood:
		key += ev.MAC.String()
	case Gone, MoveSeen:
		level = slog.LevelInfo
	default:
		d.cfg.Log.Debug("not discovered", args...)
		return
	}
	d.seldom(&d.said.outcomes[outcome], level, key, "not discovered", args...)
}

// one finds out what is to become of an event, and does it. An error is one of
// the inventory, or wraps rack.ErrProgram: the event is tried again.
func (w *worker) one(ctx context.Context, ev Event) (outcome Outcome, reason string, err error) {
	switch ev.Kind {
	case Removed:
		return Gone, "", nil
	case Moved:
		return MoveSeen, "", nil
	case Learnt:
	default:
		return NotUnderstood, "", nil
	}
	if why := w.d.notAServers(ev.MAC); why != "" {
		return NotServerMAC, why, nil
	}
	var try attempt
	for i := 0; i < afterRefusal; i++ {
		outcome, reason, err = w.decide(ctx, ev, &try)
		if errors.Is(err, errOutdated) {
			w.facts = nil
			i--
			continue
		}
		if err == nil && outcome.mendable() && w.outdated() && !w.stillHolds(&ev, outcome) {
			if outcome == UnknownSwitch && w.leftAlone() && w.pressed() {
				return 0, "", errNotNow
			}
			w.anew(ctx)
			i--
			continue
		}
		if err != nil && isRefusal(err) { // asking again would not help
			return Refused, err.Error(), nil
		}
		if !errors.Is(err, errChanged) {
			w.heard(&ev, outcome)
			return outcome, reason, err
		}
		w.facts, try.anew = nil, true // what was decided on does not hold any more
	}
	return Refused, cmpOr(reason, fmt.Sprintf("%v; %d times in a row", err, afterRefusal)), nil
}

// attempt is what has been done about an event so far.
type attempt struct {
	held  bool // it has waited
	fresh bool // the facts were read for it, to make a server or a cable by
	anew  bool // the facts were read after it had been looked at
}

// errChanged says that a decision has to be made anew: the inventory is not what
// it was taken for.
var errChanged = errors.New("the inventory changed meanwhile")

// errOutdated says that the facts are too old to make a server or a cable by.
var errOutdated = errors.New("the facts are too old")

// call makes one call of the inventory that reads, not too many at once.
func (w *worker) call(ctx context.Context, fn func(context.Context) error) error {
	return w.callTo(ctx, false, fn)
}

// callTo is call for one that may change something.
func (w *worker) callTo(ctx context.Context, change bool, fn func(context.Context) error) error {
	done, err := w.mayCall(ctx)
	if err != nil {
		return err
	}
	defer done()
	limit := w.d.cfg.Timeout
	if w.d.cfg.Stepwise() {
		limit *= stepwiseLonger
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	begun := time.Now()
	err = fn(within)
	switch {
	case err == nil || isRefusal(err) || errors.Is(err, errChanged):
		w.d.health.works(begun, change)
	case ctx.Err() == nil:
		w.d.health.failed(begun, change, err)
	}
	return err
}
