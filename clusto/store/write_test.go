package store

import (
	"fmt"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// TestRefusalWhileABatchIsWritten: the database may be busy with a batch of the
// change when one of its operations is refused, and keeps none of it then.
func TestRefusalWhileABatchIsWritten(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		before := rows(t, s)
		for n := 0; n < 3; n++ {
			ops := []clusto.Op{create("a", "pool")}
			for i := range s.dialect.batch + n - 1 { // whole one operation before the last, or with it
				ops = append(ops, as("add", attrAt("a", fmt.Sprintf("k//%d", i), str("v"))))
			}
			refused(t, s, clusto.ErrConflict, "the name is taken", append(ops, create("a", "pool"))...)
		}
		if after := rows(t, s); len(after) != len(before) {
			t.Errorf("%d rows, want %d", len(after), len(before))
		}
		apply(t, s, create("a", "pool"))
	})
}

// TestIndexOnRelationsHasNothingElse: two of three attributes point to nothing,
// and each of them was written into the index too.
func TestIndexOnRelationsHasNothingElse(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		query := `SELECT count(*) FROM sqlite_master WHERE name = 'idx_attrs_relation_key' AND sql LIKE '%WHERE relation_id IS NOT NULL'`
		if s.dialect == postgres {
			query = `SELECT count(*) FROM pg_indexes WHERE indexname = 'idx_attrs_relation_key' AND indexdef LIKE '%WHERE (relation_id IS NOT NULL)'`
		}
		var n int
		if err := s.read.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != 1 {
			t.Error(n, err)
		}
	})
}

// TestArraysAreNoTables: PostgreSQL wrote each array of parameters down as a table
// before it read them side by side.
func TestArraysAreNoTables(t *testing.T) {
	s := openTest(t, pgtest.New(t))
	attrs, attrArgs := s.dialect.insertAttrs([]*attr{{row: row{entity: 1, key: "k", datatype: clusto.String}}}, 1)
	entities, entityArgs := s.dialect.insertEntities([]clusto.Entity{{Name: "a", Type: "pool", Driver: "pool"}}, 1)
	for _, q := range []question{{"attributes", attrs, attrArgs}, {"entities", entities, entityArgs}} {
		root := planOfPostgres(t, s.read, q)
		steps := map[string]int{}
		root.walk(func(n *planNode) { steps[n.Type]++ })
		if steps["ProjectSet"] != 1 || steps["Function Scan"] != 0 {
			t.Errorf("%s: %v", q.name, steps)
		}
	}
}
