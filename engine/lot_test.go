package engine

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func macOf(i int) (mac [6]byte) {
	binary.BigEndian.PutUint32(mac[2:], uint32(i))
	return mac
}

var testLink = &Link{Name: "eth0", Index: 2}

func packet(data string) *Packet {
	return &Packet{Data: []byte(data), Link: testLink, TPID: 0x8100, TCI: 42, CsumPartial: true}
}

// tryNext is Next without waiting.
func tryNext(l *Lot) ([6]byte, bool) {
	select {
	case <-l.more:
		return l.dequeue()
	default:
		return [6]byte{}, false
	}
}

func taken(l *Lot, mac [6]byte) (Packet, bool) {
	p := Packet{Data: make([]byte, 0, LotSlotSize)}
	ok := l.Take(mac, &p)
	return p, ok
}

func wantLot(t *testing.T, l *Lot, waiting, queued int) {
	t.Helper()
	if st := l.Stats(); st.Waiting != waiting || st.Queued != queued {
		t.Errorf("%d wait, %d of them queued; want %d and %d", st.Waiting, st.Queued, waiting, queued)
	}
}

// TestLotKeepsACopy: what is taken is what was parked, whatever became of the
// batch since.
func TestLotKeepsACopy(t *testing.T) {
	l := NewLot(LotConfig{Slots: 4})
	in := packet("a frame")
	if v := l.Park(macOf(1), in, 0); v != Parked {
		t.Fatalf("verdict = %v", v)
	}
	copy(in.Data, "xxxxxxx")
	p, ok := taken(l, macOf(1))
	if !ok || string(p.Data) != "a frame" {
		t.Errorf("took %q, %v", p.Data, ok)
	}
	in.Data, p.Data = nil, nil
	if p.Link != testLink || p.TPID != in.TPID || p.TCI != in.TCI || p.CsumPartial != in.CsumPartial {
		t.Errorf("took %+v, want %+v", p, *in)
	}
	if _, ok := taken(l, macOf(1)); ok {
		t.Error("one frame taken twice")
	}
	wantLot(t, l, 0, 0)
}

// TestLotNewestWins: a retransmission keeps the place in the queue and the
// slot, and replaces the frame; of another transaction too.
func TestLotNewestWins(t *testing.T) {
	l := NewLot(LotConfig{Slots: 2})
	l.Park(macOf(1), packet("first"), 0)
	l.Park(macOf(2), packet("other"), 1)
	for _, frame := range []string{"again", "a longer frame", "last"} {
		if v := l.Park(macOf(1), packet(frame), 2); v != Replaced {
			t.Fatalf("%s: %v, want replaced", frame, v)
		}
	}
	wantLot(t, l, 2, 2)
	if mac, _ := tryNext(l); mac != macOf(1) {
		t.Errorf("next = %v, want the first that came", mac)
	}
	if v := l.Park(macOf(1), packet("while it loads"), 3); v != Replaced {
		t.Errorf("%v, want replaced", v)
	}
	wantLot(t, l, 2, 1) // its loader has it: it does not queue again
	if p, _ := taken(l, macOf(1)); string(p.Data) != "while it loads" {
		t.Errorf("took %q", p.Data)
	}
}

func TestLotShedsTheNewcomer(t *testing.T) {
	l := NewLot(LotConfig{Slots: 3})
	for i := range 3 {
		l.Park(macOf(i), packet("x"), 0)
	}
	if v := l.Park(macOf(3), packet("x"), 0); v != Shed {
		t.Errorf("into a full Lot: %v, want shed", v)
	}
	if v := l.Park(macOf(2), packet("y"), 0); v != Replaced {
		t.Errorf("a retransmission into a full Lot: %v, want replaced", v)
	}
	taken(l, macOf(1))
	if v := l.Park(macOf(3), packet("x"), 0); v != Parked {
		t.Errorf("with room again: %v, want parked", v)
	}
	wantLot(t, l, 3, 3)
}

// TestLotLoadsTheMACOfALongFrame: a frame longer than a slot is not kept, but its
// MAC is loaded, so that the retransmission is answered. It never was before.
func TestLotLoadsTheMACOfALongFrame(t *testing.T) {
	l := NewLot(LotConfig{Slots: 2})
	long := &Packet{Data: make([]byte, LotSlotSize+1)}
	for range 2 {
		if v := l.Park(macOf(1), long, 0); v != Shed {
			t.Errorf("%d bytes: %v, want shed", len(long.Data), v)
		}
	}
	wantLot(t, l, 0, 1)
	if mac, ok := tryNext(l); !ok || mac != macOf(1) {
		t.Errorf("next = %v, %v", mac, ok)
	}
	if _, ok := taken(l, macOf(1)); ok {
		t.Error("there is a frame")
	}
	long.Data = bytes.Repeat([]byte{7}, LotSlotSize)
	if v := l.Park(macOf(1), long, 0); v != Parked {
		t.Errorf("%d bytes: %v, want parked", len(long.Data), v)
	}
	if p, _ := taken(l, macOf(1)); !bytes.Equal(p.Data, long.Data) {
		t.Errorf("took %d bytes", len(p.Data))
	}
	wantLot(t, l, 0, 0)
}

// TestLotWants: a MAC is loaded without a frame, which may still come.
func TestLotWants(t *testing.T) {
	l := NewLot(LotConfig{Slots: 4, Patience: 10})
	l.Want(macOf(1), 0)
	l.Want(macOf(1), 1)
	l.Want(macOf(2), 0)
	l.Want(macOf(3), 0) // the rest is for frames
	wantLot(t, l, 0, 2)
	if v := l.Park(macOf(2), packet("now"), 5); v != Parked {
		t.Errorf("%v, want parked", v)
	}
	l.Want(macOf(2), 6)
	wantLot(t, l, 1, 2)
	if old := l.Older(nil, 100); len(old) != 1 || old[0] != macOf(2) {
		t.Errorf("waiting are %v", old)
	}
	if n := l.Expire(12, false); n != 0 { // the first goes, and was no frame
		t.Errorf("%d frames expired", n)
	}
	wantLot(t, l, 1, 1)
	if p, ok := taken(l, macOf(2)); !ok || string(p.Data) != "now" {
		t.Errorf("took %q, %v", p.Data, ok)
	}
	wantLot(t, l, 0, 0)
}

// TestLotExpire: patience counts from the latest frame, waiting from the first. A
// frame that is being loaded waits for that, as long as its MAC is remembered.
func TestLotExpire(t *testing.T) {
	l := NewLot(LotConfig{Slots: 8, Patience: 10, Memory: 50})
	l.Park(macOf(1), packet("x"), 0)
	l.Park(macOf(2), packet("x"), 0)
	l.Park(macOf(3), packet("x"), 5)
	l.Park(macOf(2), packet("x"), 8)
	tryNext(l) // 1 is being loaded
	if got := l.Older(nil, 5); !slices.Equal(got, [][6]byte{macOf(1), macOf(2)}) {
		t.Errorf("older than 5: %v, want 1 and 2", got)
	}
	for _, c := range []struct {
		now                      int64
		expired, waiting, queued int
	}{{9, 0, 3, 2}, {14, 0, 3, 2}, {15, 1, 2, 2}, {18, 1, 1, 2}, {49, 0, 1, 2}, {50, 1, 0, 2}, {55, 0, 0, 1}, {58, 0, 0, 0}} {
		n := l.Expire(c.now, false)
		if st := l.Stats(); n != c.expired || st.Waiting != c.waiting || st.Queued != c.queued {
			t.Errorf("at %d: %d expired, %+v; want %d, %d waiting and %d queued", c.now, n, st, c.expired, c.waiting, c.queued)
		}
	}
	if st := l.Stats(); st.Expired != 3 {
		t.Errorf("%+v, want 3 expired", st)
	}
	if mac, ok := tryNext(l); ok {
		t.Errorf("a forgotten MAC is handed out: %v", mac)
	}
	if l.taken != 0 {
		t.Errorf("%d slots are in use", l.taken)
	}
}

func TestLotRetry(t *testing.T) {
	l := NewLot(LotConfig{Slots: 8})
	l.Park(macOf(1), packet("x"), 0)
	l.Retry(macOf(1)) // it queues already
	wantLot(t, l, 1, 1)
	tryNext(l)
	l.Park(macOf(2), packet("x"), 0)
	l.Retry(macOf(1))
	l.Retry(macOf(9)) // nobody waits for it
	for _, want := range []int{2, 1} {
		if mac, ok := tryNext(l); !ok || mac != macOf(want) {
			t.Errorf("next = %v, %v; want %d", mac, ok, want)
		}
	}
	if mac, ok := tryNext(l); ok {
		t.Errorf("next = %v, want none", mac)
	}
}

// TestLotKnownFirst: a flood of random MACs does not keep the fleet waiting.
func TestLotKnownFirst(t *testing.T) {
	l := NewLot(LotConfig{Slots: 8})
	for i := 1; i <= 3; i++ {
		l.Park(macOf(i), packet("x"), 0)
	}
	l.ParkKnown(macOf(11), packet("x"), 0)
	l.ParkKnown(macOf(12), packet("x"), 0)
	next := func() int {
		mac, _ := tryNext(l)
		return int(mac[5])
	}
	got := []int{next(), next()}
	l.Retry(macOf(11))
	for range 4 {
		got = append(got, next())
	}
	if want := []int{11, 12, 11, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
}

// TestLotNewHostBesideWants: a new host waited for thousands of loads that nobody
// waits for, as their frames have been answered. Neither keeps out the other, and
// what is wanted goes ahead once it waits too.
func TestLotNewHostBesideWants(t *testing.T) {
	l := NewLot(LotConfig{Slots: 16})
	for i := 1; i <= 5; i++ {
		l.Want(macOf(i), 0)
	}
	for i := 11; i <= 13; i++ {
		l.Park(macOf(i), packet("x"), 0)
	}
	l.ParkKnown(macOf(4), packet("x"), 0)
	var got []int
	for mac, ok := tryNext(l); ok; mac, ok = tryNext(l) {
		got = append(got, int(mac[5]))
	}
	if want := []int{4, 11, 1, 12, 2, 13, 3, 5}; !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
	l.ParkKnown(macOf(1), packet("x"), 0) // while it is being loaded
	l.Retry(macOf(2))
	l.Retry(macOf(1))
	if mac, _ := tryNext(l); mac != macOf(1) {
		t.Errorf("tried again: %v first", mac)
	}
}

// TestLotTakeFromTheQueue: a frame that is answered before a loader came for
// it leaves the queue wherever it stands there.
func TestLotTakeFromTheQueue(t *testing.T) {
	for take := range 3 {
		l := NewLot(LotConfig{Slots: 4})
		var want [][6]byte
		for i := range 3 {
			l.Park(macOf(i), packet("x"), 0)
			if i != take {
				want = append(want, macOf(i))
			}
		}
		taken(l, macOf(take))
		l.Park(macOf(9), packet("x"), 0)
		want = append(want, macOf(9))
		var got [][6]byte
		for mac, ok := tryNext(l); ok; mac, ok = tryNext(l) {
			got = append(got, mac)
		}
		if !slices.Equal(got, want) {
			t.Errorf("without %d: %v, want %v", take, got, want)
		}
	}
}

func TestLotNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLot(LotConfig{Slots: 8})
		ctx, cancel := context.WithCancel(context.Background())
		got := make(chan [6]byte, 8)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for mac, ok := l.Next(ctx); ok; mac, ok = l.Next(ctx) {
					got <- mac
				}
			})
		}
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal("a MAC out of an empty Lot")
		}
		for i := range 5 {
			l.Park(macOf(i), packet("x"), 0)
		}
		synctest.Wait()
		if len(got) != 5 {
			t.Errorf("%d MACs handed out, want 5", len(got))
		}
		cancel()
		wg.Wait()
	})
}

// TestLotManyGoroutines: while its frame waits, no MAC is with two loaders;
// what is parked is taken once.
func TestLotManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const macs, rounds = 64, 50
		l := NewLot(LotConfig{Slots: macs / 2})
		var with [macs]atomic.Int32
		var parked, took atomic.Int64
		ctx, cancel := context.WithCancel(context.Background())
		var parkers, all sync.WaitGroup
		for g := range 4 {
			parkers.Go(func() {
				park := [...]func([6]byte, *Packet, int64) Verdict{l.Park, l.ParkKnown}
				for i := range macs * rounds {
					switch park[i%2](macOf((i*7+g)%macs), packet("frame"), 0) {
					case Parked:
						parked.Add(1)
					case Shed: // until the loaders have made room, which they may not have begun to
						time.Sleep(1) // of the bubble
					}
				}
			})
		}
		for range 8 {
			all.Go(func() {
				buf := Packet{Data: make([]byte, 0, LotSlotSize)}
				n := 0
				for mac, ok := l.Next(ctx); ok; mac, ok = l.Next(ctx) {
					i := binary.BigEndian.Uint32(mac[2:])
					if with[i].Add(1) != 1 {
						t.Errorf("%d is with two loaders", i)
					}
					with[i].Add(-1) // from Retry or Take on, another may have it
					if n++; n%5 == 0 {
						l.Retry(mac)
					} else if l.Take(mac, &buf) {
						took.Add(1)
					}
				}
			})
		}
		parkers.Wait()
		synctest.Wait() // until the loaders have nothing left to do
		cancel()
		all.Wait()
		if parked.Load() != took.Load() || took.Load() < macs {
			t.Errorf("%d parked, %d taken", parked.Load(), took.Load())
		}
		wantLot(t, l, 0, 0)
	})
}

func TestLotParkNoAllocs(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector miscounts allocations")
	}
	l := NewLot(LotConfig{Slots: 64})
	p, buf := packet("frame"), Packet{Data: make([]byte, 0, LotSlotSize)}
	i := 0
	for name, do := range map[string]func(){
		"park, next, take": func() { l.Park(macOf(i), p, 0); _, _ = tryNext(l); l.Take(macOf(i), &buf); i++ },
		"replace":          func() { l.ParkKnown(macOf(0), p, 0) },
		"shed when full":   func() { l.Park(macOf(i), p, 0); i++ },
		"leave":            func() { l.Park(macOf(i), p, 0); l.Expire(int64(LotPatience), false); i++ },
		"expire":           func() { l.Park(macOf(i), p, 0); l.Expire(int64(time.Hour), false); i++ },
	} {
		if n := testing.AllocsPerRun(1000, do); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
}

func BenchmarkLotPark(b *testing.B) {
	l := NewLot(LotConfig{})
	p, buf := &Packet{Data: make([]byte, 342), Link: testLink}, Packet{Data: make([]byte, 0, LotSlotSize)}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		l.Park(macOf(i), p, 0)
		l.Take(macOf(i), &buf)
	}
}
