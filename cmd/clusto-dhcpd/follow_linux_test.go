package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

// following waits until the daemon hears of changes.
func (l *lab) following() {
	l.t.Helper()
	l.until("the feed", func() bool { return l.metric("clusto_dhcpd_feed_up") == 1 })
}

// TestNewHostIsAnsweredAtOnce: who asked in vain is answered at the next
// DISCOVER after clusto knows it, whatever the negative TTL.
func TestNewHostIsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.api.follow(true)
	l.start("--negative-ttl", "1h", "--cache-ttl", "1h")
	l.following()
	l.silent(l.frame(client(0x77), storm.Message{Type: dhcp4.Discover}), engine.UnknownHost)
	purged := l.metric("clusto_dhcpd_feed_purged_total")
	l.apply(`
pools: {boot: {}}
servers: {late: {in: boot, mac: "02:00:00:00:00:77", ip: 10.9.0.77}}
`)
	began := time.Now()
	l.until("word of the change", func() bool { return l.metric("clusto_dhcpd_feed_purged_total") > purged })
	r := l.ask(client(0x77), storm.Message{Type: dhcp4.Discover})
	t.Logf("answered %v after the change", time.Since(began))
	l.check(r, dhcp4.Offer, "10.9.0.77")
}

// TestChangeByHandIsHeard: another program writes into the database, as the
// Python clusto does; nothing has aged meanwhile.
func TestChangeByHandIsHeard(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.api.follow(true)
	l.start("--cache-ttl", "1h")
	l.following()
	domain := func() string { return l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName) }
	if got := domain(); got != "boot.example.org" {
		t.Fatalf("domain %q", got)
	}
	db, err := sql.Open("sqlite", l.db)
	must(t, err)
	defer db.Close()
	_, err = db.ExecContext(context.Background(), `UPDATE entity_attrs SET string_value = 'hand.example.org' WHERE string_value = 'boot.example.org'`)
	must(t, err)
	l.until("the new domain", func() bool { return domain() == "hand.example.org" })
}

// TestFeedIsResumed: clusto-httpd goes away and comes back; what was changed
// meanwhile is heard then.
func TestFeedIsResumed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.api.follow(true)
	l.start("--cache-ttl", "1h", "--negative-ttl", "1h")
	l.following()
	l.silent(l.frame(client(0x78), storm.Message{Type: dhcp4.Discover}), engine.UnknownHost)
	l.api.down()
	l.until("the end of the feed", func() bool { return l.metric("clusto_dhcpd_feed_up") == 0 })
	l.apply(`
pools: {boot: {dhcp: {domain: meanwhile.example.org}}}
servers: {late: {in: boot, mac: "02:00:00:00:00:78", ip: 10.9.0.78}}
`)
	resets := l.metric("clusto_dhcpd_feed_resets_total")
	l.api.up()
	l.following()
	l.until("the new domain", func() bool {
		return l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName) == "meanwhile.example.org"
	})
	l.check(l.ask(client(0x78), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.78")
	if l.metric("clusto_dhcpd_feed_resets_total") != resets {
		t.Error("the feed began anew")
	}
}

// TestChangedHostWhileTheInventoryFails: a host whose change was heard of, and
// that could not be fetched again, is answered from what was known. It was
// forgotten, and not answered at all.
func TestChangedHostWhileTheInventoryFails(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.api.follow(true)
	l.start("--cache-ttl", "1h")
	l.following()
	l.api.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }) // the feed goes on
	purged := l.metric("clusto_dhcpd_feed_purged_total")
	l.apply(`servers: {s1: {dhcp: {domain: new.example.org}}}`)
	l.until("word of the change", func() bool { return l.metric("clusto_dhcpd_feed_purged_total") > purged })
	r := l.ask(client(1), storm.Message{Type: dhcp4.Discover})
	l.check(r, dhcp4.Offer, "10.9.0.51")
	if got := r.opt(dhcp4.OptDomainName); got != "boot.example.org" || l.metric("clusto_dhcpd_feed_up") != 1 {
		t.Errorf("domain %q", got)
	}
	l.api.fail(nil)
	l.until("the new domain", func() bool {
		return l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName) == "new.example.org"
	})
}

// TestChangeOfMany: hosts that changed are fetched again though they do not ask.
func TestChangeOfMany(t *testing.T) {
	l := newLab(t)
	l.api.follow(true)
	const hosts = 2500
	var yaml strings.Builder
	yaml.WriteString("servers:\n")
	for i := range hosts {
		fmt.Fprintf(&yaml, "  many%d: {in: boot, mac: %q}\n", i, clusto.MAC{2, 2, 0, 0, byte(i >> 8), byte(i)})
	}
	l.apply(yaml.String())
	l.start("--cache-ttl", "1h")
	l.following()
	l.apply(`pools: {boot: {dhcp: {domain: new.example.org}}}`)
	l.until("all of them again", func() bool {
		return l.metric("clusto_dhcpd_cache_loads_total") >= hosts || l.metric("clusto_dhcpd_prefetches_total") > 1
	})
	l.api.fail(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if got := l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName); got != "new.example.org" {
		t.Errorf("domain %q", got)
	}
}
