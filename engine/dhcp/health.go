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
)

// health knows whether the inventory answers, and in time. While it does not,
// stale entries answer at once. While it fails, loads go out one at a time, at
// a gentle pace; the first that succeeds opens the gate again. Each change is
// one line in the log.
type health struct {
	degraded atomic.Bool // failing or slow: one load for the hot path
	log      *slog.Logger
	slow     time.Duration
	probe    chan struct{} // holds the one token of the failing state

	mu      sync.Mutex
	failing bool
	late    bool
	inRow   int
	since   time.Time
	last    clusto.MAC // of the latest load that failed or was late
	touched time.Time  // when a load last ended
}

func (h *health) init(cfg Config) {
	h.log, h.slow = cfg.Log, cfg.Slow
	h.probe = make(chan struct{}, 1)
	h.probe <- struct{}{}
}

func (h *health) isFailing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failing
}

// enter waits until a load may go out: at once while the inventory works, else
// in turn. leave has to be called after the load. ok is false when ctx is over.
func (h *health) enter(ctx context.Context) (leave func(), ok bool) {
	if !h.isFailing() {
		return func() {}, true
	}
	select {
	case <-ctx.Done():
		return nil, false
	case <-h.probe:
	}
	back := func() { h.probe <- struct{}{} }
	if h.isFailing() { // and did not recover while we waited
		select {
		case <-ctx.Done():
			back()
			return nil, false
		case <-time.After(probeEvery):
		}
	}
	return back, true
}

// ended notes how a load went.
func (h *health) ended(mac clusto.MAC, took time.Duration, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.touched = time.Now()
	was := h.failing || h.late
	if err != nil {
		h.last = mac
		h.inRow++
		h.failing = h.failing || h.inRow >= failsInRow
	} else {
		h.inRow, h.failing, h.late = 0, false, took >= h.slow
		if h.late {
			h.last = mac
		}
	}
	h.change(was, err)
}

func (h *health) change(was bool, err error) {
	now := h.failing || h.late
	h.degraded.Store(now)
	switch {
	case now && !was:
		h.since = time.Now()
		why := "it takes over " + h.slow.String()
		if err != nil {
			why = err.Error()
		}
		h.log.Error("the inventory does not answer; known hosts are answered from memory, new ones wait", "error", why)
	case was && !now:
		h.log.Info("the inventory answers again", "after", time.Since(h.since).Round(time.Millisecond).String())
	}
}

// overdue notes a load that has not ended yet though its time is up.
func (h *health) overdue(mac clusto.MAC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.failing || h.late
	h.late, h.last = true, mac
	h.change(was, nil)
}

// idle gives the MAC to ask for when the inventory is in trouble and nobody
// has asked for a while, so that its return is noticed.
func (h *health) idle() (clusto.MAC, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, (h.failing || h.late) && time.Since(h.touched) >= 2*probeEvery
}
