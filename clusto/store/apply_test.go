package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// The operations in short.

func entity_(name, driver string) clusto.Op {
	return clusto.Op{Op: "entity", Name: name, Driver: driver}
}

// attrAt gives an attr operation at "key", "key/subkey" or "key/subkey/number".
func attrAt(name, at string, v clusto.Value) clusto.Op {
	op := clusto.Op{Op: "attr", Name: name, Value: &v}
	parts := strings.Split(at, "/")
	op.Key = parts[0]
	if len(parts) > 1 && parts[1] != "" {
		op.Subkey = &parts[1]
	}
	if len(parts) > 2 {
		var n int
		if _, err := fmt.Sscan(parts[2], &n); err != nil {
			panic(err)
		}
		op.Number = &n
	}
	return op
}

func str(s string) clusto.Value { return clusto.Value{Type: clusto.String, Str: s} }
func num(n int64) clusto.Value  { return clusto.Value{Type: clusto.Int, Int: n} }
func rel(s string) clusto.Value { return clusto.Value{Type: clusto.Relation, Str: s} }

func insert(name, into string, ru int) clusto.Op {
	return clusto.Op{Op: "insert", Name: name, Into: into, RU: ru}
}

func bind(name, ip, osport string) clusto.Op {
	return clusto.Op{Op: "bind", Name: name, IP: ip, OSPort: osport}
}

// example is the site of the documentation.
func example() []clusto.Op {
	return []clusto.Op{
		entity_("lan", "ipmanager"),
		attrAt("lan", "baseip/property", str("192.168.1.0")),
		attrAt("lan", "netmask/property", str("255.255.255.0")),
		attrAt("lan", "gateway/property", str("192.168.1.254")),
		entity_("pxeboot-servers", "pool"),
		attrAt("pxeboot-servers", "dhcp/enabled", num(1)),
		attrAt("pxeboot-servers", "dhcp/tftp_server", str("192.168.1.1")),
		attrAt("pxeboot-servers", "dhcp/tftp_filename", str("/pxelinux.0")),
		entity_("dc", "equinixdatacenter"),
		entity_("r1", "apcrack"),
		insert("r1", "dc", 0),
		entity_("ex0000", "basicserver"),
		insert("ex0000", "r1", 7),
		insert("ex0000", "pxeboot-servers", 0),
		attrAt("ex0000", "port-nic-eth/mac/1", str("00-11-22-33-44-55")),
		attrAt("ex0000", "port-nic-eth/osportname/1", str("eth0")),
		bind("ex0000", "192.168.1.50", "eth0"),
	}
}

// rows gives every row of the tables that hold the site, as text.
func rows(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	for _, q := range []string{
		`SELECT 'entity ' || entity_id || ' ' || name || ' ' || type || ' ' || driver || ' ' || version || ' ' || COALESCE(CAST(deleted_at_version AS VARCHAR(20)), '-') FROM entities ORDER BY entity_id`,
		`SELECT 'counter ' || entity_id || ' ' || attr_key || ' ' || value FROM counters ORDER BY entity_id, attr_key`,
		`SELECT entity_id || ' ' || "key" || ' ' || COALESCE(subkey, '-') || ' ' || COALESCE(CAST(number AS VARCHAR(20)), '-') || ' ' || datatype || ' '
			|| COALESCE(CAST(int_value AS VARCHAR(20)), '') || COALESCE(string_value, '') || COALESCE(CAST(datetime_value AS VARCHAR(32)), '')
			|| COALESCE(CAST(relation_id AS VARCHAR(20)), '') || ' ' || version || ' ' || COALESCE(CAST(deleted_at_version AS VARCHAR(20)), '-')
			FROM entity_attrs ORDER BY attr_id`,
	} {
		got, err := s.list(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got...)
	}
	return out
}

func TestApplyWritesWhatClustoWrites(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		want := []string{
			"entity 1 clustometa clustometa clustometa 1 -",
			"entity 2 lan resourcemanager ipmanager 1 -",
			"entity 3 pxeboot-servers pool pool 1 -",
			"entity 4 dc datacenter equinixdatacenter 1 -",
			"entity 5 r1 rack apcrack 1 -",
			"entity 6 ex0000 server basicserver 1 -",
			"counter 1 ip 1",        // the next number
			"counter 3 _contains 0", // the last number
			"counter 4 _contains 0",
			"1 schemaversion property - int 3 1 -",
			"2 baseip property - string 192.168.1.0 1 -",
			"2 netmask property - string 255.255.255.0 1 -",
			"2 gateway property - string 192.168.1.254 1 -",
			"3 dhcp enabled - int 1 1 -",
			"3 dhcp tftp_server - string 192.168.1.1 1 -",
			"3 dhcp tftp_filename - string /pxelinux.0 1 -",
			"5 minu property - int 1 1 -",
			"5 maxu property - int 45 1 -",
			"4 _contains - 0 relation 5 1 -",
			"5 _contains ru 7 relation 6 1 -",
			"3 _contains - 0 relation 6 1 -",
			"6 port-nic-eth mac 1 string 00:11:22:33:44:55 1 -",
			"6 port-nic-eth osportname 1 string eth0 1 -",
			"6 ip - 0 int 1084752178 1 -", // c0a80132 - 2147483648
			"6 ip manager 0 relation 2 1 -",
			"6 ip ipstring 0 string 192.168.1.50 1 -",
			"6 ip cidr 0 string 192.168.1.50/24 1 -",
			"6 ip osportname 0 string eth0 1 -",
		}
		got := rows(t, s)
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		apply(t, s, example()...)
		if again := rows(t, s); !slices.Equal(again, got) {
			t.Errorf("the second time changed something:\n%s", strings.Join(again, "\n"))
		}
	})
}

// refusals are operations that a site with the example and more cannot take,
// after one that it can.
var refusals = []struct {
	name string
	op   clusto.Op
	want error
	says string
}{
	{"unknown operation", clusto.Op{Op: "destroy", Name: "lan"}, clusto.ErrInvalid, `"destroy" is none of add, allocate`},
	{"unknown driver", entity_("x", "penguinservr"), clusto.ErrInvalid, `"penguinserver"`},
	{"no name", entity_("", "pool"), clusto.ErrInvalid, `operation "entity": "name" is missing`},
	{"a slash", entity_("a/b", "pool"), clusto.ErrInvalid, "slash"},
	{"a long name", entity_(strings.Repeat("x", 129), "pool"), clusto.ErrInvalid, "longer than 128"},
	{"another driver", entity_("ex0000", "penguinserver"), clusto.ErrConflict, `"basicserver", not "penguinserver"`},
	{"no entity", attrAt("nobody", "colour", str("red")), clusto.ErrNotFound, `"nobody"`},
	{"a bad key", attrAt("lan", "2nd", str("red")), clusto.ErrInvalid, `"2nd"`},
	{"no value", clusto.Op{Op: "attr", Name: "lan", Key: "colour"}, clusto.ErrInvalid, "value is missing"},
	{"no date", attrAt("lan", "bought", clusto.Value{Type: clusto.Datetime, Str: "soon"}), clusto.ErrInvalid, `"soon"`},
	{"no JSON", attrAt("lan", "disks", clusto.Value{Type: clusto.JSON, Str: "{"}), clusto.ErrInvalid, "no JSON"},
	{"no type", attrAt("lan", "disks", clusto.Value{Type: "float"}), clusto.ErrInvalid, `"float"`},
	{"no MAC", attrAt("ex0000", "port-nic-eth/mac/2", str("00:11")), clusto.ErrInvalid, `"00:11"`},
	{"a MAC of another", attrAt("other", "port-nic-eth/mac/1", str("001122334455")), clusto.ErrConflict, "/server/ex0000, port-nic-eth 1 mac"},
	{"a relation to nobody", attrAt("ex0000", "spare", rel("/server/nobody")), clusto.ErrNotFound, `"nobody"`},
	{"a relation of another type", attrAt("ex0000", "spare", rel("/pool/lan")), clusto.ErrInvalid, "/resourcemanager/lan"},
	{"containment by hand", attrAt("dc", "_contains", rel("lan")), clusto.ErrInvalid, "insert operation"},
	{"a rack without unit", insert("other", "r1", 0), clusto.ErrInvalid, "need a rack unit"},
	{"a pool with one", insert("other", "pxeboot-servers", 3), clusto.ErrInvalid, "racks need"},
	{"a unit that is taken", insert("other", "r1", 7), clusto.ErrConflict, "/server/ex0000"},
	{"a unit too high", insert("other", "r1", 46), clusto.ErrInvalid, "1 to 45"},
	{"another unit", insert("ex0000", "r1", 8), clusto.ErrConflict, "rack unit 7, not 8"},
	{"a second rack", insert("ex0000", "r2", 1), clusto.ErrConflict, "one rack"},
	{"itself", insert("pxeboot-servers", "pxeboot-servers", 0), clusto.ErrConflict, "contain itself"},
	{"no address", bind("ex0000", "10.0.0", ""), clusto.ErrInvalid, `"10.0.0"`},
	{"an address of no network", bind("ex0000", "10.0.0.1", ""), clusto.ErrNotFound, "create an ipmanager"},
	{"a network's own address", bind("ex0000", "192.168.1.255", ""), clusto.ErrInvalid, "broadcast"},
	{"an int in a text", attrAt("ex0000", "k", clusto.Value{Type: clusto.Int, Str: "5"}), clusto.ErrInvalid, `"5"`},
	{"an int without its type", attrAt("ex0000", "k", clusto.Value{Int: 5}), clusto.ErrInvalid, "needs type int"},
	{"an int in a raw text", clusto.Op{Op: "raw", Name: "ex0000", Key: "k", Values: []clusto.Value{{Type: clusto.Int, Str: "5"}}}, clusto.ErrInvalid, `"5"`},
	{"an address of another", bind("other", "192.168.1.50", ""), clusto.ErrConflict, "/server/ex0000"},
}

func TestApplyRefuses(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, entity_("other", "basicserver"), entity_("r2", "basicrack"))
		before := rows(t, s)
		for _, tt := range refusals {
			err := s.Apply(t.Context(), []clusto.Op{entity_("new", "pool"), tt.op, entity_("newer", "pool")})
			var at *clusto.OpError
			if !errors.As(err, &at) || at.Index != 1 || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want operation 1, %v, %q", tt.name, err, tt.want, tt.says)
			}
			if !slices.Equal(rows(t, s), before) {
				t.Errorf("%s: something was written", tt.name)
			}
		}
	})
}

// TestApplyTakesWhatABatchMadeFree moves a MAC from one server to another.
func TestApplyTakesWhatABatchMadeFree(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, attrAt("ex0000", "port-nic-eth/mac/1", str("02:00:00:00:00:02")),
			entity_("heir", "basicserver"), attrAt("heir", "port-nic-eth/mac/1", str("00:11:22:33:44:55")),
			attrAt("heir", "port-nic-eth/mac/1", str("02:00:00:00:00:03")),
			attrAt("ex0000", "port-nic-eth/mac/2", str("00:11:22:33:44:55")))
		if h := host(t, s, "00:11:22:33:44:55"); h.Name != "ex0000" || h.Number != 2 {
			t.Errorf("got %s", asJSON(t, h))
		}
		if h := host(t, s, "02:00:00:00:00:03"); h.Name != "heir" {
			t.Errorf("got %s", asJSON(t, h))
		}
		sameAlone(t, s)
	})
}

// TestValuesOfEveryType reads back what was written, through another Store.
func TestValuesOfEveryType(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		long := strings.Repeat("long ", 400)
		for at, v := range map[string]clusto.Value{
			"words": str("Köln \u2603 ' \" ? $1 %"), "empty": str(""), "long": str(long),
			"big": num(large(s)), "small": num(-large(s)), "spare": rel("/pool/pxeboot-servers"),
			"bought": {Type: clusto.Datetime, Str: "2010-01-02 03:04:05"}, "disks": {Type: clusto.JSON, Str: `{"a":[1,"?"]}`},
		} {
			apply(t, s, attrAt("ex0000", at+"/x/7", v))
			got, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "ex0000", Key: at})
			if err != nil || len(got) != 1 || got[0].Sub() != "x" || *got[0].Number != 7 {
				t.Errorf("%s: got %s, %v", at, asJSON(t, got), err)
			} else if w := got[0].Value; w.Type != v.Type || w.Int != v.Int || w.Str != v.Str {
				t.Errorf("%s: got %+v, want %+v", at, w, v)
			}
		}
	})
}

// TestAppliesAtOnce has several stores on one database, as several programs
// would have: each batch is whole, and no number is given out twice.
func TestAppliesAtOnce(t *testing.T) {
	const writers, batches = 4, 5
	for _, kind := range []string{"sqlite", "postgresql"} {
		t.Run(kind, func(t *testing.T) {
			dsn := kinds[kind](t)
			s := openTest(t, dsn)
			apply(t, s, example()...)
			var wg sync.WaitGroup
			for w := range writers {
				other := openTest(t, dsn)
				wg.Go(func() {
					for b := range batches {
						name := fmt.Sprintf("s%d-%d", w, b)
						err := other.Apply(t.Context(), []clusto.Op{
							entity_(name, "basicserver"), insert(name, "pxeboot-servers", 0),
							bind(name, fmt.Sprintf("192.168.1.%d", 60+w*batches+b), "eth0"),
						})
						if err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
			const n = writers*batches + 1
			for what, q := range map[string]string{
				"addresses": `SELECT CAST(count(DISTINCT number) AS VARCHAR(20)) FROM entity_attrs WHERE "key" = 'ip' AND subkey IS NULL`,
				"members":   `SELECT CAST(count(DISTINCT number) AS VARCHAR(20)) FROM entity_attrs WHERE "key" = '_contains' AND subkey IS NULL AND entity_id = (SELECT entity_id FROM entities WHERE name = 'pxeboot-servers')`,
				"next":      `SELECT CAST(value AS VARCHAR(20)) FROM counters WHERE attr_key = 'ip'`,
			} {
				if got, err := s.list(t.Context(), q); err != nil || got[0] != fmt.Sprint(n) {
					t.Errorf("%s: %v, want %d, %v", what, got, n, err)
				}
			}
		})
	}
}
