package main

import (
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/engine"
)

// TestStorm: a hundred switches send a thousand traps each, as fast as the cable
// takes them. Each is counted once, by what became of it or by the kernel that
// had no room, and the daemon does not grow with them.
func TestStorm(t *testing.T) {
	const switches = 100
	each := scaled(100_000) / switches
	l := newLab(t, switches)
	ops := []clusto.Op{attr("dc", "snmp", "discovery", 0)}
	for rack := range 2 { // where MACs are looked up
		ops = append(ops, attr(rackName(rack), "snmp", "discovery", 1), clusto.Op{Op: "entity", Name: "old" + rackName(rack), Driver: "basicserver"})
		for k := range 4 {
			ops = append(ops, clusto.Op{
				Op: "add", Name: "old" + rackName(rack), Key: "bootstrap", Subkey: ptr("mac"),
				Value: &clusto.Value{Type: clusto.String, Str: testMAC(4*rack + k).String()},
			})
		}
	}
	l.apply(l, ops...)
	l.start()
	before := l.resident()
	began := time.Now()
	sent := l.storm(switches, each)
	took := time.Since(began)
	ended := func() (n uint64) {
		f := l.figures()
		for name, v := range f {
			if strings.HasPrefix(name, "frames_total{") {
				n += v
			}
		}
		return n + f["kernel_dropped_total{interface=\"srv0\"}"]
	}
	peak := l.resident()
	l.until("all counted", func() bool {
		peak = max(peak, l.resident())
		return ended() >= sent
	})
	f := l.figures()
	taken := f[verdict(engine.Journaled)]
	t.Logf("%d sent in %v, %d on disk after %v (%.0f traps/s), %d dropped by the kernel, %d without room",
		sent, took.Round(time.Millisecond), taken, time.Since(began).Round(time.Millisecond), float64(taken)/time.Since(began).Seconds(),
		f["kernel_dropped_total{interface=\"srv0\"}"], f[verdict(engine.JournalFull)])
	if got := ended(); got != sent || sent != uint64(switches*each) {
		t.Errorf("%d are counted, %d were sent, of %d\n%v", got, sent, switches*each, f)
	}
	l.idle(time.Minute)
	peak = max(peak, l.resident())
	t.Logf("all worked off after %v; memory %d MB, before %d MB", time.Since(began).Round(time.Millisecond), peak, before)
	f = l.figures()
	if n := f[outcome(discovery.Off)] + f[outcome(discovery.KnownMoved)]; n != taken {
		t.Errorf("%d of %d events ended as they should: %v", n, taken, f)
	}
	if peak > 300 && !raceEnabled {
		t.Errorf("the daemon has grown to %d MB", peak)
	}
	if lines := strings.Count(l.log.String(), "\n"); lines > 500 {
		t.Errorf("%d lines in the log", lines)
	}
}

// storm sends traps from all switches in turn, and counts what the kernel took.
func (l *lab) storm(switches, each int) (sent uint64) {
	l.Helper()
	c := l.handmade()
	var room [engine.BatchSize][]byte
	flush := func() {
		sent += uint64(c.group.Conn(0).Send(&c.batch))
		c.batch.Replies = c.batch.Replies[:0]
	}
	for i := range each {
		for rack := range switches {
			n := len(c.batch.Replies)
			c.head.Src = switchIP(rack).As4()
			mac := testMAC(1000 + i)
			if rack < 2 {
				mac = testMAC(4*rack + i%4)
			}
			room[n] = c.frame(room[n][:0], notification(false, "public", int32(i+1), learnt(mac, uint16(i%30+1))))
			c.batch.Replies = append(c.batch.Replies, room[n])
			if n == engine.BatchSize-1 {
				flush()
			}
		}
	}
	flush()
	return sent
}

func ptr(s string) *string { return &s }
