package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// loader opens a database of PostgreSQL's for which a change of manyOps is large.
func loader(t testing.TB, dsn string) *Store {
	t.Helper()
	s := openTest(t, dsn)
	s.loadFrom = manyOps
	return s
}

// columnOf runs a query of one column past the store.
func columnOf(t testing.TB, dsn, query string) (out []string) {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	must(t, err)
	defer db.Close()
	var v string
	must(t, each(t.Context(), db, query, []any{&v}, func() { out = append(out, v) }))
	return out
}

// schemaOf gives constraints, indexes and triggers with all that is said of them.
func schemaOf(t testing.TB, dsn string) []string {
	t.Helper()
	return columnOf(t, dsn, `SELECT concat_ws('|', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint'))
			FROM pg_constraint WHERE connamespace = 'public'::regnamespace
		UNION ALL SELECT concat_ws('|', indexdef, tablespace, obj_description(indexname::regclass, 'pg_class')) FROM pg_indexes WHERE schemaname = 'public'
		UNION ALL SELECT concat_ws('|', tgenabled, pg_get_triggerdef(oid)) FROM pg_trigger WHERE NOT tgisinternal
		UNION ALL SELECT concat_ws('|', tgrelid::regclass, tgtype, tgenabled, tgfoid::regproc, tgconstrrelid::regclass, tgdeferrable) FROM pg_trigger WHERE tgisinternal
		ORDER BY 1`)
}

// madeOf tells the parts of the schema from others of the same kind that were
// made later.
func madeOf(t testing.TB, dsn string) []string {
	t.Helper()
	return columnOf(t, dsn, `SELECT conname || oid FROM pg_constraint WHERE contype = 'f' AND conrelid IN ('entity_attrs'::regclass, 'counters'::regclass)
		UNION ALL SELECT relname || c.oid FROM pg_class c JOIN pg_index ON indexrelid = c.oid WHERE indrelid = 'entity_attrs'::regclass ORDER BY 1`)
}

// loads has fn import, and sees that the schema is as it was, and whether parts
// of it were made anew.
func loads(t *testing.T, dsn string, want bool, fn func()) {
	t.Helper()
	schema, made := schemaOf(t, dsn), madeOf(t, dsn)
	fn()
	if got := schemaOf(t, dsn); !slices.Equal(got, schema) {
		t.Errorf("the schema was\n%s\nand is\n%s", strings.Join(schema, "\n"), strings.Join(got, "\n"))
	}
	if anew := !slices.Equal(madeOf(t, dsn), made); anew != want {
		t.Errorf("parts of the schema were made anew: %v, want %v", anew, want)
	}
}

// TestLoadWritesWhatTheOrdinaryWayWrites into a database of this program's, one
// of the original's, and one whose constraints another has put on; also what
// needs an index amid the import, or deletes.
func TestLoadWritesWhatTheOrdinaryWayWrites(t *testing.T) {
	t.Parallel()
	site, err := inventory.Parse("site.yaml", inventory.Sample(200))
	must(t, err)
	changed := append(fleet(400), clusto.Op{Op: "delete", Name: "s000007"}, clusto.Op{Op: "unbind", Name: "s000008", IP: "10.1.0.18"},
		clusto.Op{Op: "has", Key: "port-nic-eth", Value: &clusto.Value{Type: clusto.String, Str: fleetMAC(9).String()}},
		clusto.Op{Op: "remove", Name: "s000010", Into: "boot"})
	ended := append(fleet(200), clusto.Op{Op: "unbind", Name: "s000008", IP: "10.1.0.18"},
		clusto.Op{Op: "unbind", Name: "s000199", IP: "10.1.0.209"}) // its page has room for another version of the row
	for name, stmts := range map[string][]string{
		"this program's": nil,
		"with versions":  {`INSERT INTO clustoversioning (description) VALUES ('first')`},
		"another's constraints": {
			`ALTER TABLE entity_attrs DROP CONSTRAINT entity_attrs_entity_id_fkey, DROP CONSTRAINT entity_attrs_relation_id_fkey,
				ADD CONSTRAINT "its Entity" FOREIGN KEY (entity_id) REFERENCES entities ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
				ADD CONSTRAINT later FOREIGN KEY (relation_id) REFERENCES entities NOT VALID`,
			`CREATE INDEX own ON entity_attrs (number) WHERE number > 5`,
			`DROP INDEX idx_attrs_key`, `CREATE INDEX idx_attrs_key ON entity_attrs ("key" text_pattern_ops) WITH (fillfactor = 70)`,
		},
	} {
		for what, ops := range map[string][]clusto.Op{"an import": site.Ops(), "much of all": changed, "rows that end": ended} {
			t.Run(name+", "+what, func(t *testing.T) {
				ordinary, dsn := openTest(t, originalPostgres(t)), originalPostgres(t)
				s := loader(t, dsn)
				for _, stmt := range stmts {
					execute(t, ordinary, stmt)
					execute(t, s, stmt)
				}
				apply(t, ordinary, ops...)
				loads(t, dsn, true, func() { apply(t, s, ops...) })
				if got, want := rows(t, s), rows(t, ordinary); !slices.Equal(got, want) {
					t.Errorf("%d rows, want %d", len(got), len(want))
				}
				if got := columnOf(t, dsn, `SELECT indexrelid::regclass::text FROM pg_index WHERE indcheckxmin`); len(got) > 0 {
					t.Errorf("indexes that the import itself could not use: %q", got)
				}
			})
		}
	}
}

// TestFailedLoadLeavesAllAsItWas: one that is refused, one with a value that an
// index does not take, and one that is cancelled.
func TestFailedLoadLeavesAllAsItWas(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s := loader(t, dsn)
	before := rows(t, s)
	fails := func(anew bool, says string, kind error, ops ...clusto.Op) {
		t.Helper()
		loads(t, dsn, anew, func() {
			err := s.Apply(t.Context(), append(fleet(20), ops...))
			if !errors.Is(err, kind) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", says, err)
			}
		})
	}
	fails(false, "nobody", clusto.ErrNotFound, insert("nobody", "dc", 0))
	fails(false, "attribute note of /server/s000003 is too long: it has 6400 bytes", clusto.ErrInvalid, attrAt("s000003", "note", str(dense(6400))))
	fails(false, "nobody", clusto.ErrNotFound, clusto.Op{Op: "delete", Name: "s000001"}, insert("nobody", "dc", 0))

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	loads(t, dsn, false, func() {
		hold := begun(t, dsn, `LOCK TABLE clusto_changes IN SHARE MODE`) // the first row waits
		done := make(chan error, 1)
		go func() { done <- s.Apply(ctx, fleet(20)) }()
		for granted := 0; granted == 0; {
			must(t, hold.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE relation = 'entity_attrs'::regclass
				AND mode = 'AccessExclusiveLock' AND granted`).Scan(&granted))
			select {
			case err := <-done:
				t.Fatal("it ended: ", err)
			default:
			}
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		must(t, hold.Rollback())
	})
	if got := rows(t, s); !slices.Equal(got, before) {
		t.Errorf("rows: %q", got)
	}
}

// begun begins a transaction with a statement.
func begun(t testing.TB, dsn, stmt string) *sql.Tx {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	tx, err := db.BeginTx(context.Background(), nil)
	must(t, err)
	_, err = tx.ExecContext(t.Context(), stmt)
	must(t, err)
	return tx
}

// TestWhenNothingIsTakenApart: where somebody might miss it, or it could not be
// made again as it was. The import goes the ordinary way then.
func TestWhenNothingIsTakenApart(t *testing.T) {
	t.Parallel()
	for name, stmts := range map[string][]string{
		"a server there":          {`INSERT INTO entities (name, type, driver, version) VALUES ('x', 'server', 'basicserver', 1)`},
		"one that was deleted":    {`INSERT INTO entities (name, type, driver, version, deleted_at_version) VALUES ('x', 'server', 'basicserver', 1, 2)`},
		"a comment":               {`COMMENT ON INDEX idx_attrs_subkey IS 'as it ever was'`},
		"no index that is needed": {`DROP INDEX idx_attrs_entity_key`},
		"an index that is broken": {`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_attrs_entity_key'::regclass`},
		"an index of few rows":    {`DROP INDEX idx_attrs_entity_key`, `CREATE INDEX idx_attrs_entity_key ON entity_attrs (entity_id, "key") WHERE number > 5`},
		"an index of other rows":  {`DROP INDEX idx_attrs_entity_key`, `CREATE INDEX idx_attrs_entity_key ON counters (entity_id, attr_key)`},
		"an index on the key":     {`DROP INDEX idx_attrs_entity_key`, `CREATE INDEX idx_attrs_entity_key ON entity_attrs ("key", entity_id)`},
		"no right to look":        {`REVOKE SELECT ON pg_catalog.pg_constraint FROM PUBLIC`},
		"no right to make":        {`REVOKE CREATE ON SCHEMA public FROM PUBLIC`, `ALTER TABLE entities OWNER TO $role`, `ALTER TABLE entity_attrs OWNER TO $role`, `ALTER TABLE counters OWNER TO $role`},
		"another's tables":        {},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := pgtest.New(t)
			openTest(t, dsn).Close()
			database := strings.TrimPrefix(strings.SplitN(dsn, "?", 2)[0], "postgresql:///")
			role := "loader_of_" + database
			pgtest.Exec(t, dsn, `CREATE ROLE `+role+` LOGIN`, `GRANT ALL ON ALL TABLES IN SCHEMA public TO `+role, `GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO `+role)
			as := "clusto"
			if strings.Contains(name, "right") || strings.Contains(name, "another") {
				as = role
			}
			s := loader(t, pgtest.URL(database, as))
			for _, stmt := range stmts {
				pgtest.Exec(t, dsn, strings.ReplaceAll(stmt, "$role", role))
			}
			loads(t, dsn, false, func() { apply(t, s, fleet(20)...) })
		})
	}
	t.Run("a reader", func(t *testing.T) {
		dsn := pgtest.New(t)
		s := loader(t, dsn)
		reads := begun(t, dsn, `SELECT 1 FROM entity_attrs`)
		loads(t, dsn, false, func() { apply(t, s, fleet(20)...) })
		must(t, reads.Rollback())
	})
	t.Run("few operations", func(t *testing.T) {
		dsn := pgtest.New(t)
		s := openTest(t, dsn)
		loads(t, dsn, false, func() { apply(t, s, fleet(20)...) })
	})
}

// TestValueThatTheOrdinaryWayTakes, and an index does not that is made after it,
// was refused as invalid.
func TestValueThatTheOrdinaryWayTakes(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s := loader(t, dsn)
	pgtest.Exec(t, dsn, `CREATE FUNCTION alone(v TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE AS $$BEGIN
			IF v IS NOT NULL AND current_setting('clusto.statements', true) <> '' THEN RAISE invalid_text_representation; END IF;
			RETURN v;
		END$$`,
		`DROP INDEX idx_attrs_str_value`, `CREATE INDEX idx_attrs_str_value ON entity_attrs (alone(string_value))`)
	loads(t, dsn, false, func() { apply(t, s, fleet(20)...) })
	if h := host(t, s, fleetMAC(3).String()); h.Name != "s000003" {
		t.Errorf("%+v", h)
	}
}

// TestLoadBesideOthers: another program that has the database open, with its
// statements prepared, goes on and finds all; and so does who imported.
func TestLoadBesideOthers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	other := loader(t, dsn)
	if _, err := other.Host(t.Context(), fleetMAC(3)); !errors.Is(err, clusto.ErrNotFound) {
		t.Fatal(err)
	}
	f := follow(t, other, "", 0)
	f.next()
	s := loader(t, dsn)
	loads(t, dsn, true, func() { apply(t, s, fleet(20)...) })
	f.next()
	for _, s := range []*Store{other, s} {
		if h, err := s.Host(t.Context(), fleetMAC(3)); err != nil || h.Name != "s000003" {
			t.Errorf("%+v, %v", h, err)
		}
		apply(t, s, attrAt("s000003", "hostname", str("x")))
	}
	_, err := other.write.ExecContext(t.Context(), `INSERT INTO entity_attrs (entity_id, "key", datatype, version) VALUES (-1, 'x', 'string', 1)`)
	if err == nil || !strings.Contains(err.Error(), "entity_attrs_entity_id_fkey") {
		t.Errorf("an attribute of nobody: %v", err)
	}
}

// applying gives a change that is all but committed.
func applying(t *testing.T, ops []clusto.Op) *change {
	t.Helper()
	s := loader(t, pgtest.New(t))
	tx, err := s.write.BeginTx(t.Context(), nil)
	must(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	_, err = tx.ExecContext(t.Context(), s.lock)
	must(t, err)
	c := newChange(s, tx)
	must(t, c.applyAll(t.Context(), ops, true))
	return c
}

// TestImportLooksForNothingThatIsAway: not before its end are the indexes made
// again. Where something is asked for again and again, they are.
func TestImportLooksForNothingThatIsAway(t *testing.T) {
	t.Parallel()
	site, err := inventory.Parse("site.yaml", inventory.Sample(1000))
	must(t, err)
	c := applying(t, site.Ops())
	if len(c.parts) < 5 {
		t.Errorf("so many parts are away: %d", len(c.parts))
	}
	if _, err := c.tx.ExecContext(t.Context(), `ANALYZE`); err != nil {
		t.Fatal(err)
	}
	for _, text := range append(byEntityAndKey, `SELECT version FROM entity_attrs WHERE attr_id = ?`) {
		args := []any{7, "ip"}[:strings.Count(text, "?")]
		root := planOfPostgres(t, c.tx, question{text, text, args})
		root.walk(func(n *planNode) {
			if n.Type == "Seq Scan" {
				t.Errorf("%s: %s on %s", text, n.Type, n.Relation)
			}
		})
	}
	if c := applying(t, fleet(450)); len(c.parts) > 0 { // the managers are read three times
		t.Errorf("so many parts are away: %d", len(c.parts))
	}
}
