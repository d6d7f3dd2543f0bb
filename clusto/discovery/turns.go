package discovery

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// class tells switches apart by what clusto knows of them. A sender can forge any
// address: strangers share what is theirs, and take nothing from the others.
type class uint8

const (
	stranger class = iota // clusto has no switch with the address, or was not asked yet
	member                // a switch of clusto's, when it was last asked
	classes
)

// atOnce is how many switches of a class have a worker that runs. The events of
// the others stay in the queue.
var atOnce = [classes]int{256, 1024}

// turn is how long a worker may run while others of its class wait.
const turn = time.Second

// line is who waits to be worked on.
type line struct {
	waiting []netip.Addr
	last    netip.Addr   // whose turn came last
	came    []netip.Addr // whose events came, the newest at the end
	newer   bool         // the next one is the newest
	running int
}

// newest is how many switches whose events came last are kept in mind.
const newest = 1024

// Came says that there are new events of a switch; Wake has to follow. Those whose
// events came last take turns with those that wait in line: who comes after a
// hundred thousand forged addresses need not wait for the end of them.
func (d *Discovery) Came(sw netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := stranger
	if w := d.workers[sw]; w != nil {
		c = w.class
	}
	l := &d.lines[c]
	if n := len(l.came); n > 0 && l.came[n-1] == sw {
		return
	}
	if l.came = append(l.came, sw); len(l.came) == 2*newest {
		l.came = append(l.came[:0], l.came[newest:]...)
	}
}

// next gives whose turn it is.
func (l *line) next() (sw netip.Addr, ok bool) {
	l.newer = !l.newer
	n := len(l.came)
	switch {
	case n > 0 && (l.newer || len(l.waiting) == 0):
		sw, l.came = l.came[n-1], l.came[:n-1]
	case len(l.waiting) > 0:
		sw, l.waiting = l.waiting[0], l.waiting[1:]
		l.last = sw
	default:
		return sw, false
	}
	return sw, true
}

// lookEvery is how often the queue is looked at without being told.
const lookEvery = time.Second

// lookShare bounds the time that is spent on asking the queue for its switches, of
// which there may be a million: that many times as long it is not asked again.
const lookShare = 4

// Run works events off until ctx is over. What is half done then is done again
// when the events come again.
func (d *Discovery) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		began := time.Now()
		d.lineUp(ctx)
		rest := time.After(lookShare * time.Since(began))
		for told := false; !told || rest != nil; {
			d.start(ctx, &all)
			select {
			case <-ctx.Done():
				return
			case <-d.freed:
			case <-rest:
				rest = nil
			case <-d.wake:
				told = true
			case <-tick.C:
				told = true
			}
		}
	}
}

// lineUp asks the queue who has events, and has them wait in the order of their
// addresses, from the one on whose turn came last.
func (d *Discovery) lineUp(ctx context.Context) {
	d.begin()
	switches, err := d.cfg.Queue.Switches(ctx)
	if err != nil {
		if ctx.Err() == nil {
			d.seldom(&d.said.queue, slog.LevelWarn, "", "the journal cannot be read", "error", err)
		}
		return
	}
	slices.SortFunc(switches, netip.Addr.Compare)
	d.forget(switches)
	d.mu.Lock()
	defer d.mu.Unlock()
	var waiting, first [classes][]netip.Addr
	for _, sw := range switches {
		c := stranger
		if w := d.workers[sw]; w != nil && w.running {
			continue
		} else if w != nil {
			c = w.class
		}
		if sw.Compare(d.lines[c].last) > 0 {
			first[c] = append(first[c], sw)
		} else {
			waiting[c] = append(waiting[c], sw)
		}
	}
	for c := range d.lines {
		d.lines[c].waiting = append(first[c], waiting[c]...)
	}
}

// start has those worked on whose turn it is.
func (d *Discovery) start(ctx context.Context, all *sync.WaitGroup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.lines {
		l := &d.lines[c]
		for l.running < atOnce[c] {
			sw, ok := l.next()
			if !ok {
				break
			}
			w := d.workers[sw]
			if w == nil {
				w = &worker{d: d, sw: sw, ports: map[uint16]*portMACs{}}
				d.workers[sw] = w
			}
			if w.running {
				continue
			}
			w.running, w.began = true, time.Now()
			d.lines[w.class].running++
			all.Go(func() { w.run(ctx) })
		}
	}
}

// stopped notes that a worker has ended. What it has read and not ended it reads
// again.
func (w *worker) stopped() {
	w.queue, w.read = nil, w.after
	w.d.mu.Lock()
	w.running, w.round = false, w.d.round
	w.d.lines[w.class].running--
	w.d.mu.Unlock()
	select {
	case w.d.freed <- struct{}{}:
	default:
	}
}

// classify notes whether clusto has the switch.
func (w *worker) classify(has bool) {
	c := stranger
	if has {
		c = member
	}
	w.d.mu.Lock()
	w.d.lines[w.class].running--
	w.class = c
	w.d.lines[c].running++
	w.d.mu.Unlock()
	if has {
		select { // a stranger may run in its place
		case w.d.freed <- struct{}{}:
		default:
		}
	}
}

// turnOver reports whether a worker has to make room for another one of its class.
func (w *worker) turnOver() bool {
	if time.Since(w.began) < turn || !w.pressed() {
		return false
	}
	w.d.Wake() // it has to line up again
	return true
}

// pressed reports whether others of a worker's class wait.
func (w *worker) pressed() bool {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	l := &w.d.lines[w.class]
	return len(l.waiting) > 0 || l.running > atOnce[w.class]
}

// errNotNow ends the turn of a stranger that would only wait, while others do.
var errNotNow = errors.New("others are to be worked on meanwhile")

// mayCall waits until a worker may call the inventory: strangers at most with
// half of all calls. done has to be called after it.
func (w *worker) mayCall(ctx context.Context) (done func(), err error) {
	held := []chan struct{}{w.d.strangers, w.d.calls}
	if w.class == member {
		held = held[1:]
	}
	for i, c := range held {
		select {
		case c <- struct{}{}:
		case <-ctx.Done():
			release(held[:i])
			return nil, ctx.Err()
		}
	}
	return func() { release(held) }, nil
}

func release(held []chan struct{}) {
	for _, c := range held {
		<-c
	}
}

// rememberSwitches is how many switches may be known of before those are forgotten
// of which nothing needs to be.
const rememberSwitches = 1 << 14

// begin begins a round.
func (d *Discovery) begin() {
	d.mu.Lock()
	d.round++
	d.mu.Unlock()
}

// forget drops workers when there are many, given the switches that have events
// in the queue. What a worker ended leaves the queue some time later; forgotten
// before, it would be read and worked off again. So only those go that had stopped
// before the queue was asked, and that have nothing in it, or are strangers that
// have ended nothing. Of other strangers little more is kept than what they ended.
func (d *Discovery) forget(waiting []netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.workers) < rememberSwitches {
		return
	}
	for sw, w := range d.workers {
		if w.running || w.round >= d.round || w.class == member {
			continue
		}
		_, has := slices.BinarySearchFunc(waiting, sw, netip.Addr.Compare)
		switch {
		case !has, w.after == 0:
			delete(d.workers, sw)
		case !w.leftAlone():
			w.facts = nil
		}
	}
}
