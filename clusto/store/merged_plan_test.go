package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// counted makes connections that count the queries they are asked.
type counted struct {
	by      driver.Driver
	dsn     string
	queries atomic.Int64
}

// Driver implements driver.Connector.
func (c *counted) Driver() driver.Driver { return c.by }

// Connect implements driver.Connector.
func (c *counted) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.by.Open(c.dsn)
	return &countedConn{conn, c}, err
}

type countedConn struct {
	driver.Conn
	of *counted
}

// BeginTx implements driver.ConnBeginTx.
func (c *countedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

// QueryContext implements driver.QueryerContext.
func (c *countedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.of.queries.Add(1)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

// TestMergedAttrsTakeTwoStatements: one to find the entity and one for all the
// rest, however many pools there are.
func TestMergedAttrsTakeTwoStatements(t *testing.T) {
	for _, kind := range []string{"sqlite", "postgresql"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dsn := kinds[kind](t)
			for _, depth := range []int{1, 50} {
				s := openTest(t, dsn)
				n := new(nest)
				for i := range depth {
					n.rows = append(n.rows, nestRow{true, i, 0, "a"})
					n.put(i, i+1)
				}
				n.pools = append(n.pools, make([]bool, depth+1)...)
				for i := range n.pools {
					n.pools[i] = true
				}
				n.check(t, s, 1)
				c := &counted{by: s.read.Driver(), dsn: dsn}
				s.read = sql.OpenDB(c)
				got, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "p0", Merge: true})
				if err != nil || len(got) != depth || c.queries.Load() != 2 {
					t.Errorf("%d deep: %d attributes by %d statements, %v", depth, len(got), c.queries.Load(), err)
				}
			}
		})
	}
}

// mergedReads are the statements of merged reads of an entity.
func mergedReads(d *dialect, id int) []question {
	return []question{
		{"visible attributes, merged", d.visibleSQL(true), []any{id}},
		{"attributes of a key, merged", d.aboveSQL(true, ` AND a."key" = ?`), []any{id, "dhcp"}},
		{"all attributes, merged", d.aboveSQL(true, ""), []any{id}},
	}
}

// TestMergedReadsByTheOriginalsIndexes: where no index may be added, a merged read
// takes longer, and even then it goes through no table from end to end, nor does
// SQLite make an index of one first.
func TestMergedReadsByTheOriginalsIndexes(t *testing.T) {
	drop := func(t *testing.T, s *Store) {
		for _, ix := range indexes {
			if ix.name != "idx_attrs_str_value" { // the original has that
				execute(t, s, `DROP INDEX `+ix.name)
			}
		}
	}
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "clusto.db")
		for _, analyzed := range []bool{false, true} {
			s := openTest(t, file)
			apply(t, s, fleet(400)...)
			if analyzed {
				execute(t, s, `ANALYZE`)
			}
			drop(t, s)
			s.Close()
			s = openTest(t, file+"?mode=ro")
			for _, q := range mergedReads(s.dialect, 7) {
				for _, step := range planWith(t, s, q.text, q.args...) {
					if scanned(step) || strings.Contains(step, "AUTOMATIC") {
						t.Errorf("analyzed %v, %s: %s", analyzed, q.name, step)
					}
				}
			}
		}
	})
	t.Run("postgresql", func(t *testing.T) {
		s := openTest(t, pgtest.New(t))
		apply(t, s, fleet(400)...)
		drop(t, s)
		execute(t, s, `ANALYZE`)
		for _, q := range mergedReads(s.dialect, 7) {
			root := planOfPostgres(t, s.read, q)
			root.walk(func(n *planNode) {
				if n.Type == "Seq Scan" {
					t.Errorf("%s: %s on %s", q.name, n.Type, n.Relation)
				}
			})
		}
	})
}

// TestMergedReadsOfALargePool has PostgreSQL count what it reads for one of the
// many servers in a pool: some rows, with the statistics of the large tables and
// before there are any. Half of the attributes are deleted: an index that tells
// them from the others looked better than it is, and all of the pool was read.
func TestMergedReadsOfALargePool(t *testing.T) {
	s := largePool(t)
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			execute(t, s, `ANALYZE`)
		}
		for _, q := range mergedReads(s.dialect, 9000)[:2] { // the third asks for what the pool contains
			if rows := rowsRead(t, s, q); rows == 0 || rows > 60 {
				t.Errorf("analyzed %v, %s: %v rows are read", analyzed, q.name, rows)
			}
		}
	}
}

// largePool makes a database on PostgreSQL, which it has not looked at since it
// was empty: server 100 contains all others but 101, which contains it.
func largePool(t *testing.T) *Store {
	t.Helper()
	s := openTest(t, pgtest.New(t))
	for _, stmt := range []string{
		`ALTER TABLE entity_attrs SET (autovacuum_enabled = off)`,
		`ALTER TABLE entities SET (autovacuum_enabled = off)`,
		`INSERT INTO entities (entity_id, name, type, driver, version) SELECT i, 'x' || i, 'server', 'basicserver', 1 FROM generate_series(100, 20000) i`,
		`INSERT INTO entity_attrs (entity_id, "key", subkey, datatype, string_value, relation_id, version)
			SELECT entity_id, 'port-nic-eth', 'mac', 'string', 'mac of ' || name, CAST(NULL AS INTEGER), 1 FROM entities
			UNION ALL SELECT 100, '_contains', NULL, 'relation', NULL, entity_id, 1 FROM entities WHERE entity_id > 101
			UNION ALL SELECT 101, '_contains', NULL, 'relation', NULL, 100, 1
			UNION ALL SELECT 101, 'dhcp', 'enabled', 'int', NULL, NULL, 1`,
		`INSERT INTO entity_attrs (entity_id, "key", datatype, version, deleted_at_version)
			SELECT entity_id, 'note', 'string', 1, 2 FROM entities, generate_series(1, 2)`,
	} {
		execute(t, s, stmt)
	}
	return s
}

// rowsRead has PostgreSQL run a query, and gives the rows that it took from
// tables, and dropped.
func rowsRead(t *testing.T, s *Store, q question) (rows float64) {
	t.Helper()
	var text string
	must(t, each(t.Context(), s.read, "EXPLAIN (ANALYZE, FORMAT JSON) "+postgres.q(q.text), []any{&text}, func() {}, q.args...))
	type node struct {
		Relation string  `json:"Relation Name"`
		Rows     float64 `json:"Actual Rows"`
		Dropped  float64 `json:"Rows Removed by Filter"`
		Loops    float64 `json:"Actual Loops"`
		Plans    []node
	}
	var plans []struct{ Plan node }
	must(t, json.Unmarshal([]byte(text), &plans))
	var walk func(n *node)
	walk = func(n *node) {
		if n.Relation != "" {
			rows += (n.Rows + n.Dropped) * n.Loops
		}
		for i := range n.Plans {
			walk(&n.Plans[i])
		}
	}
	walk(&plans[0].Plan)
	return rows
}
