package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client/original"
	"github.com/clusto/clusto-engine/clusto/discovery"
)

// old gives the lab's clusto-httpd the original's manners.
func (l *lab) old() {
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	l.api.next = original.Over(l.api.next)
}

// TestBehindTheOriginal: with the original's calls alone servers appear the same
// way, in single steps; and once more by ours when that takes its place.
func TestBehindTheOriginal(t *testing.T) {
	l := newLab(t, 2)
	l.old()
	l.start("--discover-mac")
	for i, port := range []int{1, 9, 17, 24} {
		l.inform(0, learnt(testMAC(i), uint16(port)))
		l.count(outcome(discovery.Created), uint64(i+1))
		l.complete(fmt.Sprintf("s%04d", i+1), 0, port, testMAC(i))
		if h, err := l.host(testMAC(i).String()); err != nil || h.Name != fmt.Sprintf("s%04d", i+1) {
			t.Errorf("%+v, %v", h, err)
		}
	}
	l.says(`"WARN"`, "the inventory is an original clusto-httpd", "single steps")
	l.inform(0, learnt(testMAC(1), 9))
	l.count(outcome(discovery.Known), 1)
	l.inform(0, learnt(testMAC(9), 9)) // the BMC of s0002
	l.count(outcome(discovery.Attached), 1)

	l.api.down()
	l.api.serve(l.store)
	l.inform(1, learnt(testMAC(10), 1))
	l.says("the inventory fails")
	l.api.up()
	l.idle(patience)
	l.complete("s0005", 1, 1, testMAC(10))
}

// TestKilledBehindTheOriginal: a daemon that dies between two steps finishes the
// server after its start. It may leave an entity with nothing but its name.
func TestKilledBehindTheOriginal(t *testing.T) {
	t.Parallel()
	const ports = 23
	l := newLab(t, 1)
	l.old()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	kills := 8
	if raceEnabled {
		kills = 3
	}
	for i := range kills {
		hit := l.dieAt(1+rng.Int64N(70), i%2 == 0)
		l.start()
		l.inform(0, learnt(testMAC(2*i), uint16(i+1)))
		l.inform(0, learnt(testMAC(2*i+1), uint16(ports-i)))
		<-hit
		l.kill()
		l.api.fail(nil)
	}
	l.start()
	l.idle(patience)
	var made []string
	for i := range kills {
		made = append(made, l.madeOn(i+1, testMAC(2*i)), l.madeOn(ports-i, testMAC(2*i+1)))
	}
	slices.Sort(made)
	if once := slices.Compact(slices.Clone(made)); len(once) != 2*kills {
		t.Errorf("%v", made)
	}
	l.bare(made, kills)
	if dead := l.letters(); len(dead) > 0 {
		t.Errorf("%+v", dead)
	}
}

// dieAt tells of the at-th call of the inventory. Where before is set, that one
// and all behind it are not made.
func (l *lab) dieAt(at int64, before bool) (hit chan struct{}) {
	hit = make(chan struct{})
	var n atomic.Int64
	l.api.fail(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		now := n.Add(1)
		if now == at {
			close(hit)
		}
		if now >= at && before {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	return hit
}

// madeOn checks the server on a port of the first rack's switch, and names it.
func (l *lab) madeOn(port int, mac clusto.MAC) (name string) {
	l.Helper()
	sw := l.object(l, "r00-sw1")
	name = connected(&sw, "nic-eth", port)
	name = name[:max(0, len(name)-2)]
	l.complete(name, 0, port, mac)
	return name
}

// bare checks that servers which are not among the made ones have nothing but
// their names, and are no more than so many.
func (l *lab) bare(made []string, most int) {
	l.Helper()
	left := 0
	for _, name := range l.servers() {
		if !slices.Contains(made, name) {
			left++
			if o := l.object(l, name); len(o.Parents) > 0 || len(o.Attrs) > 0 {
				l.Errorf("%s is left over, and not bare: %+v", name, o.Attrs)
			}
		}
	}
	l.Logf("%d bare entities are left, of %d kills", left, most)
	if left > most {
		l.Errorf("%d for %d kills", left, most)
	}
}
