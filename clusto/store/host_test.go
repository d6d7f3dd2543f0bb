package store

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

func mac(t testing.TB, s string) clusto.MAC {
	t.Helper()
	m, err := clusto.ParseMAC(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func host(t testing.TB, s *Store, m string) *clusto.Host {
	t.Helper()
	h, err := s.Host(t.Context(), mac(t, m))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// option gives what an option is merged to: "value from origin".
func option(h *clusto.Host, name string) string {
	var out []string
	for _, a := range h.Attrs {
		if a.Sub() == name {
			out = append(out, a.Value.Text()+" from "+a.Origin)
		}
	}
	return strings.Join(out, ", ")
}

// sameAlone compares every host of Hosts, in chunks of several sizes, with what
// Host says of its MAC, and gives how many there were.
func sameAlone(t testing.TB, s *Store) (n int) {
	t.Helper()
	for _, entities := range []int{1, 3, chunkEntities} {
		seen := map[clusto.MAC]bool{}
		err := s.hostsBy(t.Context(), chunks{entities, bulkTime}, func(h *clusto.Host) error {
			if seen[h.MAC] {
				t.Errorf("in chunks of %d: %s comes twice", entities, h.MAC)
			}
			seen[h.MAC] = true
			alone, err := s.Host(t.Context(), h.MAC)
			if err != nil {
				return err
			}
			if !reflect.DeepEqual(alone, h) {
				t.Errorf("%s:\nalone   %s\nin chunks of %d %s", h.MAC, asJSON(t, alone), entities, asJSON(t, h))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n = max(n, len(seen)); n != len(seen) {
			t.Errorf("in chunks of %d: %d hosts, want %d", entities, len(seen), n)
		}
	}
	return n
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHostOfOriginal(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		if n := sameAlone(t, s); n != 27 { // 28 ports have MACs, two the same one
			t.Errorf("%d hosts, want 27", n)
		}
		h := host(t, s, "00:1e:c9:00:00:01")
		want := `{"mac":"00:1e:c9:00:00:01","name":"s0001","type":"server","driver":"penguinserver",` +
			`"port":"port-nic-eth","number":1,"osport":"eth0","hostname":"s0001","enabled":true,"addresses":[` +
			`{"ip":"10.42.0.11","osport":"eth0","network":{"name":"net-private0","prefix":"10.42.0.0/24","gateway":"10.42.0.1"}}]`
		if got := asJSON(t, h); !strings.HasPrefix(got, want) {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
		// The original's dhcpd would have sent production's: the last, not the nearest.
		if got := option(h, "domain"); got != "example.org from /pool/pxeboot-servers" {
			t.Errorf("domain is %s", got)
		}
		if got := option(h, "log_server"); got != "10.42.0.7 from /pool/production" {
			t.Errorf("log_server is %s", got)
		}
		if h := host(t, s, "00:1e:c9:00:00:03"); h.Enabled || h.Why != `dhcp/enabled is "0" on /server/s0003` {
			t.Errorf("s0003: enabled %t, %q", h.Enabled, h.Why)
		}
		if h := host(t, s, "00:1e:c9:00:00:07"); !slices.Equal(h.Ambiguous, []string{"/server/s0007", "/server/s0008"}) || h.Enabled || h.Name != "" {
			t.Errorf("two servers with one MAC: %s", asJSON(t, h))
		}
		if h := host(t, s, "00:1e:c9:00:00:09"); h.Name != "s0009" || h.Hostname != "web01" {
			t.Errorf("%s is called %s", h.Name, h.Hostname)
		}
		if h := host(t, s, "00:1e:c9:00:00:10"); h.Name != "s0016" {
			t.Errorf("a MAC stored in upper case is %s's, want s0016", h.Name)
		}
		if h := host(t, s, "00:1e:c9:00:00:11"); h.Name != "s0017" || h.Number != 2 {
			t.Errorf("a MAC on port 2 is %s's port %d", h.Name, h.Number)
		}
		_, err := s.Host(t.Context(), mac(t, "00:1e:c9:00:00:12")) // only a bootstrap/mac
		if !errors.Is(err, clusto.ErrNotFound) || errors.Is(err, clusto.ErrUnavailable) {
			t.Errorf("an unknown MAC: %v", err)
		}
	})
}

func TestHostOfVersionedOriginal(t *testing.T) {
	eachOriginal(t, "clusto-versioned.sql", func(t *testing.T, s *Store) {
		sameAlone(t, s)
		if h := host(t, s, "00:1e:c9:00:00:01"); h.Name != "s0001" || !h.Enabled {
			t.Errorf("got %s", asJSON(t, h))
		}
		if _, err := s.Host(t.Context(), mac(t, "00:1e:c9:00:00:0a")); !errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("a deleted server is still found: %v", err)
		}
	})
}

// TestVersionedChangesKeepHistory is about a database with versioning on: what
// was deleted stays, and each change has a version of its own.
func TestVersionedChangesKeepHistory(t *testing.T) {
	eachOriginal(t, "clusto-versioned.sql", func(t *testing.T, s *Store) {
		count := func(query string) string {
			got, err := s.list(t.Context(), query)
			if err != nil {
				t.Fatal(err)
			}
			return got[0]
		}
		versions := func() string { return count(`SELECT CAST(max(version) AS VARCHAR(20)) FROM clustoversioning`) }
		deleted := func() string {
			return count(`SELECT CAST(count(*) AS VARCHAR(20)) FROM entity_attrs WHERE deleted_at_version IS NOT NULL`)
		}
		v, d := versions(), deleted()
		apply(t, s, attrAt("s0001", "port-nic-eth/mac/1", str("00:1e:c9:00:ff:01")))
		if versions() != next(t, v) || deleted() != next(t, d) {
			t.Errorf("version %s to %s, deleted %s to %s: want one more of each", v, versions(), d, deleted())
		}
		apply(t, s, attrAt("s0001", "port-nic-eth/mac/1", str("00:1e:c9:00:ff:01")))
		if versions() != next(t, v) {
			t.Errorf("a change that changed nothing made version %s", versions())
		}
		if h := host(t, s, "00:1e:c9:00:ff:01"); h.Name != "s0001" {
			t.Errorf("got %s", asJSON(t, h))
		}
		if _, err := s.Host(t.Context(), mac(t, "00:1e:c9:00:00:01")); !errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("the MAC of old is still found: %v", err)
		}
		if sameAlone(t, s) == 0 {
			t.Error("no hosts")
		}
	})
}

func next(t testing.TB, n string) string {
	t.Helper()
	var i json.Number = json.Number(n)
	v, err := i.Int64()
	if err != nil {
		t.Fatal(err)
	}
	return asJSON(t, v+1)
}

func TestMostSpecificWins(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s,
			entity_("all", "pool"), insert("pxeboot-servers", "all", 0),
			attrAt("all", "dhcp/domain", str("all.example.org")), attrAt("all", "dhcp/tftp_server", str("10.0.0.1")),
			attrAt("all", "dhcp/NTP_server/2", str("10.0.0.2")), attrAt("all", "dhcp/NTP_server/1", str("10.0.0.1")),
			attrAt("r1", "dhcp/domain", str("r1.example.org")), // at the distance of the pool
			attrAt("pxeboot-servers", "dhcp/domain", str("pool.example.org")),
			attrAt("ex0000", "dhcp/tftp_filename", str("/own")))
		h := host(t, s, "00:11:22:33:44:55")
		for name, want := range map[string]string{
			"tftp_filename": "/own from /server/ex0000",
			"tftp_server":   "192.168.1.1 from /pool/pxeboot-servers",
			"domain":        "pool.example.org from /pool/pxeboot-servers", // "/pool" sorts before "/rack"
			"NTP_server":    "10.0.0.1 from /pool/all, 10.0.0.2 from /pool/all",
			"enabled":       "", // a switch, not an option
		} {
			if got := option(h, name); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
		apply(t, s, attrAt("ex0000", "dhcp/enabled", num(0)))
		if h := host(t, s, "00:11:22:33:44:55"); h.Enabled || h.Why != `dhcp/enabled is "0" on /server/ex0000` {
			t.Errorf("off at the server, on at its pool: enabled %t, %q", h.Enabled, h.Why)
		}
		apply(t, s, attrAt("ex0000", "dhcp/enabled", str("1")), attrAt("pxeboot-servers", "dhcp/enabled", num(0)))
		if h := host(t, s, "00:11:22:33:44:55"); !h.Enabled || h.Why != "" {
			t.Errorf("on at the server, off at its pool: enabled %t, %q", h.Enabled, h.Why)
		}
		apply(t, s, entity_("lone", "basicserver"), attrAt("lone", "port-nic-eth/mac/1", str("02:00:00:00:00:01")))
		if h := host(t, s, "02:00:00:00:00:01"); h.Enabled || h.Why != "no dhcp/enabled on /server/lone or any of its containers" {
			t.Errorf("neither on nor off: enabled %t, %q", h.Enabled, h.Why)
		}
		sameAlone(t, s)
	})
}

// TestTieIsDecidedByName has two pools that say different things: whichever was
// filled first, the one whose path sorts first holds.
func TestTieIsDecidedByName(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		for _, pools := range [][]string{{"alpha", "beta"}, {"beta", "alpha"}} {
			s := open()
			apply(t, s, entity_("s1", "basicserver"), attrAt("s1", "port-nic-eth/mac/1", str("02:00:00:00:00:01")))
			for i, p := range pools {
				on := num(int64(len(p) % 2)) // alpha on, beta off
				apply(t, s, entity_(p, "pool"), insert("s1", p, 0), attrAt(p, "dhcp/enabled", on), attrAt(p, "dhcp/domain", str(p)), attrAt(p, "dhcp/mtu", num(int64(i))))
			}
			h := host(t, s, "02:00:00:00:00:01")
			if got := option(h, "domain"); !h.Enabled || got != "alpha from /pool/alpha" {
				t.Errorf("filled in the order %v: enabled %t, domain %s", pools, h.Enabled, got)
			}
			sameAlone(t, s)
		}
	})
}

// TestCycleEnds puts a pool into itself by way of another, which clusto allows.
func TestCycleEnds(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, entity_("outer", "pool"), insert("pxeboot-servers", "outer", 0), attrAt("outer", "dhcp/mtu", num(9000)))
		for _, c := range []struct{ container, thing string }{
			{"pxeboot-servers", "outer"}, {"outer", "outer"}, {"ex0000", "dc"},
		} {
			execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", number, datatype, relation_id, version)
				SELECT a.entity_id, '_contains', 99, 'relation', b.entity_id, 1 FROM entities a, entities b WHERE a.name = ? AND b.name = ?`,
				c.container, c.thing)
		}
		h := host(t, s, "00:11:22:33:44:55")
		if got := option(h, "mtu"); !h.Enabled || got != "9000 from /pool/outer" {
			t.Errorf("enabled %t, mtu %s", h.Enabled, got)
		}
		sameAlone(t, s)
		attrs, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "ex0000", Key: "dhcp", Merge: true})
		if err != nil || len(attrs) < 4 || len(attrs) > 400 {
			t.Errorf("a merged read gave %d attributes, %v", len(attrs), err)
		}
		err = s.Apply(t.Context(), []clusto.Op{entity_("inner", "pool"), insert("inner", "outer", 0), insert("outer", "inner", 0)})
		if !errors.Is(err, clusto.ErrConflict) {
			t.Errorf("a new cycle: %v", err)
		}
	})
}

func TestBMCIsTold(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, attrAt("ex0000", "port-nic-eth/ipmi-mac/1", str("00:11:22:33:44:99")), bind("ex0000", "192.168.1.51", "ipmi0"))
		h := host(t, s, "00:11:22:33:44:99")
		if !h.BMC || h.Name != "ex0000" || len(h.Addresses) != 2 || h.Addresses[1].OSPort != "ipmi0" {
			t.Errorf("got %s", asJSON(t, h))
		}
		if h := host(t, s, "00:11:22:33:44:55"); h.BMC {
			t.Errorf("the server itself is taken for its BMC: %s", asJSON(t, h))
		}
		sameAlone(t, s)
	})
}

// TestServersGoFirst has a switch that notes its server's MAC.
func TestServersGoFirst(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, entity_("sw1", "cisco4948"))
		execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
			SELECT entity_id, 'port-nic-eth', 'mac', 1, 'string', '0011.2233.4455', 1 FROM entities WHERE name = 'sw1'`)
		if h := host(t, s, "00:11:22:33:44:55"); h.Name != "ex0000" || h.Ambiguous != nil {
			t.Errorf("got %s", asJSON(t, h))
		}
		sameAlone(t, s)
	})
}

// TestNetworkOfManagerThatIsAContainer was a difference between Host and Hosts:
// the properties of a manager that contains the server were not read.
func TestNetworkOfManagerThatIsAContainer(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		for _, stmt := range []string{
			`INSERT INTO entity_attrs (entity_id, "key", number, datatype, relation_id, version)
				SELECT a.entity_id, '_contains', 0, 'relation', b.entity_id, 1 FROM entities a, entities b WHERE a.name = 'lan' AND b.name = 'ex0000'`,
			// An address outside of its manager's range, so that no search finds it.
			`UPDATE entity_attrs SET string_value = '192.168.2.50' WHERE subkey = 'ipstring'`,
		} {
			execute(t, s, stmt)
		}
		h := host(t, s, "00:11:22:33:44:55")
		if len(h.Addresses) != 1 || h.Addresses[0].Network == nil || h.Addresses[0].Network.Name != "lan" {
			t.Errorf("got %s", asJSON(t, h))
		}
		sameAlone(t, s)
	})
}

// TestNumberThatIsText is about what the original's addattr wrote: any text as a
// number, which SQLite takes. One such attribute made all hosts unavailable.
func TestNumberThatIsText(t *testing.T) {
	s := original(t, "clusto.sql")
	for _, at := range []string{"dhcp", "ip", "hostname", "port-nic-eth", "_contains", "port-nic-eth"} {
		for _, number := range []any{"abc", "", "true", 2.5} {
			execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, relation_id, version)
				SELECT entity_id, ?, 'mac', ?, 'string', '00:1e:c9:00:00:01', entity_id, 1 FROM entities WHERE name = 's0001'`, at, number)
		}
	}
	if h := host(t, s, "00:1e:c9:00:00:01"); h.Name != "s0001" {
		t.Errorf("got %s", asJSON(t, h))
	}
	sameAlone(t, s)
	if _, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "s0001", Hidden: true, Merge: true}); err != nil {
		t.Error(err)
	}
	apply(t, s, entity_("new", "basicserver"), insert("new", "pxeboot-servers", 0), bind("new", "10.42.0.200", ""))
}
