package main

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/engine"
)

// manySenders is how many addresses a sender forges.
const manySenders = 20_000

// TestManySendersStarveNoSwitch: each address that a trap came from had a worker
// of its own at once. Their memory had no bound, and a switch of clusto's was not
// answered meanwhile, nor was whoever reads the metrics. When each had its turn in
// the order of addresses, the switch waited for most of them.
func TestManySendersStarveNoSwitch(t *testing.T) {
	l := newLab(t, 1)
	l.start()
	before, senders := l.resident(), scaled(manySenders)
	l.forged(senders)
	began := time.Now()
	s := l.informer(0, [][]byte{learnt(testMAC(0), 1)}, nil)
	s.may.Store(1)
	over := make(chan struct{})
	defer close(over)
	go s.run(over)
	peak := l.resident()
	for _, wait := range []struct {
		what string
		ok   func() bool
	}{
		{"acknowledged", s.acked[0].Load},
		{"server made", func() bool { return l.figures()[outcome(discovery.Created)] == 1 }},
		{"all ended", func() bool { return l.figures()["journal_waiting"] == 0 }},
	} {
		l.until(wait.what, func() bool {
			peak = max(peak, l.resident())
			return wait.ok()
		})
		ended := l.figures()[outcome(discovery.UnknownSwitch)]
		t.Logf("%s after %v, %d forged ones had ended", wait.what, time.Since(began).Round(time.Millisecond), int(ended))
		if wait.what == "server made" && int(ended) > senders/2 {
			t.Errorf("the switch had its turn after %d of %d forged ones", int(ended), senders)
		}
	}
	f := l.figures()
	taken := f[verdict(engine.Journaled)]
	t.Logf("%d of %d traps taken; memory %d MB, before %d MB", taken, senders, peak, before)
	if n := f[outcome(discovery.UnknownSwitch)]; n != taken || int(n) < senders/2 {
		t.Errorf("%d ended as of no switch, %d of %d were taken", n, taken, senders)
	}
	if peak > before+150 && !raceEnabled {
		t.Errorf("the daemon has grown from %d to %d MB", before, peak)
	}
}

// forged sends a trap from each of so many addresses that clusto has not.
func (l *lab) forged(n int) {
	l.Helper()
	c := l.handmade()
	var room [engine.BatchSize][]byte
	for i := range n {
		at := len(c.batch.Replies)
		binary.BigEndian.PutUint32(c.head.Src[:], 11<<24+uint32(i))
		mac := clusto.MAC{0, 0x1e, 0xc9, 1, byte(i >> 8), byte(i)}
		room[at] = c.frame(room[at][:0], notification(false, "public", 1, learnt(mac, 1)))
		if c.batch.Replies = append(c.batch.Replies, room[at]); at == engine.BatchSize-1 || i == n-1 {
			c.group.Conn(0).Send(&c.batch)
			c.batch.Replies = c.batch.Replies[:0]
		}
	}
}
