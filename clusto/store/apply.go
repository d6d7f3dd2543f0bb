package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
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
		return nil, fmt.Errorf("change database %q: it is read-only: %w", s.name, clusto.ErrUnavailable)
	}
	if err := s.present("change"); err != nil {
		return nil, err
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return nil, s.failed("change", err)
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, as it should
	if s.dialect.lock != "" {
		if _, err := tx.ExecContext(ctx, s.dialect.lock); err != nil {
			return nil, s.failed("lock", err)
		}
	}
	c := newChange(s, tx)
	for c.index = range ops {
		if err := c.apply(ctx, &ops[c.index]); isRefusal(err) {
			return nil, &clusto.OpError{Index: c.index, Err: err}
		} else if err != nil {
			return nil, s.failed(fmt.Sprintf("operation %d: change", c.index), err)
		}
	}
	if err := c.finish(ctx); err != nil {
		return nil, s.failed("change", err)
	}
	if err := tx.Commit(); err != nil {
		return nil, s.failed("change", err)
	}
	return c.results, nil
}

func isRefusal(err error) bool {
	return errors.Is(err, clusto.ErrInvalid) || errors.Is(err, clusto.ErrConflict) || errors.Is(err, clusto.ErrNotFound)
}

func (c *change) apply(ctx context.Context, op *clusto.Op) error {
	switch op.Op {
	case "entity":
		return c.entityOp(ctx, op)
	case "attr":
		return c.attrOp(ctx, op)
	case "insert":
		return c.insertOp(ctx, op)
	case "bind":
		return c.bindOp(ctx, op)
	case "raw":
		return c.rawOp(ctx, op)
	case "counter":
		return c.counterOp(ctx, op)
	}
	return fmt.Errorf("operation %q is none of entity, attr, insert, bind, raw, counter: %w", op.Op, clusto.ErrInvalid)
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

	index   int // of the operation under way
	results []clusto.Result

	macs map[clusto.MAC][]*attr   // pending or written by this change, on ports
	ips  map[netip.Addr][]*entity // bound by this change

	managers     []manager
	haveManagers bool

	version   int64 // of what this change writes; 0 before the first write
	versioned bool
}

// entity is an entity of the database and what the change has read of it.
type entity struct {
	clusto.Entity
	id      int64
	fresh   bool               // made by this change: the database knows nothing more of it
	attrs   map[string][]*attr // by key, where read
	partial bool               // of attrs[_contains] only what this change added is there
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
	return &change{
		s: s, tx: tx,
		stmts:  map[string]*sql.Stmt{},
		byName: map[string]*entity{}, byID: map[int64]*entity{},
		counters: map[counterKey]*counter{}, used: map[counterKey]map[int64]bool{},
		macs: map[clusto.MAC][]*attr{}, ips: map[netip.Addr][]*entity{},
	}
}

// stmt prepares a statement once.
func (c *change) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if st := c.stmts[text]; st != nil {
		return st, nil
	}
	st, err := c.tx.PrepareContext(ctx, c.s.dialect.q(text))
	if err == nil {
		c.stmts[text] = st
	}
	return st, err
}

func (c *change) exec(ctx context.Context, text string, args ...any) error {
	st, err := c.stmt(ctx, text)
	if err != nil {
		return err
	}
	_, err = st.ExecContext(ctx, args...)
	return err
}

// one scans the only row of a query; found is false if there is none.
func (c *change) one(ctx context.Context, text string, into []any, args ...any) (found bool, err error) {
	st, err := c.stmt(ctx, text)
	if err != nil {
		return false, err
	}
	err = st.QueryRowContext(ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// QueryContext makes a change a querier that prepares its statements.
func (c *change) QueryContext(ctx context.Context, text string, args ...any) (*sql.Rows, error) {
	st, err := c.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// find gives the entity of that name, nil if there is none.
func (c *change) find(ctx context.Context, name string) (*entity, error) {
	if e := c.byName[name]; e != nil {
		return e, nil
	}
	e := entity{attrs: map[string][]*attr{}}
	found, err := c.one(ctx, `SELECT entity_id, name, type, driver FROM entities
		WHERE name = ? AND deleted_at_version IS NULL ORDER BY entity_id LIMIT 1`,
		[]any{&e.id, &e.Name, &e.Type, &e.Driver}, name)
	if err != nil || !found {
		return nil, err
	}
	return c.know(e.id, e.Entity), nil
}

// need is find where the entity must exist.
func (c *change) need(ctx context.Context, name string) (*entity, error) {
	if name == "" {
		return nil, fmt.Errorf("the name of an entity is missing: %w", clusto.ErrInvalid)
	}
	e, err := c.find(ctx, name)
	if err == nil && e == nil {
		err = fmt.Errorf("entity %q: %w; it has to be made before it is used", name, clusto.ErrNotFound)
	}
	return e, err
}

// know files an entity that some query met.
func (c *change) know(id int64, e clusto.Entity) *entity {
	if known := c.byID[id]; known != nil {
		return known
	}
	n := &entity{Entity: e, id: id, attrs: map[string][]*attr{}}
	c.byID[id] = n
	if c.byName[e.Name] == nil {
		c.byName[e.Name] = n
	}
	return n
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

// finish writes what is still pending.
func (c *change) finish(ctx context.Context) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	return c.saveCounters(ctx)
}

// pathOf is a short name for messages.
func pathOf(e *entity) string { return e.Path() }

// validName refuses names that the HTTP API could not address or the schema
// could not hold.
func validName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name of an entity is missing: %w", clusto.ErrInvalid)
	case len(name) > 128:
		return fmt.Errorf("entity name %q is longer than 128 bytes: %w", name[:32]+"...", clusto.ErrInvalid)
	case strings.ContainsFunc(name, func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f || r == '\uFFFD' }) || strings.TrimSpace(name) != name:
		return fmt.Errorf("entity name %q has a slash, a control character or blanks at an end: %w", name, clusto.ErrInvalid)
	}
	return nil
}
