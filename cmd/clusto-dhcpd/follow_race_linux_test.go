package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

// holdHosts has the inventory answer about hosts from what it knows at once, but
// not before release is called. held tells of each answer.
func (f *front) holdHosts() (held <-chan string, release func()) {
	asked, free := make(chan string, 100), make(chan struct{})
	next := f.next.ServeHTTP
	f.fail(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/v2/hosts/") {
			next(w, r)
			return
		}
		rec := httptest.NewRecorder()
		next(rec, r)
		asked <- r.URL.Path
		select {
		case <-free:
		case <-r.Context().Done():
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	var once sync.Once
	release = func() { once.Do(func() { close(free) }) }
	f.t.Cleanup(release)
	return asked, release
}

// changed changes the inventory, and waits until the daemon has heard of it.
func (l *lab) changed(yaml string) {
	l.t.Helper()
	purged := l.metric("clusto_dhcpd_feed_purged_total")
	l.apply(yaml)
	l.until("word of the change", func() bool { return l.metric("clusto_dhcpd_feed_purged_total") > purged })
}

func (l *lab) send(frames ...[]byte) {
	l.t.Helper()
	if n := l.group.Conn(0).Send(&engine.Batch{Replies: frames}); n != len(frames) {
		l.t.Fatalf("%d of %d frames sent", n, len(frames))
	}
}

// TestLoadOfBeforeAChange: a frame that comes after word of a change takes the
// place of one that waited before it, and with that its load, which knows nothing
// of the change: a new host was unknown, and an address that it had been given got a NAK.
func TestLoadOfBeforeAChange(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name          string
		mac           byte
		before, after string // changes: the first is loaded late
		next          storm.Message
		typ           dhcp4.MessageType
		want          string
	}{
		{
			"a new host", 0x77, "", `servers: {late: {in: boot, mac: "02:00:00:00:00:77", ip: 10.9.0.77}}`,
			storm.Message{Type: dhcp4.Discover},
			dhcp4.Offer, "10.9.0.77",
		},
		{
			"a new address", 1, `servers: {s1: {dhcp: {domain: new.example.org}}}`, `servers: {s1: {ip: 10.9.0.71}}`,
			storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.71")},
			dhcp4.Ack, "10.9.0.71",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			l.api.follow(true)
			l.start("--negative-ttl", "1h", "--cache-ttl", "1h")
			l.following()
			held, release := l.api.holdHosts()
			if tc.before != "" {
				l.changed(tc.before)
			}
			l.send(l.frame(client(tc.mac), storm.Message{Type: dhcp4.Discover}))
			<-held
			l.until("the first frame waits", func() bool { return l.metric("clusto_dhcpd_waiting_frames") == 1 })
			l.changed(tc.after)
			next := l.frame(client(tc.mac), tc.next)
			match, err := storm.ReplyTo(next)
			must(t, err)
			l.send(next)
			l.until("the next one has its place", func() bool { return l.verdicts(engine.Replaced) == 1 })
			release()
			got, err := l.probe.Await(t.Context(), match, patience)
			if err != nil {
				t.Fatalf("%v\n%s", err, l.log)
			}
			l.check(l.parse(got), tc.typ, tc.want)
		})
	}
}

// TestNetworkThatAppearsWhileTheInventoryFails: word of it came, but it could not
// be read, and was not for a minute: who asked in it got another's address.
func TestNetworkThatAppearsWhileTheInventoryFails(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.api.follow(true)
	second := newLabPort(t, l, "srv1", "cli1", netip.MustParsePrefix("10.66.0.1/24"))
	l.start("--interface", "srv1", "--workers", "2", "--cache-ttl", "1h")
	l.following()
	l.probe = second
	discover := storm.Message{Type: dhcp4.Discover}
	l.check(l.ask(client(1), discover), dhcp4.Offer, "10.9.0.51") // 10.66.0.0/24 is nobody's, so all of it is
	vain := make(chan struct{}, 100)
	mend := l.api.with(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		if r.URL.Path == "/v2/networks" {
			vain <- struct{}{}
		}
	})
	l.apply(`networks: {new: {cidr: 10.66.0.0/24}}`)
	<-vain
	mend()
	l.within(10*time.Second, "the network is known", func() bool {
		f := l.frame(client(1), discover)
		match, err := storm.ReplyTo(f)
		must(t, err)
		_, _ = second.Exchange(t.Context(), f, match, 100*time.Millisecond)
		return l.verdicts(engine.NoAddress) > 0
	})
}
