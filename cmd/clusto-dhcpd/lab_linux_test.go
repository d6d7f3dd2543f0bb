package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

func TestMain(m *testing.M) {
	labtest.Main(main)
	netlab.Main(func() int {
		labtest.Parallel(6)
		return m.Run()
	})
}

// patience bounds every wait; nothing that works comes near it.
const patience = 20 * time.Second

const (
	apiAddr     = "127.0.0.1:9996" // each lab has a namespace of its own
	metricsAddr = "127.0.0.1:9967"
	serverIP    = "10.9.0.1"
)

// site is what the tests' inventory holds.
const site = `
networks:
  lan:    {cidr: 10.9.0.0/24, gateway: 10.9.0.254}
  remote: {cidr: 10.8.0.0/24, gateway: 10.8.0.254}
  other:  {cidr: 10.7.0.0/24, gateway: 10.7.0.254}
pools:
  dc:
    dhcp: {enabled: 1, domain: dc.example.org, NTP_server: 10.9.0.3}
  boot:
    in: dc
    dhcp: {tftp_server: 10.9.0.2, tftp_filename: /pxelinux.0, domain: boot.example.org}
servers:
  s1:    {in: boot, mac: "02:00:00:00:00:01", ip: 10.9.0.51}
  s2:    {in: boot, mac: "02:00:00:00:00:02", ip: 10.9.0.52, dhcp: {domain: own.example.org, lease_time: 600}}
  off:   {in: boot, mac: "02:00:00:00:00:03", ip: 10.9.0.53, dhcp: {enabled: 0}}
  noip:  {in: boot, mac: "02:00:00:00:00:04"}
  away:  {in: boot, mac: "02:00:00:00:00:05", ip: 10.7.0.55}
  far:   {in: boot, mac: "02:00:00:00:00:06", ip: 10.8.0.56}
  both:  {in: boot, mac: "02:00:00:00:00:07", ip: [10.8.0.57, 10.9.0.57]}
  twin1: {in: boot, mac: "02:00:00:00:00:08", ip: 10.9.0.58}
  twin2: {in: boot, ip: 10.9.0.59}
  bmc:   {in: boot, mac: "02:00:00:00:00:0a", ip: 10.9.0.60, ipmi: {mac: "02:00:00:00:00:0b", ip: 10.9.0.61}}
`

// lab is a network with clusto-dhcpd on srv0 and clients on cli0.
type lab struct {
	t      *testing.T
	net    *netlab.Net // the server's
	peer   *netlab.Net // the clients'
	db     string      // its file
	store  *store.Store
	api    *front
	group  *afpacket.Group // on cli0
	probe  *storm.Probe
	daemon *labtest.Daemon
	log    *journal
	xid    uint32
	fence  *storm.Client // whose request is answered for sure
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, log: &journal{}, xid: 0x1000, fence: client(2)}
	l.db = t.TempDir() + "/clusto.db"
	l.store = newStore(t, l.db)
	l.apply(site)
	l.net, l.peer = newNet(t), newNet(t)
	l.api = newFront(t, l.net, l.store)
	l.plug()
	var err error
	l.group, err = afpacket.Open(afpacket.Config{
		Interface: "cli0", Ports: []uint16{68, 67}, OtherHosts: true, In: l.peer.Do,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	must(t, err)
	l.probe = storm.NewProbe(l.group.Conn(0))
	t.Cleanup(func() {
		l.probe.Close()
		l.group.Close()
	})
	return l
}

// newNet makes a network namespace that ends with the test.
func newNet(t *testing.T) *netlab.Net {
	t.Helper()
	n, err := netlab.New()
	must(t, err)
	t.Cleanup(func() { n.Close() })
	return n
}

func newStore(t *testing.T, file string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), file, nil)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// apply changes the inventory.
func (l *lab) apply(yaml string) {
	l.t.Helper()
	parsed, err := inventory.Parse("site.yaml", []byte(yaml))
	must(l.t, err)
	must(l.t, l.store.Apply(l.t.Context(), parsed.Ops()))
}

// plug makes the cable between server and clients.
func (l *lab) plug() {
	l.t.Helper()
	must(l.t, netlab.Veth(l.net, "srv0", l.peer, "cli0"))
	must(l.t, l.net.AddAddr("srv0", netip.MustParsePrefix(serverIP+"/24")))
}

// start runs the real daemon and waits until it is ready.
func (l *lab) start(flags ...string) {
	l.t.Helper()
	l.launch(flags...)
	l.until("clusto-dhcpd ready", func() bool { return l.get("/readyz") == "ready\n" })
}

// launch runs the real daemon, and ends it with the test. It must end well.
func (l *lab) launch(flags ...string) {
	l.t.Helper()
	args := append([]string{"--interface", "srv0", "--api-url", "http://" + apiAddr, "--metrics", metricsAddr, "--cache-file", l.db + ".hosts"}, flags...)
	l.daemon = labtest.StartIn(l.net, l.t, "clusto-dhcpd", l.log, args...)
}

// stop ends the daemon with SIGTERM, which it must take well.
func (l *lab) stop() { l.daemon.Stop() }

// get reads from the daemon's metrics server; "" if it does not answer.
func (l *lab) get(path string) string {
	_, body := labtest.GetIn(l.net, "http://"+metricsAddr+path, patience)
	return body
}

// metric reads one metric; 0 if it is not there.
func (l *lab) metric(name string) uint64 {
	return uint64(labtest.Metrics(l.get("/metrics"), "")[name])
}

func (l *lab) verdicts(v engine.Verdict) uint64 {
	return l.metric(fmt.Sprintf("clusto_dhcpd_frames_total{verdict=%q}", v))
}

func (l *lab) until(what string, ok func() bool) {
	l.t.Helper()
	l.within(patience, what, ok)
}

func (l *lab) within(bound time.Duration, what string, ok func() bool) {
	l.t.Helper()
	labtest.Until(l.t, bound, what, ok, func() any { return l.log })
}

// front is the inventory's HTTP server with a switch for what can go wrong.
type front struct {
	t     *testing.T
	net   *netlab.Net
	next  http.Handler
	mu    sync.Mutex
	fault http.HandlerFunc // nil: all is well
	feed  bool             // it tells of changes; else hosts age, which most tests are about
	down  func()           // ends port and connections, as a crash does
}

func newFront(t *testing.T, n *netlab.Net, s *store.Store) *front {
	f := &front{t: t, net: n, next: httpd.New(httpd.Config{Store: s})}
	f.up()
	t.Cleanup(func() { f.down() })
	return f
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	h := f.fault
	if h == nil {
		h = f.next.ServeHTTP
	}
	if r.URL.Path == "/v2/changes" && !f.feed {
		h = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no feed", http.StatusNotImplemented) }
	}
	f.mu.Unlock()
	h(w, r)
}

// serve changes what is served when all is well.
func (f *front) serve(s *store.Store) { f.put(httpd.New(httpd.Config{Store: s})) }

func (f *front) put(h http.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = h
}

// follow says whether it tells of changes.
func (f *front) follow(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.feed = on
}

func (f *front) fail(h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = h
}

func (f *front) up() {
	f.t.Helper()
	f.down = labtest.ServeIn(f.t, f.net, apiAddr, f)
}

type journal = labtest.Log

func must(t testing.TB, err error) {
	t.Helper()
	labtest.Must(t, err)
}

func mac(last byte) [6]byte { return [6]byte{2, 0, 0, 0, 0, last} }

func ip(s string) [4]byte { return netip.MustParseAddr(s).As4() }

func client(last byte) *storm.Client {
	return &storm.Client{MAC: mac(last), Server: ip(serverIP), ParameterList: []byte{1, 3, 6, 12, 15, 28, 42, 66, 67}}
}

// reply is an answer as it came over the cable.
type reply struct {
	engine.Packet
	udp  frame.UDP4
	msg  dhcp4.View
	opts dhcp4.Index
}

func (r *reply) typ() dhcp4.MessageType { return dhcp4.MessageType(r.opt(dhcp4.OptMessageType)[0]) }

// opt gives an option, a zero byte if there is none.
func (r *reply) opt(code byte) string {
	v, ok := r.opts.Get(code)
	if !ok {
		return "\x00"
	}
	return string(v)
}

func (l *lab) frame(c *storm.Client, m storm.Message) []byte {
	l.xid++
	m.XID = l.xid
	return storm.AppendFrame(nil, c, &m)
}

// ask sends a request and waits for its reply.
func (l *lab) ask(c *storm.Client, m storm.Message) *reply {
	l.t.Helper()
	return l.exchange(l.frame(c, m))
}

func (l *lab) exchange(req []byte) *reply {
	l.t.Helper()
	match, err := storm.ReplyTo(req)
	must(l.t, err)
	pkt, err := l.probe.Exchange(l.t.Context(), req, match, 2*time.Second, 2*time.Second, 4*time.Second)
	if err != nil {
		l.t.Fatalf("%v\n%s\n%s", err, l.get("/metrics"), l.log)
	}
	return l.parse(pkt)
}

func (l *lab) parse(p engine.Packet) *reply {
	l.t.Helper()
	r := &reply{Packet: p}
	must(l.t, r.udp.Parse(p.Data, p.CsumPartial))
	var err error
	r.msg, err = dhcp4.Parse(r.udp.Payload)
	must(l.t, err)
	must(l.t, r.opts.Build(r.msg))
	if p.CsumPartial {
		l.t.Error("the server left the checksum to a network card")
	}
	return r
}

// silent sends a frame that must end with the verdict, once, and unanswered: the
// answer to a request behind it, of another host, must be the first that comes.
// One worker takes frames in order; a frame that had to wait for the inventory
// has its verdict when it is counted.
func (l *lab) silent(f []byte, want engine.Verdict) {
	l.t.Helper()
	before := l.verdicts(want)
	fence := l.frame(l.fence, storm.Message{Type: dhcp4.Discover})
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	defer cancel()
	if err := l.probe.ExpectSilence(ctx, f, fence, 2*time.Second, 4*time.Second); err != nil {
		l.t.Fatalf("want silence and verdict %s: %v", want, err)
	}
	l.until("verdict "+want.String(), func() bool { return l.verdicts(want) == before+1 })
}

// exit runs the daemon where it must refuse to start.
func exit(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	b, err := labtest.Program(args...).CombinedOutput()
	ee := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	if ee != nil {
		code = ee.ExitCode()
	}
	return code, string(b)
}
