package main

import (
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

// TestHallBootsWithInventoryDown: power is cut, and when it is back there is no
// inventory. What the last run knew is answered, nothing is refused, and when
// the inventory is back its word counts.
func TestHallBootsWithInventoryDown(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	l.stop()
	l.api.down()
	l.start() // ready without it
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.51"), ServerID: ip(serverIP)}), dhcp4.Ack, "10.9.0.51")
	l.check(l.ask(client(0x0b), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.61")
	l.until("the inventory counts as down", func() bool { return l.metric("clusto_dhcpd_inventory_up") == 0 })
	l.silent(l.frame(client(1), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.99")}), engine.NakWithheld)
	l.silent(l.frame(client(3), storm.Message{Type: dhcp4.Discover}), engine.Disabled)
	l.apply(`servers: {s1: {dhcp: {domain: new.example.org}}}`)
	l.api.up()
	l.until("the inventory's word", func() bool {
		return l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName) == "new.example.org"
	})
	if l.verdicts(engine.Nak) != 0 || !strings.Contains(l.log.String(), "hosts of the last run are at hand") {
		t.Error("there was a NAK, or no word of the last run")
	}
}
