package dhcp

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// The MACs of these tests: one that nobody knows and bootstrap/mac names, and
// two that may be stored on the port.
var (
	newMAC = clusto.MAC{2, 0, 0, 0, 0, 0x11}
	oldMAC = hostMAC
	bmcMAC = clusto.MAC{2, 0, 0, 0, 0, 0x22}
)

const testClass = "udhcp 0.9.9-pre"

// bootSite is a Bootstrap with one server.
type bootSite struct {
	mu      sync.Mutex
	srv     BootServer
	named   []clusto.MAC // its bootstrap/mac
	err     error        // of every call
	refuse  error        // of SetPortMAC
	sick    clusto.MAC   // calls for it always fail
	calls   []time.Time
	written int
	purged  []clusto.MAC
}

func (b *bootSite) BootServer(_ context.Context, mac clusto.MAC) (BootServer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, time.Now())
	switch {
	case b.err != nil:
		return BootServer{}, b.err
	case mac == b.sick:
		return BootServer{}, clusto.ErrUnavailable
	case !slices.Contains(b.named, mac):
		return BootServer{}, clusto.ErrNotFound
	}
	return b.srv, nil
}

func (b *bootSite) SetPortMAC(_ context.Context, was BootServer, bmc bool, mac clusto.MAC) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.err != nil:
		return b.err
	case b.refuse != nil:
		return b.refuse
	case was != b.srv:
		return clusto.ErrConflict
	case bmc:
		b.srv.IPMI = mac
	default:
		b.srv.MAC = mac
	}
	b.written++
	return nil
}

func (b *bootSite) Purge(mac clusto.MAC) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.purged = append(b.purged, mac)
}

func (b *bootSite) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// has waits for the adopter and checks what is on the port.
func (b *bootSite) has(t *testing.T, mac, ipmi clusto.MAC, written int) {
	t.Helper()
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.srv.MAC != mac || b.srv.IPMI != ipmi || b.written != written {
		t.Errorf("mac %v, ipmi-mac %v after %d writes; want %v, %v, %d", b.srv.MAC, b.srv.IPMI, b.written, mac, ipmi, written)
	}
}

func (b *bootSite) asked() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.calls)
}

// adopting runs a test in a bubble, in a hall that stores MACs.
func adopting(t *testing.T, b *bootSite, test func(t *testing.T, f *hall)) {
	t.Helper()
	b.srv.Path = "/server/s0018"
	if b.named == nil {
		b.named = []clusto.MAC{newMAC}
	}
	cfg := Config{Adopt: AdoptConfig{Inventory: b, Classes: []string{testClass}, Hosts: 100}}
	inHall(t, Fresh, cfg, func(t *testing.T, f *hall) {
		for i := range byte(8) { // nobody knows them
			f.inv.mark(clusto.MAC{2, 0, 0, 0, 0, 0x10 + i}, Absent)
			f.inv.mark(clusto.MAC{2, 0, 0, 0, 0, 0x20 + i}, Absent)
		}
		test(t, f)
	})
}

// unknown has a client ask that nobody knows.
func (f *hall) unknown(t *testing.T, a ask) {
	t.Helper()
	if a.mac == (clusto.MAC{}) {
		a.mac = newMAC
	}
	a.typ = discover
	f.get(t, a, engine.UnknownHost)
}

func clientID(mac clusto.MAC) []byte {
	return dhcp4.AppendOption(nil, dhcp4.OptClientID, append([]byte{1}, mac[:]...))
}

// TestWhatIsStored: which clients are a BMC, what stays, what is replaced.
func TestWhatIsStored(t *testing.T) {
	none := clusto.MAC{}
	bmc, pxe := ask{vendor: testClass}, ask{vendor: "PXEClient:Arch:00000:UNDI:002001"}
	named := ask{opts: clientID(bmcMAC)}
	for _, c := range []struct {
		name      string
		srv       BootServer
		ask       ask
		alive     bool          // oldMAC is
		watched   time.Duration // before the request comes
		mac, ipmi clusto.MAC    // afterwards
		warned    string
	}{
		{"a host", BootServer{}, pxe, false, 0, newMAC, none, ""},
		{"a host without a vendor class", BootServer{}, ask{}, false, 0, newMAC, none, ""},
		{"a BMC by its class", BootServer{}, bmc, false, 0, none, newMAC, ""},
		{"a class with C's zero", BootServer{}, ask{vendor: testClass + "\x00"}, false, 0, none, newMAC, ""},
		{"a longer class", BootServer{}, ask{vendor: testClass + "2"}, false, 0, newMAC, none, ""},
		{"a BMC beside its host", BootServer{MAC: oldMAC}, bmc, true, 0, oldMAC, newMAC, ""},
		{"a host beside its BMC", BootServer{IPMI: bmcMAC}, pxe, false, 0, newMAC, bmcMAC, ""},
		{"a BMC by its client-id", BootServer{IPMI: bmcMAC}, named, false, 0, none, newMAC, ""},
		{"its own client-id", BootServer{}, ask{opts: clientID(newMAC)}, false, 0, newMAC, none, ""},
		{"a bond's client-id", BootServer{IPMI: bmcMAC}, ask{opts: clientID(clusto.MAC{2, 7})}, false, 0, newMAC, bmcMAC, ""},
		{"a client-id of another type", BootServer{IPMI: bmcMAC}, ask{opts: dhcp4.AppendOption(nil, 61, append([]byte{0}, bmcMAC[:]...))}, false, 0, newMAC, bmcMAC, ""},
		{"another one, alive", BootServer{MAC: oldMAC}, pxe, true, 2 * time.Hour, oldMAC, none, "which is alive"},
		{"another one, that nobody watched", BootServer{MAC: oldMAC}, pxe, false, 59 * time.Minute, oldMAC, none, "may be alive"},
		{"another one, gone", BootServer{MAC: oldMAC}, pxe, false, time.Hour, newMAC, none, ""},
		{"another BMC, alive", BootServer{IPMI: oldMAC}, bmc, true, 2 * time.Hour, none, oldMAC, "which is alive"},
		{"the BMC it says, alive", BootServer{IPMI: oldMAC}, ask{opts: clientID(oldMAC)}, true, 2 * time.Hour, none, oldMAC, "which is alive"},
		{"another BMC, that nobody watched", BootServer{IPMI: bmcMAC}, bmc, false, 0, none, bmcMAC, "may be alive"},
		{"another BMC, gone", BootServer{IPMI: bmcMAC}, bmc, false, time.Hour, none, newMAC, ""},
		{"the host's MAC, stored meanwhile", BootServer{MAC: newMAC}, bmc, false, 0, newMAC, none, ""},
		{"a BMC's MAC, stored meanwhile", BootServer{IPMI: newMAC}, pxe, false, 0, none, newMAC, ""},
		{"on another port", BootServer{Elsewhere: true}, pxe, false, 0, none, none, ""},
	} {
		b := &bootSite{srv: c.srv}
		adopting(t, b, func(t *testing.T, f *hall) {
			time.Sleep(c.watched) // of the bubble
			if c.alive {
				f.get(t, ask{typ: discover, mac: oldMAC}, engine.Reply)
			}
			f.unknown(t, c.ask)
			synctest.Wait()
			if c.warned == "" {
				f.logged(t, "is not stored", 0)
			} else {
				f.logged(t, c.warned, 1)
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.srv.MAC != c.mac || b.srv.IPMI != c.ipmi {
				t.Errorf("%s: mac %v, ipmi-mac %v; want %v, %v\n%s", c.name, b.srv.MAC, b.srv.IPMI, c.mac, c.ipmi, f.log)
			}
			if changed := c.srv.MAC != c.mac || c.srv.IPMI != c.ipmi; changed != slices.Contains(b.purged, newMAC) {
				t.Errorf("%s: purged %v", c.name, b.purged)
			}
		})
	}
}

// TestStoredOnce: whoever takes a MAC out again is not fought, and a MAC that is
// replaced is forgotten.
func TestStoredOnce(t *testing.T) {
	b := &bootSite{srv: BootServer{MAC: oldMAC}}
	adopting(t, b, func(t *testing.T, f *hall) {
		time.Sleep(time.Hour) // of the bubble
		f.unknown(t, ask{})
		b.has(t, newMAC, clusto.MAC{}, 1)
		f.logged(t, "instead_of="+oldMAC.String(), 1)
		if !slices.Equal(b.purged, []clusto.MAC{oldMAC, newMAC}) {
			t.Errorf("purged: %v", b.purged)
		}
		b.set(func() { b.srv.MAC = clusto.MAC{} })
		for range 10 {
			time.Sleep(time.Minute) // of the bubble
			f.unknown(t, ask{})
		}
		b.has(t, clusto.MAC{}, clusto.MAC{}, 1)
		f.logged(t, "taken out since", 1)
		b.set(func() { b.srv.Path = "/server/another" })
		time.Sleep(time.Minute) // of the bubble
		f.unknown(t, ask{})
		b.has(t, newMAC, clusto.MAC{}, 2)
	})
}

// TestSharedMAC: one MAC for BMC and host is the BMC's until boot firmware asks
// with it in vain.
func TestSharedMAC(t *testing.T) {
	host := testHost()
	host.MAC, host.BMC, host.Addresses = newMAC, true, host.Addresses[:2] // none on ipmi0
	pxe := ask{typ: discover, mac: newMAC, vendor: "PXEClient:Arch:00000:UNDI:002001"}
	for _, c := range []struct {
		name    string
		srv     BootServer
		ask     ask
		written int
	}{
		{"boot firmware", BootServer{IPMI: newMAC}, pxe, 1},
		{"a BMC", BootServer{IPMI: newMAC}, ask{typ: discover, mac: newMAC, vendor: testClass}, 0},
		{"the host is known", BootServer{MAC: oldMAC, IPMI: newMAC}, pxe, 0},
		{"a host without an address", BootServer{MAC: newMAC}, pxe, 0},
		{"also on another port", BootServer{IPMI: newMAC, Elsewhere: true}, pxe, 0},
	} {
		b := &bootSite{srv: c.srv}
		adopting(t, b, func(t *testing.T, f *hall) {
			f.inv.known[newMAC] = prepared(t, host)
			f.inv.mark(newMAC, Fresh)
			f.get(t, c.ask, engine.NoAddress)
			want := c.srv.MAC
			if c.written > 0 {
				want = newMAC
			}
			b.has(t, want, c.srv.IPMI, c.written)
			if t.Failed() {
				t.Log(c.name)
			}
		})
	}
}

// TestMACIsStoredWhenTheInventoryIsBack: a client that asks once is enough.
func TestMACIsStoredWhenTheInventoryIsBack(t *testing.T) {
	b := &bootSite{err: fmt.Errorf("down: %w", clusto.ErrUnavailable)}
	adopting(t, b, func(t *testing.T, f *hall) {
		f.unknown(t, ask{})
		time.Sleep(time.Hour) // of the bubble
		f.unknown(t, ask{})
		b.has(t, clusto.MAC{}, clusto.MAC{}, 0)
		if n := b.asked(); n < 100 || n > 130 { // 30 s apart in the end
			t.Errorf("asked %d times in an hour", n)
		}
		f.logged(t, "tried again until the inventory answers", 1)
		b.set(func() { b.err = nil })
		time.Sleep(adoptMost) // of the bubble
		b.has(t, newMAC, clusto.MAC{}, 1)
	})
}

// TestOneThatFailsDoesNotStopOthers, nor does the queue grow with it.
func TestOneThatFailsDoesNotStopOthers(t *testing.T) {
	sick := clusto.MAC{2, 0, 0, 0, 0, 0x12}
	b := &bootSite{sick: sick}
	adopting(t, b, func(t *testing.T, f *hall) {
		for range 100 {
			f.unknown(t, ask{mac: sick})
			synctest.Wait()
		}
		if n := b.asked(); n != 1 {
			t.Errorf("%d calls for one MAC, want one and the next after a second", n)
		}
		f.unknown(t, ask{})
		time.Sleep(3 * adoptLeast) // of the bubble
		b.has(t, newMAC, clusto.MAC{}, 1)
		for range 10 { // those that work, between its tries
			time.Sleep(unknownAgain) // of the bubble
			f.unknown(t, ask{})
		}
		f.logged(t, "tried again until", 1)
	})
}

// TestRefusalIsOneWarning, though the client asks on, and says why.
func TestRefusalIsOneWarning(t *testing.T) {
	for name, b := range map[string]*bootSite{
		"several servers":           {err: fmt.Errorf("s1, s2: %w", clusto.ErrConflict)},
		"the MAC is on s1, s2":      {refuse: fmt.Errorf("s1, s2: %w", clusto.ErrConflict)},
		"the server is gone s1, s2": {refuse: fmt.Errorf("s1, s2: %w", clusto.ErrNotFound)},
	} {
		adopting(t, b, func(t *testing.T, f *hall) {
			for range 59 {
				f.unknown(t, ask{})
				time.Sleep(time.Minute) // of the bubble
			}
			f.logged(t, "s1, s2", 1)
			b.has(t, clusto.MAC{}, clusto.MAC{}, 0)
			if n := b.asked(); n < 20 || n > 60 {
				t.Errorf("%s: asked %d times in an hour", name, n)
			}
		})
	}
}

// TestFloodOfUnknownMACs neither stops the adopter nor wears out the inventory.
func TestFloodOfUnknownMACs(t *testing.T) {
	b := &bootSite{}
	adopting(t, b, func(t *testing.T, f *hall) {
		for i := range 5000 {
			f.Server.adopt.note(&Request{MAC: clusto.MAC{4, byte(i >> 8), byte(i)}, Type: discover}, false)
			if i%100 == 0 {
				time.Sleep(time.Millisecond) // of the bubble
			}
		}
		synctest.Wait()
		if _, lost := f.Adoption(); lost < 3000 {
			t.Errorf("%d lost, want all but those that may wait", lost)
		}
		time.Sleep(time.Minute + adoptPace*adoptWaiting) // of the bubble
		f.unknown(t, ask{})
		time.Sleep(time.Second) // of the bubble
		b.has(t, newMAC, clusto.MAC{}, 1)
		for i, at := range b.calls[1:] {
			if d := at.Sub(b.calls[i]); d < adoptPace {
				t.Fatalf("two calls %v apart", d)
			}
		}
	})
}

// TestWhoIsNotNoted: nobody's MAC, and messages that ask for no address.
func TestWhoIsNotNoted(t *testing.T) {
	s := NewServer(Config{Hosts: fixedHosts{}, Lot: smallLot(), Adopt: AdoptConfig{Inventory: &bootSite{}}})
	for _, r := range []Request{
		{Type: discover},
		{Type: discover, MAC: clusto.MAC{1, 0, 0x5e, 0, 0, 1}},
		{Type: dhcp4.Decline, MAC: newMAC},
		{Type: dhcp4.Release, MAC: newMAC},
		{Type: dhcp4.Inform, MAC: newMAC},
	} {
		s.adopt.note(&r, false)
	}
	if n := len(s.adopt.asks); n != 0 {
		t.Errorf("%d noted", n)
	}
	for _, typ := range []dhcp4.MessageType{0, discover, request} {
		s.adopt.note(&Request{Type: typ, MAC: newMAC}, false)
	}
	if n := len(s.adopt.asks); n != 3 {
		t.Errorf("%d noted, want 3", n)
	}
}

// TestOffNothingIsNoted: without the option nobody is asked.
func TestOffNothingIsNoted(t *testing.T) {
	inHall(t, Absent, Config{}, func(t *testing.T, f *hall) {
		f.get(t, ask{typ: discover}, engine.UnknownHost)
		if stored, lost := f.Adoption(); f.Server.adopt != nil || stored+lost > 0 {
			t.Errorf("%d stored, %d lost", stored, lost)
		}
	})
}

// TestNotedNoAllocs: whether the adopter takes it or not.
func TestNotedNoAllocs(t *testing.T) {
	if raceOn {
		t.Skip("the race detector miscounts allocations")
	}
	bmc := testHost()
	bmc.BMC, bmc.Addresses = true, nil
	for _, c := range []hotCase{
		{"unknown", nil, Absent, ask{typ: discover, vendor: testClass, opts: clientID(bmcMAC)}, engine.UnknownHost},
		{"known", prepared(t, testHost()), Fresh, ask{typ: discover}, engine.Reply},
		{"shared", prepared(t, bmc), Fresh, ask{typ: discover, vendor: "PXEClient"}, engine.NoAddress},
	} {
		cfg := Config{Hosts: fixedHosts{hostMAC: {c.p, c.state}}, Lot: smallLot(), Site: Site{ServerID: ip4("10.42.0.5")}}
		cfg.Adopt = AdoptConfig{Inventory: &bootSite{}, Classes: []string{"x", testClass}}
		s := NewServer(cfg)
		h, pkt, slot := s.Handler(), &engine.Packet{Data: c.ask.frame(), Link: testLink()}, make([]byte, 0, engine.FrameSize)
		for _, taken := range []bool{true, false} {
			n := testing.AllocsPerRun(1000, func() {
				if _, v := h.Handle(slot, pkt); v != c.want {
					t.Fatalf("%s: %v, want %v", c.name, v, c.want)
				}
				for taken && len(s.adopt.asks) > 0 {
					<-s.adopt.asks
				}
			})
			if n != 0 {
				t.Errorf("%s: %v allocations, want 0", c.name, n)
			}
		}
	}
}

// TestSightings: each MAC that there is room for, to the minute, from many
// workers.
func TestSightings(t *testing.T) {
	const n = 20000
	s, start := newSightings(n), time.Unix(1_700_000_000, 0)
	mac := func(i int) clusto.MAC { return clusto.MAC{0, 0x1e, 0xc9, 0, byte(i >> 8), byte(i)} }
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := w; i < n; i += 4 {
				s.saw(mac(i), start)
			}
		})
	}
	workers.Wait()
	lost := 0
	for i := range n {
		if !s.since(mac(i), start.Add(time.Hour), time.Hour) {
			lost++
		}
		if s.since(mac(i), start.Add(62*time.Minute), time.Hour) {
			t.Fatalf("%v was seen an hour ago", mac(i))
		}
	}
	if lost > n/1000 {
		t.Errorf("%d of %d are lost", lost, n)
	}
	if s.since(clusto.MAC{9}, start, time.Hour) || s.since(clusto.MAC{}, time.Unix(0, 0), time.Hour) {
		t.Error("one is there that nobody saw")
	}
	s.saw(mac(7), start.Add(3*time.Hour))
	if !s.since(mac(7), start.Add(4*time.Hour), time.Hour) {
		t.Error("the last sighting does not count")
	}
}

// TestOldestSightingMakesRoom where a bucket is full.
func TestOldestSightingMakesRoom(t *testing.T) {
	s, start := newSightings(1), time.Unix(1_700_000_000, 0)
	for i := range bucket + 1 {
		s.saw(clusto.MAC{5: byte(i + 1)}, start.Add(time.Duration(i)*time.Minute))
	}
	for i := range bucket + 1 {
		if got := s.since(clusto.MAC{5: byte(i + 1)}, start.Add(bucket*time.Minute), time.Hour); got != (i > 0) {
			t.Errorf("%d: %v", i, got)
		}
	}
}
