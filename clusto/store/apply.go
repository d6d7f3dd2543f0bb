package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/jackc/pgx/v5/pgconn"
)

// Apply is Change for those who need no results.
func (s *Store) Apply(ctx context.Context, ops []clusto.Op) error {
	_, err := s.Change(ctx, ops)
	return err
}

// Change applies the operations in their order, in one transaction: all of them
// or none. It returns what they made or allocated, in the order of the list. An
// operation that cannot be applied is reported as a *clusto.OpError; a failing
// or read-only database as ErrUnavailable. What each operation does is in
// clusto.Op.
func (s *Store) Change(ctx context.Context, ops []clusto.Op) ([]clusto.Result, error) {
	if s.readOnly {
		return nil, fmt.Errorf("change database %q: %w", s.name, clusto.ErrReadOnly)
	}
	if err := s.present("change"); err != nil {
		return nil, err
	}
	for load := true; ; {
		results, err := s.change(ctx, ops, load)
		if err == nil {
			s.feed.ring()
		}
		apart := errors.As(err, &notTogether{})
		if !apart && !isInTheWay(err) {
			return results, err
		}
		load = load && !apart
	}
}

// change is Change, which calls it again where isInTheWay, and without load
// where the database was notTogether.
func (s *Store) change(ctx context.Context, ops []clusto.Op, load bool) ([]clusto.Result, error) {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, s.failed("change", err)
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, as it should
	if s.lock != "" {
		if _, err := tx.ExecContext(ctx, s.lock); err != nil {
			return nil, s.failed("lock", err)
		}
	}
	c := newChange(s, tx)
	if err := c.applyAll(ctx, ops, load); err != nil {
		return nil, err
	}
	if err := c.putTogether(ctx); err != nil {
		return nil, s.failed("change", err)
	}
	if err := tx.Commit(); err != nil {
		return nil, s.failed("change", err)
	}
	return c.results, nil
}

// applyAll applies the operations, all but the commit.
func (c *change) applyAll(ctx context.Context, ops []clusto.Op, load bool) error {
	if len(ops) >= manyOps {
		if err := c.look(ctx); err != nil {
			return c.s.failed("change", err)
		}
	}
	if load {
		if err := c.takeApart(ctx, len(ops)); err != nil {
			return c.s.failed("change", err)
		}
	}
	for c.index = range ops {
		if err := c.ahead(ctx, ops[c.index:]); err != nil {
			return c.s.failed("change", err)
		}
		if err := c.apply(ctx, &ops[c.index]); isRefusal(err) {
			return &clusto.OpError{Index: c.index, Err: err}
		} else if err != nil {
			return c.s.failed(fmt.Sprintf("operation %d: change", c.index), err)
		}
	}
	if err := c.finish(ctx); err != nil {
		return c.s.failed("change", err)
	}
	return nil
}

// isInTheWay tells that somebody who holds a row may be waiting for what this
// change held: it has to be let go, and tried again.
func isInTheWay(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03" // lock_not_available
}

func isRefusal(err error) bool {
	return errors.Is(err, clusto.ErrInvalid) || errors.Is(err, clusto.ErrConflict) || errors.Is(err, clusto.ErrNotFound)
}

// change is one transaction of Change with what it has read so far. New
// attributes wait in pending and are written many at a time.
type change struct {
	s        *Store
	tx       *sql.Tx
	stmts    map[string]*sql.Stmt
	byName   map[string]*entity
	byID     map[int64]*entity
	counters map[counterKey]*counter
	used     map[counterKey]map[int64]bool // numbers, where they had to be read
	pending  []*attr
	writing  chan error // ends what the transaction is writing, nil if that is nothing

	index   int // of the operation under way
	results []clusto.Result
	labels  clusto.Labels // the names that they stand for

	macs map[clusto.MAC][]*attr   // pending or written by this change, on ports
	ips  map[netip.Addr][]*entity // bound by this change

	managers     []manager
	haveManagers bool

	blank blank
	parts []part   // of the schema that are away
	once  []string // statements that may do without, one time each

	version   int64 // of what this change writes; 0 before the first write
	versioned bool
}

// entity is an entity of the database and what the change has read of it.
type entity struct {
	clusto.Entity
	id      int64
	fresh   bool               // made by this change: the database knows nothing more of it
	attrs   map[string][]*attr // by key, where read
	parents []parent
	have    bool // parents have been read
}

// parent is one _contains attribute that points to an entity.
type parent struct {
	container *entity
	number    int64 // the rack unit, in racks
}

// attr is a live attribute. id is 0 while it is pending and once it was
// written by this change.
type attr struct {
	row
	of      *entity
	dropped bool // while pending
	written bool // by this change
}

func newChange(s *Store, tx *sql.Tx) *change {
	c := &change{s: s, tx: tx, stmts: map[string]*sql.Stmt{}, labels: clusto.Labels{}}
	c.forget()
	return c
}

// forget drops all that the change knows of the database.
func (c *change) forget() {
	c.byName, c.byID = map[string]*entity{}, map[int64]*entity{}
	c.counters, c.used = map[counterKey]*counter{}, map[counterKey]map[int64]bool{}
	c.macs, c.ips = map[clusto.MAC][]*attr{}, map[netip.Addr][]*entity{}
	c.managers, c.haveManagers = nil, false
	c.blank = blank{}
}

// stmt prepares a statement once, where the driver does not, for a transaction
// that is idle.
func (c *change) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	tx, err := c.idle()
	if err != nil {
		return nil, err
	}
	if st := c.stmts[text]; st != nil {
		return st, nil
	}
	st, err := tx.PrepareContext(ctx, text)
	if err == nil {
		c.stmts[text] = st
	}
	return st, err
}

func (c *change) exec(ctx context.Context, text string, args ...any) error {
	run, err := c.statement(ctx, text)
	if err == nil {
		_, err = run(ctx, args...)
	}
	return err
}

// one scans the only row of a query; found is false if there is none.
func (c *change) one(ctx context.Context, text string, into []any, args ...any) (found bool, err error) {
	rows, err := c.QueryContext(ctx, text, args...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	if found = rows.Next(); found {
		if err := rows.Scan(into...); err != nil {
			return false, err
		}
	}
	return found, cmp.Or(rows.Err(), rows.Close())
}

// QueryContext makes a change a querier that prepares its statements.
func (c *change) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	if err := c.findable(ctx, text); err != nil {
		return nil, err
	}
	if c.s.dialect.keeps {
		tx, err := c.idle()
		if err != nil {
			return nil, err
		}
		return tx.QueryContext(ctx, c.s.dialect.q(text), args...)
	}
	st, err := c.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// stamp gives the version of what this change writes. A database keeps
// versions if it has any: then each change gets one of its own.
func (c *change) stamp(ctx context.Context) (int64, error) {
	if c.version != 0 {
		return c.version, nil
	}
	var last sql.NullInt64
	if _, err := c.one(ctx, `SELECT max(version) FROM clustoversioning`, []any{&last}); err != nil {
		return 0, err
	}
	v := int64(1)
	if last.Valid {
		c.versioned = true
		if _, err := c.one(ctx, `INSERT INTO clustoversioning (timestamp) VALUES (CURRENT_TIMESTAMP) RETURNING version`, []any{&v}); err != nil {
			return 0, err
		}
	}
	c.version = v
	return v, nil
}

// settle writes all that is pending and forgets all that was read, for an
// operation that changes many entities past the change's memory.
func (c *change) settle(ctx context.Context) error {
	if err := c.finish(ctx); err != nil {
		return err
	}
	c.forget()
	return nil
}

// finish writes what is still pending.
func (c *change) finish(ctx context.Context) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	if err := c.saveCounters(ctx); err != nil {
		return err
	}
	_, err := c.idle()
	return err
}
