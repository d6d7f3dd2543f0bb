package client_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/client/original"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/clusto/store"
)

// steps is a site with racks behind an original that can be told to fail, and
// discovery on it.
type steps struct {
	t     *testing.T
	store *store.Store
	url   string
	queue oneByOne

	mu    sync.Mutex
	calls []string
	fault func(n int, call string) fault // of the n-th call since reset
}

// fault is how a call fails; from 100 on, nothing is done and a proxy answers with
// this status.
type fault int

const (
	none    fault = iota
	refused       // nothing is done, no answer
	lost          // it is done, and the answer gets lost
	locked        // nothing is done: the original's database is busy
	broken        // nothing is done: a proxy answers
)

func newSteps(t *testing.T, layout string, racks int) *steps {
	t.Helper()
	s, err := store.Open(t.Context(), ":memory:", nil)
	fatal(t, err)
	t.Cleanup(func() { _ = s.Close() })
	text := func(name, key, sub, value string) clusto.Op {
		return clusto.Op{Op: "attr", Name: name, Key: key, Subkey: &sub, Value: &clusto.Value{Type: clusto.String, Str: value}}
	}
	ls, err := rack.Load("")
	fatal(t, err)
	l, err := ls.Find(layout)
	fatal(t, err)
	ops := []clusto.Op{
		{Op: "entity", Name: "dc", Driver: "basicdatacenter"},
		text("dc", "snmp", "discovery", "1"),
		{Op: "entity", Name: "names", Driver: "simpleentitynamemanager"},
		text("names", "basename", "property", "s"), text("names", "digits", "property", "4"),
		{Op: "entity", Name: "net", Driver: "ipmanager"},
		text("net", "baseip", "property", "10.42.0.0"), text("net", "netmask", "property", "255.255.0.0"),
	}
	for i := range racks {
		r := fmt.Sprintf("r%d", i)
		ops = append(ops, clusto.Op{Op: "entity", Name: r, Driver: "apcrack"}, clusto.Op{Op: "insert", Name: r, Into: "dc"})
		ops = append(ops, l.Infrastructure(r)...)
		ops = append(ops, clusto.Op{Op: "bind", Name: r + "-sw1", IP: switchAddr(i).String()})
	}
	fatal(t, s.Apply(t.Context(), ops))
	st := &steps{t: t, store: s, queue: oneByOne{in: make(chan discovery.Event, 1), out: make(chan string, 1)}}
	next := original.Over(httpd.New(httpd.Config{Store: s}))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { st.serve(w, r, next) }))
	t.Cleanup(srv.Close)
	st.url = srv.URL
	return st
}

func switchAddr(rack int) netip.Addr { return netip.AddrFrom4([4]byte{10, 42, 1, byte(rack + 1)}) }

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *steps) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	call := r.Method + " " + r.URL.Path
	s.mu.Lock()
	s.calls = append(s.calls, call)
	f := none
	if s.fault != nil {
		f = s.fault(len(s.calls), call)
	}
	s.mu.Unlock()
	if f >= 100 {
		http.Error(w, http.StatusText(int(f)), int(f))
		return
	}
	switch f {
	case none:
		next.ServeHTTP(w, r)
		return
	case lost:
		next.ServeHTTP(httptest.NewRecorder(), r)
	case locked:
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "Traceback (most recent call last):\n  File \"x.py\", line 1\nOperationalError: (OperationalError) database is locked")
		return
	case broken:
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	panic(http.ErrAbortHandler)
}

// reset has calls counted from now on, and fail as told.
func (s *steps) reset(fault func(int, string) fault) (before []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before = s.calls
	s.calls, s.fault = nil, fault
	return before
}

// oneByOne is a queue of one event.
type oneByOne struct {
	in  chan discovery.Event
	out chan string // what became of it, "" if it is done
}

func (q oneByOne) Switches(context.Context) (all []netip.Addr, err error) {
	for i := range 8 {
		all = append(all, switchAddr(i))
	}
	return all, nil
}

func (q oneByOne) Next(_ context.Context, sw netip.Addr, _ int64, _ int) ([]discovery.Event, error) {
	select {
	case ev := <-q.in:
		if ev.Switch == sw {
			return []discovery.Event{ev}, nil
		}
		q.in <- ev
	default:
	}
	return nil, nil
}

func (q oneByOne) Done(...int64) { q.out <- "" }

func (q oneByOne) Bury(_ context.Context, _ discovery.Event, outcome, reason string) error {
	q.out <- outcome + ": " + reason
	return nil
}

// run works events off, by a client of its own, until the test ends.
func (s *steps) run(change ...func(*discovery.Config)) *discovery.Discovery {
	s.t.Helper()
	d, end := s.live(change...)
	s.t.Cleanup(end)
	return d
}

// live is run until it is ended.
func (s *steps) live(change ...func(*discovery.Config)) (d *discovery.Discovery, end func()) {
	s.t.Helper()
	c, err := client.NewLegacy(client.Config{URL: s.url})
	fatal(s.t, err)
	ls, err := rack.Load("")
	fatal(s.t, err)
	cfg := discovery.Config{
		Queue: s.queue, Inventory: c, Layouts: ls, Names: "names", HoldDown: -1, Backoff: time.Millisecond, SetMAC: true,
		Stepwise: func() bool { return true }, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	d = discovery.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { d.Run(ctx) })
	return d, func() { cancel(); all.Wait(); c.Close() }
}

func (s *steps) event(d *discovery.Discovery, mac clusto.MAC, rack, port int) (letter string) {
	s.t.Helper()
	s.queue.in <- discovery.Event{Seq: 1, At: time.Now(), Switch: switchAddr(rack), MAC: mac, VLAN: 42, Port: uint16(port), Kind: discovery.Learnt}
	d.Wake()
	select {
	case letter = <-s.queue.out:
	case <-time.After(30 * time.Second):
		s.t.Fatalf("nothing became of %v; calls %v", mac, s.reset(nil))
	}
	return letter
}

// complete checks a server on a port of layout 201001 or 5555.
func (s *steps) complete(name string, mac clusto.MAC, rack, port, units int, to map[string]string) {
	s.t.Helper()
	o, err := s.store.Object(s.t.Context(), name)
	if err != nil {
		s.t.Errorf("%s: %v", name, err)
		return
	}
	var text []string
	for _, a := range o.Attrs {
		text = append(text, fmt.Sprint(a.Key, " ", a.Sub(), " ", a.Value.Text()))
	}
	all := strings.Join(text, "; ")
	if strings.Count(all, "bootstrap mac "+mac.String()) != 1 || strings.Count(all, "port-nic-eth mac "+mac.String()) != 1 {
		s.t.Errorf("%s lacks its MAC, or has it twice: %s", name, all)
	}
	for key, want := range to {
		kind, num, _ := strings.Cut(key, " ")
		device, toNum, _ := strings.Cut(want, " ")
		if got := portTo(&o, kind, num); got != want {
			s.t.Errorf("%s port %s leads to %q, want %q", name, key, got, want)
		}
		there, err := s.store.Object(s.t.Context(), device)
		fatal(s.t, err)
		n := fmt.Sprint(s.store.PortNumber(there.Driver, kind, toNum))
		if got := portTo(&there, kind, n); got != name+" "+num {
			s.t.Errorf("%s port %s %s leads to %q, want %s %s", device, kind, toNum, got, name, num)
		}
	}
	sw, err := s.store.Object(s.t.Context(), fmt.Sprintf("r%d-sw1", rack))
	fatal(s.t, err)
	vlan := 0
	for _, a := range sw.Attrs {
		if a.Key == "port-nic-eth" && a.Sub() == "vlan" && *a.Number == port && a.Value.Int == 42 {
			vlan++
		}
	}
	if vlan != 1 {
		s.t.Errorf("port %d has %d VLANs", port, vlan)
	}
	r, err := s.store.Object(s.t.Context(), fmt.Sprintf("r%d", rack))
	fatal(s.t, err)
	in := 0
	for _, a := range r.Attrs {
		if a.Key == "_contains" && a.Value.Str == "/server/"+name {
			in++
		}
	}
	if in != units || len(o.Parents) != 1 {
		s.t.Errorf("%s takes %d units of %v, want %d", name, in, o.Parents, units)
	}
}

func portTo(o *clusto.Object, kind, num string) string {
	for _, p := range o.Ports {
		if p.Type == kind && fmt.Sprint(p.Num) == num && p.To != "" {
			return p.To[strings.LastIndex(p.To, "/")+1:] + " " + p.ToNum
		}
	}
	return ""
}

// servers lists all there are.
func (s *steps) servers() (names []string) {
	s.t.Helper()
	all, err := s.store.Entities(s.t.Context(), clusto.Query{Types: []string{"server"}})
	fatal(s.t, err)
	for _, e := range all {
		names = append(names, e.Name)
	}
	return names
}

func mac(n int) clusto.MAC { return clusto.MAC{0, 0x1e, 0xc9, 1, byte(n >> 8), byte(n)} }
