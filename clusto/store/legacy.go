package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Entity gives the entity of that name, or ErrNotFound.
func (s *Store) Entity(ctx context.Context, name string) (clusto.Entity, error) {
	_, e, err := s.entity(ctx, name)
	return e, err
}

func (s *Store) entity(ctx context.Context, name string) (id int64, e clusto.Entity, err error) {
	err = s.read.QueryRowContext(ctx, s.dialect.q(`SELECT entity_id, name, type, driver FROM entities
		WHERE name = ? AND deleted_at_version IS NULL ORDER BY entity_id LIMIT 1`), name).
		Scan(&id, &e.Name, &e.Type, &e.Driver)
	if err == sql.ErrNoRows {
		return 0, e, fmt.Errorf("entity %q: %w", name, clusto.ErrNotFound)
	} else if err != nil {
		return 0, e, s.failed("ask", err)
	}
	return id, e, nil
}

// Entities gives the entities that meet every condition of q, by entity_id.
func (s *Store) Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error) {
	where, args := entitiesWhere(q)
	var e clusto.Entity
	out := []clusto.Entity{}
	err := each(ctx, s.read, s.dialect.q(`SELECT e.name, e.type, e.driver FROM entities e
		WHERE e.deleted_at_version IS NULL`+where+` ORDER BY e.entity_id`),
		[]any{&e.Name, &e.Type, &e.Driver}, func() { out = append(out, e) }, args...)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	return out, nil
}

func entitiesWhere(q clusto.Query) (where string, args []any) {
	for _, c := range []struct {
		column string
		values []string
	}{{"name", q.Names}, {"type", q.Types}, {"driver", q.Drivers}} {
		if len(c.values) > 0 {
			where += " AND e." + c.column + " IN (" + params(len(c.values)) + ")"
			args = appendTexts(args, c.values)
		}
	}
	if len(q.Attrs) == 0 {
		return where, args
	}
	var unions []string
	for _, m := range q.Attrs {
		cond, a := matchWhere(m)
		if cond == "" {
			return where, args // no condition at all: every entity meets it
		}
		unions = append(unions, "SELECT a.entity_id FROM entity_attrs a WHERE a.deleted_at_version IS NULL"+cond)
		args = append(args, a...)
	}
	return where + " AND e.entity_id IN (" + strings.Join(unions, " UNION ") + ")", args
}

func appendTexts(args []any, texts []string) []any {
	for _, t := range texts {
		args = append(args, t)
	}
	return args
}

// matchWhere gives the conditions of one match. A value leads to few rows, a
// key may lead to all: with a value the other columns are wrapped, so that no
// planner takes their index.
func matchWhere(m clusto.AttrMatch) (cond string, args []any) {
	key, sub := `a."key"`, `a.subkey`
	if v := m.Value; v != nil {
		switch {
		case v.Int != nil:
			cond, args = ` AND a.int_value = ?`, append(args, *v.Int)
		case len(v.Texts) > 0:
			cond, args = ` AND a.string_value IN (`+params(len(v.Texts))+`)`, appendTexts(args, v.Texts)
		default:
			cond = ` AND a.string_value IS NULL`
		}
		if cond != ` AND a.string_value IS NULL` {
			key, sub = `COALESCE(a."key", '')`, `COALESCE(a.subkey, '')`
		}
	}
	if m.Key != "" {
		cond, args = cond+` AND `+key+` = ?`, append(args, m.Key)
	}
	if m.Subkey != nil && m.Subkey.Null {
		cond += ` AND a.subkey IS NULL`
	} else if m.Subkey != nil {
		cond, args = cond+` AND `+sub+` = ? AND a.subkey IS NOT NULL`, append(args, m.Subkey.Text)
	}
	switch n := m.Number; {
	case n == nil:
	case n.Equal != nil:
		cond, args = cond+` AND a.number = ?`, append(args, *n.Equal)
	case n.Null:
		cond += ` AND a.number IS NULL`
	default:
		cond += ` AND a.number IS NOT NULL`
	}
	return cond, args
}

// Attrs gives attributes of the entity named, in the order in which they were
// written; with Merge followed by those of its containers, then of their
// containers, and so on, with Origin and Distance set. At one distance the
// containers come by entity_id, as they did from the original on SQLite. Like
// the original it gives a container again that is reached at another distance,
// but a cycle ends. It returns ErrNotFound if there is no such entity.
func (s *Store) Attrs(ctx context.Context, q clusto.AttrQuery) ([]clusto.Attr, error) {
	id, e, err := s.entity(ctx, q.Name)
	if err != nil {
		return nil, err
	}
	w := &walk{s: s, q: q, seen: map[int64][]clusto.Attr{}, out: []clusto.Attr{}}
	level := []step{{id: id, path: e.Path()}}
	for distance := 0; len(level) > 0 && distance <= maxDistance; distance++ {
		if level, err = w.level(ctx, level, distance); err != nil {
			return nil, s.failed("ask", err)
		}
	}
	return w.out, nil
}

// walk gathers the attributes of an entity and its containers.
type walk struct {
	s    *Store
	q    clusto.AttrQuery
	seen map[int64][]clusto.Attr
	out  []clusto.Attr
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
		if err := w.add(ctx, at, distance); err != nil {
			return nil, err
		}
		if !w.q.Merge {
			continue
		}
		var id int64
		var e clusto.Entity
		err := each(ctx, w.s.read, w.s.dialect.q(containersSQL), []any{&id, &e.Name, &e.Type, &e.Driver}, func() {
			known := slices.ContainsFunc(next, func(s step) bool { return s.id == id })
			if !known && !at.passed(id) {
				next = append(next, step{id, e.Path(), at})
			}
		}, at.id)
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(next, func(a, b step) int { return cmp.Compare(a.id, b.id) })
	return next, nil
}

const containersSQL = `SELECT e.entity_id, e.name, e.type, e.driver FROM entity_attrs a
	JOIN entities e ON e.entity_id = a.entity_id AND e.deleted_at_version IS NULL
	WHERE a.relation_id = ? AND a."key" = '_contains' AND a.deleted_at_version IS NULL`

func (w *walk) add(ctx context.Context, at *step, distance int) error {
	attrs, ok := w.seen[at.id]
	if !ok {
		var err error
		if attrs, err = w.s.attrsOf(ctx, at, w.q); err != nil {
			return err
		}
		w.seen[at.id] = attrs
	}
	for _, a := range attrs {
		a.Distance = distance
		w.out = append(w.out, a)
	}
	return nil
}

// attrsOf reads one entity's own attributes.
func (s *Store) attrsOf(ctx context.Context, at *step, q clusto.AttrQuery) ([]clusto.Attr, error) {
	cond, args := "", []any{at.id}
	if q.Key != "" {
		cond, args = ` AND a."key" = ?`, append(args, q.Key)
	} else if !q.Hidden {
		cond = ` AND substr(a."key", 1, 1) <> '_'`
	}
	var r row
	var to clusto.Entity
	var attrs []clusto.Attr
	into := append(r.fields(), &to.Name, &to.Type)
	err := each(ctx, s.read, s.dialect.q(`SELECT `+rowColumns+`, COALESCE(r.name, ''), COALESCE(r.type, '')
		FROM entity_attrs a LEFT JOIN entities r ON r.entity_id = a.relation_id
		WHERE a.entity_id = ? AND a.deleted_at_version IS NULL`+cond+` ORDER BY a.attr_id`), into, func() {
		a := r.attr()
		a.Origin = at.path
		if a.Value.Type == clusto.Relation && to.Name != "" {
			a.Value.Str = to.Path()
		}
		attrs = append(attrs, a)
	}, args...)
	return attrs, err
}

// Managers gives the networks of the IP managers that have a range, by name.
func (s *Store) Managers(ctx context.Context) ([]clusto.Network, error) {
	all, err := s.managers(ctx)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	out := make([]clusto.Network, len(all))
	for i, m := range all {
		out[i] = m.Network
	}
	return out, nil
}
