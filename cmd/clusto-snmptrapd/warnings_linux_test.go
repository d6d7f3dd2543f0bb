package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/engine"
)

// burst sends traps from the switch of a rack, of the MACs from first on.
func (l *lab) burst(rack int, community string, port uint16, first, n int) {
	l.Helper()
	c := l.socket(rack)
	for i := first; i < first+n; i++ {
		_, err := c.Write(notification(false, community, int32(i), learnt(testMAC(i), port)))
		must(l, err)
	}
}

// refused is one reason why nothing comes of a trap, and how it shows.
type refused struct {
	name   string
	rack   int
	port   uint16 // 0: the message has none, nor VLAN and MAC
	send   func(r *refused)
	metric string
	says   []string
	rate   float64 // warnings a second at the most; 0: one a minute
}

// told are words that each warning has: the switch, and what of the port there is.
func (r *refused) told() []string {
	words := append([]string{`"level":"WARN"`, fmt.Sprintf(`"switch":%q`, switchIP(r.rack))}, r.says...)
	if r.port > 0 {
		words = append(words, fmt.Sprintf(`"port":%d,"vlan":42,"mac":"00:1e:c9:`, r.port))
	}
	return words
}

// TestEachRefusalIsCountedAndTold: whatever is wrong with a notification, each has
// a count of its own, and a warning that names switch, port, VLAN and MAC; hundreds
// of them make a few lines.
func TestEachRefusalIsCountedAndTold(t *testing.T) {
	const n = 300 // as many as the journal holds
	l := newLab(t, 6)
	l.apply(t, attr("r03", "snmp", "discovery", 0), clusto.Op{Op: "unbind", Name: "r02-sw1", IP: switchIP(2).String()})
	l.start("--journal-size", fmt.Sprint(n))
	traps := func(community string) func(*refused) {
		return func(r *refused) { l.burst(r.rack, community, r.port, 0, n) }
	}
	full := 0
	for _, r := range []refused{
		{"malformed BER", 0, 0, func(r *refused) {
			c := l.socket(r.rack)
			for i := range n {
				_, err := c.Write(notification(false, "public", int32(i), learnt(testMAC(i), 1))[:40])
				must(t, err)
			}
		}, verdict(engine.Malformed), []string{"the message is malformed", `"error":`}, 1},
		{"wrong community", 1, 7, traps("guess"), verdict(engine.WrongCommunity), []string{"community is not configured", `"community":"guess"`}, 1},
		{"unknown switch", 2, 8, traps("public"), outcome(discovery.UnknownSwitch), []string{`"outcome":"unknown_switch"`, "nothing in clusto has the address"}, 0},
		{"discovery off", 3, 9, traps("public"), outcome(discovery.Off), []string{`"outcome":"off"`, "snmp/discovery is off on /rack/r03"}, 0},
		{"unmapped port", 4, 39, traps("public"), outcome(discovery.Unmapped), []string{`"outcome":"unmapped"`, "servers of layout 201001 are on ports"}, 10},
		{"full journal", 5, 11, func(r *refused) {
			l.api.down()
			l.burst(r.rack, "public", r.port, 0, n)
			l.until("the journal is full", func() bool { return l.figures()["journal_waiting"] == n })
			full = n
			l.burst(r.rack, "public", r.port, full, n)
		}, verdict(engine.JournalFull), []string{"there is no room for more events"}, 1},
	} {
		t.Run(r.name, func(t *testing.T) {
			defer func(all testing.TB) { l.TB = all }(l.TB)
			l.TB = t
			l.idle(patience)
			began := time.Now()
			r.send(&r)
			l.count(r.metric, n)
			words := r.told()
			l.says(words...)
			first := words
			if r.port > 0 {
				first = append(first, testMAC(full).String())
			}
			if l.log.Lines(first...) != 1 {
				t.Errorf("not one line has %q\n%s", first, l.log.Tail())
			}
			lines, most := l.log.Lines(r.says[0]), 1+int(r.rate*(1+time.Since(began).Seconds()))
			if lines > most {
				t.Errorf("%d lines for %d, want %d at most", lines, n, most)
			}
			if whole := l.log.Lines(words...); whole != lines {
				t.Errorf("%d of %d lines have %q", whole, lines, words)
			}
		})
	}
}
