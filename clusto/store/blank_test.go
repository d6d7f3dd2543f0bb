package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestManyOperationsAtOnce: a long list asks less of an empty database, and yet
// finds all that clashes, be it with itself or with what was there.
func TestManyOperationsAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		many := func(ops ...clusto.Op) []clusto.Op {
			list := example()
			for i := range manyOps {
				list = append(list, entity_(fmt.Sprintf("x%d", i), "basicserver"))
			}
			return append(list, ops...)
		}
		clashes := []struct {
			says string
			kind error
			op   clusto.Op
		}{
			{"MAC 00:11:22:33:44:55", clusto.ErrConflict, attrAt("x1", "port-nic-eth/mac/2", str("0011.2233.4455"))},
			{"192.168.1.50", clusto.ErrConflict, bind("x1", "192.168.1.50", "")},
			{`exists with driver "pool"`, clusto.ErrConflict, entity_("pxeboot-servers", "basicserver")},
			{`entity "nobody"`, clusto.ErrNotFound, insert("nobody", "r1", 1)},
			{`driver "basicservr"`, clusto.ErrInvalid, entity_("new", "basicservr")},
			{"has a slash", clusto.ErrInvalid, entity_("a/b", "pool")},
			{"the name is taken", clusto.ErrConflict, clusto.Op{Op: "create", Name: "ex0000", Driver: "basicserver"}},
		}
		for _, there := range []bool{false, true} {
			s := open()
			if there {
				apply(t, s, example()...)
			}
			for _, c := range clashes {
				err := s.Apply(t.Context(), many(c.op))
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v: %s: %v", there, c.says, err)
				}
			}
			free := many(clusto.Op{Op: "delete", Name: "ex0000"}, attrAt("x1", "port-nic-eth/mac/1", str("00:11:22:33:44:55")), bind("x1", "192.168.1.50", ""),
				entity_("ex0000", "penguinserver"), attrAt("x2", "port-nic-eth/mac/1", str("02:00:00:00:00:01")), raw("x2", "port-nic-eth/mac/1"),
				attrAt("x3", "port-nic-eth/mac/1", str("02:00:00:00:00:01")))
			if err := s.Apply(t.Context(), free); err != nil {
				t.Errorf("%v: what a list has freed: %v", there, err)
			}
		}
	})
}

// TestManyEntitiesAtOnce are made in the order of the list, whatever is between
// them.
func TestManyEntitiesAtOnce(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		var ops []clusto.Op
		var want []string
		for i := range 2*entitiesAtOnce + 50 {
			name := fmt.Sprintf("e%d", i)
			want = append(want, name)
			ops = append(ops, entity_(name, []string{"pool", "apcrack"}[i%2]))
			switch i {
			case 7:
				ops = append(ops, entity_(name, "apcrack")) // again
			case 20:
				ops[len(ops)-1].As = "label"
				ops = append(ops, entity_("$label", "pool"), attrAt("$label", "note", str("x")))
			}
		}
		apply(t, s, ops...)
		all, err := s.Entities(t.Context(), clusto.Query{Types: []string{"pool", "rack"}})
		if err != nil || len(all) != len(want) {
			t.Fatalf("%d entities, want %d, %v", len(all), len(want), err)
		}
		for i, e := range all {
			if e.Name != want[i] {
				t.Fatalf("entity %d is %s, want %s", i, e.Name, want[i])
			}
		}
		if attrs, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "e449"}); err != nil || len(attrs) != 2 {
			t.Errorf("a rack has %+v, %v", attrs, err)
		}
		if attrs, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "e20"}); err != nil || len(attrs) != 1 {
			t.Errorf("what the label stands for has %+v, %v", attrs, err)
		}
	})
}
