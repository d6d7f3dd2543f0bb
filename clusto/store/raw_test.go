package store

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// raw gives a raw operation at "key", "key/subkey" or "key/subkey/number".
func raw(name, at string, values ...clusto.Value) clusto.Op {
	op := attrAt(name, at, clusto.Value{})
	op.Op, op.Value, op.Values = "raw", nil, values
	return op
}

func counterAt(name, key string, n int) clusto.Op {
	return clusto.Op{Op: "counter", Name: name, Key: key, Number: &n}
}

func numbered(op clusto.Op, n int) clusto.Op {
	op.Number = &n
	return op
}

// TestRawRestores: what no other operation writes, twice, and what follows it
// goes by it.
func TestRawRestores(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		odd := entity_("odd", "odddriver")
		odd.Type = "oddtype"
		ops := []clusto.Op{
			odd, entity_("r", "apcrack"), entity_("p", "pool"), entity_("q", "pool"), entity_("a", "basicserver"),
			raw("odd", "note", str("x"), num(1), str("x"), rel("/pool/p")),
			raw("odd", "when", clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 03:04:05"}, clusto.Value{Type: clusto.Datetime}),
			raw("odd", "broken", clusto.Value{Type: clusto.JSON, Str: "{"}, clusto.Value{Type: clusto.Relation}),
			raw("r", "maxu/property"),                // takes the default away
			raw("p", "_contains//3", rel("/pool/q")), // a circle
			raw("q", "_contains//0", rel("/pool/p")),
			raw("a", "port-nic-eth/mac/1", str("00:11:22:33:44:55")),
			raw("odd", "port-nic-eth/mac/1", str("00:11:22:33:44:55")),
			counterAt("p", keyContains, 7), counterAt("clustometa", keyIP, 9), counterAt("odd", "disk", 2),
		}
		apply(t, s, ops...)
		want := rows(t, s)
		for _, line := range []string{
			"entity 2 odd oddtype odddriver 1 -", "2 note - - string x 1 -", "2 note - - int 1 1 -", "2 note - - relation 4 1 -",
			"2 broken - - json { 1 -", "4 _contains - 3 relation 5 1 -", "5 _contains - 0 relation 4 1 -",
			"counter 4 _contains 7", "counter 1 ip 9", "counter 2 disk 2",
		} {
			if !slices.Contains(want, line) {
				t.Errorf("no row %q in\n%s", line, strings.Join(want, "\n"))
			}
		}
		if slices.ContainsFunc(want, func(l string) bool { return strings.HasPrefix(l, "3 maxu") }) {
			t.Error("the default of maxu is there")
		}
		apply(t, s, ops...)
		if got := rows(t, s); !slices.Equal(got, want) {
			t.Errorf("applied again, the rows are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		apply(t, s, insert("a", "p", 0), counterAt("p", keyContains, 3), raw("odd", "note", str("y")))
		got := rows(t, s)
		if !slices.Contains(got, "4 _contains - 8 relation 6 1 -") || !slices.Contains(got, "counter 4 _contains 8") {
			t.Errorf("the next number does not follow the counter, or the counter went back:\n%s", strings.Join(got, "\n"))
		}
		if slices.Contains(got, "2 note - - string x 1 -") || !slices.Contains(got, "2 note - - string y 1 -") {
			t.Errorf("raw left other values:\n%s", strings.Join(got, "\n"))
		}
	})
}

// TestRawInOneChange: raw and the other operations see what each other did,
// though nothing of it is in the database yet.
func TestRawInOneChange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, entity_("p", "exclusive_pool"), entity_("q", "pool"), entity_("a", "basicserver"), entity_("b", "basicserver"), insert("a", "p", 0))
		err := s.Apply(t.Context(), []clusto.Op{insert("b", "p", 0), raw("p", "_contains//1"), insert("b", "q", 0)})
		if err != nil {
			t.Errorf("b, taken out of the exclusive pool again: %v", err)
		}
		for name, ops := range map[string][]clusto.Op{
			"put into the exclusive pool": {insert("b", "q", 0), raw("q", "_contains//0"), raw("p", "_contains//5", rel("/server/b")), insert("b", "q", 0)},
			"the address is taken": {
				entity_("lan", "ipmanager"), attrAt("lan", "baseip/property", str("10.0.0.0")), attrAt("lan", "netmask/property", str("255.255.255.0")),
				raw("a", "ip/ipstring/0", str("10.0.0.1")), bind("b", "10.0.0.1", ""),
			},
			"the MAC is taken": {raw("a", "port-nic-eth/mac/1", str("00:11:22:33:44:55")), attrAt("b", "port-nic-eth/mac/1", str("00:11:22:33:44:55"))},
		} {
			if err := s.Apply(t.Context(), ops); !errors.Is(err, clusto.ErrConflict) {
				t.Errorf("%s: %v, want a conflict", name, err)
			}
		}
	})
}

// TestNumbersOfOnesOwn: an insertion and an address keep the numbers that they
// are given, where these are free.
func TestNumbersOfOnesOwn(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		ops := example()
		for _, name := range []string{"a", "b", "c", "d"} {
			ops = append(ops, entity_(name, "basicserver"))
		}
		ops = append(ops,
			numbered(insert("a", "pxeboot-servers", 0), 5), insert("b", "pxeboot-servers", 0),
			numbered(insert("c", "pxeboot-servers", 0), 2), numbered(insert("d", "pxeboot-servers", 0), 5),
			numbered(bind("a", "192.168.1.60", ""), 3), bind("b", "192.168.1.61", ""), numbered(bind("c", "192.168.1.62", ""), 0),
		)
		apply(t, s, ops...)
		got := rows(t, s)
		for _, line := range []string{
			"3 _contains - 5 relation 7 1 -", "3 _contains - 6 relation 8 1 -", "3 _contains - 2 relation 9 1 -", "3 _contains - 7 relation 10 1 -",
			"7 ip ipstring 3 string 192.168.1.60 1 -", "8 ip ipstring 4 string 192.168.1.61 1 -", "9 ip ipstring 0 string 192.168.1.62 1 -",
			"counter 3 _contains 7", "counter 1 ip 5",
		} {
			if !slices.Contains(got, line) {
				t.Errorf("no row %q in\n%s", line, strings.Join(got, "\n"))
			}
		}
		apply(t, s, ops...)
		if again := rows(t, s); !slices.Equal(again, got) {
			t.Error("applied again, the rows change")
		}
	})
}

func TestRawRefuses(t *testing.T) {
	s := openTest(t, ":memory:")
	apply(t, s, entity_("a", "basicserver"))
	typed := entity_("b", "Drv")
	typed.Type = "server"
	retyped := entity_("a", "basicserver")
	retyped.Type = "rack"
	for says, op := range map[string]clusto.Op{
		`key or subkey ""`:               raw("a", ""),
		"number 4294967296":              raw("a", "k//4294967296"),
		`entity "nobody"`:                raw("nobody", "k", str("x")),
		`entity "gone"`:                  raw("a", "k", rel("/server/gone")),
		"NUL":                            raw("a", "k", clusto.Value{Type: clusto.String, Str: "a\x00"}),
		`type "float"`:                   raw("a", "k", clusto.Value{Type: "float", Str: "1"}),
		"the number is missing":          {Op: "counter", Name: "a", Key: "k"},
		`entity "x"`:                     counterAt("x", "k", 1),
		`type "server" and driver "Drv"`: typed,
		`exists with type "server"`:      retyped,
	} {
		err := s.Apply(t.Context(), []clusto.Op{op})
		if err == nil || !isRefusal(err) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want a refusal that says %s", op, err, says)
		}
	}
}
