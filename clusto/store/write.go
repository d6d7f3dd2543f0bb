package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// entitiesAtOnce is how many entities one INSERT writes at most. Of attributes
// that is the dialect's batch.
const entitiesAtOnce = 200

// rowsOf writes n rows of parameters: (?, ?), (?, ?).
func rowsOf(n, columns int) string {
	return strings.TrimSuffix(strings.Repeat("("+params(columns)+"), ", n), ", ")
}

const (
	intoAttrs = `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype,
		int_value, string_value, datetime_value, relation_id, version) `
	intoEntities = `INSERT INTO entities (name, type, driver, version) `
	attrColumns  = 10
)

// insertAttrs writes attributes in their order. PostgreSQL gets a statement that
// is the same for any number of them. It takes the arrays apart row by row in the
// list of columns; in FROM it would first write each of them down as a table.
func (d *dialect) insertAttrs(live []*attr, version int64) (text string, args []any) {
	if d.arrays {
		return intoAttrs + `SELECT unnest(CAST(? AS INTEGER[])), unnest(CAST(? AS TEXT[])), unnest(CAST(? AS TEXT[])), unnest(CAST(? AS INTEGER[])), unnest(CAST(? AS TEXT[])),
			unnest(CAST(? AS BIGINT[])), unnest(CAST(? AS TEXT[])), unnest(CAST(? AS TIMESTAMP[])), unnest(CAST(? AS INTEGER[])), CAST(? AS INTEGER)`, append(arrays(live), version)
	}
	args = make([]any, 0, attrColumns*len(live))
	for _, a := range live {
		args = append(args, a.entity, a.key, a.sub, a.number, string(a.datatype), a.num, a.text, a.time, a.rel, version)
	}
	return intoAttrs + `VALUES ` + rowsOf(len(live), attrColumns), args
}

// write writes attributes. The database is given a whole batch and left alone
// with it, while the change reads on in its operations.
func (c *change) write(ctx context.Context, live []*attr, version int64) error {
	text, args := c.s.dialect.insertAttrs(live, version)
	if len(live) < c.s.dialect.batch {
		return longest(live, c.exec(ctx, text, args...))
	}
	run, err := c.statement(ctx, text)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	c.writing = done
	go func() {
		_, err := run(ctx, args...)
		done <- longest(live, err)
	}()
	return nil
}

// statement gives what runs a statement, in a transaction that is idle now.
func (c *change) statement(ctx context.Context, text string) (func(context.Context, ...any) (sql.Result, error), error) {
	if err := c.findable(ctx, text); err != nil {
		return nil, err
	}
	if !c.s.dialect.keeps {
		st, err := c.stmt(ctx, text)
		if err != nil {
			return nil, err
		}
		return st.ExecContext, nil
	}
	tx, err := c.idle()
	return func(ctx context.Context, args ...any) (sql.Result, error) {
		return tx.ExecContext(ctx, c.s.dialect.q(text), args...)
	}, err
}

// idle gives the transaction, once it is done with what it is writing.
func (c *change) idle() (*sql.Tx, error) {
	if c.writing == nil {
		return c.tx, nil
	}
	err := <-c.writing
	c.writing = nil
	return c.tx, err
}

// longest names the attribute that is meant if one is too long.
func longest(live []*attr, err error) error {
	if !isTooLong(err) {
		return err
	}
	return tooLong{slices.MaxFunc(live, func(a, b *attr) int { return cmp.Compare(len(a.text.String), len(b.text.String)) }), err}
}

// arrays gives the columns of attributes but for the version.
func arrays(live []*attr) []any {
	return []any{
		column(live, func(a *attr) *int64 { return &a.entity }),
		column(live, func(a *attr) *string { return &a.key }),
		column(live, func(a *attr) *string { return textOrNull(&a.sub) }),
		column(live, func(a *attr) *int64 { return intOrNull(&a.number) }),
		column(live, func(a *attr) *string { return (*string)(&a.datatype) }),
		column(live, func(a *attr) *int64 { return intOrNull(&a.num) }),
		column(live, func(a *attr) *string { return textOrNull(&a.text) }),
		column(live, func(a *attr) *string { return textOrNull(&a.time) }),
		column(live, func(a *attr) *int64 { return intOrNull(&a.rel) }),
	}
}

func column[T, V any](rows []T, of func(T) *V) []*V {
	all := make([]*V, len(rows))
	for i, r := range rows {
		all[i] = of(r)
	}
	return all
}

func textOrNull(s *sql.NullString) *string {
	if !s.Valid {
		return nil
	}
	return &s.String
}

func intOrNull(n *sql.NullInt64) *int64 {
	if !n.Valid {
		return nil
	}
	return &n.Int64
}

// insertEntities writes entities, and gives id and name of each.
func (d *dialect) insertEntities(all []clusto.Entity, version int64) (text string, args []any) {
	const giving = ` RETURNING entity_id, name`
	if d.arrays {
		each := func(of func(e *clusto.Entity) *string) (out []*string) {
			for i := range all {
				out = append(out, of(&all[i]))
			}
			return out
		}
		return intoEntities + `SELECT unnest(CAST(? AS TEXT[])), unnest(CAST(? AS TEXT[])), unnest(CAST(? AS TEXT[])), CAST(? AS INTEGER)` + giving, []any{
			each(func(e *clusto.Entity) *string { return &e.Name }),
			each(func(e *clusto.Entity) *string { return &e.Type }),
			each(func(e *clusto.Entity) *string { return &e.Driver }),
			version,
		}
	}
	args = make([]any, 0, 4*len(all))
	for _, e := range all {
		args = append(args, e.Name, e.Type, e.Driver, version)
	}
	return intoEntities + `VALUES ` + rowsOf(len(all), 4) + giving, args
}
