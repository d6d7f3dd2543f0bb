package cache

import (
	"sync/atomic"
)

// index finds values by the hash of their key, without a lock: slots with chains of
// what falls into one. Changes are made under the shard's lock, and a reader sees
// either what was before one or what is after it: an element never changes but for
// its mark and its place in the chain, and one that was taken out still leads to those behind it.
//
// A map, and a list to move its entries in, has a reader wait for six or seven lines
// of memory one after the other; here it is two.
//
// It grows with what it holds: slots that are mostly empty are memory of their own each.
type index[K comparable, V any] struct {
	table atomic.Pointer[table[K, V]]
}

type table[K comparable, V any] []atomic.Pointer[held[K, V]] // a power of two of slots

const firstSlots = 64

// held is a value as it is kept: one line of memory with keys of 8 bytes and values
// that are pointers.
type held[K comparable, V any] struct {
	entry[V]
	next atomic.Pointer[held[K, V]]
	key  K
	used atomic.Bool // looked up since it had its last turn to leave
}

func (x *index[K, V]) init() {
	t := make(table[K, V], firstSlots)
	x.table.Store(&t)
}

// full reports whether n values have chains of more than one too often.
func (x *index[K, V]) full(n int) bool { return 2*n > len(*x.table.Load()) }

// slot goes by bits of the hash that choose neither shard nor stripe.
func (x *index[K, V]) slot(hash uint64) *atomic.Pointer[held[K, V]] {
	t := *x.table.Load()
	return &t[hash>>32&uint64(len(t)-1)]
}

// find gives the value of k, nil if there is none.
func (x *index[K, V]) find(hash uint64, k K) *held[K, V] { return x.slot(hash).Load().in(k) }

// in looks for k in the chain that begins with e.
func (e *held[K, V]) in(k K) *held[K, V] {
	for e != nil && e.key != k {
		e = e.next.Load()
	}
	return e
}

// put adds e, in the place of what has its key, else before all others.
func (x *index[K, V]) put(hash uint64, e *held[K, V]) {
	first := x.slot(hash)
	at := first
	for old := at.Load(); old != nil; old = at.Load() {
		if old.key == e.key {
			e.next.Store(old.next.Load())
			at.Store(e)
			return
		}
		at = &old.next
	}
	e.next.Store(first.Load())
	first.Store(e)
}

// remove takes e out, if it is there.
func (x *index[K, V]) remove(hash uint64, e *held[K, V]) {
	at := x.slot(hash)
	for old := at.Load(); old != nil; old = at.Load() {
		if old == e {
			at.Store(e.next.Load())
			return
		}
		at = &old.next
	}
}
