package discovery

import (
	"fmt"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// TestEventsThatWaitedAreNoUplink: after a night without inventory the MACs that
// a port showed one after the other, hours apart, were taken for those of an
// uplink, and no server was made.
func TestEventsThatWaitedAreNoUplink(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s, func(c *Config) { c.HoldDown = 2 * time.Second })
	night := time.Now().Add(-10 * time.Hour)
	at := func(mac string, port uint16, d time.Duration) Event {
		ev := learnt(mac, port)
		ev.At = night.Add(d)
		return ev
	}
	var events []Event
	for i := range 4 { // a card that was replaced, and again
		events = append(events, at(fmt.Sprintf("00:1e:c9:00:0c:%02x", i), 25, time.Duration(i)*time.Hour))
	}
	for again := range 2 { // an uplink, whose MACs are learnt again and again
		for i := range 4 {
			d := time.Duration(5+again)*time.Hour + time.Duration(i)*time.Second/2
			events = append(events, at(fmt.Sprintf("00:1e:c9:00:0d:%02x", i), 26, d))
		}
	}
	l.send(events...)
	l.want(map[string]uint64{"created": 1, "attached": 3, "uplink": 8})
}

// TestUplinkStaysOne: a port that had shown five MACs at once got a server when
// another one appeared there after the hold-down.
func TestUplinkStaysOne(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s, func(c *Config) { c.HoldDown = 2 * time.Second })
	before := time.Now().Add(-2 * time.Hour)
	at := func(i int, kind Kind, d time.Duration) Event {
		ev := learnt(fmt.Sprintf("00:1e:c9:00:0f:%02x", i), 25)
		ev.At, ev.Kind = before.Add(d), kind
		return ev
	}
	var events []Event
	for i := range 5 {
		events = append(events, at(i, Learnt, 0))
	}
	events = append(events, at(5, Learnt, 5500*time.Millisecond))
	l.send(events...)
	l.want(map[string]uint64{"uplink": 6})
	events = nil
	for i := range 6 { // the switch behind it is gone
		events = append(events, at(i, Removed, time.Minute))
	}
	l.send(append(events, at(6, Learnt, 2*time.Minute))...)
	l.want(map[string]uint64{"uplink": 6, "gone": 6, "created": 1})
}

// TestUplinkOnTheSecondCardsPort: what was behind a switch on the unconnected port for
// the second network card of a server was taken for its MACs at once, and the port
// connected to it.
func TestUplinkOnTheSecondCardsPort(t *testing.T) {
	t.Parallel()
	const sw = "10.42.0.250"
	s := openStore(t, originalFile(t))
	rackOf5555(t, s, "sv2-r05", sw)
	apply(t, s, clusto.Op{Op: "create", Name: "by-hand", Driver: "penguinserver"},
		clusto.Op{Op: "connect", Name: "by-hand", Port: portNIC, Num: "1", To: "sv2-r05-sw1", ToNum: "3"})
	l := newLab(t, s, func(c *Config) { c.HoldDown = 2 * time.Second })
	night := time.Now().Add(-10 * time.Hour)
	at := func(i int, port uint16) Event {
		ev := from(sw, learnt(fmt.Sprintf("00:1e:c9:00:0f:%02x", i), port))
		ev.At = night.Add(time.Duration(i) * time.Second / 4)
		return ev
	}
	l.send(at(1, 23), at(2, 23), at(3, 23), at(4, 24), at(5, 4))
	l.want(map[string]uint64{"created": 1, "uplink": 3, "attached": 1})
	for _, p := range object(t, s, "by-hand").Ports {
		if p.Type == portNIC && p.Num == 2 && p.To != "" {
			t.Errorf("its second card is connected to %s port %s", p.To, p.ToNum)
		}
	}
}
