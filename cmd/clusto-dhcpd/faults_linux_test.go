package main

import (
	"bytes"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

// sql changes the database behind the inventory's back.
func (l *lab) sql(stmt string) (sql.Result, error) {
	db, err := sql.Open("sqlite", l.db)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return db.ExecContext(l.t.Context(), stmt)
}

// newLabPort adds a second cable and gives its clients' end.
func newLabPort(t *testing.T, l *lab, srv, cli string, addr netip.Prefix) *storm.Probe {
	t.Helper()
	must(t, netlab.Veth(l.net, srv, l.peer, cli))
	must(t, l.net.AddAddr(srv, addr))
	g, err := afpacket.Open(afpacket.Config{
		Interface: cli, Ports: []uint16{68, 67}, OtherHosts: true, In: l.peer.Do, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	p := storm.NewProbe(g.Conn(0))
	t.Cleanup(func() {
		p.Close()
		g.Close()
	})
	return p
}

// TestPartialChecksum: a client in another container sends without a checksum,
// which its kernel leaves to a network card that there is not.
func TestPartialChecksum(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	f := l.frame(client(1), storm.Message{Type: dhcp4.Discover})
	var c net.PacketConn
	must(t, l.peer.Do(func() (err error) {
		lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				err = syscall.SetsockoptString(int(fd), syscall.SOL_SOCKET, syscall.SO_BINDTODEVICE, "cli0")
				if err == nil {
					err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1)
				}
			})
		}}
		var lerr error
		if c, lerr = lc.ListenPacket(t.Context(), "udp4", "0.0.0.0:68"); lerr != nil {
			return lerr
		}
		return err
	}))
	defer c.Close()
	match, err := storm.ReplyTo(f)
	must(t, err)
	var u frame.UDP4
	must(t, u.Parse(f, false))
	_, err = c.WriteTo(u.Payload, &net.UDPAddr{IP: net.IPv4bcast, Port: 67})
	must(t, err)
	got, err := l.probe.Await(t.Context(), match, patience)
	must(t, err)
	l.check(l.parse(got), dhcp4.Offer, "10.9.0.51")
}

// TestMalformed: broken frames are counted, each by what is wrong with it, and
// stop nothing.
func TestMalformed(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	good := l.frame(client(1), storm.Message{Type: dhcp4.Discover})
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	remake := func(payload func([]byte) []byte) []byte {
		h := frame.Header{EthDst: [6]byte{255, 255, 255, 255, 255, 255}, EthSrc: mac(1), Dst: ip("255.255.255.255"), SrcPort: 68, DstPort: 67}
		b := h.AppendTo(nil)
		b = append(b, payload(bytes.Clone(good[42:]))...)
		h.Finish(b)
		return b
	}
	for name, tc := range map[string]struct {
		frame []byte
		want  engine.Verdict
	}{
		"UDP checksum":     {change(func(b []byte) []byte { b[100]++; return b }), engine.BadChecksum},
		"IP checksum":      {change(func(b []byte) []byte { b[14+8]--; return b }), engine.BadChecksum},
		"first fragment":   {change(func(b []byte) []byte { b[14+6] |= 0x20; b[14+10] -= 0x20; return b }), engine.Malformed},
		"IP length":        {change(func(b []byte) []byte { return b[:200] }), engine.Malformed},
		"short message":    {remake(func(b []byte) []byte { return b[:100] }), engine.Malformed},
		"a reply":          {remake(func(b []byte) []byte { b[0] = 2; return b }), engine.Malformed},
		"hlen 17":          {remake(func(b []byte) []byte { b[2] = 17; return b }), engine.Malformed},
		"token ring":       {remake(func(b []byte) []byte { b[1] = 6; return b }), engine.NotForUs},
		"truncated option": {remake(func(b []byte) []byte { return append(b[:243], 12, 200, 'x') }), engine.Malformed},
		"long option":      {remake(func(b []byte) []byte { b[241] = 250; return b[:280] }), engine.Malformed},
		"loopback relay":   {remake(func(b []byte) []byte { copy(b[24:], []byte{127, 0, 0, 1}); return b }), engine.Malformed},
		"no message type":  {remake(func(b []byte) []byte { b[242] = 99; return b }), engine.NotForUs},
		"to another host":  {l.frame(&storm.Client{MAC: mac(1), Server: ip("10.9.0.77")}, storm.Message{Type: dhcp4.Request, CIAddr: ip("10.9.0.51"), Unicast: true}), engine.NotForUs},
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			l.silent(tc.frame, tc.want)
		})
	}
	l.t = t
}

// TestRandomFrames: noise on the cable, and every frame of it has one verdict.
func TestRandomFrames(t *testing.T) {
	l := newLab(t)
	l.start("--workers", "2")
	const rounds = 200
	rnd := rand.New(rand.NewPCG(1, 2))
	good := l.frame(client(1), storm.Message{Type: dhcp4.Discover})
	for range rounds {
		b := &engine.Batch{}
		for range engine.BatchSize {
			f := bytes.Clone(good)
			if rnd.IntN(4) == 0 {
				f = f[:14+rnd.IntN(len(f)-14)]
			}
			for range rnd.IntN(20) {
				f[rnd.IntN(len(f))] = byte(rnd.Uint32())
			}
			b.Replies = append(b.Replies, f)
		}
		l.group.Conn(0).Send(b)
	}
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
	sum := func() (n uint64) {
		for v := engine.None + 1; v < engine.Verdicts; v++ {
			n += l.verdicts(v)
		}
		return n + l.metric("clusto_dhcpd_waiting_frames")
	}
	l.until("every frame has one verdict", func() bool {
		got := l.metric("clusto_dhcpd_received_total")
		return got > rounds && got == sum()
	})
	if strings.Contains(l.log.String(), "stumble") {
		t.Error("a frame made the server stumble")
	}
}

// TestInventoryFaults: a known host is answered from what is known, a new one
// when the inventory is back; nothing is refused meanwhile.
func TestInventoryFaults(t *testing.T) {
	t.Parallel()
	garbage := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, fault := range map[string]func(f *front) (mend func()){
		"down": func(f *front) func() { f.down(); return f.up },
		"slow": func(f *front) func() {
			return f.with(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		},
		"500": func(f *front) func() {
			return f.with(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
		},
		"404 of a proxy": func(f *front) func() { return f.with(http.NotFound) },
		"half a JSON":    func(f *front) func() { return f.with(garbage("application/json", `{"mac":"02:00:00`)) },
		"wrong types":    func(f *front) func() { return f.with(garbage("application/json", `{"mac":7,"attrs":"no"}`)) },
		"HTML":           func(f *front) func() { return f.with(garbage("text/html", "<h1>It works!</h1>")) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.start("--cache-ttl", "1ms", "--negative-ttl", "1ms")
			mend := fault(l.api)
			for range 3 {
				l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
				l.check(l.ask(client(1), storm.Message{Type: dhcp4.Request, CIAddr: ip("10.9.0.51")}), dhcp4.Ack, "10.9.0.51")
			}
			l.until("the inventory counts as down", func() bool { return l.metric("clusto_dhcpd_inventory_up") == 0 })
			l.silent(l.frame(client(1), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.99")}), engine.NakWithheld)

			stranger := client(0x77)
			l.apply(`servers: {late: {in: boot, mac: "02:00:00:00:00:77", ip: 10.9.0.77}}`)
			req := l.frame(stranger, storm.Message{Type: dhcp4.Discover})
			l.group.Conn(0).Send(&engine.Batch{Replies: [][]byte{req}})
			l.until("the new host waits", func() bool { return l.metric("clusto_dhcpd_waiting_frames") == 1 })
			mend()
			l.check(l.exchange(req), dhcp4.Offer, "10.9.0.77")
			l.until("the inventory counts as up", func() bool { return l.metric("clusto_dhcpd_inventory_up") == 1 })
			if n := strings.Count(l.log.String(), "the inventory does not answer"); n != 1 {
				t.Errorf("%d lines say that the inventory does not answer, want 1", n)
			}
			if l.verdicts(engine.Nak) != 0 {
				t.Error("there was a NAK")
			}
		})
	}
}

// with fails every request in one way until it is mended.
func (f *front) with(h http.HandlerFunc) (mend func()) {
	f.fail(h)
	return func() { f.fail(nil) }
}

// TestPortOfAServerThatEndsAtOnce: it was still in use where the server had not
// come to serve on it, and where another test was starting a program; whoever
// took its place could not.
func TestPortOfAServerThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	f := &front{t: t, net: newNet(t)}
	ended := make(chan struct{})
	var starting sync.WaitGroup
	defer starting.Wait()
	defer close(ended)
	starting.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 200 {
		f.up()
		f.down()
	}
}

// TestStartWithoutInventory: the daemon comes up, waits, and answers when it can.
func TestStartWithoutInventory(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.api.down()
	l.launch()
	l.until("a reason for not being ready", func() bool { return strings.Contains(l.get("/readyz"), "have not been fetched") })
	l.api.up()
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
	l.until("ready", func() bool { return l.get("/readyz") == "ready\n" })
}

// TestHangUp: SIGHUP brings a change in at once, whatever the time to live.
func TestHangUp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start("--cache-ttl", "1h")
	l.apply(`servers: {s1: {dhcp: {domain: new.example.org}}}`)
	if got := l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName); got != "boot.example.org" {
		t.Errorf("domain %q before SIGHUP", got)
	}
	must(t, l.daemon.Process.Signal(syscall.SIGHUP))
	l.until("the change", func() bool {
		return l.ask(client(1), storm.Message{Type: dhcp4.Discover}).opt(dhcp4.OptDomainName) == "new.example.org"
	})
}

// TestInterfaceDownDeletedAndBack plugs the cable out in every way.
func TestInterfaceDownDeletedAndBack(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	discover := storm.Message{Type: dhcp4.Discover}
	l.check(l.ask(client(1), discover), dhcp4.Offer, "10.9.0.51")
	must(t, l.net.SetDown("srv0"))
	l.until("not ready", func() bool { return l.get("/readyz") == "interface srv0 is not up\n" })
	must(t, l.net.SetUp("srv0"))
	l.until("ready", func() bool { return l.get("/readyz") == "ready\n" })
	l.check(l.ask(client(1), discover), dhcp4.Offer, "10.9.0.51")
	must(t, l.net.Delete("srv0"))
	l.until("not ready", func() bool { return l.get("/readyz") == "interface srv0 is not up\n" })
	l.plug()
	l.until("ready", func() bool { return l.get("/readyz") == "ready\n" && l.group.Stats().Up })
	l.check(l.ask(client(1), discover), dhcp4.Offer, "10.9.0.51")
}

// TestMissingInterface: one that is not there at the start is waited for.
func TestMissingInterface(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	must(t, l.net.Delete("srv0"))
	l.launch()
	l.until("a reason for not being ready", func() bool { return strings.Contains(l.get("/readyz"), "interface srv0 is not up") })
	l.plug()
	l.until("ready", func() bool { return l.get("/readyz") == "ready\n" && l.group.Stats().Up })
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
}

// TestRestartBetweenOfferAndAck: the daemon remembers nothing, and needs not.
func TestRestartBetweenOfferAndAck(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
	must(t, l.daemon.Process.Kill())
	_ = l.daemon.Wait() // killed
	l.daemon = nil
	l.start()
	ack := l.ask(client(1), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.51"), ServerID: ip(serverIP)})
	l.check(ack, dhcp4.Ack, "10.9.0.51")
}

// missing are as many hosts as are missed at once: a thousand, or with the race
// detector, which has the inventory answer several times slower, as many as it can
// answer within the four seconds of a load.
var missing = max(scaled(1000), 250)

// TestStorm: a thousand hosts at once, with nothing prefetched for some of them.
func TestStorm(t *testing.T) { stormOfMisses(t, missing, false) }

// TestStormWithFeed: the same, where they have to be heard of first, though they
// were unknown for an hour to come.
func TestStormWithFeed(t *testing.T) { stormOfMisses(t, missing, true) }

func stormOfMisses(t *testing.T, n int, feed bool) {
	l := newLab(t)
	l.api.follow(feed)
	loads := uint64(0) // before the storm
	var yaml strings.Builder
	yaml.WriteString("networks: {big: {cidr: 10.20.0.0/16, gateway: 10.20.255.254}}\nservers:\n")
	clients := make([]storm.Client, n)
	for i := range clients {
		clients[i] = storm.Client{MAC: [6]byte{2, 1, 0, 0, byte(i >> 8), byte(i)}, VendorClass: "PXEClient", Broadcast: i%2 == 0}
		fmt.Fprintf(&yaml, "  x%d: {in: boot, mac: %q, ip: 10.20.%d.%d}\n", i, clusto.MAC(clients[i].MAC), 1+i>>8, i&255)
	}
	must(t, l.net.AddAddr("srv0", netip.MustParsePrefix("10.20.255.253/16")))
	if feed {
		l.start("--negative-ttl", "1h")
		l.following()
		l.silent(l.frame(&clients[0], storm.Message{Type: dhcp4.Discover}), engine.UnknownHost)
		loads = 1
		l.changed(yaml.String())
		l.until("word of all", func() bool { return l.metric("clusto_dhcpd_feed_purged_total") >= uint64(n) })
	} else {
		l.start("--negative-ttl", "10ms")
		l.apply(yaml.String()) // after the prefetch: every host is a miss
	}
	g, err := afpacket.Open(afpacket.Config{Interface: "cli0", Ports: []uint16{68}, OtherHosts: true, In: l.peer.Do})
	must(t, err)
	defer g.Close()
	res, err := storm.Run(t.Context(), storm.Config{Conn: g.Conn(0)}, clients, storm.DORA)
	must(t, err)
	if res.Done != n || res.Failed != 0 || res.Retransmitted != 0 {
		t.Errorf("%d of %d done, %d failed, %d retransmitted", res.Done, n, res.Failed, res.Retransmitted)
	}
	for i := range clients {
		if want := [4]byte{10, 20, byte(1 + i>>8), byte(i)}; clients[i].Addr != want {
			t.Errorf("client %d has %v, want %v", i, clients[i].Addr, want)
		}
	}
	failed := l.metric("clusto_dhcpd_cache_load_errors_total")
	if failed > 0 && !raceEnabled {
		t.Errorf("%d loads failed", failed)
	}
	// With the race detector the inventory is several times slower, and some of 64
	// loads at once last longer than they may: those come again.
	if got := l.metric("clusto_dhcpd_cache_loads_total") - failed; got != loads+uint64(n) {
		t.Errorf("%d loads for %d hosts, beside %d that failed", got-loads, n, failed)
	}
}

// TestRefusedSetUps end with 2 and one line that says what to do.
func TestRefusedSetUps(t *testing.T) {
	t.Parallel()
	var here *netlab.Net // the process's own
	must(t, netlab.Veth(here, "bare0", here, "bare1"))
	t.Cleanup(func() { _ = here.Delete("bare0") })
	bad := t.TempDir() + "/services.conf"
	must(t, os.WriteFile(bad, []byte("{\"dhcp\": {\n \"api_ulr\": \"x\"}}\n"), 0o600))
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no interface":   {nil, "--interface"},
		"no address":     {[]string{"--interface", "bare0"}, "has no IPv4 address"},
		"trailing slash": {[]string{"--interface", "bare0", "--api-url", "http://127.0.0.1:9996/"}, "ends in a slash"},
		"unknown key":    {[]string{"--interface", "bare0", "--config", bad}, bad + ":2: dhcp.api_ulr: unknown key; did you mean \"api_url\"?"},
		"folder to save": {[]string{"--interface", "bare0", "--cache-file", t.TempDir()}, "is a folder; name a file in it"},
		"missing folder": {[]string{"--interface", "bare0", "--cache-file", t.TempDir() + "/new/"}, "is a folder; name a file in it"},
		"device to save": {[]string{"--interface", "bare0", "--cache-file", "/dev/null"}, "/dev/null is no regular file"},
		"unknown flag":   {[]string{"--interfaces", "bare0"}, "--interface"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := exit(t, tc.args...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if last := lines[len(lines)-1]; code != 2 || !strings.Contains(last, tc.want) {
				t.Errorf("exit %d: %s, want 2 and %q", code, out, tc.want)
			}
		})
	}
	if code, out := exit(t, "--version"); code != 0 || !strings.HasPrefix(out, "clusto-dhcpd ") {
		t.Errorf("--version: %d %q", code, out)
	}
	if code, out := exit(t, "--check-config", "--interface", "bare0"); code != 0 || !strings.Contains(out, "lease_time") {
		t.Errorf("--check-config: %d %q", code, out)
	}
}
