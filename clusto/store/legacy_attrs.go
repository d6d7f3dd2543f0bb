package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// Attrs gives attributes of the entity named, in the order in which they were
// written; with Merge followed by those of its containers, then of their
// containers, and so on, with Origin and Distance set. At one distance the
// containers come by entity_id, as they did from the original on SQLite. Like
// the original it gives a container again that is reached at another distance,
// but a cycle ends. All of it is one state of the database: what moves from one
// container to another meanwhile is there once. It returns ErrNotFound if there
// is no such entity.
func (s *Store) Attrs(ctx context.Context, q clusto.AttrQuery) ([]clusto.Attr, error) {
	tx, err := s.beginRead(ctx)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	id, e, err := s.entity(ctx, tx, q.Name)
	if err != nil {
		return nil, err
	}
	w := &walk{s: s, tx: tx, q: q, seen: map[int64]*seen{}, out: []clusto.Attr{}}
	level := []step{{id: id, path: e.Path()}}
	for distance := 0; len(level) > 0; distance++ {
		if err := ctx.Err(); err != nil {
			return nil, s.failed("ask", err)
		}
		if level, err = w.level(ctx, level, distance); err != nil {
			return nil, s.failed("ask", err)
		}
	}
	return w.out, nil
}

// walk gathers the attributes of an entity and its containers. Each entity is
// read once, however many ways lead to it.
type walk struct {
	s    *Store
	tx   querier
	q    clusto.AttrQuery
	seen map[int64]*seen
	out  []clusto.Attr
}

type seen struct {
	attrs   []clusto.Attr
	parents []step
}

// step is an entity and the way that led to it.
type step struct {
	id   int64
	path string
	from *step
}

func (st *step) passed(id int64) bool {
	for ; st != nil; st = st.from {
		if st.id == id {
			return true
		}
	}
	return false
}

// level adds the attributes of one level, and gives the level above it, by
// entity_id: the order in which things were inserted is not the original's.
func (w *walk) level(ctx context.Context, level []step, distance int) (next []step, err error) {
	for i := range level {
		at := &level[i]
		here, err := w.read(ctx, at)
		if err != nil {
			return nil, err
		}
		for _, a := range here.attrs {
			a.Distance = distance
			w.out = append(w.out, a)
		}
		for _, p := range here.parents {
			known := slices.ContainsFunc(next, func(s step) bool { return s.id == p.id })
			if !known && !at.passed(p.id) {
				next = append(next, step{p.id, p.path, at})
			}
		}
	}
	slices.SortFunc(next, func(a, b step) int { return cmp.Compare(a.id, b.id) })
	return next, nil
}

// containersSQL finds what contains an entity, and under which number, in the
// order in which it was put there.
func (d *dialect) containersSQL() string {
	return `SELECT e.entity_id, e.name, e.type, e.driver, a.number FROM entity_attrs a` +
		d.per("entities", "e", `e.entity_id = a.entity_id AND e.deleted_at_version IS NULL`) + `
		WHERE a.relation_id = ? AND a."key" = '_contains' AND a.deleted_at_version IS NULL ORDER BY a.attr_id`
}

// read gives an entity's attributes, and its containers if they are asked for.
func (w *walk) read(ctx context.Context, at *step) (*seen, error) {
	if here := w.seen[at.id]; here != nil {
		return here, nil
	}
	here := new(seen)
	var err error
	if here.attrs, err = w.s.attrsOf(ctx, w.tx, at, w.q); err != nil {
		return nil, err
	}
	w.seen[at.id] = here
	if !w.q.Merge {
		return here, nil
	}
	var id int64
	var e clusto.Entity
	var number sql.NullInt64
	return here, each(ctx, w.tx, w.s.dialect.q(w.s.dialect.containersSQL()), []any{&id, &e.Name, &e.Type, &e.Driver, integer{&number}}, func() {
		here.parents = append(here.parents, step{id: id, path: e.Path()})
	}, at.id)
}

// ownAttrsSQL finds the attributes of an entity that meet a condition too, with
// what they point to.
func (d *dialect) ownAttrsSQL(cond string) string {
	return d.ownRowsSQL(cond) + ` ORDER BY 1`
}

// visibleAttrsSQL finds those that are not hidden, given the entity twice. What a
// pool contains, which may be a hundred thousand, lies between and is not read.
func (d *dialect) visibleAttrsSQL() string {
	const visible = ` AND substr(a."key", 1, 1) <> '_'`
	return d.ownRowsSQL(visible+` AND a."key" < '_contains'`) + ` UNION ALL ` + d.ownRowsSQL(visible+` AND a."key" > '_contains'`) + ` ORDER BY 1`
}

func (d *dialect) ownRowsSQL(cond string) string {
	return `SELECT ` + rowColumns + `, COALESCE(r.name, ''), COALESCE(r.type, '') FROM entity_attrs a` +
		d.maybe("entities", "r", `r.entity_id = a.relation_id`) + `
		WHERE a.entity_id = ? AND a.deleted_at_version IS NULL` + cond
}

// attrsOf reads one entity's own attributes.
func (s *Store) attrsOf(ctx context.Context, q querier, at *step, want clusto.AttrQuery) ([]clusto.Attr, error) {
	text, args := s.dialect.ownAttrsSQL(""), []any{at.id}
	if want.Key != "" {
		text, args = s.dialect.ownAttrsSQL(` AND a."key" = ?`), append(args, want.Key)
	} else if !want.Hidden {
		text, args = s.dialect.visibleAttrsSQL(), append(args, at.id)
	}
	var r row
	var to clusto.Entity
	var attrs []clusto.Attr
	into := append(r.fields(), &to.Name, &to.Type)
	err := each(ctx, q, s.dialect.q(text), into, func() {
		a := r.attrTo(to)
		a.Origin = at.path
		attrs = append(attrs, a)
	}, args...)
	return attrs, err
}
