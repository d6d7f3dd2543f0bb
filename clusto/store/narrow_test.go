package store

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// TestNumbersBeyond32Bits: the original's columns have 32 bits on PostgreSQL. A
// larger number is refused with the limit, where it cannot be written, and found
// nowhere, where it is looked for; the database is not said to be down.
func TestNumbersBeyond32Bits(t *testing.T) {
	s := openTest(t, originalPostgres(t))
	apply(t, s, example()...)
	for _, big := range []int64{3_000_000_000, -3_000_000_000} {
		n, text := int(big), str("x")
		for _, op := range []clusto.Op{
			attrAt("ex0000", "foo", num(big)), as("add", attrAt("ex0000", "foo", num(big))),
			{Op: "raw", Name: "ex0000", Key: "foo", Values: []clusto.Value{num(big)}},
			{Op: "attr", Name: "ex0000", Key: "foo", Number: &n, Value: &text},
			{Op: "counter", Name: "ex0000", Key: "foo", Number: &n},
		} {
			if _, err := s.Change(t.Context(), []clusto.Op{op}); !errors.Is(err, clusto.ErrInvalid) ||
				op.Number == nil && !strings.Contains(err.Error(), "-2147483648 to 2147483647") || strings.Contains(err.Error(), "encode") {
				t.Errorf("%s %d: %v", op.Op, big, err)
			}
		}
		_, err := s.read.QueryContext(t.Context(), `SELECT 1 FROM entity_attrs WHERE number = $1`, big)
		if err = s.failed("ask", err); !errors.Is(err, clusto.ErrInvalid) || !strings.Contains(err.Error(), tooLarge) {
			t.Errorf("the driver's refusal: %v", err)
		}
		for _, m := range []clusto.AttrMatch{{Value: &clusto.ValueMatch{Int: &big}}, {Key: "dhcp", Number: &clusto.NumberMatch{Equal: &big}}} {
			if got, err := s.Entities(t.Context(), clusto.Query{Attrs: []clusto.AttrMatch{m}}); err != nil || len(got) != 0 {
				t.Errorf("%+v: %v, %v", m, got, err)
			}
		}
		for _, name := range []string{"ex0000", ""} {
			refused(t, s, clusto.ErrConflict, "has", as("has", attrAt(name, "foo", num(big))))
			does(t, s, []clusto.Op{as("lacks", attrAt(name, "foo", num(big)))})
			refused(t, s, clusto.ErrConflict, "has", clusto.Op{Op: "has", Name: name, Key: "dhcp", Number: &n})
		}
	}
}

// large is a number that the original's own column of integers holds: it has no
// bounds on SQLite.
func large(s *Store) int64 {
	if s.dialect == postgres {
		return math.MaxInt32
	}
	return 1 << 40
}

// TestNumbersOf64Bits: the store's own tables take them on PostgreSQL too.
func TestNumbersOf64Bits(t *testing.T) {
	s := openTest(t, pgtest.New(t))
	big := int64(1 << 40)
	does(t, s, []clusto.Op{entity_("e", "pool"), attrAt("e", "big", num(big)), attrAt("e", "small", num(-big))},
		"+entity e pool pool", "+e big - - int 1099511627776", "+e small - - int -1099511627776")
	for _, n := range []int64{big, -big} {
		got, err := s.Entities(t.Context(), clusto.Query{Attrs: []clusto.AttrMatch{{Value: &clusto.ValueMatch{Int: &n}}}})
		if err != nil || len(got) != 1 {
			t.Errorf("%d: %v, %v", n, got, err)
		}
	}
}
