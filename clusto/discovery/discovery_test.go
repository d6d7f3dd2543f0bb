package discovery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

func (l *lab) want(want map[string]uint64) {
	l.t.Helper()
	if got := l.outcomes(); !maps.Equal(got, want) {
		l.t.Errorf("outcomes %v, want %v\n%s", got, want, l.log)
	}
}

func apply(t *testing.T, s *store.Store, ops ...clusto.Op) {
	t.Helper()
	if err := s.Apply(t.Context(), ops); err != nil {
		t.Fatal(err)
	}
}

func text(s string) *clusto.Value { return &clusto.Value{Type: clusto.String, Str: s} }

func num(n int) *int { return &n }

func setMAC(name, key, sub, mac string) clusto.Op {
	op := clusto.Op{Op: "attr", Name: name, Key: key, Subkey: ptr(sub), Value: text(mac)}
	if key != "bootstrap" {
		op.Number = num(1)
	}
	return op
}

// TestGuards: what is no server's MAC never reaches the inventory.
func TestGuards(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	for _, c := range []struct {
		mac    string
		change func(*Config)
		ok     bool
	}{
		{"00:00:00:00:00:00", nil, false},
		{"01:00:5e:00:00:01", nil, false},
		{"ff:ff:ff:ff:ff:ff", nil, false},
		{"00:00:0c:07:ac:0a", nil, false},
		{"00:00:0c:9f:f0:0a", nil, false},
		{"00:05:73:a0:00:0a", nil, false},
		{"00:00:5e:00:01:0a", nil, false},
		{"00:00:5e:00:02:0a", nil, false},
		{"00:07:b4:00:01:01", nil, false},
		{"02:1e:c9:00:0a:01", nil, false},
		{"02:1e:c9:00:0a:01", func(c *Config) { c.Local = true }, true},
		{"00:1e:c9:00:0a:01", nil, true},
		{"2c:1e:c9:00:0a:01", nil, true}, // the original took none but those with 00 first
		{"00:1e:c9:00:0a:01", func(c *Config) { c.Prefixes = []string{"00:1E:C9", "aa"} }, true},
		{"00:1f:c9:00:0a:01", func(c *Config) { c.Prefixes = []string{"00:1E:C9", "aa"} }, false},
	} {
		cfg := Config{Inventory: s}
		if c.change != nil {
			c.change(&cfg)
		}
		if why := New(cfg).notAServers(learnt(c.mac, 1).MAC); (why == "") != c.ok {
			t.Errorf("%s: %q", c.mac, why)
		}
	}
	l := newLab(t, failing{s, func(string) error { t.Error("the inventory was asked"); return nil }})
	removed, moved, odd := learnt("00:1e:c9:00:0a:01", 25), learnt("00:1e:c9:00:0a:01", 25), learnt("00:1e:c9:00:0a:01", 25)
	removed.Kind, moved.Kind, odd.Kind = Removed, Moved, Unknown
	l.send(learnt("01:00:5e:00:00:01", 25), removed, moved, odd)
	l.want(map[string]uint64{"not_server_mac": 1, "gone": 1, "move_seen": 1, "not_understood": 1})
}

// failing is the real inventory until it is told to fail.
type failing struct {
	*store.Store
	fail func(call string) error
}

func (f failing) Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error) {
	if err := f.fail("entities"); err != nil {
		return nil, err
	}
	return f.Store.Entities(ctx, q)
}

func (f failing) Change(ctx context.Context, ops []clusto.Op) ([]clusto.Result, error) {
	if err := f.fail("change"); err != nil {
		return nil, err
	}
	res, err := f.Store.Change(ctx, ops)
	if late := f.fail("changed"); late != nil {
		return nil, late
	}
	return res, err
}

// TestKnownMACs: a MAC that clusto has anywhere makes nothing. Where it appears on
// the port of its server, that gets it as bootstrap/mac, and the port its VLAN,
// once, as with the original.
func TestKnownMACs(t *testing.T) {
	t.Parallel()
	eachSite(t, func(t *testing.T, s *store.Store) {
		apply(t, s, clusto.Op{Op: "entity", Name: "box", Driver: "basicserver"},
			setMAC("box", "port-nic-eth", "ipmi-mac", "00:1E:C9:00:0B:01"), setMAC("box", "bootstrap", "mac", "00:1e:c9:00:0b:02"))
		before, _ := snapshot(t, s)
		l := newLab(t, s)
		l.send(
			learnt("00:1e:c9:00:00:01", 1), learnt("00:1E:C9:00:00:01", 1), // s0001 on its own port
			learnt("00:1e:c9:00:00:01", 25), // and on another one
			learnt("00:1e:c9:00:0b:01", 25), learnt("00:1e:c9:00:0b:02", 26),
		)
		l.want(map[string]uint64{"attached": 1, "known": 1, "known_moved": 3})
		want := []string{"+ s0001 bootstrap mac - string 00:1e:c9:00:00:01", "+ sv2-r01-sw1 port-nic-eth vlan 1 int 42"}
		if rows := changed(t, s, before); !slices.Equal(rows, want) {
			t.Errorf("changed %v, want %v", rows, want)
		}
		if !strings.Contains(l.log.String(), "/server/s0001, and it appeared on /networkswitch/sv2-r01-sw1 port 25") {
			t.Errorf("the move is not told: %s", l.log)
		}
	})
}

// TestMoreMACsOnAPort: a server gets further MACs as bootstrap/mac, up to a
// bound; what is no server gets none.
func TestMoreMACsOnAPort(t *testing.T) {
	t.Parallel()
	eachSite(t, func(t *testing.T, s *store.Store) {
		l := newLab(t, s)
		for i := range 10 {
			l.send(learnt(fmt.Sprintf("00:1e:c9:00:0c:%02x", i), 1))
		}
		l.want(map[string]uint64{"attached": 8, "crowded": 2})
		attrs, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "s0001", Key: "bootstrap"})
		if err != nil || len(attrs) != 8 {
			t.Errorf("%d bootstrap MACs, %v", len(attrs), err)
		}
		l.send(learnt("00:1e:c9:00:0d:01", 44)) // the power strip's
		l.want(map[string]uint64{"attached": 8, "crowded": 2, "not_server_port": 1})
		l.send(learnt("00:1e:c9:00:00:01", 1)) // its own, and there are 8
		l.want(map[string]uint64{"attached": 8, "crowded": 2, "not_server_port": 1, "known": 1})
	})
}

// TestUplink: a port that shows too many MACs within the hold-down is no
// server's.
func TestUplink(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	l := newLab(t, s, func(c *Config) { c.HoldDown = 100 * time.Millisecond })
	var events []Event
	for i := range 5 {
		events = append(events, learnt(fmt.Sprintf("00:1e:c9:00:0c:%02x", i), 25))
	}
	events = append(events, learnt("00:1e:c9:00:0d:01", 26), learnt("00:1e:c9:00:0d:02", 26)) // a NIC and its BMC
	l.send(events...)
	l.want(map[string]uint64{"uplink": 5, "created": 1, "attached": 1})
}

// TestWhatCannotBeMapped becomes a dead letter with its reason, and does not
// block what follows.
func TestWhatCannotBeMapped(t *testing.T) {
	t.Parallel()
	eachSite(t, func(t *testing.T, s *store.Store) {
		l := newLab(t, s)
		apply(t, s,
			clusto.Op{Op: "create", Name: "lonely", Driver: "cisco4948"}, clusto.Op{Op: "bind", Name: "lonely", IP: "10.42.0.240"},
			clusto.Op{Op: "attr", Name: "lonely", Key: "snmp", Subkey: ptr("discovery"), Value: text("true")},
			clusto.Op{Op: "create", Name: "sv2-r09", Driver: "basicrack"}, clusto.Op{Op: "create", Name: "sv2-r09-sw1", Driver: "cisco4948"},
			clusto.Op{Op: "insert", Name: "sv2-r09-sw1", Into: "sv2-r09", RU: 36}, clusto.Op{Op: "bind", Name: "sv2-r09-sw1", IP: "10.42.0.241"},
			clusto.Op{Op: "attr", Name: "sv2-r09", Key: "snmp", Subkey: ptr("discovery"), Value: text("1")},
			clusto.Op{Op: "create", Name: "squatter", Driver: "basicserver"}, clusto.Op{Op: "insert", Name: "squatter", Into: "sv2-r01", RU: 26},
		)
		l.send(
			learnt("00:1e:c9:00:0e:01", 0), learnt("00:1e:c9:00:0e:02", 49), learnt("00:1e:c9:00:0e:03", 65535),
			from("10.42.0.240", learnt("00:1e:c9:00:0e:04", 1)), from("10.42.0.241", learnt("00:1e:c9:00:0e:05", 1)),
			learnt("00:1e:c9:00:0e:06", 25), // its unit is taken
			learnt("00:1e:c9:00:0e:07", 26),
		)
		l.want(map[string]uint64{"unmapped": 3, "no_layout": 2, "refused": 1, "created": 1})
		for _, says := range []string{"servers of layout 201001 are on ports", "in 0 racks", "no attribute racklayout", "squatter"} {
			if !slices.ContainsFunc(l.queue.dead, func(d buried) bool { return strings.Contains(d.reason, says) }) {
				t.Errorf("no dead letter says %q: %+v", says, l.queue.dead)
			}
		}
		apply(t, s, clusto.Op{Op: "remove", Name: "squatter", Into: "sv2-r01"})
		l.send(learnt("00:1e:c9:00:0e:06", 25)) // tried again
		if l.Count(Created) != 2 {
			t.Errorf("not made after the unit is free: %s", l.log)
		}
	})
}

// TestNamesThatAreTaken do not block discovery.
func TestNamesThatAreTaken(t *testing.T) {
	t.Parallel()
	eachSite(t, func(t *testing.T, s *store.Store) {
		apply(t, s, clusto.Op{Op: "create", Name: "s0029", Driver: "basicserver"}, clusto.Op{Op: "create", Name: "s0030", Driver: "basicserver"})
		l := newLab(t, s)
		l.send(learnt("00:1e:c9:00:0a:01", 25))
		l.want(map[string]uint64{"created": 1})
		if o := object(t, s, "s0031"); o.Type != "server" {
			t.Errorf("%+v", o)
		}
	})
}

// TestFromTrapToAddress: with discover_mac and discover_ip a new server is
// answered by DHCP without a hand.
func TestFromTrapToAddress(t *testing.T) {
	t.Parallel()
	eachSite(t, func(t *testing.T, s *store.Store) {
		apply(t, s, clusto.Op{Op: "create", Name: "net-tiny", Driver: "ipmanager"})
		for key, v := range map[string]string{"baseip": "10.99.0.0", "netmask": "255.255.255.252", "gateway": "10.99.0.1"} {
			apply(t, s, clusto.Op{Op: "attr", Name: "net-tiny", Key: key, Subkey: ptr("property"), Value: text(v)})
		}
		l := newLab(t, s, func(c *Config) { c.SetMAC, c.SetIP, c.IPManagers = true, true, []string{"net-tiny", "net-private0"} })
		l.send(learnt("00:1e:c9:00:0a:01", 25), learnt("00:1e:c9:00:0a:02", 26))
		l.want(map[string]uint64{"created": 2})
		for mac, net := range map[string]string{"00:1e:c9:00:0a:01": "net-tiny", "00:1e:c9:00:0a:02": "net-private0"} {
			h, err := s.Host(t.Context(), learnt(mac, 0).MAC)
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Addresses) != 1 || h.Addresses[0].OSPort != "eth0" || h.Addresses[0].Network.Name != net {
				t.Errorf("%s: %+v", mac, h)
			}
		}
	})
	t.Run("the rack's manager", func(t *testing.T) {
		s := openStore(t, originalFile(t))
		apply(t, s, clusto.Op{Op: "attr", Name: "sv2", Key: "dhcp", Subkey: ptr("ipmanager"), Value: &clusto.Value{Type: clusto.Relation, Str: "/resourcemanager/net-private1"}})
		l := newLab(t, s, func(c *Config) { c.SetMAC, c.SetIP = true, true })
		l.send(learnt("00:1e:c9:00:0a:01", 25))
		h, err := s.Host(t.Context(), learnt("00:1e:c9:00:0a:01", 0).MAC)
		if err != nil || len(h.Addresses) != 1 || h.Addresses[0].Network.Name != "net-private1" {
			t.Errorf("%+v, %v\n%s", h, err, l.log)
		}
	})
}

// TestSecondNIC: in layouts with two network cards either of them may come
// first, and the other one adds its MAC.
func TestSecondNIC(t *testing.T) {
	t.Parallel()
	for _, ports := range [][2]uint16{{3, 23}, {23, 3}} {
		s := openStore(t, originalFile(t))
		rackOf5555(t, s, "sv2-r05", "10.42.0.250")
		l := newLab(t, s)
		l.send(from("10.42.0.250", learnt("00:1e:c9:00:0f:01", ports[0])), from("10.42.0.250", learnt("00:1e:c9:00:0f:02", ports[1])))
		l.want(map[string]uint64{"created": 1, "attached": 1})
		o := object(t, s, "s0029")
		got := map[int]string{}
		for _, p := range o.Ports {
			if p.Type == "nic-eth" && p.To != "" {
				got[p.Num] = p.To + " " + p.ToNum
			}
		}
		if want := map[int]string{1: "/networkswitch/sv2-r05-sw1 3", 2: "/networkswitch/sv2-r05-sw1 23"}; !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	}
}

func rackOf5555(t *testing.T, s *store.Store, name, ip string) {
	t.Helper()
	layout, err := layouts(t).Find("5555")
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, clusto.Op{Op: "create", Name: name, Driver: "basicrack"}, clusto.Op{Op: "insert", Name: name, Into: "sv2"})
	apply(t, s, layout.Infrastructure(name)...)
	apply(t, s, clusto.Op{Op: "bind", Name: name + "-sw1", IP: ip})
}

// TestBasePortMap: where dot1dBasePort is not the port's number, a map tells.
func TestBasePortMap(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	set := func(v string) {
		apply(t, s, clusto.Op{Op: "attr", Name: "sv2-r01-sw1", Key: "snmp", Subkey: ptr("baseport-map"), Value: text(v)})
	}
	set(`{"513": 25`)
	l := newLab(t, s, func(c *Config) { c.Facts = time.Nanosecond })
	l.send(learnt("00:1e:c9:00:0a:01", 513))
	set(`{"513": 25}`)
	l.send(learnt("00:1e:c9:00:0a:01", 513))
	l.want(map[string]uint64{"unmapped": 1, "created": 1})
	if o := object(t, s, "sv2-r01-sw1"); !slices.ContainsFunc(o.Ports, func(p clusto.Port) bool { return p.Num == 25 && p.To == "/server/s0029" }) {
		t.Error("it is not on port 25")
	}
}

// TestInventoryDown: events wait, in order, and no answer that got lost makes a
// second server; one line says it fails, one that it is back.
func TestInventoryDown(t *testing.T) {
	t.Parallel()
	eachSite(t, func(t *testing.T, s *store.Store) {
		var calls atomic.Int64
		l := newLab(t, failing{s, func(call string) error {
			n := calls.Add(1)
			if n < 8 || call == "changed" && n < 60 { // at first all fails, then answers get lost
				return fmt.Errorf("no route: %w", clusto.ErrUnavailable)
			}
			return nil
		}})
		var events []Event
		for p := range uint16(6) {
			events = append(events, learnt(fmt.Sprintf("00:1e:c9:00:0a:%02x", p), 24+p))
		}
		l.send(events...)
		sum := l.Count(Created) + l.Count(Known)
		if sum != 6 || len(l.queue.dead) > 0 || l.Retries.Load() == 0 {
			t.Errorf("%v, %+v\n%s", l.outcomes(), l.queue.dead, l.log)
		}
		_, names := snapshot(t, s)
		if n := len(slices.DeleteFunc(names, func(n string) bool { return n < "s0029" || n > "s9999" })); n != 6 {
			t.Errorf("%d new servers", n)
		}
		if text := l.log.String(); strings.Count(text, "the inventory fails") != strings.Count(text, "answers again") {
			t.Errorf("unbalanced: %s", text)
		}
	})
}

// TestTwoDaemons on one inventory, with the same events at the same time, leave
// each server once.
func TestTwoDaemons(t *testing.T) {
	t.Parallel()
	eachSite(t, func(t *testing.T, s *store.Store) {
		a, b := newLab(t, s), newLab(t, s)
		var events []Event
		for p := range uint16(7) {
			events = append(events, learnt(fmt.Sprintf("00:1e:c9:00:0a:%02x", p), 24+p))
		}
		var wg sync.WaitGroup
		for _, l := range []*lab{a, b} {
			wg.Go(func() { l.send(events...) })
		}
		wg.Wait()
		if n := a.Count(Created) + b.Count(Created); n != 7 || a.Count(Known)+b.Count(Known) != 7 {
			t.Errorf("%v and %v\n%s\n%s", a.outcomes(), b.outcomes(), a.log, b.log)
		}
		for i := range 7 {
			object(t, s, fmt.Sprintf("s%04d", 29+i)) // no name is leaked
		}
	})
}

// TestSwitchesAreIndependent: one whose calls fail does not hold up another.
func TestSwitchesAreIndependent(t *testing.T) {
	t.Parallel()
	s := openStore(t, originalFile(t))
	rackOf5555(t, s, "sv2-r05", "10.42.0.250")
	var bad atomic.Bool
	bad.Store(true)
	l := newLab(t, &half{Store: s, bad: &bad})
	l.queue.add(learnt("00:1e:c9:00:0a:01", 25))
	l.send(from("10.42.0.250", learnt("00:1e:c9:00:0f:01", 3)))
	l.want(map[string]uint64{"created": 1})
	bad.Store(false)
	<-l.queue.ended
	l.want(map[string]uint64{"created": 2})
}

// half fails for sv2-r01-sw1 alone.
type half struct {
	*store.Store
	bad *atomic.Bool
}

func (h *half) Object(ctx context.Context, name string) (clusto.Object, error) {
	if h.bad.Load() && name == "sv2-r01-sw1" {
		return clusto.Object{}, fmt.Errorf("no route: %w", clusto.ErrUnavailable)
	}
	return h.Store.Object(ctx, name)
}
