package store

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// question is a statement that must find its rows by an index, with what it may
// be given.
type question struct {
	name, text string
	args       []any
}

func indexed(d *dialect) []question {
	ids := make([]any, idsAtOnce)
	for i := range ids {
		ids[i] = i + 1
	}
	macs := spelled(clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1})
	return append(mergedReads(d, 7), []question{
		{"host by MAC", d.hostSQL(d.fromMAC()), macs},
		{"host by entity", d.hostSQL(fromEntity), []any{7}},
		{"owners", d.ownersSQL(), macs},
		{"related", d.relatedSQL(), []any{7}},
		{"ranges", d.rangesSQL(), nil},
		{"containers", d.containersSQL(), []any{7}},
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
	}...)
}

// indexedToo are those of changes, and of the original's API.
func indexedToo(d *dialect) (all []question) {
	wantedBy := func(name, key, sub string, v clusto.Value) {
		text, args := (&wanted{op: &clusto.Op{Key: key, Subkey: &sub}, value: v, rel: 7}).holdersSQL(d)
		all = append(all, question{name, text, args})
	}
	wantedBy("wanted by MAC", "port-nic-eth", subMAC, str("00:11:22:33:44:55"))
	wantedBy("wanted by text", "hostname", "", str("a"))
	wantedBy("wanted by integer", "dhcp", "enabled", num(5))
	wantedBy("wanted by relation", "dhcp", "", clusto.Value{Type: clusto.Relation})
	queried := func(name string, m clusto.AttrMatch) {
		from, args := d.entitiesOf(clusto.Query{Attrs: []clusto.AttrMatch{m}})
		all = append(all, question{name, `SELECT e.name FROM ` + from + ` ORDER BY e.entity_id`, args})
	}
	n := int64(5)
	forms := clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}.Spellings()
	queried("asked for by text", clusto.AttrMatch{Key: "ip", Subkey: &clusto.NullString{Text: "ipstring"}, Value: &clusto.ValueMatch{Texts: []string{"10.1.0.11"}}})
	queried("asked for by MAC", clusto.AttrMatch{Key: "port-nic-eth", Value: &clusto.ValueMatch{Texts: forms[:]}})
	queried("asked for by integer", clusto.AttrMatch{Key: "dhcp", Value: &clusto.ValueMatch{Int: &n}})
	names := make([]any, 100)
	for i := range names {
		names[i] = fmt.Sprintf("s%06d", i)
	}
	return append(all, []question{
		{"attributes of a key", attrsOfKeySQL, []any{7, "ip"}},
		{"addresses taken", takenSQL, []any{1, 17}},
		{"member", memberSQL, []any{7, 8}},
		{"peers", d.peersSQL(), []any{7}},
		{"entity", entitySQL, []any{"s0001"}},
		{"members", d.membersSQL(), []any{7}},
		{"attributes", d.aboveSQL(false, ""), []any{7}},
		{"visible attributes", d.visibleSQL(false), []any{7}},
		{"attributes by name", d.attrsNamedSQL(len(names), `a."key" = ?`), append(names, "ip")},
	}...)
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

// TestPlansOfGrownTables asks PostgreSQL how it would look for things in tables
// that it has not looked at since they were empty, or tiny: nothing is looked for
// in all of a table, or joined by one.
func TestPlansOfGrownTables(t *testing.T) {
	for _, tiny := range []int{0, 4} {
		t.Run(fmt.Sprint(tiny), func(t *testing.T) {
			s := openTest(t, pgtest.New(t))
			for _, table := range []string{"entities", "entity_attrs"} {
				execute(t, s, "ALTER TABLE "+table+" SET (autovacuum_enabled = off)")
			}
			apply(t, s, fleet(tiny)...)
			if tiny > 0 {
				execute(t, s, `ANALYZE`)
			}
			for _, stmt := range []string{
				`INSERT INTO entities (name, type, driver, version) SELECT 'x' || i, 'server', 'basicserver', 1 FROM generate_series(1, 5000) i`,
				`INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, int_value, string_value, relation_id, version)
					SELECT entity_id, 'port-nic-eth', 'mac', 1, 'string', CAST(NULL AS BIGINT), 'mac of ' || name, CAST(NULL AS INTEGER), 1 FROM entities
					UNION ALL SELECT entity_id, 'ip', 'ipstring', entity_id, 'string', NULL, 'ip of ' || name, NULL, 1 FROM entities
					UNION ALL SELECT entity_id, 'ip', NULL, entity_id, 'int', entity_id, NULL, NULL, 1 FROM entities
					UNION ALL SELECT entity_id / 40 + 1, '_contains', 'ru', 1, 'relation', NULL, NULL, entity_id, 1 FROM entities`,
			} {
				execute(t, s, stmt) // past the store, which would have PostgreSQL look
			}
			for _, q := range append(indexed(postgres), indexedToo(postgres)...) {
				if q.name == "attributes of a chunk" || q.name == "containers of a chunk" || q.name == "entities of a chunk" {
					continue // they are for most of a table anyway
				}
				root := planOfPostgres(t, s.read, q)
				root.walk(func(n *planNode) {
					if n.Type == "Seq Scan" && n.Relation != "clusto_changes" || n.Type == "Hash Join" || n.Type == "Merge Join" {
						t.Errorf("%s: %s on %s", q.name, n.Type, n.Relation)
					}
				})
			}
		})
	}
}

func plansOfSQLite(t *testing.T, name string, s *Store) {
	t.Helper()
	for _, q := range append(indexed(s.dialect), indexedToo(s.dialect)...) {
		for _, step := range planWith(t, s, q.text, q.args...) {
			if scanned(step) {
				t.Errorf("%s, %s: %s", name, q.name, step)
			}
			wrong := strings.Contains(step, "idx_attrs_entity_version") && q.name != "attributes of a chunk" && q.name != "attributes" && q.name != "all attributes, merged" || strings.Contains(step, "idx_attrs_subkey") ||
				strings.Contains(step, "idx_attrs_key") && q.name != "ranges"
			if wrong || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s, %s: %s", name, q.name, step)
			}
		}
	}
}

// scanned reports whether a step goes through a table from end to end. What has
// been found is scanned, and no more: up, own, the parameters.
func scanned(step string) bool {
	what, on, _ := strings.Cut(step, " ")
	on, _, _ = strings.Cut(on, " ")
	found := on == "changed" || on == "concerned" || on == "named" || on == "up" || on == "m" || on == "down" || on == "o" || on == "v" || strings.Contains(step, "VALUES") || strings.Contains(step, "CONSTANT ROW")
	return what == "SCAN" && !found
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
		root := planOfPostgres(t, conn, q)
		root.walk(func(n *planNode) {
			// The others lead to all that an entity contains, or to all of a key.
			wrong := analyzed && n.Index == "idx_attrs_entity_version" || n.Index == "idx_attrs_subkey" || n.Index == "idx_attrs_key" && q.name != "ranges"
			if n.Type == "Seq Scan" || wrong {
				t.Errorf("%s, %s: %s on %s by %s", name, q.name, n.Type, n.Relation, n.Index)
			}
		})
	}
}

// planOfPostgres asks PostgreSQL how it would run a query.
func planOfPostgres(t *testing.T, on querier, q question) planNode {
	t.Helper()
	var text string
	if err := each(t.Context(), on, "EXPLAIN (FORMAT JSON) "+postgres.q(q.text), []any{&text}, func() {}, q.args...); err != nil {
		t.Fatalf("%s: %v", q.name, err)
	}
	var plans []struct{ Plan planNode }
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan
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
