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

// line is who waits to be worked on: first the newest and those of the list by
// turns, then those whose turn was over. Among them are some that are not to be
// started: one that runs is started again when it has stopped.
type line struct {
	list    [2][]netip.Addr // in the order of their addresses, from behind last on
	last    netip.Addr      // of the list, whose turn came last
	again   []netip.Addr    // whose turn was over before their events were
	came    []netip.Addr    // whose events came, the newest at the end
	newer   bool            // the next one is the newest
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
	d.lines[c].put(sw)
}

// put makes a switch the newest.
func (l *line) put(sw netip.Addr) {
	if n := len(l.came); n > 0 && l.came[n-1] == sw {
		return
	}
	if l.came = append(l.came, sw); len(l.came) == 2*newest {
		l.came = append(l.came[:0], l.came[newest:]...)
	}
}

// waits reports whether there is anybody in line.
func (l *line) waits() bool {
	return len(l.list[0])+len(l.list[1])+len(l.again)+len(l.came) > 0
}

// next gives whose turn it is.
func (l *line) next() (sw netip.Addr, ok bool) {
	l.newer = !l.newer
	if len(l.list[0]) == 0 {
		l.list[0], l.list[1] = l.list[1], nil
	}
	n, listed := len(l.came), len(l.list[0]) > 0
	switch {
	case n > 0 && (l.newer || !listed && len(l.again) == 0):
		sw, l.came = l.came[n-1], l.came[:n-1]
	case listed:
		sw, l.list[0] = l.list[0][0], l.list[0][1:]
		l.last = sw
	case len(l.again) > 0:
		sw, l.again = l.again[0], l.again[1:]
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
// when the events come again. The queue is asked beside: others need not wait for
// the end of that.
func (d *Discovery) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	began, listed := time.Now(), d.list(ctx, &all)
	var rest <-chan time.Time
	for told := false; ; {
		d.start(ctx, &all)
		if told && listed == nil && rest == nil {
			told, began, listed = false, time.Now(), d.list(ctx, &all)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.freed:
		case switches, ok := <-listed:
			if ok {
				d.lineUp(switches)
			}
			listed, rest = nil, time.After(lookShare*time.Since(began))
		case <-rest:
			rest = nil
		case <-d.wake:
			told = true
		case <-tick.C:
			told = true
		}
	}
}

// list asks the queue who has events, and gives them in the order of their
// addresses; nothing if that fails.
func (d *Discovery) list(ctx context.Context, all *sync.WaitGroup) <-chan []netip.Addr {
	out := make(chan []netip.Addr, 1)
	all.Go(func() {
		defer close(out)
		switches, err := d.cfg.Queue.Switches(ctx)
		if err != nil {
			if ctx.Err() == nil {
				d.seldom(&d.said.queue, slog.LevelWarn, "", "the journal cannot be read", "error", err)
			}
			return
		}
		slices.SortFunc(switches, netip.Addr.Compare)
		out <- switches
	})
	return out
}

// lineUp has switches that have events wait, in the order of their addresses. Of
// a million strangers each is looked at when it is its turn.
func (d *Discovery) lineUp(switches []netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var members []netip.Addr
	for sw, w := range d.workers {
		if w.class != member {
			continue
		}
		if _, has := slices.BinarySearchFunc(switches, sw, netip.Addr.Compare); has {
			members = append(members, sw)
		}
	}
	slices.SortFunc(members, netip.Addr.Compare)
	d.lines[stranger].goThrough(switches)
	d.lines[member].goThrough(members)
}

// goThrough makes a list, in order, that of a line.
func (l *line) goThrough(all []netip.Addr) {
	i, found := slices.BinarySearchFunc(all, l.last, netip.Addr.Compare)
	if found {
		i++
	}
	l.list = [2][]netip.Addr{all[i:], all[:i]}
}

// start has those worked on whose turn it is.
func (d *Discovery) start(ctx context.Context, all *sync.WaitGroup) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range classes {
		l := &d.lines[c]
		for l.running < d.cfg.atOnce[c] {
			sw, ok := l.next()
			if !ok {
				break
			}
			w := d.workers[sw]
			switch {
			case w == nil:
				w = &worker{d: d, sw: sw, ports: map[uint16]*portMACs{}}
				d.workers[sw] = w
			case w.running:
				w.told = true
				continue
			case w.class != c: // found out since
				d.lines[w.class].put(sw)
				continue
			}
			w.running, w.began = true, time.Now()
			l.running++
			all.Go(func() { w.run(ctx) })
		}
	}
}

// stopped notes that a worker has ended. What it has read and not ended it reads
// again. It may have been told of more events after it had read the last.
func (w *worker) stopped() {
	d := w.d
	w.queue, w.read = nil, w.after
	d.mu.Lock()
	l := &d.lines[w.class]
	l.running--
	switch {
	case w.over && len(l.again) < rememberStrangers: // else the next list has it
		l.again = append(l.again, w.sw)
	case w.told:
		l.put(w.sw)
	}
	w.running, w.over, w.told = false, false, false
	d.remember(w)
	d.mu.Unlock()
	d.free()
}

// free says that another worker may run.
func (d *Discovery) free() {
	select {
	case d.freed <- struct{}{}:
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
		w.d.free() // a stranger may run in its place
	} else {
		clear(w.ports)
	}
}

// rest passes a time. Another switch of clusto's may be worked on meanwhile: those
// that wait for nothing but the time to pass are no more than clusto has. Strangers
// are any number.
func (w *worker) rest(ctx context.Context, t time.Duration) {
	if w.class != member || t <= 0 {
		sleep(ctx, t)
		return
	}
	began := time.Now()
	w.counts(-1)
	w.d.free()
	sleep(ctx, t)
	w.counts(1)
	w.began = w.began.Add(time.Since(began))
}

// counts counts a worker among those that run, or no more.
func (w *worker) counts(n int) {
	w.d.mu.Lock()
	w.d.lines[w.class].running += n
	w.d.mu.Unlock()
}

// turnOver reports whether a worker has to make room for another one of its class.
func (w *worker) turnOver() bool {
	w.over = time.Since(w.began) >= w.d.cfg.turn && w.pressed()
	return w.over
}

// pressed reports whether others of a worker's class wait.
func (w *worker) pressed() bool {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	l, most := &w.d.lines[w.class], w.d.cfg.atOnce[w.class]
	return l.running > most || l.running == most && l.waits()
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
