package snmp

import (
	"math/rand/v2"
	"testing"
)

// checkOIDPlainly takes one byte after the other (X.690 section 8.19): a
// sub-identifier ends with a byte under 128, begins with none of 128, and fits 32
// bits (RFC 2578 section 3.5).
func checkOIDPlainly(o []byte) error {
	first, n := true, uint64(0)
	for _, c := range o {
		if first && c == 0x80 {
			return ErrOID
		}
		n = min(n<<7|uint64(c&0x7f), 1<<40)
		if first = c < 0x80; first {
			if n > 0xffffffff {
				return ErrOID
			}
			n = 0
		}
	}
	if !first || len(o) == 0 {
		return ErrOID
	}
	return nil
}

// TestCheckOIDAtAnyPlace: eight bytes are looked at together, and the last eight
// again; no sub-identifier is missed wherever it lies.
func TestCheckOIDAtAnyPlace(t *testing.T) {
	kinds := []byte{0x00, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0xff}
	good := 0
	for range 1_000_000 {
		o := make([]byte, rand.IntN(26))
		for i := range o {
			if o[i] = 0x2b; rand.IntN(4) == 0 {
				o[i] = kinds[rand.IntN(len(kinds))]
			}
		}
		want := checkOIDPlainly(o)
		if got := checkOID(o); got != want {
			t.Fatalf("% x: %v, want %v", o, got, want)
		}
		if want == nil {
			good++
		}
	}
	if good < 100_000 || good > 900_000 {
		t.Errorf("%d of 1,000,000 are good: too few of one kind", good)
	}
}
