package dhcp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine"
)

var errDown = errors.New("the inventory is down")

// inventory is a Hosts that takes its time, fails and recovers as a test says.
type inventory struct {
	mu    sync.Mutex
	takes time.Duration
	err   error
	known map[clusto.MAC]*Prepared
	state map[clusto.MAC]State // of Lookup
	order []clusto.MAC         // of Fetch
	slow  map[clusto.MAC]time.Duration
	off   chan struct{} // closed to call loads off; nil until one waits
}

// forget has Lookup know nothing of a MAC; age, that what it knows is old.
func (v *inventory) forget(mac clusto.MAC) { v.mark(mac, Missing) }
func (v *inventory) age(mac clusto.MAC)    { v.mark(mac, Stale) }

func (v *inventory) mark(mac clusto.MAC, s State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state[mac] = s
}

// callOff ends the loads that are on their way.
func (v *inventory) callOff() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.off)
	v.off = nil
}

func (v *inventory) Lookup(mac clusto.MAC, _ int64) (*Prepared, State) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.state[mac] == Missing {
		return nil, Missing
	}
	return v.known[mac], v.state[mac]
}

func (v *inventory) PeekAll(to []*Prepared, macs []clusto.MAC) []*Prepared {
	return peekAll(v, to, macs)
}

func (v *inventory) Fetch(ctx context.Context, mac clusto.MAC) (*Prepared, State, error) {
	v.mu.Lock()
	takes := max(v.takes, v.slow[mac])
	v.order = append(v.order, mac)
	if v.off == nil {
		v.off = make(chan struct{})
	}
	off := v.off
	v.mu.Unlock()
	err := ctx.Err()
	select {
	case <-ctx.Done():
		err = ctx.Err()
	case <-off:
		err = context.Canceled
	case <-time.After(takes):
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err == nil {
		err = v.err
	}
	switch p := v.known[mac]; {
	case err != nil && v.state[mac] == Stale:
		return p, Stale, err
	case err != nil:
		return nil, Missing, err
	case p == nil:
		return nil, Absent, nil
	default:
		v.state[mac] = Fresh
		return p, Fresh, nil
	}
}

func (v *inventory) set(takes time.Duration, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.takes, v.err = takes, err
}

// asked gives the MACs of all loads, in their order.
func (v *inventory) asked() []clusto.MAC {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.order)
}

// sink keeps the frames that the filler sends.
type sink struct {
	mu     sync.Mutex
	frames [][]byte
	at     []time.Time
	refuse bool
}

func (s *sink) SendOn(_ *engine.Link, frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return errors.New("no buffers")
	}
	s.frames, s.at = append(s.frames, bytes.Clone(frame)), append(s.at, time.Now())
	return nil
}

// hallSlots is how many frames of a hall may wait.
const hallSlots = 32

// hall is a Server whose filler runs, on its inventory.
type hall struct {
	*Server
	inv   *inventory
	out   *sink
	stats *engine.Stats
	log   *bytes.Buffer
	stop  func() // and wait
	start time.Time
	h     *Handler
}

// newHall runs in a bubble of synctest. hostMAC is in the inventory, and what
// Lookup knows of it is state.
func newHall(t *testing.T, state State, cfg Config) *hall {
	f := &hall{
		inv: &inventory{
			takes: 10 * time.Millisecond, known: map[clusto.MAC]*Prepared{hostMAC: prepared(t, testHost())},
			state: map[clusto.MAC]State{hostMAC: state},
		},
		out: &sink{}, stats: engine.NewStats(1), log: new(bytes.Buffer), start: time.Now(),
	}
	cfg.Hosts, cfg.Counter, cfg.Log = f.inv, f.stats.Counter(0), slog.New(slog.NewTextHandler(f.log, nil))
	cfg.Lot = engine.NewLot(engine.LotConfig{Slots: hallSlots})
	f.Server = NewServer(cfg)
	f.h = f.Handler()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		f.Run(ctx, f.out)
		close(done)
	}()
	f.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(f.stop)
	return f
}

// get hands a request to a worker's handler and checks its verdict.
func (f *hall) get(t *testing.T, a ask, want engine.Verdict) {
	t.Helper()
	if v, _ := handle(f.h, a); v != want {
		t.Errorf("verdict = %v, want %v", v, want)
	}
}

// count checks what the filler has counted, and nothing else.
func (f *hall) count(t *testing.T, want map[engine.Verdict]uint64) {
	t.Helper()
	for v, n := range f.stats.Totals().Verdicts {
		if n != want[engine.Verdict(v)] {
			t.Errorf("%v: %d counted, want %d", engine.Verdict(v), n, want[engine.Verdict(v)])
		}
	}
}

func (f *hall) logged(t *testing.T, text string, times int) {
	t.Helper()
	synctest.Wait() // for those who may be writing
	if n := strings.Count(f.log.String(), text); n != times {
		t.Errorf("%q is logged %d times, want %d:\n%s", text, n, times, f.log)
	}
}

// inHall runs a test in a bubble.
func inHall(t *testing.T, state State, cfg Config, test func(t *testing.T, f *hall)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newHall(t, state, cfg)
		test(t, f)
		f.stop()
	})
}
