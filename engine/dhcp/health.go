package dhcp

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	probeEvery = 200 * time.Millisecond // pace of loads while the inventory fails
	failsInRow = 3                      // failed loads without a good one in between
	lateInRow  = 3                      // late loads without a good one in between
	lateHold   = 5 * time.Second        // without a late load, after which it is not slow any more
)

// health knows whether the inventory answers, and in time. While it does not,
// stale entries answer at once. While it fails, loads go out one at a time, at
// a gentle pace; the first that succeeds opens the gate again. Each change is
// one line in the log: an inventory that is slow for some hosts only counts as
// slow until it has not been for a while.
type health struct {
	degraded atomic.Bool // failing or slow: one load for the hot path
	down     atomic.Bool // failing
	doubt    atomic.Bool // the latest load failed or is late: ping
	log      *slog.Logger
	slow     time.Duration
	probe    chan struct{} // holds the one token of the failing state

	mu      sync.Mutex
	failing bool
	late    bool
	open    chan struct{} // closed while the inventory does not fail
	inRow   int
	lates   int        // in a row
	lateAt  time.Time  // the latest of them
	odd     []oddLoad  // failed, and perhaps only for that host
	since   time.Time  // when the trouble began
	over    time.Time  // when the trouble before was over
	last    clusto.MAC // of the latest load that failed or was late
	touched time.Time  // when a load last ended
	good    time.Time  // and ended well

	loads map[clusto.MAC]time.Time // on their way, and since when
}

// oddLoad is a load that failed while others went well.
type oddLoad struct {
	mac clusto.MAC
	err error
}

func (h *health) init(cfg Config) {
	h.log, h.slow = cfg.Log, cfg.Slow
	h.probe = make(chan struct{}, 1)
	h.probe <- struct{}{}
	h.open = make(chan struct{})
	close(h.open)
	h.loads = map[clusto.MAC]time.Time{}
}

// begin notes that a load is on its way, until done.
func (h *health) begin(mac clusto.MAC) (now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now = time.Now()
	h.loads[mac] = now
	return now
}

func (h *health) done(mac clusto.MAC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.loads, mac)
}

// hanging gives a MAC whose load is late and has not ended yet. Without one it
// is the MAC of the latest that failed or was late.
func (h *health) hanging() (clusto.MAC, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for mac, began := range h.loads {
		if time.Since(began) >= h.slow {
			return mac, true
		}
	}
	return h.last, false
}

// quiet reports whether no load has ended well for a while.
func (h *health) quiet() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.good) >= h.slow
}

// gate gives a channel that is closed while loads may go out freely.
func (h *health) gate() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// enter waits until a load may go out: at once while the inventory works, else
// in turn. leave has to be called after the load. ok is false when ctx is over.
func (h *health) enter(ctx context.Context) (leave func(), ok bool) {
	open := h.gate()
	select {
	case <-open:
		return func() {}, true
	default:
	}
	select {
	case <-ctx.Done():
		return nil, false
	case <-open:
		return func() {}, true
	case <-h.probe:
	}
	select {
	case <-ctx.Done():
		h.probe <- struct{}{}
		return nil, false
	case <-open:
	case <-time.After(probeEvery):
	}
	return func() { h.probe <- struct{}{} }, true
}

// ended notes how a load went. It gives the loads that have failed though the
// inventory works, as this one shows. At the edges of an outage many loads are
// on their way: what began before an edge says nothing of what is behind it.
func (h *health) ended(mac clusto.MAC, began time.Time, err error) (odd []oddLoad) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touched = time.Now()
	took := h.touched.Sub(began)
	was := h.failing || h.late
	switch {
	case h.old(began):
	case err != nil:
		h.failed(mac, err)
	case took >= h.slow: // overdue has noted it
		odd = h.works()
	default:
		odd = h.works()
		h.lates = 0
		h.late = h.late && time.Since(h.lateAt) < lateHold
	}
	h.change(was, err)
	return odd
}

// old reports whether a load began before the last change for better or worse.
func (h *health) old(began time.Time) bool {
	if h.failing {
		return began.Before(h.since)
	}
	return began.Before(h.over)
}

func (h *health) failed(mac clusto.MAC, err error) {
	h.last = mac
	h.inRow++
	switch {
	case h.failing:
	case h.inRow >= failsInRow:
		h.failing, h.open, h.odd = true, make(chan struct{}), nil
	default:
		h.odd = append(h.odd, oddLoad{mac, err})
	}
}

// works notes that the inventory gave an answer.
func (h *health) works() (odd []oddLoad) {
	if h.failing {
		close(h.open)
	}
	odd, h.odd = h.odd, nil
	h.inRow, h.failing, h.good = 0, false, time.Now()
	return odd
}

func (h *health) change(was bool, err error) {
	now := h.failing || h.late
	h.degraded.Store(now)
	h.down.Store(h.failing)
	h.doubt.Store(now || h.inRow > 0 || h.lates > 0)
	switch {
	case now && !was:
		h.since = time.Now()
		why := "it takes over " + h.slow.String()
		if err != nil {
			why = err.Error()
		}
		h.log.Error("the inventory does not answer; known hosts are answered from memory, new ones wait", "error", why)
	case was && !now:
		h.over = time.Now()
		h.log.Info("the inventory answers again", "after", time.Since(h.since).Round(time.Millisecond).String())
	}
}

// overdue notes a load that has not ended yet though its time is up.
func (h *health) overdue(mac clusto.MAC, began time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if began.Before(h.over) {
		return
	}
	was := h.failing || h.late
	h.last, h.lateAt = mac, time.Now()
	h.lates++
	h.late = h.late || h.lates >= lateInRow
	h.change(was, nil)
}

// away notes that the inventory is not there, as a ping says.
func (h *health) away(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.failing || h.late
	h.late, h.lateAt = true, time.Now()
	h.change(was, err)
}

// returned notes that the inventory is there again.
func (h *health) returned() {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.failing || h.late
	h.works()
	h.lates, h.late = 0, false
	h.change(was, nil)
}

// idle gives the MAC to ask for when the inventory is in trouble and nobody
// has asked for a while, so that its return is noticed.
func (h *health) idle() (clusto.MAC, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, (h.failing || h.late) && time.Since(h.touched) >= 2*probeEvery
}
