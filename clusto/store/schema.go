package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// schemaVersion is the version of clusto's schema that this package knows. The
// clustometa entity holds it as an attribute.
const schemaVersion = 3

// tables are clusto's tables and the columns of each that this package uses.
var tables = map[string][]string{
	"entities":         {"entity_id", "name", "type", "driver", "version", "deleted_at_version"},
	"clustoversioning": {"version", "timestamp", "user", "description"},
	"counters":         {"counter_id", "entity_id", "attr_key", "value"},
	"entity_attrs": {
		"attr_id", "entity_id", "key", "subkey", "number", "datatype", "int_value",
		"string_value", "datetime_value", "relation_id", "version", "deleted_at_version",
	},
}

// create gives the statements that make clusto's tables and indexes.
func (d *dialect) create() []string {
	fill := strings.NewReplacer("SERIAL", d.serial, "BIGINT", d.bigint, "DATETIME", d.datetime)
	return []string{
		fill.Replace(`CREATE TABLE entities (
			entity_id SERIAL, name VARCHAR(128) NOT NULL, type VARCHAR(32) NOT NULL,
			driver VARCHAR(32) NOT NULL, version INTEGER NOT NULL, deleted_at_version INTEGER,
			PRIMARY KEY (entity_id))`),
		fill.Replace(`CREATE TABLE clustoversioning (
			version SERIAL, timestamp TIMESTAMP, "user" VARCHAR(64), description TEXT,
			PRIMARY KEY (version))`),
		fill.Replace(`CREATE TABLE counters (
			counter_id SERIAL, entity_id INTEGER NOT NULL, attr_key VARCHAR(256), value INTEGER,
			PRIMARY KEY (counter_id), FOREIGN KEY(entity_id) REFERENCES entities (entity_id))`),
		fill.Replace(`CREATE TABLE entity_attrs (
			attr_id SERIAL, entity_id INTEGER NOT NULL, "key" VARCHAR(256), subkey VARCHAR(256),
			number INTEGER, datatype VARCHAR(32) NOT NULL, int_value BIGINT, string_value TEXT,
			datetime_value DATETIME, relation_id INTEGER, version INTEGER NOT NULL,
			deleted_at_version INTEGER, PRIMARY KEY (attr_id),
			FOREIGN KEY(entity_id) REFERENCES entities (entity_id),
			FOREIGN KEY(relation_id) REFERENCES entities (entity_id))`),
		`CREATE INDEX idx_entity_name_version ON entities (name, version, deleted_at_version)`,
		`CREATE INDEX ix_clustoversioning_timestamp ON clustoversioning (timestamp)`,
		`CREATE INDEX idx_counter_entity_attr ON counters (entity_id, attr_key)`,
		`CREATE INDEX idx_attrs_subkey ON entity_attrs (subkey)`,
		`CREATE INDEX idx_attrs_entity_version ON entity_attrs (entity_id, version, deleted_at_version)`,
		`CREATE INDEX idx_attrs_key ON entity_attrs ("key")`,
		`CREATE INDEX idx_attrs_str_value ON entity_attrs (string_value)`,
	}
}

// indexes are added to every database that may be altered. Without the first
// two, one host costs time in proportion to the number of hosts. The third is
// the original's own and finds MACs; the fourth finds addresses; the last lists
// entities of a type. That one is of no use to a query that does not say that it
// wants what is not deleted as this package does: no planner may prefer it to the
// index on names for a query of the Python clusto. Those with a WHERE cannot be
// read by a SQLite before 3.8.0 (2013), nor can the database that has them.
var indexes = []index{
	{"idx_attrs_relation_key", "entity_attrs", `(relation_id, "key") WHERE relation_id IS NOT NULL`},
	{"idx_attrs_entity_key", "entity_attrs", `(entity_id, "key")`},
	{"idx_attrs_str_value", "entity_attrs", `(string_value)`},
	{"idx_attrs_int_value", "entity_attrs", `(int_value) WHERE int_value IS NOT NULL`},
	{"idx_entities_type_name", "entities", `(type, name) WHERE deleted_at_version IS NULL`},
}

type index struct{ name, table, on string }

func (ix index) create() string {
	return "CREATE INDEX IF NOT EXISTS " + ix.name + " ON " + ix.table + " " + ix.on
}

// migrate creates the schema in an empty database and checks it in another.
func (s *Store) migrate(ctx context.Context) error {
	have, err := s.list(ctx, s.dialect.tables)
	if err != nil {
		return s.failed("open", err)
	}
	if !slices.Contains(have, "entities") {
		if have, err = s.createSchema(ctx, have); err != nil {
			return err
		}
	}
	if err := s.checkSchema(ctx, have); err != nil {
		return err
	}
	if err := s.checkVersion(ctx); err != nil {
		return err
	}
	if err := s.addIndexes(ctx); err != nil {
		return err
	}
	s.openFeed(ctx)
	return nil
}

// createSchema makes the schema in a database that has the tables given, and
// says which it has then. Of several that open an empty database at once, one
// makes the schema; the others wait for it and find it made.
func (s *Store) createSchema(ctx context.Context, have []string) ([]string, error) {
	if err := s.takesSchema(have); err != nil {
		return nil, err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, s.failed("create", err)
	}
	defer tx.Rollback()                          //nolint:errcheck // it fails after Commit, as it should
	if lock := s.dialect.feed.lock; lock != "" { // there are no tables yet that could be locked
		if _, err := tx.ExecContext(ctx, lock); err != nil {
			return nil, s.failed("create", err)
		}
	}
	if have, err = s.listOn(ctx, tx, s.dialect.tables); err != nil {
		return nil, s.failed("create", err)
	}
	if slices.Contains(have, "entities") {
		return have, nil // another one was faster
	}
	if err := s.takesSchema(have); err != nil {
		return nil, err
	}
	if err := s.makeTables(ctx, tx); err != nil {
		return nil, s.failed("create", err)
	}
	if have, err = s.listOn(ctx, tx, s.dialect.tables); err != nil {
		return nil, s.failed("create", err)
	}
	if err := tx.Commit(); err != nil {
		return nil, s.failed("create", err)
	}
	s.log.Info("created a new clusto database", "database", s.name)
	return have, nil
}

// takesSchema refuses to make clusto's tables among others, or where nothing
// may be written.
func (s *Store) takesSchema(have []string) error {
	others := slices.DeleteFunc(slices.Clone(have), func(table string) bool { return table == "clusto_changes" })
	if len(others) > 0 {
		return fmt.Errorf("open database %q: it has tables (%s) but none of clusto's; give clusto's own database, or a new one: %w",
			s.name, strings.Join(others, ", "), clusto.ErrInvalid)
	}
	if s.readOnly {
		return fmt.Errorf("open database %q: it is empty and read-only: %w", s.name, clusto.ErrInvalid)
	}
	return nil
}

// makeTables makes clusto's tables, all indexes, and clustometa.
func (s *Store) makeTables(ctx context.Context, tx *sql.Tx) error {
	stmts := s.dialect.create()
	for _, ix := range indexes {
		stmts = append(stmts, ix.create())
	}
	for _, stmt := range stmts {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return s.createMeta(ctx, tx)
}

// createMeta writes the entity that says which schema this is.
func (s *Store) createMeta(ctx context.Context, tx *sql.Tx) error {
	var id int64
	err := tx.QueryRowContext(ctx, `INSERT INTO entities (name, type, driver, version)
		VALUES ('clustometa', 'clustometa', 'clustometa', 1) RETURNING entity_id`).Scan(&id)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, s.dialect.q(`INSERT INTO entity_attrs
		(entity_id, "key", subkey, datatype, int_value, version) VALUES (?, 'schemaversion', 'property', 'int', ?, 1)`),
		id, schemaVersion)
	return err
}

func (s *Store) checkSchema(ctx context.Context, have []string) error {
	for table, want := range tables {
		if !slices.Contains(have, table) {
			return fmt.Errorf("open database %q: clusto's table %q is missing; this is a different schema, or a broken one: %w", s.name, table, clusto.ErrInvalid)
		}
		cols, err := s.list(ctx, s.dialect.columns, table)
		if err != nil {
			return s.failed("open", err)
		}
		for _, col := range want {
			if !slices.Contains(cols, col) {
				return fmt.Errorf("open database %q: table %q has no column %q; schema version %d is needed, upgrade the database with the original clusto first: %w",
					s.name, table, col, schemaVersion, clusto.ErrInvalid)
			}
		}
	}
	return nil
}

// checkVersion refuses a database that says it has another schema. One that
// says nothing is taken: its columns have been checked.
func (s *Store) checkVersion(ctx context.Context) error {
	var v sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT max(a.int_value) FROM entities e
		JOIN entity_attrs a ON a.entity_id = e.entity_id AND a."key" = 'schemaversion' AND a.deleted_at_version IS NULL
		WHERE e.name = 'clustometa' AND e.deleted_at_version IS NULL`).Scan(&v)
	if err != nil {
		return s.failed("open", err)
	}
	if v.Valid && v.Int64 != schemaVersion {
		return fmt.Errorf("open database %q: it has clusto schema version %d, and %d is needed; upgrade it with the original clusto first: %w",
			s.name, v.Int64, schemaVersion, clusto.ErrInvalid)
	}
	return nil
}

// addIndexes adds the indexes that are missing, or warns of each that cannot be
// added. It asks first what there is: PostgreSQL lets only a table's owner say
// IF NOT EXISTS.
func (s *Store) addIndexes(ctx context.Context) error {
	have, err := s.list(ctx, s.dialect.indexes)
	if err != nil {
		return s.failed("open", err)
	}
	for _, ix := range indexes {
		if slices.Contains(have, ix.name) {
			continue
		}
		err := errReadOnly
		if !s.readOnly {
			_, err = s.write.ExecContext(ctx, ix.create())
		}
		if err != nil && !s.indexed(ctx, ix) { // another program was adding it
			s.log.Warn("an index could not be added: looking things up will be slow", "database", s.name, "statement", ix.create(), "err", err)
		}
	}
	return nil
}

// indexed reports whether an index is there.
func (s *Store) indexed(ctx context.Context, ix index) bool {
	have, err := s.list(ctx, s.dialect.indexes)
	return err == nil && slices.Contains(have, ix.name)
}

var errReadOnly = errors.New("the database is read-only")

// list runs a query of one text column.
func (s *Store) list(ctx context.Context, query string, args ...any) ([]string, error) {
	return s.listOn(ctx, s.read, query, args...)
}

func (s *Store) listOn(ctx context.Context, q querier, query string, args ...any) (out []string, err error) {
	var v string
	err = each(ctx, q, s.dialect.q(query), []any{&v}, func() {
		if !strings.HasPrefix(v, "sqlite_") {
			out = append(out, v)
		}
	}, args...)
	return out, err
}
