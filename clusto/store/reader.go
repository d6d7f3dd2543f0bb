package store

import (
	"context"
	"database/sql"
	"errors"
	"iter"

	"github.com/clusto/clusto-engine/clusto"
)

// statement is one of those that hosts are read with.
type statement int

const (
	byMAC     statement = iota // hostSQL from the spellings of a MAC
	byEntity                   // hostSQL from an entity_id
	ownersOf                   // ownersSQL, of a MAC
	relatedTo                  // relatedSQL
	allRanges                  // rangesSQL
	statements
)

// prepared are the statements, ready to run.
type prepared [statements]*sql.Stmt

// preparer is a database or a transaction.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// prepareOn prepares the statements.
func (d *dialect) prepareOn(ctx context.Context, db preparer) (p prepared, err error) {
	for _, s := range []struct {
		into statement
		text string
	}{
		{byMAC, d.hostSQL(d.fromMAC())},
		{byEntity, d.hostSQL(fromEntity)},
		{ownersOf, d.ownersSQL()},
		{relatedTo, d.relatedSQL()},
		{allRanges, d.rangesSQL()},
	} {
		if p[s.into], err = db.PrepareContext(ctx, d.q(s.text)); err != nil {
			return p, err
		}
	}
	return p, nil
}

// reader reads hosts from one state of the database: all it asks in one
// transaction, or in a single statement.
type reader struct {
	prepared
	tx    *sql.Tx // nil: a single statement
	other bool    // prepared outside of tx
	asked int     // statements run

	ranges   map[int64]*clusto.Network
	managers []manager
}

// errSeveral says that a single statement is not enough.
var errSeveral = errors.New("several statements are needed")

// snapshot has fn read hosts. It tries with a single statement first, unless
// that was not enough for the host before: a site where one host's options point
// to other entities has more of them.
func (s *Store) snapshot(ctx context.Context, fn func(ctx context.Context, r *reader) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.dialect == sqlite {
		// It takes microseconds, and to have the driver watch the context adds a
		// quarter to that.
		ctx = context.WithoutCancel(ctx)
	}
	if !s.several.Load() {
		if err := fn(ctx, &reader{prepared: s.hosts}); !errors.Is(err, errSeveral) {
			return err
		}
	}
	return s.transaction(ctx, func(r *reader) error {
		err := fn(ctx, r)
		if more := r.asked > 1; more != s.several.Load() {
			s.several.Store(more)
		}
		return err
	})
}

// transaction has fn read hosts with as many statements as it likes.
func (s *Store) transaction(ctx context.Context, fn func(r *reader) error) error {
	tx, err := s.beginRead(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	return fn(&reader{prepared: s.hosts, tx: tx, other: true})
}

// beginRead begins a transaction that sees one state of the database.
func (s *Store) beginRead(ctx context.Context) (*sql.Tx, error) { return s.begin(ctx, s.read) }

// beginBulk is beginRead for a transaction that takes long.
func (s *Store) beginBulk(ctx context.Context) (*sql.Tx, error) { return s.begin(ctx, s.bulk) }

func (s *Store) begin(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.dialect == postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return db.BeginTx(ctx, opts)
}

// each runs a statement, scans every row into the same places and calls fn.
func (r *reader) each(ctx context.Context, st statement, into []any, fn func(), args ...any) error {
	if r.asked++; r.asked > 1 && r.tx == nil {
		return errSeveral
	}
	stmt := r.prepared[st]
	if r.other {
		stmt = r.tx.StmtContext(ctx, stmt)
	}
	return eachOf(ctx, stmt, into, fn, args...)
}

// eachOf runs a statement, scans every row into the same places and calls fn.
func eachOf(ctx context.Context, stmt *sql.Stmt, into []any, fn func(), args ...any) error {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return scan(rows, into, fn)
}

// scan scans every row into the same places and calls fn.
func scan(rows *sql.Rows, into []any, fn func()) error {
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		fn()
	}
	return rows.Err()
}

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each runs a query, scans every row into the same places and calls fn.
func each(ctx context.Context, q querier, query string, into []any, fn func(), args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	return scan(rows, into, fn)
}

// graph makes an empty graph that asks this reader for managers.
func (r *reader) graph(ctx context.Context) *graph {
	g := newGraph()
	g.managers = func() ([]manager, error) { return r.allManagers(ctx) }
	return g
}

// allManagers gives the IP managers that have a range, by name.
func (r *reader) allManagers(ctx context.Context) (_ []manager, err error) {
	if r.managers == nil {
		r.ranges, r.managers, err = readRanges(func(into []any, fn func()) error { return r.each(ctx, allRanges, into, fn) })
	}
	return r.managers, err
}

// relate loads what the dhcp attributes of nodes point to. An entity that
// they point to has a manager of its own, which does not matter: a value is an
// address without a network.
func (r *reader) relate(ctx context.Context, g *graph, nodes iter.Seq[*node]) error {
	for n := range nodes {
		for _, a := range n.dhcp {
			if _, known := g.related[a.rel]; known || a.Value.Type != clusto.Relation || a.rel == 0 {
				continue
			}
			if err := r.relative(ctx, g, a.rel); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) relative(ctx context.Context, g *graph, id int64) error {
	var to *node
	var e clusto.Entity
	in := row{key: keyIP}
	err := r.each(ctx, relatedTo, []any{&e.Name, &e.Type, &e.Driver, &in.id, &in.sub, integer{&in.number}, integer{&in.num}, &in.text, integer{&in.rel}}, func() {
		if to == nil {
			to = &node{id: id, Entity: e, path: e.Path()}
		}
		if in.id != 0 {
			to.add(&in)
		}
	}, id)
	g.related[id] = to
	return err
}
