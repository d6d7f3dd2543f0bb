package storm

import (
	"math/rand/v2"
	"testing"
)

// The heap against a plain search over all clients, through random changes.
func TestAlarms(t *testing.T) {
	const n = 40
	a := newAlarms(n)
	rnd := rand.New(rand.NewPCG(1, 2))
	model := map[int32]int64{}
	for range 20000 {
		c := rnd.Int32N(n)
		if rnd.IntN(3) == 0 {
			a.clear(c)
			delete(model, c)
		} else {
			model[c] = rnd.Int64N(100)
			a.set(c, model[c])
		}
		got, due, ok := a.next()
		if ok != (len(model) > 0) || len(a.order) != len(model) {
			t.Fatalf("%d alarms, want %d", len(a.order), len(model))
		}
		if ok && due != model[got] {
			t.Fatalf("client %d rings at %d, want %d", got, due, model[got])
		}
		for c, d := range model {
			if d < due {
				t.Fatalf("client %d rings first, at %d; but client %d at %d", got, due, c, d)
			}
		}
	}
}

func TestLine(t *testing.T) {
	l := newLine(3)
	for range 5 { // around the ring
		for _, c := range []int32{2, 0, 2, 1, 0} {
			l.push(c)
		}
		for _, want := range []int32{2, 0, 1} {
			if c, ok := l.pop(); !ok || c != want {
				t.Fatalf("got %d, %v, want %d", c, ok, want)
			}
		}
		if c, ok := l.pop(); ok {
			t.Fatalf("an empty line gave %d", c)
		}
	}
}
