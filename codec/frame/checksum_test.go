package frame

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"
)

// slowSum is RFC 1071 word by word, big endian.
func slowSum(acc uint32, b []byte) uint16 {
	for i, c := range b {
		if i%2 == 0 {
			acc += uint32(c) << 8
		} else {
			acc += uint32(c)
		}
		acc = acc>>16 + acc&0xffff
	}
	return uint16(acc)
}

func swap(v uint16) uint16 { return v>>8 | v<<8 }

// Every length up to several steps of every loop, at several alignments, with
// bytes that carry always, never, and now and then.
func TestSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for name, b := range map[string][]byte{
		"ones": bytes.Repeat([]byte{0xff}, 300), "zeros": make([]byte, 300), "noise": noise,
	} {
		for at := range 8 {
			for n := range 280 {
				part := b[at : at+n]
				if got, want := swap(fold(sum(0, part))), slowSum(0, part); got != want {
					t.Fatalf("%s[%d:%d]: %#04x, want %#04x", name, at, at+n, got, want)
				}
			}
		}
	}
}

// A sum goes on from wherever it stands, even where every addition carries.
func TestSumCarries(t *testing.T) {
	ones := bytes.Repeat([]byte{0xff}, 64)
	for _, acc := range []uint64{0, 1, 0xffff, 1 << 32, 1 << 63, math.MaxUint64 - 1, math.MaxUint64} {
		for _, n := range []int{0, 1, 2, 7, 8, 31, 32, 40, 64} {
			want := slowSum(uint32(swap(fold(acc))), ones[:n])
			if got := swap(fold(sum(acc, ones[:n]))); got != want {
				t.Errorf("%#x and %d bytes of ones: %#04x, want %#04x", acc, n, got, want)
			}
		}
	}
}
