package client_test

import (
	"context"
	"errors"
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

// fault is how a call fails.
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

// TestStepsFailAnywhere fails each call of a discovery once, in each way, and
// once more together with all that follow for a while: in the end there is one
// server, complete, and no name is lost.
func TestStepsFailAnywhere(t *testing.T) {
	all := []how{{"refused", refused, 0, 3}, {"answer lost", lost, 0, 1}, {"locked", locked, 2, 3}, {"broken", broken, 0, 3}}
	for _, how := range all {
		t.Run("201001 "+how.name, func(t *testing.T) {
			t.Parallel()
			failEach(t, how, "201001", 8, to201001)
		})
	}
	t.Run("5555 "+all[1].name, func(t *testing.T) {
		t.Parallel()
		failEach(t, all[1], "5555", 5, func(rack, p int) map[string]string {
			to := to201001(rack, p)
			to["nic-eth 2"] = fmt.Sprintf("r%d-sw1 %d", rack, p+20)
			return to
		})
	})
}

// how is a way in which a call fails, and so many behind it. Not every call is
// failed in every way.
type how struct {
	name  string
	fault fault
	more  int
	every int
}

// to201001 is what a server on one of the ports 1 to 8 is connected to.
func to201001(rack, port int) map[string]string {
	return map[string]string{
		"nic-eth 1": fmt.Sprintf("r%d-sw1 %d", rack, port), "console-serial 1": fmt.Sprintf("r%d-ts1 %d", rack, port), "pwr-nema-5 1": fmt.Sprintf("r%d-pwr1 bb%d", rack, port),
	}
}

// failEach makes servers, on the first ports of racks, and fails the first call
// of the first one, the second of the second, and so on until there are no more.
func failEach(t *testing.T, how how, layout string, ports int, to func(rack, port int) map[string]string) {
	const racks = 8
	var s *steps
	var d *discovery.Discovery
	for k := 0; ; k++ {
		n := 1 + k*how.every*slower
		i := k % (racks * ports)
		if i == 0 {
			s = newSteps(t, layout, racks)
			d = s.run()
		}
		rack, port := i/ports, i%ports+1
		hit := false
		s.reset(func(i int, _ string) fault {
			if i < n || i > n+how.more {
				return none
			}
			hit = true
			return how.fault
		})
		letter := s.event(d, mac(n), rack, port)
		calls := s.reset(nil)
		if !hit {
			if t.Logf("%d calls", len(calls)); n < 30 {
				t.Errorf("%d calls are too few", len(calls))
			}
			return
		}
		failed := fmt.Sprintf("call %d, %s", n, calls[n-1])
		if letter != "" {
			t.Fatalf("%s: it is a dead letter: %s", failed, letter)
		}
		s.complete(fmt.Sprintf("s%04d", i+1), mac(n), rack, port, 1, to(rack, port))
		if got := s.servers(); len(got) != i+1 || t.Failed() {
			t.Fatalf("%s: %d servers, want %d: %v", failed, len(got), i+1, got)
		}
	}
}

// TestNamesTakenBehindTheOriginal: on 409 the next name is tried.
func TestNamesTakenBehindTheOriginal(t *testing.T) {
	s := newSteps(t, "201001", 1)
	d := s.run()
	s.reset(func(_ int, call string) fault {
		if call == "POST /penguinserver/s0001" { // another one makes it, and the next, at that moment
			fatal(t, s.store.Apply(t.Context(), []clusto.Op{{Op: "create", Name: "s0001", Driver: "basicserver"}, {Op: "create", Name: "s0002", Driver: "basicserver"}}))
		}
		return none
	})
	if letter := s.event(d, mac(1), 0, 1); letter != "" {
		t.Error(letter)
	}
	s.complete("s0003", mac(1), 0, 1, 1, map[string]string{"nic-eth 1": "r0-sw1 1"})
	if got := s.servers(); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

// TestRefusedBehindTheOriginal: what the original refuses is a dead letter, and
// what was made for it is gone.
func TestRefusedBehindTheOriginal(t *testing.T) {
	s := newSteps(t, "201001", 1)
	fatal(t, s.store.Apply(t.Context(), []clusto.Op{{Op: "create", Name: "squatter", Driver: "basicserver"}, {Op: "insert", Name: "squatter", Into: "r0", RU: 1}}))
	d := s.run()
	if letter := s.event(d, mac(1), 0, 1); !strings.Contains(letter, "insert /server/s0001 into /rack/r0 at unit 1") || !strings.Contains(letter, "refused") {
		t.Errorf("%q", letter)
	}
	if got := s.servers(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	fatal(t, s.store.Apply(t.Context(), []clusto.Op{{Op: "delete", Name: "squatter"}}))
	if letter := s.event(d, mac(1), 0, 1); letter != "" {
		t.Errorf("%q", letter)
	}
	s.complete("s0001", mac(1), 0, 1, 1, map[string]string{"nic-eth 1": "r0-sw1 1"})
}

// TestNoAddressesBehindTheOriginal: it cannot hand any out, and says so.
func TestNoAddressesBehindTheOriginal(t *testing.T) {
	s := newSteps(t, "201001", 1)
	d := s.run(func(c *discovery.Config) { c.SetIP, c.IPManagers = true, []string{"net"} })
	if letter := s.event(d, mac(1), 0, 1); !strings.Contains(letter, "can hand out no addresses") {
		t.Errorf("%q", letter)
	}
	if got := s.servers(); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// TestStepsOfAnotherLife: a daemon that died between two steps finishes the
// server after its start; only one that died right after making the entity
// leaves that behind, bare.
func TestStepsOfAnotherLife(t *testing.T) {
	bare := 0
	for n := 1; ; n += slower {
		s := newSteps(t, "201001", 1)
		d, die := s.live()
		dead := make(chan struct{})
		s.reset(func(i int, _ string) fault {
			if i == n {
				close(dead)
			}
			if i >= n {
				return refused
			}
			return none
		})
		ev := discovery.Event{Seq: 1, At: time.Now(), Switch: switchAddr(0), MAC: mac(1), VLAN: 42, Port: 1, Kind: discovery.Learnt}
		s.queue.in <- ev
		d.Wake()
		select {
		case <-dead:
			die()
		case letter := <-s.queue.out:
			die()
			if letter != "" || n < 30 || bare == 0 && slower == 1 {
				t.Errorf("%d calls, %d left a bare entity: %q", n-1, bare, letter)
			}
			return
		}
		s.reset(nil)
		if letter := s.event(s.run(), mac(1), 0, 1); letter != "" {
			t.Errorf("call %d: %s", n, letter)
		}
		all := s.servers()
		s.complete(all[len(all)-1], mac(1), 0, 1, 1, to201001(0, 1))
		if len(all) > 1 {
			bare++
			if o, err := s.store.Object(t.Context(), all[0]); len(all) > 2 || err != nil || len(o.Parents) > 0 || portTo(&o, "nic-eth", "1") != "" {
				t.Errorf("call %d: %v, %+v, %v", n, all, o, err)
			}
		}
	}
}

// TestLegacyReads: entities, objects and attributes by the original's calls are
// those that /v2 tells, as far as it tells them.
func TestLegacyReads(t *testing.T) {
	s := newSteps(t, "201001", 1)
	d := s.run()
	s.event(d, mac(1), 0, 1)
	l, err := client.NewLegacy(client.Config{URL: s.url})
	fatal(t, err)
	defer l.Close()
	o, err := l.Object(t.Context(), "s0001")
	if err != nil || o.Driver != "penguinserver" || len(o.Parents) != 1 || o.Parents[0].Path() != "/rack/r0" || portTo(&o, "nic-eth", "1") != "r0-sw1 1" {
		t.Errorf("%+v, %v", o, err)
	}
	sub := clusto.NullString{Text: "mac"}
	m := mac(1)
	forms := m.Spellings()
	es, err := l.Entities(t.Context(), clusto.Query{Attrs: []clusto.AttrMatch{{Key: "bootstrap", Subkey: &sub, Value: &clusto.ValueMatch{Texts: forms[:]}}}})
	if err != nil || len(es) != 1 || es[0].Path() != "/server/s0001" {
		t.Errorf("%v, %v", es, err)
	}
	as, err := l.Attrs(t.Context(), clusto.AttrQuery{Name: "r0-sw1", Key: "snmp", Merge: true})
	if err != nil || len(as) != 1 || as[0].Origin != "/datacenter/dc" || as[0].Distance != 2 || as[0].Sub() != "discovery" {
		t.Errorf("%+v, %v", as, err)
	}
	if _, err := l.Object(t.Context(), "nobody"); !errors.Is(err, clusto.ErrNotFound) {
		t.Errorf("%v", err)
	}
	for _, ops := range [][]clusto.Op{
		{{Op: "delete", Name: "s0001"}},
		{{Op: "allocate", Name: "net", To: "s0001"}},
		{{Op: "has", Name: "s0001", Key: "bootstrap", Value: &clusto.Value{Type: clusto.String, Str: mac(2).String()}}},
		{{Op: "connect", Name: "s0001", Port: "nic-eth", Num: "1", To: "r0-sw1", ToNum: "2"}},
		{{Op: "connect", Name: "s0001", Port: "pwr-nema-5", Num: "1", To: "r0-pwr1", ToNum: "aa9"}},
		{{Op: "connect", Name: "s0001", Port: "nic-eth", Num: "2", To: "r0-sw1", ToNum: "aa1"}}, // no power tower
		{{Op: "connect", Name: "s0001", Port: "nic-eth", Num: "2", To: "r0-sw1", ToNum: "49"}},
		{{Op: "connect", Name: "s0001", Port: "nic-eth", Num: "3", To: "r0-sw1", ToNum: "9"}},
	} {
		var op *clusto.OpError
		if _, err := l.Change(t.Context(), ops); !errors.As(err, &op) || op.Index != 0 {
			t.Errorf("%v: %v", ops, err)
		}
	}
	for _, a := range []string{"s0001", "r0-sw1", "r0-pwr1"} {
		if o, err := s.store.Object(t.Context(), a); err != nil || len(o.Ports) == 0 || portTo(&o, "nic-eth", "2") != "" || portTo(&o, "nic-eth", "0") != "" {
			t.Errorf("a connection that was refused is half there: %+v, %v", o.Ports, err)
		}
	}
}

// TestTroublesOfTheOriginal are no refusals: its database, its machine and what
// stands before it may work at the next try. A traceback of other kinds is one.
func TestTroublesOfTheOriginal(t *testing.T) {
	s := newSteps(t, "201001", 1)
	l, err := client.NewLegacy(client.Config{URL: s.url})
	fatal(t, err)
	defer l.Close()
	write := func(driver string) error {
		_, err := l.Change(t.Context(), []clusto.Op{{Op: "allocate", Name: "names", Driver: driver, As: "x"}})
		return err
	}
	for _, f := range []fault{refused, locked, broken, lost} {
		s.reset(func(_ int, call string) fault {
			if strings.HasPrefix(call, "POST /penguinserver/") {
				return f
			}
			return none
		})
		if err := write("penguinserver"); !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrConflict) || errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("fault %d: %v", f, err)
		}
	}
	s.reset(nil)
	if err := write("nosuchdriver"); !errors.Is(err, clusto.ErrConflict) || !strings.Contains(err.Error(), "KeyError: u'nosuchdriver'") {
		t.Errorf("%v", err)
	}
	if err := write("penguinserver"); err != nil || len(s.servers()) != 1 { // the one that was lost
		t.Errorf("%v, %v", err, s.servers())
	}
}
