package main

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standin "github.com/clusto/clusto-engine/clusto/client/original"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/storm"
)

// originalPace is a quarter of the time that the original took for a request.
const originalPace = 9 * time.Millisecond / 4

// old puts the original in the place of the lab's clusto-httpd.
func (l *lab) old(s *store.Store, recorded bool) *standin.Server {
	l.t.Helper()
	l.api.down()
	var srv *standin.Server
	must(l.t, l.net.Do(func() (err error) {
		srv, err = standin.Listen(apiAddr, standin.Config{Inventory: s, Recorded: recorded, Pace: originalPace})
		return err
	}))
	l.t.Cleanup(srv.Close)
	return srv
}

// TestBehindTheOriginal answers on the original's site, from the original's own
// answers as far as they were recorded.
func TestBehindTheOriginal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.old(newStore(t, originalDB(t)), true)
	must(t, l.net.AddAddr("srv0", netip.MustParsePrefix("10.42.0.4/24")))
	l.start()
	host := func(last byte) *storm.Client { return &storm.Client{MAC: [6]byte{0, 0x1e, 0xc9, 0, 0, last}} }
	for last, want := range map[byte]string{
		0x01: "10.42.0.11", 0x05: "10.42.0.15", 0x06: "10.42.0.16", 0x10: "10.42.0.26", 0x11: "10.42.0.27", 0x14: "10.42.0.30",
	} {
		l.check(l.ask(host(last), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, want)
	}
	l.until("all hosts at hand", func() bool { return strings.Contains(l.log.String(), "all hosts are at hand") })
	if n := l.metric("clusto_dhcpd_prefetched_hosts"); n != 27 {
		t.Errorf("%d hosts were fetched beforehand, want 27", n)
	}
	r := l.ask(host(1), storm.Message{Type: dhcp4.Discover})
	for code, want := range map[byte]string{
		dhcp4.OptSubnetMask: "\xff\xff\xff\x00", dhcp4.OptRouter: "\x0a\x2a\x00\x01", dhcp4.OptHostname: "s0001",
		dhcp4.OptDomainName: "example.org", // the pool's over the datacenter's
		dhcp4.OptBootFile:   "/pxelinux.0", dhcp4.OptPathPrefix: "http://10.42.0.5/tftpboot/",
	} {
		if got := r.opt(code); got != want {
			t.Errorf("option %d is %q, want %q", code, got, want)
		}
	}
	l.fence = host(1)
	for last, want := range map[byte]engine.Verdict{
		0x03: engine.Disabled, 0x04: engine.NoAddress, 0x07: engine.Ambiguous, 0x13: engine.Disabled, 0x99: engine.UnknownHost,
	} {
		l.silent(l.frame(host(last), storm.Message{Type: dhcp4.Discover}), want)
	}
}

// TestPoolChangesBehindTheOriginal: SIGHUP also forgets what hosts share.
func TestPoolChangesBehindTheOriginal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	srv := l.old(l.store, false)
	l.start("--cache-ttl", "1h")
	domain := func() string { return l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName) }
	if got := domain(); got != "boot.example.org" {
		t.Errorf("domain %q", got)
	}
	l.apply("pools: {boot: {dhcp: {domain: new.example.org}}}")
	srv.Changed()
	must(t, l.daemon.Process.Signal(syscall.SIGHUP))
	l.until("the pool's new domain", func() bool { return domain() == "new.example.org" })
}

// TestOursReplacesTheOriginal without a restart of the daemon.
func TestOursReplacesTheOriginal(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	srv := l.old(l.store, false)
	l.start("--cache-ttl", "1ms")
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
	srv.Close()
	l.api.up()
	l.until("word of the new server", func() bool {
		l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
		return strings.Contains(l.log.String(), "speaks /v2")
	})
}

// isWalk tells the question for all hosts from those for one.
func isWalk(call string) bool {
	return strings.HasPrefix(call, "POST /query/get_entities?attrs=") && !strings.Contains(call, `"value"`)
}

// TestStormBehindTheOriginal: fifty machines at once and nothing at hand. Each
// is answered in its turn, with two calls and what all share; none is refused.
func TestStormBehindTheOriginal(t *testing.T) {
	const n = 50
	h := newHall(t, n)
	srv := h.old(h.store, false)
	srv.Fail(func(call string) string {
		if isWalk(call) {
			return "HTTP/1.0 500 Internal Server Error\r\n\r\nMemoryError"
		}
		return ""
	})
	h.start()
	srv.Calls()
	g, err := afpacket.Open(afpacket.Config{Interface: "cli0", Ports: []uint16{68}, OtherHosts: true, In: h.peer.Do})
	must(t, err)
	defer g.Close()
	var mu sync.Mutex
	var order []int
	cfg := storm.Config{Conn: g.Conn(0), OnReply: func(i int, _ *engine.Packet) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(order, i) { // OFFERs
			order = append(order, i)
		}
	}}
	res, err := storm.Run(t.Context(), cfg, h.clients, storm.DORA)
	must(t, err)
	if res.Done != n || res.Naks != 0 || res.Retransmitted != 0 {
		t.Errorf("%d of %d done, %d NAKs, %d retransmitted\n%s", res.Done, n, res.Naks, res.Retransmitted, h.log)
	}
	for i := range h.clients {
		if want := hallIP(i).As4(); h.clients[i].Addr != want {
			t.Errorf("machine %d has %v, want %v", i, h.clients[i].Addr, want)
		}
	}
	off := 0
	for at, i := range order {
		if max(at-i, i-at) > 8 { // four are loaded at once
			off++
		}
	}
	if off > n/4 {
		t.Errorf("%d machines were answered out of turn: %v", off, order)
	}
	t.Logf("p50 %v, slowest %v, %d out of turn", res.Percentile(50), res.Percentile(100), off)
	calls := 0
	for _, c := range srv.Calls() {
		if !isWalk(c.Call) {
			calls++
		}
	}
	if calls < 2*n || calls > 2*n+20 {
		t.Errorf("%d calls for %d hosts, want two for each and a few for what they share", calls, n)
	}
	if most := srv.Most(); most > 4 {
		t.Errorf("%d requests at once, want 4 at most", most)
	}
	if naks := h.verdicts(engine.Nak); naks != 0 {
		t.Errorf("%d NAKs", naks)
	}
}

// TestOriginalFailsDuringAStorm: what holds of our inventory holds of the
// original's. It takes one request after the other, so that one that hangs keeps
// all others waiting, also those that nobody waits for any more on its return.
func TestOriginalFailsDuringAStorm(t *testing.T) {
	h := newHall(t, scaled(100))
	srv := h.old(h.store, false)
	h.start("--cache-ttl", "1ms", "--negative-ttl", "1ms")
	h.until("all hosts at hand", func() bool { return strings.Contains(h.log.String(), "all hosts are at hand") })
	say := func(answer string) func() func() {
		return func() func() {
			srv.Fail(func(string) string { return answer })
			return func() { srv.Fail(nil) }
		}
	}
	const ok = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n"
	for i, fault := range []struct {
		name string
		fail func() (mend func())
	}{
		{"killed", func() func() { srv.Close(); return func() { srv = h.old(h.store, false) } }},
		{"hanging", func() func() {
			hang := make(chan struct{})
			srv.Fail(func(string) string { <-hang; return "" })
			return func() { srv.Fail(nil); close(hang) }
		}},
		{"500", say("HTTP/1.0 500 Internal Server Error\r\n\r\nTraceback (most recent call last)")},
		{"nothing", say("HTTP/1.0")},
		{"half a JSON", say(ok + `["/server/s`)},
		{"10 MB of JSON", say(ok + `{"attrs": "` + strings.Repeat("x", 10<<20) + `"}`)},
		{"wrong types", say(ok + `{"a": 1}`)},
	} {
		mend := fault.fail()
		h.allBound(fault.name)
		srv.Changed()
		h.newcomer(fault.name, i+1, func() { srv.Changed(); mend() })
		h.until("the inventory counts as up", func() bool { return h.metric("clusto_dhcpd_inventory_up") == 1 })
	}
	h.allBound("after it all")
	if rss := h.resident(); rss > 300 && !raceEnabled {
		t.Errorf("the daemon has grown to %d MB", rss)
	}
}
