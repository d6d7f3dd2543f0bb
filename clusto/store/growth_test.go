package store

import (
	"testing"

	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// TestGrownTablesAreLookedAt by PostgreSQL's planner, which knows nothing of new
// ones, while they are filled and not when its autovacuum comes by: one import
// made its plans for empty tables, and read more of them the longer it took.
func TestGrownTablesAreLookedAt(t *testing.T) {
	s := openTest(t, pgtest.New(t))
	known := func() (n int64) {
		t.Helper()
		if err := s.read.QueryRowContext(t.Context(), s.dialect.known).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	execute(t, s, `ALTER TABLE entity_attrs SET (autovacuum_enabled = off)`)
	apply(t, s, fleet(10)...)
	if n := known(); n != 0 {
		t.Errorf("it looked at a tiny table: %d rows", n)
	}
	apply(t, s, fleet(400)...)
	if n := known(); n < lookAt {
		t.Errorf("it knows of %d rows", n)
	}
	var g growth
	if err := g.init(t.Context(), s); err != nil || g.known.Load() != known() {
		t.Errorf("%d rows are known, not %d: %v", g.known.Load(), known(), err)
	}
}

// TestGrowthIsLookedAtSeldom: once for ten times the rows.
func TestGrowthIsLookedAtSeldom(t *testing.T) {
	var g growth
	var at []int
	for n := 100; n <= 2_000_000; n += 100 {
		if g.due(100) {
			at = append(at, n)
		}
	}
	if len(at) != 4 || at[0] != 1000 || at[1] != 10_000 || at[2] != 100_000 || at[3] != 1_000_000 {
		t.Errorf("it looks at %d", at)
	}
}
