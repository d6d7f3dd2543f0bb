package engine

import (
	"slices"
	"testing"
)

// TestLotExpireInTrouble: where loads do not go well, no frame waits for one.
func TestLotExpireInTrouble(t *testing.T) {
	l := NewLot(LotConfig{Slots: 8, Patience: 10})
	l.Park(macOf(1), packet("x"), 0)
	l.Park(macOf(2), packet("x"), 0)
	tryNext(l)
	if n := l.Expire(10, true); n != 2 {
		t.Errorf("%d expired, want 2", n)
	}
	wantLot(t, l, 0, 1)
	if l.slots[0].meta.Link != nil {
		t.Error("an old link is kept")
	}
	if v := l.Park(macOf(1), packet("again"), 20); v != Parked {
		t.Errorf("sent again: %v, want parked", v)
	}
	wantLot(t, l, 1, 1) // its loader has it still
	if p, ok := taken(l, macOf(1)); !ok || string(p.Data) != "again" {
		t.Errorf("took %q, %v", p.Data, ok)
	}
	l.Park(macOf(3), packet("x"), 30)
	tryNext(l) // 2, and then 3
	tryNext(l)
	l.Expire(40, true)
	l.Retry(macOf(3)) // what was left while its load was on its way is tried once too
	wantLot(t, l, 0, 0)
}

// TestLotLeavesTheMAC: where a call took 1 s, a frame's time was up before its turn
// came, and its host was not asked for until the client sent again, more and more
// seldom. What is left comes after all that is waited for, and is tried once.
func TestLotLeavesTheMAC(t *testing.T) {
	l := NewLot(LotConfig{Slots: 8, Patience: 10})
	for i := 1; i <= 4; i++ {
		l.Park(macOf(i), packet("x"), int64(i))
	}
	if n := l.Expire(20, false); n != 4 {
		t.Fatalf("%d expired, want 4", n)
	}
	wantLot(t, l, 0, 4)
	l.Park(macOf(11), packet("x"), 20)
	l.Park(macOf(12), packet("x"), 20)
	if v := l.Park(macOf(3), packet("again"), 20); v != Parked { // it is waited for again
		t.Errorf("sent again: %v, want parked", v)
	}
	if n := l.Expire(21, false); n != 0 {
		t.Errorf("%d expired, want none", n)
	}
	if got, want := order(l), []int{11, 12, 3, 1, 2, 4}; !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
	if p, ok := taken(l, macOf(3)); !ok || string(p.Data) != "again" {
		t.Errorf("took %q, %v", p.Data, ok)
	}
	if p, ok := taken(l, macOf(1)); ok {
		t.Errorf("took %q, which expired", p.Data)
	}
	l.Retry(macOf(2)) // its load failed, and nobody waits
	l.Retry(macOf(12))
	wantLot(t, l, 2, 1)
	if mac, _ := tryNext(l); mac != macOf(12) {
		t.Errorf("tried again: %v", mac)
	}
}

// order gives the last bytes of what queues.
func order(l *Lot) (got []int) {
	for mac, ok := tryNext(l); ok; mac, ok = tryNext(l) {
		got = append(got, int(mac[5]))
	}
	return got
}

// TestLotLeftBesideWants: stale hosts that were answered and are wanted anew kept out
// a new one whose frame's time was up.
func TestLotLeftBesideWants(t *testing.T) {
	l := NewLot(LotConfig{Slots: 32, Patience: 10})
	for i := 1; i <= 2; i++ {
		l.Park(macOf(i), packet("x"), 0)
	}
	l.Expire(10, false)
	for i := 11; i <= 14; i++ {
		l.Want(macOf(i), 10)
	}
	for i := 21; i <= 23; i++ {
		l.Park(macOf(i), packet("x"), 10)
	}
	if got, want := order(l), []int{21, 11, 22, 1, 23, 12, 2, 13, 14}; !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
}

// TestLotLeftIsWanted: of a MAC that was left, a Want and a frame that is too long
// changed nothing: it stayed last, and was forgotten in the middle of it.
func TestLotLeftIsWanted(t *testing.T) {
	long := &Packet{Data: make([]byte, LotSlotSize+1)}
	for name, c := range map[string]struct {
		again func(*Lot)
		want  []int // with a new one, one that is wanted, and one that was left before
	}{
		"nothing": {func(*Lot) {}, []int{21, 11, 1}},
		"a Want":  {func(l *Lot) { l.Want(macOf(2), 40) }, []int{21, 11, 1, 2}},
		"a frame": {func(l *Lot) { l.Park(macOf(2), long, 40) }, []int{2, 11, 21, 1}},
	} {
		l := NewLot(LotConfig{Slots: 32, Patience: 10, Memory: 45})
		l.Park(macOf(2), long, 0)
		l.Expire(10, false)
		l.Park(macOf(1), packet("x"), 20)
		l.Expire(30, false)
		l.Want(macOf(11), 40)
		c.again(l)
		l.Park(macOf(21), packet("x"), 40)
		l.Expire(45, false)
		if got := order(l); !slices.Equal(got, c.want) {
			t.Errorf("%s: order = %v, want %v", name, got, c.want)
		}
	}
}

// TestLotWantedIsLoadedOnce: one that was wanted was forgotten while its load was on
// its way, and a second loader took it.
func TestLotWantedIsLoadedOnce(t *testing.T) {
	l := NewLot(LotConfig{Slots: 4, Patience: 10})
	l.Want(macOf(1), 0)
	tryNext(l)
	l.Expire(10, false)
	l.ParkKnown(macOf(1), packet("x"), 11)
	if mac, ok := tryNext(l); ok {
		t.Errorf("%v is with two loaders", mac)
	}
}

// TestLotLeavesInOrder: what a sweep left came in the order of slots, which a Lot that
// has been full hands out backwards; the oldest made room.
func TestLotLeavesInOrder(t *testing.T) {
	l := NewLot(LotConfig{Slots: 4, Patience: 10})
	for i := 1; i <= 4; i++ {
		l.Park(macOf(i), packet("x"), 0)
	}
	for i := 1; i <= 4; i++ {
		taken(l, macOf(i))
	}
	l.ParkKnown(macOf(5), packet("x"), 5)
	for i := 6; i <= 8; i++ {
		l.Park(macOf(i), packet("x"), int64(i))
	}
	l.Expire(30, false)
	l.Expire(31, false) // a second sweep changes nothing
	l.Park(macOf(9), packet("x"), 31)
	if got, want := order(l), []int{9, 5, 6, 7}; !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
}

// TestLotLeftMakesRoom: what a flood of random MACs has left keeps nothing out. The
// newest goes first.
func TestLotLeftMakesRoom(t *testing.T) {
	l := NewLot(LotConfig{Slots: 4, Patience: 10})
	for i := 1; i <= 4; i++ {
		l.Park(macOf(i), packet("x"), int64(i))
	}
	l.Expire(20, false)
	l.Want(macOf(11), 20)
	l.Want(macOf(12), 20)
	l.Want(macOf(13), 20) // the rest is for frames
	if v := l.Park(macOf(14), packet("x"), 20); v != Parked {
		t.Errorf("among what is left: %v, want parked", v)
	}
	wantLot(t, l, 1, 4)
	l.Park(macOf(15), packet("x"), 20)
	if v := l.Park(macOf(16), packet("x"), 20); v != Shed {
		t.Errorf("nothing is left: %v, want shed", v)
	}
	for _, want := range []int{14, 11, 15, 12} {
		if mac, ok := tryNext(l); !ok || mac != macOf(want) {
			t.Errorf("next = %v, %v; want %d", mac, ok, want)
		}
	}
	wantLot(t, l, 2, 0)
}
