package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

func TestApplyRefuses(t *testing.T) {
	s := openTest(t, ":memory:")
	apply(t, s, example()...)
	before := rows(t, s)
	for _, tt := range []struct {
		name string
		op   clusto.Op
		want error
		says string
	}{
		{"unknown driver", entity_("x", "penguinservr"), clusto.ErrInvalid, `"penguinserver"`},
	} {
		err := s.Apply(t.Context(), []clusto.Op{entity_("other", "pool"), tt.op})
		var at *clusto.OpError
		if !errors.As(err, &at) || at.Index != 1 || !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want operation 1, %v, %q", tt.name, err, tt.want, tt.says)
		}
		if !slices.Equal(rows(t, s), before) {
			t.Errorf("%s: something was written", tt.name)
		}
	}
}
