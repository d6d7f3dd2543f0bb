package main

import (
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/engine"
)

// acked waits until the client says the words, past those that were looked at
// before, and after them those for an ACK.
func (g *guest) acked(words, ack string) {
	g.l.t.Helper()
	g.l.within(3*patience, "an ACK after "+words, func() bool {
		out := g.out.String()[g.heard:]
		_, after, ok := strings.Cut(out, words)
		_, rest, acked := strings.Cut(after, ack)
		if ok && acked {
			g.heard += len(out) - len(rest)
		}
		return ok && acked
	})
}

// TestUdhcpcRebinds: when half of a lease this short is over, udhcpc asks everyone
// at once. It believes in no lease shorter than its own least, so that takes 17 s.
func TestUdhcpcRebinds(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("*** NOT TESTED *** under -short: it waits for 17 s")
	}
	l := newLab(t)
	g := newUdhcpc(l, 2)
	l.apply(`servers: {s2: {dhcp: {lease_time: 10}}}`)
	l.start()
	g.start()
	g.await("bound").check(t, map[string]string{"ip": "10.9.0.52", "lease": "10"})
	l.mislead(serverIP)
	g.acked("broadcasting renew", "lease of 10.9.0.52 obtained")
	g.await("renew").check(t, map[string]string{"ip": "10.9.0.52", "lease": "10"})
	if n := l.verdicts(engine.Reply); n != 3 {
		t.Errorf("%d replies, want those to DISCOVER, REQUEST and the rebinding", n)
	}
}

// TestDhclientRebinds: the server does not hear what is sent to it alone.
func TestDhclientRebinds(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newDhclient(l, 2)
	l.apply(`servers: {s2: {dhcp: {renewal_time: 1, rebinding_time: 4}}}`)
	l.start()
	g.start()
	g.await("BOUND").check(t, map[string]string{"new_ip_address": "10.9.0.52"})
	l.mislead(serverIP)
	g.acked("DHCPREQUEST for 10.9.0.52 on cli0 to 255.255.255.255", "bound to 10.9.0.52") // selecting
	g.acked("DHCPREQUEST for 10.9.0.52 on cli0 to 255.255.255.255", "bound to 10.9.0.52") // rebinding
	l.lead(serverIP)
	l.ping("10.9.0.52")
}
