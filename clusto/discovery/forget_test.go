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
	t      *testing.T
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

// until waits until ok, which is asked with mu held, for a minute at most.
func (q *unflushed) until(ok func() bool) {
	q.t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	late := false
	timer := time.AfterFunc(time.Minute, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		late = true
		q.heard.Broadcast()
	})
	defer timer.Stop()
	for !ok() {
		if late {
			q.t.Fatalf("it goes on no more: of %d events %d have ended, and %d have left; the queue was listed %d times", len(q.events), q.ended, q.left, q.listed)
		}
		q.heard.Wait()
	}
}

// rounds waits until the queue was asked so often from now on.
func (q *unflushed) rounds(d *Discovery, n int) {
	q.t.Helper()
	for range n {
		q.mu.Lock()
		was := q.listed
		q.mu.Unlock()
		d.Wake()
		q.until(func() bool { return q.listed > was })
	}
}

// leave has what has ended leave the queue.
func (q *unflushed) leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.left < len(q.events) && q.times[q.left] > 0 {
		q.left++
	}
}

// allEnded waits until so many events have ended, while what has leaves.
func (q *unflushed) allEnded(n int) {
	q.t.Helper()
	q.until(func() bool { return q.ended >= n })
	q.leave()
}

// once checks that each of the first events ended once, and the others did not.
func (q *unflushed) once(t *testing.T, first int) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, n := range q.times {
		if want := min(1, max(0, first-i)); n != want {
			t.Errorf("event %d ended %d times, want %d; %d ended", i+1, n, want, q.ended)
			return
		}
	}
}

// known is how many switches a Discovery knows of.
func known(d *Discovery) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.workers)
}

// runs starts a Discovery of a queue, and ends it with the test.
func (q *unflushed) runs(t *testing.T, cfg Config) *Discovery {
	q.t, q.heard = t, sync.NewCond(&q.mu)
	cfg.Queue, cfg.HoldDown, cfg.Backoff = q, -1, time.Millisecond
	d := New(cfg)
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { d.Run(ctx) })
	t.Cleanup(func() { stop(); run.Wait() })
	return d
}

// TestForgottenSwitchIsNotWorkedOffAgain: beyond so many switches, a worker was
// forgotten while what it had ended was in the queue still; the next one read and
// ended that again. Now those beyond wait until there is room.
func TestForgottenSwitchIsNotWorkedOffAgain(t *testing.T) {
	t.Parallel()
	q := &unflushed{}
	q.more(rememberStrangers/2, Removed) // done
	q.more(rememberStrangers/2, Unknown) // buried
	d := q.runs(t, Config{})
	q.until(func() bool { return q.ended >= rememberStrangers })
	q.more(100, Removed)
	q.rounds(d, 3)
	q.once(t, rememberStrangers)
	q.leave()
	d.Wake()
	q.until(func() bool { return q.ended >= rememberStrangers+100 })
	q.once(t, rememberStrangers+100)
}

// TestStrangersAreForgotten: what was known of strangers was kept until the queue
// had been listed once more, which takes the longer the more there are: of each of
// a million forged addresses a worker, its facts and its ports.
func TestStrangersAreForgotten(t *testing.T) {
	t.Parallel()
	q := &unflushed{}
	d := q.runs(t, Config{})
	most, ended := 0, 0
	for range 12 {
		q.more(rememberStrangers/4, Removed)
		ended += rememberStrangers / 4
		d.Wake()
		q.allEnded(ended)
		most = max(most, known(d))
	}
	q.once(t, ended)
	if bound := rememberStrangers + d.cfg.atOnce[stranger]; most > bound || most < rememberStrangers-d.cfg.atOnce[stranger] {
		t.Errorf("%d strangers were known of, %d may be", most, bound)
	}
}

// TestFloodForgetsNoMember: beyond so many senders, the switches of clusto's with
// nothing in the queue were forgotten as well: which of their ports were uplinks,
// and that they are no strangers.
func TestFloodForgetsNoMember(t *testing.T) {
	t.Parallel()
	q := &unflushed{}
	d := q.runs(t, Config{})
	ours := netip.MustParseAddr("10.0.0.1")
	w := &worker{d: d, sw: ours, ports: map[uint16]*portMACs{1: {uplink: time.Now()}}, after: 1, kept: true}
	d.mu.Lock()
	d.workers[ours], d.strange = w, append(d.strange, w) // it was one
	d.mu.Unlock()
	w.classify(true)
	w.counts(-1)
	for ended := rememberStrangers / 4; ended <= 2*rememberStrangers; ended += rememberStrangers / 4 {
		q.more(rememberStrangers/4, Removed)
		d.Wake()
		q.allEnded(ended)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.workers[ours] != w || w.ports[1].uplink.IsZero() || w.kept {
		t.Errorf("clusto's switch is known of as %+v", d.workers[ours])
	}
}

// TestStrangersRunAgainTakeNoRoom: those that ran once more were counted twice, and
// kept the last ones that there was room for from their first turn.
func TestStrangersRunAgainTakeNoRoom(t *testing.T) {
	q := &unflushed{}
	q.more(rememberStrangers, Removed)
	d := New(Config{Queue: q})
	for i, ev := range q.events[1:] {
		w := &worker{d: d, sw: ev.Switch, after: ev.Seq, kept: true, running: i < d.cfg.atOnce[stranger]}
		d.workers[ev.Switch], d.strange = w, append(d.strange, w)
	}
	d.lines[stranger].running = d.cfg.atOnce[stranger]
	for i, want := range []bool{true, false} {
		w := &worker{d: d, sw: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}
		if got := w.room(t.Context()); got != want {
			t.Errorf("there is room for stranger %d: %v", rememberStrangers+i, got)
		}
	}
	if n := len(d.strange) + d.claims; n != rememberStrangers {
		t.Errorf("%d strangers are known of", n)
	}
}
