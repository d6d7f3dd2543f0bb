package store

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// indexed are the statements that must find their rows by an index, with what
// they may be given.
func indexed(d *dialect) []struct {
	name, text string
	args       []any
} {
	ids := make([]any, idsAtOnce)
	for i := range ids {
		ids[i] = i + 1
	}
	macs := spelled(clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1})
	return []struct {
		name, text string
		args       []any
	}{
		{"host by MAC", d.hostSQL(d.fromMAC()), macs},
		{"host by entity", d.hostSQL(fromEntity), []any{7}},
		{"owners", d.ownersSQL(), macs},
		{"related", relatedSQL, []any{7}},
		{"ranges", rangesSQL, nil},
		{"containers", containersSQL, []any{7}},
		{"bound", d.boundSQL(), []any{"10.42.0.11", 1}},
		{"named", namedSQL, []any{"s0001"}},
		{"entities of a chunk", entitiesAfterSQL, []any{7, 10}},
		{"attributes of a chunk", attrsWithinSQL, []any{7, 17}},
		{"containers of a chunk", parentsWithinSQL, []any{7, 17}},
		{"entities by id", d.entitiesOfSQL(), ids},
		{"attributes by id", d.attrsOfSQL(), ids},
		{"containers by id", d.parentsOfSQL(), ids},
		{"whom a change concerns", d.concernedSQL(), []any{1, 10}},
		{"managers changed", d.managersSQL(), []any{1, 10}},
		{"hosts by id", d.hostsOfSQL(), ids},
	}
}

// TestReadsUseIndexes asks either database how it would look hosts up, with the
// indexes of the original and those that Open adds, and in a new one. SQLite is
// asked before and after ANALYZE, and so is PostgreSQL.
func TestReadsUseIndexes(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		old := originalFile(t, "clusto.sql")
		openTest(t, old).Close() // EXPLAIN alone does not notice indexes that another connection has added
		for name, dsn := range map[string]string{"original": old, "new": filepath.Join(t.TempDir(), "clusto.db")} {
			s := openTest(t, dsn)
			plansOfSQLite(t, name, s)
			apply(t, s, fleet(400)...)
			execute(t, s, `ANALYZE`)
			s.Close()
			plansOfSQLite(t, name+", analyzed", openTest(t, dsn))
		}
	})
	t.Run("postgresql", func(t *testing.T) {
		dsn := pgtest.New(t)
		s := openTest(t, dsn)
		apply(t, s, fleet(400)...)
		plansOfPostgres(t, "new", s, false)
		execute(t, s, `ANALYZE`)
		plansOfPostgres(t, "analyzed", s, true)
	})
}

func plansOfSQLite(t *testing.T, name string, s *Store) {
	t.Helper()
	for _, q := range indexed(s.dialect) {
		for _, step := range planWith(t, s, q.text, q.args...) {
			what, on, _ := strings.Cut(step, " ")
			on, _, _ = strings.Cut(on, " ")
			// What has been found is scanned, and no more: up, own, the parameters.
			found := on == "changed" || on == "concerned" || on == "named" || on == "up" || on == "o" || on == "v" || strings.Contains(step, "VALUES") || strings.Contains(step, "CONSTANT ROW")
			if what == "SCAN" && !found {
				t.Errorf("%s, %s: %s", name, q.name, step)
			}
			wrong := strings.Contains(step, "idx_attrs_entity_version") && q.name != "attributes of a chunk" || strings.Contains(step, "idx_attrs_subkey") ||
				strings.Contains(step, "idx_attrs_key") && q.name != "ranges"
			if wrong || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s, %s: %s", name, q.name, step)
			}
		}
	}
}

// plan asks SQLite how it would run a query of so many parameters.
func plan(t testing.TB, s *Store, query string, args int) (steps []string) {
	t.Helper()
	values := make([]any, args)
	for i := range values {
		values[i] = 1
	}
	return planWith(t, s, query, values...)
}

func planWith(t testing.TB, s *Store, query string, args ...any) (steps []string) {
	t.Helper()
	var id, parent, unused int
	var detail string
	err := each(t.Context(), s.read, "EXPLAIN QUERY PLAN "+query, []any{&id, &parent, &unused, &detail},
		func() { steps = append(steps, detail) }, args...)
	if err != nil || len(steps) == 0 {
		t.Fatal(query, steps, err)
	}
	return steps
}

// plansOfPostgres looks for scans of whole tables, and for indexes that lead to
// more than one entity.
func plansOfPostgres(t *testing.T, name string, s *Store, analyzed bool) {
	t.Helper()
	conn, err := s.read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if !analyzed { // it takes new tables for tiny ones
		if _, err := conn.ExecContext(t.Context(), "SET enable_seqscan = off"); err != nil {
			t.Fatal(err)
		}
		defer conn.ExecContext(t.Context(), "SET enable_seqscan = on") //nolint:errcheck // the connection goes with the test
	}
	for _, q := range indexed(s.dialect) {
		var text string
		err := each(t.Context(), conn, "EXPLAIN (FORMAT JSON) "+s.dialect.q(q.text), []any{&text}, func() {}, q.args...)
		if err != nil {
			t.Errorf("%s, %s: %v", name, q.name, err)
			continue
		}
		var plans []struct{ Plan planNode }
		if err := json.Unmarshal([]byte(text), &plans); err != nil {
			t.Fatal(err)
		}
		plans[0].Plan.walk(func(n *planNode) {
			// The others lead to all that an entity contains, or to all of a key.
			wrong := analyzed && n.Index == "idx_attrs_entity_version" || n.Index == "idx_attrs_subkey" || n.Index == "idx_attrs_key" && q.name != "ranges"
			if n.Type == "Seq Scan" || wrong {
				t.Errorf("%s, %s: %s on %s by %s", name, q.name, n.Type, n.Relation, n.Index)
			}
		})
	}
}

// planNode is a step of PostgreSQL's plan.
type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Index    string     `json:"Index Name"`
	Plans    []planNode `json:"Plans"`
}

func (n *planNode) walk(fn func(*planNode)) {
	fn(n)
	for i := range n.Plans {
		n.Plans[i].walk(fn)
	}
}
