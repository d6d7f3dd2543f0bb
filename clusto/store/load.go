package store

import (
	"context"
	"slices"
	"strings"
)

// loadFrom is how many operations are so many that a first import of them is
// worth taking constraints and indexes away for.
const loadFrom = 10_000

// loadDDL is how a dialect spares a first import what is faster done once for
// all rows than for each.
type loadDDL struct {
	// parts lists what this role may take away and make again: the statement for
	// either, and what else the catalogue says of it.
	parts string
	lock  string // keeps everybody else from the tables, or fails at once
	ready string // before all is made again
	note  string // takes statements of parts, as a parameter
	run   string // runs them
}

// part is a constraint or an index.
type part struct{ drop, make, more string }

// postgresLoad takes the foreign keys, which ask for two entities with each
// attribute, and the indexes on attributes but for the one on entity and key. It
// leaves what was never held against the rows (NOT VALID), and all if that index
// is missing or of no use for every row: another table's, invalid, or partial.
var postgresLoad = &loadDDL{
	parts: `WITH t AS (SELECT oid FROM pg_class WHERE oid IN ('entity_attrs'::regclass, 'counters'::regclass)
			AND pg_has_role(relowner, 'USAGE') AND EXISTS (SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
				WHERE i.indrelid = 'entity_attrs'::regclass AND x.relname = 'idx_attrs_entity_key' AND m.amname = 'btree'
				AND i.indisvalid AND i.indisready AND i.indislive AND i.indpred IS NULL
				AND pg_get_indexdef(x.oid, 1, true) = 'entity_id' AND pg_get_indexdef(x.oid, 2, true) = 'key'))
		SELECT 'ALTER TABLE ' || c.conrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(c.conname),
			'ALTER TABLE ' || c.conrelid::regclass || ' ADD CONSTRAINT ' || quote_ident(c.conname) || ' ' || pg_get_constraintdef(c.oid),
			concat_ws(' ', obj_description(c.oid, 'pg_constraint'), (SELECT string_agg(g.tgenabled::text, '' ORDER BY g.oid) FROM pg_trigger g WHERE g.tgconstraint = c.oid))
		FROM pg_constraint c JOIN t ON t.oid = c.conrelid WHERE c.contype = 'f' AND c.convalidated
		UNION ALL
		SELECT 'DROP INDEX ' || i.indexrelid::regclass, pg_get_indexdef(i.indexrelid),
			concat_ws(' ', obj_description(i.indexrelid, 'pg_class'), x.reltablespace, i.indisclustered, i.indisreplident, i.indisvalid)
		FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN t ON t.oid = i.indrelid
		WHERE NOT i.indisunique AND x.relname IN ('idx_attrs_subkey', 'idx_attrs_entity_version', 'idx_attrs_key',
			'idx_attrs_str_value', 'idx_attrs_int_value', 'idx_attrs_relation_key')
		ORDER BY 1`,
	lock:  `LOCK TABLE entities, entity_attrs, counters IN ACCESS EXCLUSIVE MODE NOWAIT`,
	ready: `SET CONSTRAINTS ALL IMMEDIATE`,
	note:  `SELECT set_config('clusto.statements', ?, true)`,
	run:   `DO $$BEGIN EXECUTE current_setting('clusto.statements'); END$$`,
}

// takeApart has a large change of a database that has nothing yet written
// without some constraints and indexes, which putTogether makes again, at the
// latest before the commit. Who reads meanwhile waits for the commit; there was
// nothing that he could have found. Nobody is waited for: the change goes the
// ordinary way if somebody has the tables at this moment, if they belong to
// another role, if the catalogue may not be read, and if anything could not be
// made again just as it was.
func (c *change) takeApart(ctx context.Context, ops int) error {
	ddl := c.s.dialect.load
	if ddl == nil || ops < c.s.loadFrom || c.blank != (blank{true, true, true}) {
		return nil
	}
	if err := c.exec(ctx, `SAVEPOINT load`); err != nil {
		return err
	}
	parts, err := c.partsOf(ctx)
	away := err == nil && len(parts) > 0
	if away {
		away, err = c.tryParts(ctx, parts)
	}
	if err != nil || !away {
		return c.exec(ctx, `ROLLBACK TO SAVEPOINT load`)
	}
	c.parts, c.once = parts, []string{ipsInUse, c.s.dialect.rangesSQL()}
	return c.exec(ctx, `RELEASE SAVEPOINT load`)
}

// tryParts takes parts away, once it has seen that they can be made again, which
// takes no time while the tables are empty.
func (c *change) tryParts(ctx context.Context, parts []part) (same bool, err error) {
	var drops, makes []string
	for _, p := range parts {
		drops, makes = append(drops, p.drop), append(makes, p.make)
	}
	if err := c.exec(ctx, c.s.dialect.load.lock); err != nil {
		return false, err
	}
	if err := c.run(ctx, append(slices.Clone(drops), makes...)); err != nil {
		return false, err
	}
	again, err := c.partsOf(ctx)
	if err != nil || !slices.Equal(again, parts) {
		return false, err
	}
	return true, c.run(ctx, drops)
}

// findable puts the database together before a statement that misses an index
// which is away. An import has none: it knows of all MACs and addresses, and
// looks for attributes by entity and key, or by id.
func (c *change) findable(ctx context.Context, text string) error {
	if len(c.parts) == 0 || !c.misses(text) {
		return nil
	}
	if i := slices.Index(c.once, text); i >= 0 { // all is read once, and not again and again
		c.once = slices.Delete(c.once, i, i+1)
		return nil
	}
	return c.putTogether(ctx)
}

// misses tells a statement that needs an index which is away, or ends a row while
// the index on that is away: an index that is made later in the transaction would
// not be used in it (indcheckxmin), since it has not both versions of the row.
func (c *change) misses(text string) bool {
	if !strings.Contains(text, "entity_attrs") || strings.HasPrefix(text, intoAttrs) ||
		text == c.s.dialect.analyze || slices.Contains(byEntityAndKey, text) {
		return false
	}
	return strings.HasPrefix(text, "UPDATE") || !strings.Contains(text, "WHERE attr_id = ?")
}

var byEntityAndKey = []string{attrsOfKeySQL, placesInUse, numbersOfKeySQL}

// notTogether is what putTogether fails with. The ordinary way will say whose
// fault it is, as when a value is too long for an index.
type notTogether struct{ error }

func (e notTogether) Unwrap() error { return e.error }

// putTogether makes again what takeApart has taken away.
func (c *change) putTogether(ctx context.Context) error {
	if len(c.parts) == 0 {
		return nil
	}
	if _, err := c.idle(); err != nil {
		return err
	}
	var stmts []string
	for _, p := range c.parts {
		stmts = append(stmts, p.make)
	}
	c.parts = nil
	err := c.exec(ctx, c.s.dialect.load.ready)
	if err == nil {
		err = c.run(ctx, stmts)
	}
	if err != nil {
		return notTogether{err}
	}
	return nil
}

func (c *change) partsOf(ctx context.Context) (parts []part, err error) {
	var p part
	err = each(ctx, c, c.s.dialect.load.parts, []any{&p.drop, &p.make, &p.more}, func() { parts = append(parts, p) })
	return parts, err
}

// run has the database execute what its own catalogue said.
func (c *change) run(ctx context.Context, stmts []string) error {
	err := c.exec(ctx, c.s.dialect.load.note, strings.Join(stmts, ";\n"))
	if err == nil {
		err = c.exec(ctx, c.s.dialect.load.run)
	}
	return err
}
