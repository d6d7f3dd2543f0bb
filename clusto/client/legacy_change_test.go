package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/discovery"
)

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
	t.Parallel()
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

// TestTooEarlyIsNoRefusal: that a change came too late, too early or too often for a
// server before the original counted as a refusal for good; so did a redirect,
// which says nothing of the change. What /v2 takes for final, and nothing else, is
// so here.
func TestTooEarlyIsNoRefusal(t *testing.T) {
	s := newSteps(t, "201001", 1)
	l, err := client.NewLegacy(client.Config{URL: s.url})
	fatal(t, err)
	defer l.Close()
	for status, want := range map[int]error{
		302: clusto.ErrUnavailable, 401: clusto.ErrUnavailable, 403: clusto.ErrUnavailable, 408: clusto.ErrUnavailable,
		425: clusto.ErrUnavailable, 429: clusto.ErrUnavailable, 502: clusto.ErrUnavailable, 503: clusto.ErrUnavailable,
		400: clusto.ErrConflict, 404: clusto.ErrConflict, 405: clusto.ErrConflict, 413: clusto.ErrConflict, 414: clusto.ErrConflict,
	} {
		s.reset(func(_ int, call string) fault {
			if strings.HasSuffix(call, " /rack/r0/setattr") {
				return fault(status)
			}
			return none
		})
		_, err := l.Change(t.Context(), []clusto.Op{{Op: "attr", Name: "r0", Key: "note", Value: &clusto.Value{Type: clusto.Int, Int: 7}}})
		if !errors.Is(err, want) || errors.Is(err, clusto.ErrUnavailable) != (want == clusto.ErrUnavailable) {
			t.Errorf("%d: %v, want %v", status, err, want)
		}
	}
}
