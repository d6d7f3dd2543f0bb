package dhcp

import (
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// bucket is how many slots a MAC may be in: one line of a CPU's cache.
const bucket = 8

// sightings tell when each MAC was last seen, to the minute. A slot holds a MAC
// above 16 bits of minutes since 1970; 0 is empty. Workers write without a lock:
// at worst a MAC is in two slots, or one of two that were new at once is lost
// until it is seen again. A sighting that is 45 days old, to the hour, looks
// recent.
type sightings []atomic.Uint64

// newSightings has room for n MACs and four times that, so that hardly ever one
// that is recent has to make room for another.
func newSightings(n int) sightings {
	size := bucket
	for size < 4*n {
		size *= 2
	}
	return make(sightings, size)
}

func (s sightings) bucket(key uint64) sightings {
	i := (key * 0x9e3779b97f4a7c15 >> 24) % uint64(len(s)/bucket) * bucket
	return s[i : i+bucket]
}

func macKey(m clusto.MAC) uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

// saw notes a MAC. It never waits, and never allocates.
func (s sightings) saw(mac clusto.MAC, now time.Time) {
	key, minute := macKey(mac), minutes(now)
	slots, oldest, age := s.bucket(key), 0, -1
	for i := range slots {
		w := slots[i].Load()
		if w>>16 == key {
			if uint16(w) != minute { // else leave the line to the other workers
				slots[i].Store(key<<16 | uint64(minute))
			}
			return
		}
		a := int(minute - uint16(w))
		if w == 0 {
			a = 1 << 16
		}
		if a > age {
			oldest, age = i, a
		}
	}
	slots[oldest].Store(key<<16 | uint64(minute))
}

// since reports whether a MAC was seen in the time before now.
func (s sightings) since(mac clusto.MAC, now time.Time, within time.Duration) bool {
	key, minute := macKey(mac), minutes(now)
	slots := s.bucket(key)
	for i := range slots {
		w := slots[i].Load()
		if w>>16 == key && w != 0 && time.Duration(minute-uint16(w))*time.Minute <= within {
			return true
		}
	}
	return false
}

func minutes(t time.Time) uint16 { return uint16(t.Unix() / 60) }

// generations is a map that forgets the older half when it is full: bounded
// without an order.
type generations[K comparable, V any] struct{ young, old map[K]V }

func (g *generations[K, V]) get(k K) (V, bool) {
	if v, ok := g.young[k]; ok {
		return v, true
	}
	v, ok := g.old[k]
	return v, ok
}

// put keeps a value; most is how many each generation may have.
func (g *generations[K, V]) put(k K, v V, most int) {
	if g.young == nil || len(g.young) >= most {
		g.young, g.old = make(map[K]V), g.young
	}
	g.young[k] = v
}
