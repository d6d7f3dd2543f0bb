package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

func allocateEntity(from, driver string) clusto.Op {
	return clusto.Op{Op: "allocate", Name: from, Driver: driver}
}

func allocateTo(from, to string) clusto.Op {
	return clusto.Op{Op: "allocate", Name: from, To: to}
}

func network(name, base, mask, gateway string) []clusto.Op {
	ops := []clusto.Op{create(name, "ipmanager"), attrAt(name, "baseip/property", str(base)), attrAt(name, "netmask/property", str(mask))}
	if gateway != "" {
		ops = append(ops, attrAt(name, "gateway/property", str(gateway)))
	}
	return ops
}

// given gives the addresses that a list of operations allocates.
func given(t testing.TB, s *Store, ops ...clusto.Op) string {
	t.Helper()
	results, err := s.Change(t.Context(), ops)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range results {
		out = append(out, r.IP+r.Name)
	}
	return strings.Join(out, " ")
}

// TestAllocateOnTheOriginal goes on where real clusto stopped.
func TestAllocateOnTheOriginal(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		results := does(t, s, []clusto.Op{
			labelled(allocateEntity("servernames", "penguinserver"), "new"),
			{Op: "allocate", Name: "net-private1", To: "$new", OSPort: "eth0"},
		}, "-counter clustometa ip 37", "-counter servernames next 29", "-net-private1 _lastip - - int -1976893436",
			"+entity s0029 server penguinserver", "+counter clustometa ip 38", "+counter servernames next 30",
			"+net-private1 _lastip - - int -1976893435",
			"+s0029 ip - 37 int -1976893435", "+s0029 ip manager 37 relation ->net-private1", "+s0029 ip ipstring 37 string 10.43.0.5",
			"+s0029 ip cidr 37 string 10.43.0.5/24", "+s0029 ip osportname 37 string eth0")
		if want := []clusto.Result{{Index: 0, Name: "s0029"}, {Index: 1, IP: "10.43.0.5"}}; !slices.Equal(results, want) {
			t.Errorf("got %v, want %v", results, want)
		}
		// One that never gave any: 10.42.0.1 is the gateway, .2 and .3 are taken.
		if got := given(t, s, allocateTo("net-private0", "s0029")); got != "10.42.0.4" {
			t.Errorf("got %s", got)
		}
	})
}

func TestAllocateName(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, create("names", "simpleentitynamemanager"), attrAt("names", "basename/property", str("s")), attrAt("names", "next/property", num(8)),
			create("s09", "pool"), create("s11", "pool"), create("plain", "simplenamemanager"), attrAt("plain", "basename/property", str("job")),
			attrAt("plain", "leadingZeros/property", num(0)), attrAt("plain", "digits/property", str("1")))
		one := []clusto.Op{allocateEntity("names", "basicserver")}
		does(t, s, one, "+entity s08 server basicserver", "+counter names next 9")
		// Names that are taken are skipped, for good.
		does(t, s, append(one, one...), "-counter names next 9", "+entity s10 server basicserver", "+entity s12 server basicserver", "+counter names next 13")
		refused(t, s, clusto.ErrConflict, "/pool/before", append(one, create("before", "pool"))...)
		does(t, s, []clusto.Op{allocateTo("plain", "s08")}, "+counter clustometa simplename 1", "+counter plain next 2",
			"+s08 simplename - 0 string job1", "+s08 simplename manager 0 relation ->plain")
		does(t, s, []clusto.Op{delAt("s08", "simplename"), as("add", attrAt("s09", "simplename//7", str("job3"))), create("job2", "pool"), allocateTo("plain", "s09")},
			"-counter clustometa simplename 1", "-counter plain next 2", "-s08 simplename - 0 string job1", "-s08 simplename manager 0 relation ->plain",
			"+entity job2 pool pool", "+counter clustometa simplename 2", "+counter plain next 5",
			"+s09 simplename - 7 string job3", "+s09 simplename - 1 string job4", "+s09 simplename manager 1 relation ->plain")
		results, err := s.Change(t.Context(), []clusto.Op{labelled(allocateTo("plain", "s09"), "n"), create("$n", "pool")})
		if err != nil || results[0].Name != "job5" {
			t.Errorf("got %v, %v", results, err)
		}
		for _, tt := range []struct {
			op   clusto.Op
			want error
			says string
		}{
			{allocateEntity("names", ""), clusto.ErrInvalid, `"driver" is missing`},
			{allocateEntity("names", "basicservr"), clusto.ErrInvalid, `did you mean "basicserver"`},
			{allocateEntity("nobody", "basicserver"), clusto.ErrNotFound, `"nobody"`},
			{clusto.Op{Op: "allocate", Name: "names", Driver: "basicserver", To: "s08"}, clusto.ErrInvalid, `it has no "to"`},
			{clusto.Op{Op: "allocate", Name: "names", Driver: "basicserver", OSPort: "eth0"}, clusto.ErrInvalid, `it has no "osport"`},
			{allocateTo("plain", ""), clusto.ErrInvalid, `"to" is missing`},
			{allocateEntity("s08", "basicserver"), clusto.ErrInvalid, "its driver is basicserver"},
		} {
			refused(t, s, tt.want, tt.says, tt.op)
		}
		apply(t, s, clusto.Op{Op: "counter", Name: "plain", Key: "next", Number: new(int)}, attrAt("names", "digits/property", num(0)))
		refused(t, s, clusto.ErrConflict, "must be 1 to 18", allocateEntity("names", "basicserver"))
		apply(t, s, attrAt("names", "digits/property", num(2)), attrAt("names", "basename/property", str("a/b")))
		refused(t, s, clusto.ErrInvalid, "has a slash", allocateEntity("names", "basicserver"))
		apply(t, s, attrAt("names", "basename/property", str("s")))
		list := slices.Repeat(one, 99-12)
		apply(t, s, list...)
		refused(t, s, clusto.ErrConflict, "its next number is 100, and its property digits is 2", allocateEntity("names", "basicserver"))
	})
}

// TestAllocateIP goes round a small range.
func TestAllocateIP(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, network("lan", "10.0.0.0", "255.255.255.248", "10.0.0.3")...) // 1 2 4 5 6
		apply(t, s, create("a", "basicserver"), create("b", "basicserver"), bind("b", "10.0.0.2", ""))
		one := allocateTo("lan", "a")
		if got := given(t, s, one, one); got != "10.0.0.1 10.0.0.4" {
			t.Errorf("got %s", got)
		}
		// One that the text form alone knows is taken too.
		execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
			VALUES ((SELECT entity_id FROM entities WHERE name = 'b'), 'ip', 'ipstring', 9, 'string', '10.0.0.5', 1)`)
		if got := given(t, s, one); got != "10.0.0.6" {
			t.Errorf("got %s", got)
		}
		refused(t, s, clusto.ErrConflict, "every address of /resourcemanager/lan (10.0.0.0/29) is taken", one)
		// What was freed before the last comes up again.
		unbind := clusto.Op{Op: "unbind", Name: "b", IP: "10.0.0.2"}
		if got := given(t, s, unbind, unbind, one); got != "10.0.0.2" {
			t.Errorf("got %s", got)
		}
		apply(t, s, clusto.Op{Op: "unbind", Name: "a", IP: "10.0.0.1"}, clusto.Op{Op: "unbind", Name: "b", IP: "10.0.0.5"})
		if got := given(t, s, one, one); got != "10.0.0.5 10.0.0.1" {
			t.Errorf("got %s", got)
		}
		refused(t, s, clusto.ErrInvalid, `"to" is missing`, allocateTo("lan", ""))
		refused(t, s, clusto.ErrNotFound, `"nobody"`, allocateTo("lan", "nobody"))
		refused(t, s, clusto.ErrInvalid, `it has no "driver"`, clusto.Op{Op: "allocate", Name: "lan", To: "a", Driver: "pool"})
		refused(t, s, clusto.ErrInvalid, `it has no "as"`, labelled(one, "x"))
		refused(t, s, clusto.ErrConflict, "set its properties baseip and netmask", create("none", "ipmanager"), allocateTo("none", "a"))
		refused(t, s, clusto.ErrInvalid, `"10.0.0" is no IPv4 address`, clusto.Op{Op: "unbind", Name: "a", IP: "10.0.0"})
	})
}

// TestAllocateIPEdges: ranges of one and two, one inside another, and what was
// given last lying outside.
func TestAllocateIPEdges(t *testing.T) {
	s := openTest(t, ":memory:")
	apply(t, s, network("wide", "10.0.0.0", "255.0.0.0", "10.0.0.1")...)
	apply(t, s, network("narrow", "10.0.0.0", "255.255.255.0", "10.0.0.254")...)
	apply(t, s, network("single", "192.0.2.1", "255.255.255.255", "")...)
	apply(t, s, network("pair", "192.0.2.8", "255.255.255.254", "")...)
	apply(t, s, network("last", "255.255.255.240", "255.255.255.240", "")...)
	apply(t, s, create("a", "basicserver"), attrAt("pair", "_lastip", str("odd")), as("raw", clusto.Op{Name: "last", Key: "_lastip", Values: []clusto.Value{num(5), num(7)}}))
	for _, tt := range []struct{ from, want string }{
		{"wide", "10.0.1.0"},
		{"wide", "10.0.1.1"},
		{"narrow", "10.0.0.1"},
		{"narrow", "10.0.0.2"},
		{"single", "192.0.2.1"},
		{"pair", "192.0.2.8"},
		{"pair", "192.0.2.9"},
		{"last", "255.255.255.241"},
		{"last", "255.255.255.242"},
	} {
		if got := given(t, s, allocateTo(tt.from, "a")); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.from, got, tt.want)
		}
	}
	refused(t, s, clusto.ErrConflict, "192.0.2.1/32) is taken", allocateTo("single", "a"))
	refused(t, s, clusto.ErrConflict, "192.0.2.8/31) is taken", allocateTo("pair", "a"))
}

func TestUnbind(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, bind("ex0000", "192.168.1.51", "eth1"), create("b", "basicserver"))
		unbind := clusto.Op{Op: "unbind", Name: "ex0000", IP: "192.168.1.51"}
		does(t, s, []clusto.Op{unbind, bind("b", "192.168.1.51", ""), {Op: "unbind", Name: "b", IP: "192.168.1.51"}, unbind},
			"-counter clustometa ip 2", "-ex0000 ip - 1 int 1084752179", "-ex0000 ip manager 1 relation ->lan", "-ex0000 ip ipstring 1 string 192.168.1.51",
			"-ex0000 ip cidr 1 string 192.168.1.51/24", "-ex0000 ip osportname 1 string eth1", "+counter clustometa ip 3")
		does(t, s, []clusto.Op{unbind, {Op: "unbind", Name: "b", IP: "192.168.1.50"}})
		refused(t, s, clusto.ErrNotFound, `"nobody"`, clusto.Op{Op: "unbind", Name: "nobody", IP: "192.168.1.51"})
	})
}

// TestAllocateBesideManyTaken: the next address of a /8 with thirty thousand
// taken ones costs a few rows, wherever the gap is.
func TestAllocateBesideManyTaken(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgresql"} {
		t.Run(kind, func(t *testing.T) {
			s := openTest(t, kinds[kind](t))
			apply(t, s, network("wide", "10.0.0.0", "255.0.0.0", "10.0.0.1")...)
			apply(t, s, create("a", "basicserver"), attrAt("wide", "_lastip", num(10<<24-1<<31)))
			taken := raceScale(30_000, 3_000)
			series := `WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d) `
			execute(t, s, fmt.Sprintf(`INSERT INTO entity_attrs (entity_id, "key", number, datatype, int_value, version) `+series+
				`SELECT (SELECT entity_id FROM entities WHERE name = 'a'), 'ip', i, 'int', i + 167772160 - 2147483648, 1 FROM n`, taken+1))
			if got := given(t, s, allocateTo("wide", "a")); got != fmt.Sprintf("10.0.%d.%d", (taken+2)>>8, (taken+2)&255) {
				t.Errorf("got %s", got)
			}
		})
	}
}
