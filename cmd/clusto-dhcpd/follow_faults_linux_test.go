package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

const changesPath = "/v2/changes"

// feedSays has the feed alone fail, from its next connection on.
func (f *front) feedSays(h http.HandlerFunc) (mend func()) {
	next := f.next.ServeHTTP
	return f.with(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == changesPath {
			h(w, r)
			return
		}
		next(w, r)
	})
}

// allButFeed has all fail but the feed.
func (f *front) allButFeed(h http.HandlerFunc) (mend func()) {
	next := f.next.ServeHTTP
	return f.with(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != changesPath {
			h(w, r)
			return
		}
		next(w, r)
	})
}

// cut ends all connections, as a proxy does that is restarted.
func (f *front) cut() {
	f.t.Helper()
	f.down()
	f.up()
}

// holder is a server whose feed can be held up on its way, connections and all.
type holder struct {
	next http.Handler
	mu   sync.Mutex
	held chan struct{} // closed: nothing comes through
}

// hold is the end of all that comes, until it is mended.
func (h *holder) hold() (mend func()) {
	close(h.held)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.held = make(chan struct{})
	}
}

func (h *holder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == changesPath {
		h.mu.Lock()
		w = &heldWriter{w, r.Context(), h.held}
		h.mu.Unlock()
	}
	h.next.ServeHTTP(w, r)
}

type heldWriter struct {
	http.ResponseWriter
	ctx  context.Context
	held chan struct{}
}

func (w *heldWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *heldWriter) Write(b []byte) (int, error) {
	select {
	case <-w.held:
		<-w.ctx.Done()
		return 0, w.ctx.Err()
	default:
		return w.ResponseWriter.Write(b)
	}
}

func says(status int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestFeedFaults: whatever becomes of the feed, hosts that are known are answered
// and nothing is refused; and once it is back, the next DISCOVER is answered with
// what was changed meanwhile, also that of a host that asked in vain.
func TestFeedFaults(t *testing.T) {
	t.Parallel()
	const stream = "text/event-stream"
	for name, fault := range map[string]func(l *lab) (mend func()){
		"cut off": func(l *lab) func() { l.api.down(); return l.api.up },
		"500":     func(l *lab) func() { return l.endFeed(says(500, "text/plain", "oh")) },
		"HTML":    func(l *lab) func() { return l.endFeed(says(200, "text/html", "<h1>It works!</h1>")) },
		"garbage": func(l *lab) func() { return l.endFeed(says(200, stream, "\x00\xff: {[\n\n\n")) },
		"half":    func(l *lab) func() { return l.endFeed(says(200, stream, "event: hello\ndata: {\"seq\":1")) },
		"no position": func(l *lab) func() {
			return l.endFeed(says(200, stream, "event: hello\ndata: {\"seq\":1}\n\nid: x\nevent: change\ndata: {}\n\n"))
		},
		"no answer": func(l *lab) func() {
			return l.endFeed(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		},
		"silent": func(l *lab) func() {
			flow := l.api.next.(*holder).hold()
			return func() { flow(); l.api.cut() }
		},
		"rows are gone": func(l *lab) func() {
			l.api.down()
			return func() {
				_, err := l.sql("DELETE FROM clusto_changes")
				must(l.t, err)
				l.apply(`pools: {dc: {dhcp: {NTP_server: 10.9.0.4}}}`)
				l.api.up()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.api.follow(true)
			l.api.put(&holder{next: l.api.next, held: make(chan struct{})})
			l.start("--cache-ttl", "1h", "--negative-ttl", "1h")
			l.following()
			late := client(0x77)
			l.silent(l.frame(late, storm.Message{Type: dhcp4.Discover}), engine.UnknownHost)
			mend := fault(l)
			l.known("boot.example.org")
			l.apply(`
pools: {boot: {dhcp: {domain: meanwhile.example.org}}}
servers: {late: {in: boot, mac: "02:00:00:00:00:77", ip: 10.9.0.77}}
`)
			l.known("boot.example.org")
			l.within(2*patience, "the end of the feed", func() bool { return l.metric("clusto_dhcpd_feed_up") == 0 })
			l.known("boot.example.org")
			mend()
			l.within(2*time.Minute, "the feed", func() bool { return l.metric("clusto_dhcpd_feed_up") == 1 })
			l.check(l.ask(late, storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.77")
			l.known("meanwhile.example.org")
			if l.verdicts(engine.Nak) != 0 {
				t.Error("there was a NAK")
			}
		})
	}
}

// known has a host that is known acquire its address, and judges its domain.
func (l *lab) known(domain string) {
	l.t.Helper()
	r := l.ask(client(1), storm.Message{Type: dhcp4.Discover})
	l.check(r, dhcp4.Offer, "10.9.0.51")
	if got := r.opt(dhcp4.OptDomainName); got != domain {
		l.t.Errorf("domain %q, want %q", got, domain)
	}
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.51"), ServerID: ip(serverIP)}), dhcp4.Ack, "10.9.0.51")
}

// endFeed cuts the feed off, and says something else when it is asked for again.
func (l *lab) endFeed(h http.HandlerFunc) (mend func()) {
	l.t.Helper()
	well := l.api.feedSays(h)
	l.api.cut()
	return func() {
		well()
		l.api.cut() // what hangs
	}
}

// TestInventoryFaultsBesideTheFeed: while the feed tells of changes, all else of
// the inventory fails. Whose change was heard of is answered from what was known,
// and not with a NAK; the others are as ever.
func TestInventoryFaultsBesideTheFeed(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]http.HandlerFunc{
		"slow":        func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"500":         says(500, "text/plain", "oh"),
		"404":         http.NotFound,
		"half a JSON": says(200, "application/json", `{"mac":"02:00:00`),
		"HTML":        says(200, "text/html", "<h1>It works!</h1>"),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.api.follow(true)
			l.start("--cache-ttl", "1ms", "--negative-ttl", "1h")
			l.following()
			late := client(0x77)
			l.silent(l.frame(late, storm.Message{Type: dhcp4.Discover}), engine.UnknownHost)
			mend := l.api.allButFeed(fault)
			l.changed(`
servers:
  s1: {dhcp: {domain: meanwhile.example.org}}
  late: {in: boot, mac: "02:00:00:00:00:77", ip: 10.9.0.77}
`)
			for range 3 {
				l.known("boot.example.org")
			}
			l.send(l.frame(late, storm.Message{Type: dhcp4.Discover}))
			l.until("the new host waits", func() bool { return l.metric("clusto_dhcpd_waiting_frames") == 1 })
			l.until("the inventory counts as down", func() bool { return l.metric("clusto_dhcpd_inventory_up") == 0 })
			l.silent(l.frame(client(1), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.99")}), engine.NakWithheld)
			stale := l.metric(`clusto_dhcpd_cache_lookups_total{result="stale"}`)
			l.check(l.ask(client(2), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.52")
			if n := l.metric(`clusto_dhcpd_cache_lookups_total{result="stale"}`); n != stale {
				t.Error("a host aged that nobody changed")
			}
			if l.metric("clusto_dhcpd_feed_up") != 1 || l.verdicts(engine.Nak) != 0 {
				t.Error("the feed ended, or there was a NAK")
			}
			mend()
			l.until("the inventory counts as up", func() bool { return l.metric("clusto_dhcpd_inventory_up") == 1 })
			l.known("meanwhile.example.org")
			l.check(l.ask(late, storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.77")
			if n := strings.Count(l.log.String(), "the inventory does not answer"); n != 1 {
				t.Errorf("%d lines say that the inventory does not answer, want 1", n)
			}
		})
	}
}

// TestChangeOfAllWhileTheyAsk: ten thousand machines power on, and a change of
// their pool names all of them. Each is answered, with a few loads at once, and
// soon none is old any more.
func TestChangeOfAllWhileTheyAsk(t *testing.T) {
	n := scaled(10_000)
	h := newHall(t, n)
	h.api.follow(true)
	h.start("--cache-ttl", "1h")
	h.following()
	applied := make(chan error, 1)
	go func() {
		parsed, err := inventory.Parse("site.yaml", []byte(`pools: {boot: {dhcp: {domain: new.example.org}}}`))
		if err == nil {
			err = h.store.Apply(t.Context(), parsed.Ops())
		}
		applied <- err
	}()
	for h.metric("clusto_dhcpd_feed_purged_total") < uint64(n) {
		res := h.allBound("beside the change")
		t.Logf("%d hosts heard of: p50 %v, slowest %v", h.metric("clusto_dhcpd_feed_purged_total"), res.Percentile(50), res.Percentile(100))
		if loads, threads := h.metric("clusto_dhcpd_cache_loads_under_way"), h.metric("go_goroutines"); loads > 64 || threads > 500 {
			t.Errorf("%d loads at once, %d goroutines", loads, threads)
		}
	}
	must(t, <-applied)
	stale := func() uint64 { return h.metric(`clusto_dhcpd_cache_lookups_total{result="stale"}`) }
	h.within(2*patience, "none is old", func() bool {
		before := stale()
		h.allBound("after the change")
		return stale() == before
	})
	if got := h.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName); got != "new.example.org" {
		t.Errorf("domain %q", got)
	}
}
