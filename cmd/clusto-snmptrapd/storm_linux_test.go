package main

import (
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/engine"
)

// The switches of the storm. Each has a few servers, of which every so many traps
// report one. Those that clusto knows, where discovery is on, come first.
const (
	stormSwitches = 100
	stormServers  = 2
	stormEvery    = 25

	stormMoved    = 80              // from here on clusto has the servers elsewhere
	stormUnmapped = stormMoved + 2  // they are on ports that no layout maps
	stormOff      = stormMoved + 4  // discovery is off
	stormUnknown  = stormMoved + 12 // clusto does not have their addresses
)

// blown is what some of the storm's traps have to come to, and how many were
// sent.
type blown struct {
	outcomes []discovery.Outcome
	sent     uint64
}

// TestStorm: a hundred switches send a thousand traps each, as fast as the cable
// takes them. Each is counted once, by what became of it or by the kernel that
// had no room, and the daemon does not grow with them.
func TestStorm(t *testing.T) {
	each := scaled(100_000) / stormSwitches
	l := newLab(t, stormSwitches)
	l.apply(l, stormSite()...)
	l.start()
	before := l.resident()
	began := time.Now()
	sent, kinds := l.storm(each)
	took := time.Since(began)
	peak := l.resident()
	dropped := func() uint64 { return l.figures()[`kernel_dropped_total{interface="srv0"}`] }
	l.until("all counted", func() bool {
		peak = max(peak, l.resident())
		return l.sum("frames_total{")+dropped() >= sent
	})
	f := l.figures()
	taken, full := f[verdict(engine.Journaled)], f[verdict(engine.JournalFull)]
	t.Logf("%d sent in %v, %d on disk after %v (%.0f traps/s), %d dropped by the kernel, %d without room",
		sent, took.Round(time.Millisecond), taken, time.Since(began).Round(time.Millisecond), float64(taken)/time.Since(began).Seconds(), dropped(), full)
	if got := l.sum("frames_total{") + dropped(); got != sent || sent != uint64(stormSwitches*each) {
		t.Errorf("%d are counted, %d were sent, of %d\n%v", got, sent, stormSwitches*each, f)
	}
	l.idle(time.Minute)
	peak = max(peak, l.resident())
	t.Logf("all worked off after %v; memory %d MB, before %d MB", time.Since(began).Round(time.Millisecond), peak, before)
	if ended := l.sum("events_total{"); ended != taken || ended+dropped()+full != sent {
		t.Errorf("%d events ended, %d were taken; %d dropped by the kernel, %d without room, %d sent", ended, taken, dropped(), full, sent)
	}
	l.settled(kinds, taken)
	if peak > 300 && !raceEnabled {
		t.Errorf("the daemon has grown to %d MB", peak)
	}
	if lines := strings.Count(l.log.String(), "\n"); lines > 500 {
		t.Errorf("%d lines in the log", lines)
	}
}

// stormSite is what differs from a site where clusto knows every switch.
func stormSite() (ops []clusto.Op) {
	for rack := stormMoved; rack < stormUnmapped; rack++ {
		old := "old" + rackName(rack)
		ops = append(ops, clusto.Op{Op: "entity", Name: old, Driver: "basicserver"})
		for host := range stormServers {
			ops = append(ops, clusto.Op{
				Op: "add", Name: old, Key: "bootstrap", Subkey: ptr("mac"),
				Value: &clusto.Value{Type: clusto.String, Str: testMAC(rack*stormServers + host).String()},
			})
		}
	}
	for rack := stormOff; rack < stormUnknown; rack++ {
		ops = append(ops, attr(rackName(rack), "snmp", "discovery", 0))
	}
	for rack := stormUnknown; rack < stormSwitches; rack++ {
		ops = append(ops, clusto.Op{Op: "unbind", Name: rackName(rack) + "-sw1", IP: switchIP(rack).String()})
	}
	return ops
}

// settled checks that the events that were taken have ended as they had to, and
// that each server is there once.
func (l *lab) settled(kinds map[string]*blown, taken uint64) {
	l.Helper()
	f, good, sent := l.figures(), uint64(0), uint64(0)
	for name, k := range kinds {
		var n uint64
		for _, o := range k.outcomes {
			n += f[outcome(o)]
		}
		l.Logf("%s: %d sent, %d ended", name, k.sent, n)
		sent += k.sent
		if good += n; n > k.sent || n == 0 {
			l.Errorf("%s: %d have ended, of %d", name, n, k.sent)
		}
	}
	if good != taken {
		l.Errorf("%d of %d events ended as they should: %v", good, taken, f)
	}
	made := f[outcome(discovery.Created)]
	if most := uint64(stormServers * stormMoved / stormMakers()); made > most || good == sent && made != most {
		l.Errorf("%d servers, want %d", made, most)
	}
	for rack := stormMoved; rack < stormUnmapped; rack++ {
		l.apply(l, clusto.Op{Op: "delete", Name: "old" + rackName(rack)})
	}
	l.eachOnce(int(made))
}

// stormMakers tells of how many switches one has servers made: under the race
// detector, where a server takes a third of a second, few.
func stormMakers() int {
	if raceEnabled {
		return 10
	}
	return 1
}

// blow is the history that a switch sends as its i-th, and its kind.
func blow(rack, i int) (kind string, history []byte) {
	host := i / stormEvery % stormServers
	mac, port := testMAC(rack*stormServers+host), uint16(host+1)
	switch {
	case rack >= stormUnknown:
		return "unknown", learnt(mac, port)
	case rack >= stormOff:
		return "off", learnt(mac, port)
	case i%stormEvery == 0 && rack >= stormUnmapped:
		return "unmapped", learnt(mac, port+38)
	case i%stormEvery == 0 && rack >= stormMoved:
		return "elsewhere", learnt(mac, port)
	case i%stormEvery == 0 && rack%stormMakers() == 0:
		return "server", learnt(mac, port)
	case i%2 == 0:
		return "virtual", learnt(clusto.MAC{0, 0, 0x5e, 0, 1, byte(i)}, 10) // a router's: VRRP
	}
	return "gone", append(record(2, 42, mac, port), 0)
}

// storm sends traps from all switches in turn, and counts what the kernel took.
func (l *lab) storm(each int) (sent uint64, kinds map[string]*blown) {
	l.Helper()
	kinds = map[string]*blown{
		"server": {outcomes: []discovery.Outcome{discovery.Created, discovery.Known}}, "gone": {outcomes: []discovery.Outcome{discovery.Gone}},
		"virtual":   {outcomes: []discovery.Outcome{discovery.NotServerMAC}},
		"elsewhere": {outcomes: []discovery.Outcome{discovery.KnownMoved}}, "unmapped": {outcomes: []discovery.Outcome{discovery.Unmapped}}, "off": {outcomes: []discovery.Outcome{discovery.Off}},
		"unknown": {outcomes: []discovery.Outcome{discovery.UnknownSwitch}},
	}
	c := l.handmade()
	var room [engine.BatchSize][]byte
	flush := func() {
		sent += uint64(c.group.Conn(0).Send(&c.batch))
		c.batch.Replies = c.batch.Replies[:0]
	}
	for i := range each {
		for rack := range stormSwitches {
			n := len(c.batch.Replies)
			c.head.Src = switchIP(rack).As4()
			kind, history := blow(rack, i)
			kinds[kind].sent++
			room[n] = c.frame(room[n][:0], notification(false, "public", int32(i+1), history))
			c.batch.Replies = append(c.batch.Replies, room[n])
			if n == engine.BatchSize-1 {
				flush()
			}
		}
	}
	flush()
	return sent, kinds
}

func ptr(s string) *string { return &s }
