package engine

import "sync/atomic"

// Stats counts what became of every frame. Each worker has a Counter of its
// own, so that counting never makes two cores share a cache line.
type Stats struct {
	counters []Counter
}

// Counter is one worker's share of the Stats. Its methods may be called from
// any goroutine; they are cheap from one.
type Counter struct {
	verdicts  [Verdicts]atomic.Uint64
	received  atomic.Uint64
	sent      atomic.Uint64
	txDropped atomic.Uint64
	_         [64]byte
}

// NewStats makes a Stats of n counters.
func NewStats(n int) *Stats { return &Stats{counters: make([]Counter, n)} }

// Counter gives the i-th counter.
func (s *Stats) Counter(i int) *Counter { return &s.counters[i] }

// Count notes one frame's verdict.
func (c *Counter) Count(v Verdict) { c.verdicts[v].Add(1) }

// Add notes n frames that ended alike.
func (c *Counter) Add(v Verdict, n int) { c.verdicts[v].Add(uint64(n)) }

// Sent notes frames that the kernel took, and frames that it did not take.
func (c *Counter) Sent(sent, dropped int) {
	c.sent.Add(uint64(sent))
	c.txDropped.Add(uint64(dropped))
}

// Totals is the sum over all workers.
type Totals struct {
	Verdicts  [Verdicts]uint64
	Received  uint64 // frames that a worker took from the kernel
	Sent      uint64
	TxDropped uint64 // replies that the kernel did not take
}

// Totals sums up. It may be called at any time.
func (s *Stats) Totals() (t Totals) {
	for i := range s.counters {
		c := &s.counters[i]
		for v := range t.Verdicts {
			t.Verdicts[v] += c.verdicts[v].Load()
		}
		t.Received += c.received.Load()
		t.Sent += c.sent.Load()
		t.TxDropped += c.txDropped.Load()
	}
	return t
}
