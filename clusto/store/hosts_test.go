package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// messy writes a site past all rules: MACs in all spellings on several ports and
// entities, containers in circles, options that point to other entities, alive,
// deleted and missing, addresses with and without text, number and manager,
// managers with and without ranges.
func messy(t testing.TB, s *Store, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	const entities = 40
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	ended := func() any {
		if r.IntN(12) == 0 {
			return 2
		}
		return nil
	}
	number := func() any {
		if r.IntN(4) == 0 {
			return nil
		}
		return r.IntN(3)
	}
	var args []any
	add := func(id int, key string, sub any, datatype string, num, text, rel any) {
		args = append(args, id, key, sub, number(), datatype, num, text, rel, ended())
	}
	if s.dialect == postgres { // what points nowhere
		execute(t, s, `ALTER TABLE entity_attrs DROP CONSTRAINT entity_attrs_relation_id_fkey`)
	}
	var who []any
	for id := 2; id < 2+entities; id++ {
		kind := pick("server", "server", "pool", "rack", "resourcemanager", "networkswitch")
		who = append(who, id, fmt.Sprintf("e%d", id), kind, pick("ipmanager", "ipmanager", "x"), ended())
	}
	execute(t, s, `INSERT INTO entities (entity_id, name, type, driver, deleted_at_version, version)
		VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, 1), ", entities), ", "), who...)
	for range entities * 8 {
		id, other := 2+r.IntN(entities), 2+r.IntN(entities+2)
		ip := fmt.Sprintf("10.0.%d.%d", r.IntN(3), r.IntN(8))
		switch r.IntN(8) {
		case 0:
			add(id, keyContains, nil, "relation", nil, nil, other)
		case 1:
			add(id, keyDHCP, pick("a", "b", "enabled"), "string", nil, pick("0", "1", "x"), nil)
		case 2:
			add(id, keyDHCP, pick("a", "c"), "relation", nil, nil, other)
		case 3, 4:
			mac := clusto.MAC{2, 0, 0, 0, 0xa, byte(r.IntN(24))}
			add(id, keyNIC, pick(subMAC, subMAC, subIPMI), "string", nil, mac.Spellings()[r.IntN(clusto.MACForms)], nil)
		case 5:
			add(id, keyIP, pick("ipstring", "cidr", subOSPort), "string", nil, pick(ip, "eth0"), nil)
			add(id, keyIP, nil, "int", 10<<24-intShift+r.IntN(1000), nil, nil)
		case 6:
			add(id, keyIP, "manager", "relation", nil, nil, other)
			add(id, pick(keyHostname, keyNIC), pick(subOSPort, "x"), "string", nil, pick("eth0", "eth1"), nil)
		default:
			add(id, pick(managerKeys...), pick(subProperty, "x"), "string", nil, pick(ip, ip+"/24", "255.255.255.0", "24"), nil)
			add(id, keyHostname, nil, "string", nil, pick("h1", ""), nil)
		}
	}
	execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, int_value, string_value, relation_id, deleted_at_version, version)
		VALUES `+strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?, ?, ?, ?, 1), ", len(args)/9), ", "), args...)
}

// TestHostsAreTheSameAlone compares Hosts with Host on sites that break all
// rules, in chunks of several sizes.
func TestHostsAreTheSameAlone(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		for seed := range uint64(3) {
			s := open()
			messy(t, s, seed)
			if n := sameAlone(t, s); n < 10 {
				t.Errorf("%d hosts", n)
			}
		}
	})
}

// TestOptionsPointToEntities has options that are the addresses of servers, one
// of which is the server's own container.
func TestOptionsPointToEntities(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		to := func(path string) clusto.Value { return clusto.Value{Type: clusto.Relation, Str: path} }
		apply(t, s, entity_("ntp", "basicserver"), bind("ntp", "192.168.1.9", ""), bind("ntp", "192.168.1.8", ""),
			attrAt("pxeboot-servers", "dhcp/NTP_server", to("/server/ntp")), attrAt("pxeboot-servers", "dhcp/log_server", to("/rack/r1")))
		for range 2 { // the second time it is known that there are several statements
			h := host(t, s, "00:11:22:33:44:55")
			if got := option(h, "log_server"); got != "/rack/r1 from /pool/pxeboot-servers" {
				t.Errorf("log_server is %s", got)
			}
			i := slices.IndexFunc(h.Attrs, func(a clusto.Attr) bool { return a.Sub() == "NTP_server" })
			if i < 0 || fmt.Sprint(h.Attrs[i].Value.Addrs) != "[192.168.1.9 192.168.1.8]" {
				t.Errorf("got %s", asJSON(t, h))
			}
		}
		sameAlone(t, s)
	})
}

// TestCrowdOfOwners has more owners of a MAC than are read with their
// containers, all equal first, and then one who goes before the others.
func TestCrowdOfOwners(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		const crowd = 2*maxOwners + 3
		for i := range crowd {
			name := fmt.Sprintf("sw%02d", i)
			apply(t, s, entity_(name, "cisco4948"))
			execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
				SELECT entity_id, 'port-nic-eth', 'mac', 1, 'string', '00-11-22-33-44-66', 1 FROM entities WHERE name = ?`, name)
		}
		if h := host(t, s, "00:11:22:33:44:66"); len(h.Ambiguous) != crowd || h.Ambiguous[crowd-1] != "/networkswitch/sw34" {
			t.Errorf("got %s", asJSON(t, h))
		}
		sameAlone(t, s)
		execute(t, s, `UPDATE entity_attrs SET string_value = '00:11:22:33:44:66' WHERE string_value = '00:11:22:33:44:55'`)
		h := host(t, s, "00:11:22:33:44:66")
		if h.Name != "ex0000" || !h.Enabled || len(h.Addresses) != 1 || h.Addresses[0].Network == nil {
			t.Errorf("got %s", asJSON(t, h))
		}
		sameAlone(t, s)
	})
}

// TestHostIsOneState has a writer that changes an option and the address that
// another option stands for, in one transaction: no host may have one of each.
func TestHostIsOneState(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, entity_("ntp", "basicserver"), bind("ntp", "192.168.1.1", ""),
			attrAt("ex0000", "dhcp/NTP_server", clusto.Value{Type: clusto.Relation, Str: "/server/ntp"}), attrAt("ex0000", "dhcp/wanted", str("192.168.1.1")))
		write, written := make(chan int, 1), make(chan error)
		go func() {
			defer close(written)
			for i := range write {
				if err := setTwo(s, fmt.Sprintf("192.168.1.%d", i%9+1)); err != nil {
					written <- err
				}
			}
		}()
		for i := range 300 {
			select {
			case write <- i:
			default: // it has not written the last one yet
			}
			h := host(t, s, "00:11:22:33:44:55")
			i := slices.IndexFunc(h.Attrs, func(a clusto.Attr) bool { return a.Sub() == "NTP_server" })
			if got, want := fmt.Sprint(h.Attrs[i].Value.Addrs), "["+strings.Fields(option(h, "wanted"))[0]+"]"; got != want {
				t.Errorf("the option is %s, and the address %s", want, got)
				break
			}
		}
		close(write)
		for err := range written {
			t.Error(err)
		}
	})
}

func setTwo(s *Store, ip string) error {
	tx, err := s.write.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, as it should
	for _, where := range []string{"subkey = 'wanted'", "subkey = 'ipstring' AND entity_id = (SELECT entity_id FROM entities WHERE name = 'ntp')"} {
		if _, err := tx.Exec(s.dialect.q(`UPDATE entity_attrs SET string_value = ? WHERE `+where), ip); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// TestHostsWithoutIndexes reads a database that may not be altered in one go:
// each chunk would read all of it.
func TestHostsWithoutIndexes(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	openTest(t, file).Close()
	if s := openTest(t, file+"?mode=ro"); !s.chunked {
		t.Error("with the indexes, and write-ahead logging, it is not read in chunks")
	}
	runSQLite(t, file, `DROP INDEX idx_attrs_relation_key`)
	s := openTest(t, file+"?mode=ro")
	if s.chunked {
		t.Error("without the indexes it is read in chunks")
	}
	if n := sameAlone(t, s); n != 27 {
		t.Errorf("%d hosts", n)
	}
}

// TestHostsAreForgotten counts what is left of a bulk read in memory.
func TestHostsAreForgotten(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "clusto.db"))
	apply(t, s, fleet(400)...)
	tx, err := s.beginBulk(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	n := 0
	b := &bulk{reader: &reader{tx: tx}, dialect: s.dialect, entities: 50, fn: func(*clusto.Host) error { n++; return nil }}
	if err := b.run(t.Context(), false); err != nil || n != 400 {
		t.Fatalf("%d hosts, %v", n, err)
	}
	if racks := 10; len(b.g.nodes) > racks+3 || len(b.g.merged) > racks || len(b.chunk) > 50 {
		t.Errorf("%d entities are left, %d sets of options and %d in the chunk", len(b.g.nodes), len(b.g.merged), len(b.chunk))
	}
}

// TestHostsAreOneState changes the inventory while all hosts are read, by whom
// they are given to: neither waits for the other, and no host is as it was after.
func TestHostsAreOneState(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, fleet(12)...)
		n := 0
		err := s.hostsBy(t.Context(), chunks{3, bulkTime}, func(h *clusto.Host) error {
			n++
			if got := option(h, "domain"); got != "example.org from /datacenter/dc" {
				t.Errorf("%s: %s", h.Name, got)
			}
			apply(t, s, attrAt("dc", "dhcp/domain", str(fmt.Sprintf("%d.example.org", n))),
				attrAt(fmt.Sprintf("s%06d", 12-n), "port-nic-eth/mac/1", str(clusto.MAC{4, byte(n)}.String())))
			if _, err := s.Find(t.Context(), "dc"); err != nil {
				t.Error(err)
			}
			return nil
		})
		if err != nil || n != 12 {
			t.Errorf("%d hosts, %v", n, err)
		}
		if got := option(host(t, s, "04:01:00:00:00:00"), "domain"); got != "12.example.org from /datacenter/dc" {
			t.Errorf("afterwards %s", got)
		}
	})
}

// TestReadersOfAllHostsAreSlow has as many of them as there may be at once: the
// next one waits its turn, and nobody else waits for them.
func TestReadersOfAllHostsAreSlow(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		enough := errors.New("enough")
		var read func(n int) func(*clusto.Host) error
		read = func(n int) func(*clusto.Host) error {
			return func(h *clusto.Host) error {
				if n < bulkReaders {
					return s.Hosts(t.Context(), read(n+1))
				}
				if got := host(t, s, h.MAC.String()); got.Name != "ex0000" {
					t.Errorf("got %s", asJSON(t, got))
				}
				apply(t, s, attrAt("ex0000", "dhcp/domain", str("new.example.org")))
				if s.chunked {
					ctx, cancel := context.WithDeadline(t.Context(), time.Now())
					defer cancel()
					if err := s.Hosts(ctx, nil); !errors.Is(err, clusto.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("one more: %v", err)
					}
				}
				return enough
			}
		}
		if err := s.Hosts(t.Context(), read(1)); err != enough {
			t.Errorf("got %v, want the function's own error", err)
		}
	})
}

// TestHostsEndInTime has a reader of all hosts that takes longer than it may.
func TestHostsEndInTime(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, fleet(4)...)
		if err := s.Hosts(t.Context(), func(*clusto.Host) error { return nil }); err != nil { // the connection is there
			t.Fatal(err)
		}
		n := 0
		const limit = time.Second // in which a busy machine connects to PostgreSQL
		err := s.hostsBy(t.Context(), chunks{3, limit}, func(*clusto.Host) error {
			if n++; n == 1 {
				<-time.After(limit + limit/10)
			}
			return nil
		})
		if !errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), "longer than") || n == 4 {
			t.Errorf("%d hosts, %v", n, err)
		}
	})
}

func TestFind(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, attrAt("ex0000", "port-nic-eth/mac/2", str("00:11:22:33:44:66")), attrAt("ex0000", "port-nic-eth/ipmi-mac/1", str("00:11:22:33:44:55")))
		for q, want := range map[string]string{
			"ex0000":            "ex0000 00:11:22:33:44:55, ex0000 00:11:22:33:44:66",
			"00:11:22:33:44:66": "ex0000 00:11:22:33:44:55, ex0000 00:11:22:33:44:66",
			"0011.2233.4455":    "ex0000 00:11:22:33:44:55, ex0000 00:11:22:33:44:66",
			"192.168.1.50":      "ex0000 00:11:22:33:44:55, ex0000 00:11:22:33:44:66",
			"r1":                "r1 00:00:00:00:00:00",
			"192.168.1.51":      "not found",
			"00:11:22:33:44:77": "not found",
			"ex0001":            "not found",
		} {
			hosts, err := s.Find(t.Context(), q)
			var got []string
			for _, h := range hosts {
				got = append(got, h.Name+" "+h.MAC.String())
			}
			if errors.Is(err, clusto.ErrNotFound) && !errors.Is(err, clusto.ErrUnavailable) {
				got = append(got, "not found")
			}
			if strings.Join(got, ", ") != want {
				t.Errorf("%s: %v, %v, want %s", q, got, err, want)
			}
		}
	})
}
