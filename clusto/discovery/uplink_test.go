package discovery

import (
	"fmt"
	"testing"
	"time"
)

// TestEventsThatWaitedAreNoUplink: after a night without inventory the MACs that
// a port showed one after the other, hours apart, were taken for those of an
// uplink, and no server was made.
func TestEventsThatWaitedAreNoUplink(t *testing.T) {
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
