package discovery

import (
	"context"
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// unflushed is a queue with one event of each switch, which what has ended leaves
// only when it is told to, as it leaves a journal some time later.
type unflushed struct {
	mu     sync.Mutex
	events []Event // the n-th one has the number n+1
	times  []int   // that it ended
	left   int     // how many of the first ones have left
	ended  int
	listed int
	heard  *sync.Cond // something of that has changed
}

// more queues events of new switches.
func (q *unflushed) more(n int, kind Kind) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		var sw [4]byte
		binary.BigEndian.PutUint32(sw[:], uint32(len(q.events)))
		q.events = append(q.events, Event{Seq: int64(len(q.events) + 1), At: time.Now(), Switch: netip.AddrFrom4(sw), Kind: kind})
		q.times = append(q.times, 0)
	}
}

func (q *unflushed) Switches(context.Context) (out []netip.Addr, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.listed++
	q.heard.Broadcast()
	for _, ev := range q.events[q.left:] {
		out = append(out, ev.Switch)
	}
	return out, nil
}

func (q *unflushed) Next(_ context.Context, sw netip.Addr, after int64, _ int) ([]Event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := sw.As4()
	i := int(binary.BigEndian.Uint32(n[:]))
	if i < q.left || q.events[i].Seq <= after {
		return nil, nil
	}
	return q.events[i : i+1], nil
}

func (q *unflushed) Done(seqs ...int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, seq := range seqs {
		q.times[seq-1]++
		q.ended++
	}
	q.heard.Broadcast()
}

func (q *unflushed) Bury(_ context.Context, ev Event, _, _ string) error {
	q.Done(ev.Seq)
	return nil
}

// until waits until ok, which is asked with mu held.
func (q *unflushed) until(ok func() bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !ok() {
		q.heard.Wait()
	}
}

// rounds waits until the queue was asked so often from now on.
func (q *unflushed) rounds(d *Discovery, n int) {
	for range n {
		q.mu.Lock()
		was := q.listed
		q.mu.Unlock()
		d.Wake()
		q.until(func() bool { return q.listed > was })
	}
}

// TestForgottenSwitchIsNotWorkedOffAgain: beyond so many switches, a worker was
// forgotten while what it had ended was in the queue still; the next one read and
// ended that again.
func TestForgottenSwitchIsNotWorkedOffAgain(t *testing.T) {
	q := &unflushed{}
	q.heard = sync.NewCond(&q.mu)
	d := New(Config{Queue: q, HoldDown: -1})
	q.more(rememberSwitches/2, Removed) // done
	q.more(rememberSwitches/2, Unknown) // buried
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { d.Run(ctx) })
	defer run.Wait()
	defer stop()
	q.until(func() bool { return q.ended >= len(q.events) })
	q.rounds(d, 2)
	q.more(100, Removed)
	q.rounds(d, 2)
	q.until(func() bool { return q.ended >= len(q.events) })
	q.rounds(d, 2)
	q.mu.Lock()
	for i, n := range q.times {
		if n != 1 {
			t.Errorf("event %d ended %d times, of %d that ended", i+1, n, q.ended)
			break
		}
	}
	q.left = len(q.events)
	q.mu.Unlock()
	left := func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.workers)
	}
	for deadline := time.Now().Add(time.Minute); left() >= rememberSwitches; q.rounds(d, 1) {
		if time.Now().After(deadline) {
			t.Fatalf("%d workers are kept of switches with nothing in the queue", left())
		}
	}
}

// TestFloodForgetsNoMember: beyond so many senders, the switches of clusto's with
// nothing in the queue were forgotten as well: which of their ports were uplinks,
// and that they are no strangers.
func TestFloodForgetsNoMember(t *testing.T) {
	d := New(Config{Queue: &unflushed{}, HoldDown: -1})
	ours := netip.MustParseAddr("10.0.0.1")
	d.workers[ours] = &worker{d: d, sw: ours, class: member, ports: map[uint16]*portMACs{1: {uplink: time.Now()}}}
	for i := range uint32(rememberSwitches) {
		var sw [4]byte
		binary.BigEndian.PutUint32(sw[:], 11<<24+i)
		d.workers[netip.AddrFrom4(sw)] = &worker{d: d, sw: netip.AddrFrom4(sw)}
	}
	d.begin()
	d.forget(nil)
	if w := d.workers[ours]; len(d.workers) != 1 || w == nil || w.ports[1].uplink.IsZero() {
		t.Errorf("%d workers are kept, clusto's switch as %+v", len(d.workers), w)
	}
}
