package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// Attrs gives attributes of the entity named, in the order in which they were
// written; with Merge followed by those of its containers, then of their
// containers, and so on, with Origin and Distance set. At one distance the
// containers come by entity_id, as they did from the original on SQLite. Like
// the original it gives a container again that is reached at another distance,
// but a cycle ends. All of it is one state of the database: what moves from one
// container to another meanwhile is there once. It takes two statements, however
// many containers there are. It returns ErrNotFound if there is no such entity, and
// ErrInvalid if it would give more than mostAgain attributes again.
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
	all, err := s.above(ctx, tx, id, q)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	all.at(id).path = e.Path()
	w := walk{ctx: ctx, all: all}
	out, err := w.merged(id)
	if errors.Is(err, clusto.ErrInvalid) {
		return nil, fmt.Errorf("merge the attributes of %s with those of its containers: %w", e.Path(), err)
	} else if err != nil {
		return nil, s.failed("ask", err)
	}
	return out, nil
}

// mostAgain bounds the attributes that one merged answer gives again, because
// their container is reached at several distances: with containers inside each
// other their number grows with the square of the containers. 200,000 are some
// 30 MB of JSON; the original is out of memory or patience long before. What an
// answer gives once is not bounded: that is no more than the database has.
const mostAgain = 200_000

// askEvery is after how many attributes, or containers, a walk asks whether
// anybody still waits for it.
const askEvery = 4096

// walk goes from an entity to all that contains it, level by level.
type walk struct {
	ctx   context.Context
	all   above
	work  int // done since the context was asked
	again int // attributes given again
}

// did counts work, and ends the walk when nobody waits for it any longer.
func (w *walk) did(n int) error {
	if w.work += n; w.work < askEvery {
		return nil
	}
	w.work = 0
	return w.ctx.Err()
}

// merged gives the attributes of an entity, and those of what contains it.
func (w *walk) merged(id int64) ([]clusto.Attr, error) {
	out := []clusto.Attr{}
	level := []step{{id: id}}
	for distance := 0; len(level) > 0; distance++ {
		for _, at := range level {
			here := w.all.at(at.id)
			if err := w.may(here); err != nil {
				return nil, err
			}
			out = here.appendAttrs(out, distance)
		}
		var err error
		if level, err = w.next(level); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// may counts the attributes of a container that are to be given, and refuses
// too many.
func (w *walk) may(here *held) error {
	if here.given {
		w.again += len(here.attrs)
	}
	here.given = true
	if w.again > mostAgain {
		return fmt.Errorf("more than %d attributes would be given again, for their containers are reached at several distances; ask for one key, or without merge: %w", mostAgain, clusto.ErrInvalid)
	}
	return w.did(1 + len(here.attrs))
}

// above has, by entity_id, an entity and all that contains it, however far up.
type above map[int64]*held

// held is what is known of one of them.
type held struct {
	path       string
	attrs      []clusto.Attr
	containers []int64
	given      bool // its attributes are in the answer already
}

func (all above) at(id int64) *held {
	if all[id] == nil {
		all[id] = new(held)
	}
	return all[id]
}

func (h *held) appendAttrs(out []clusto.Attr, distance int) []clusto.Attr {
	for _, a := range h.attrs {
		a.Origin, a.Distance = h.path, distance
		out = append(out, a)
	}
	return out
}

// step is an entity and the way that led to it.
type step struct {
	id   int64
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

// next gives the level above one, by entity_id: the order in which things were
// inserted is not the original's. Each container is there once, by the first way
// that leads to it, so that a lattice of pools has no more steps than pools.
func (w *walk) next(level []step) (next []step, err error) {
	known := map[int64]bool{}
	for i := range level {
		at := &level[i]
		for _, id := range w.all.at(at.id).containers {
			if err := w.did(1); err != nil {
				return nil, err
			}
			if !known[id] && !at.passed(id) {
				known[id] = true
				next = append(next, step{id, at})
			}
		}
	}
	slices.SortFunc(next, func(a, b step) int { return cmp.Compare(a.id, b.id) })
	return next, nil
}

// above reads attributes of an entity, and with Merge all that contains it, with
// theirs.
func (s *Store) above(ctx context.Context, tx querier, id int64, q clusto.AttrQuery) (above, error) {
	text, args := s.dialect.visibleSQL(q.Merge), []any{id}
	if q.Key != "" {
		text, args = s.dialect.aboveSQL(q.Merge, ` AND a."key" = ?`), append(args, q.Key)
	} else if q.Hidden {
		text = s.dialect.aboveSQL(q.Merge, "")
	}
	var r row
	var of clusto.Entity
	all := above{}
	err := each(ctx, tx, s.dialect.q(text), append(r.fields(), &of.Name, &of.Type), func() {
		here := all.at(r.entity)
		if r.id != 0 {
			here.attrs = append(here.attrs, r.attrTo(of))
			return
		}
		here.containers = append(here.containers, r.rel.Int64)
		all.at(r.rel.Int64).path = of.Path()
	}, args...)
	return all, err
}

// aboveSQL finds the attributes, in the order in which they were written, of the
// entity that it is given, with what they point to; with merge those of all that
// contains it too, before them rows with id 0, which say of an entity what
// contains it. Each of conds finds some of the attributes. UNION drops what is
// found twice: a cycle of containers ends, and a lattice has no more rows than
// pools, however many ways lead through it. What tells deleted attributes is
// wrapped, lest PostgreSQL thinks that few are not, and takes the index that has
// it, and with it all that a pool contains.
func (d *dialect) aboveSQL(merge bool, conds ...string) string {
	text := `WITH up(id) AS (SELECT CAST(? AS INTEGER))`
	if merge {
		containers := ` FROM up` + d.per("entity_attrs", "c", `c.relation_id = up.id AND c."key" = '_contains' AND c.deleted_at_version IS NULL`) +
			d.per("entities", "e", `e.entity_id = c.entity_id AND e.deleted_at_version IS NULL`)
		text = `WITH RECURSIVE up(id) AS (SELECT CAST(? AS INTEGER) UNION SELECT e.entity_id` + containers + `)
			SELECT 0, up.id, '', NULL, NULL, 'relation', NULL, NULL, NULL, e.entity_id, e.name, e.type` + containers + ` UNION ALL`
	}
	const alive = ` AND CASE WHEN a.deleted_at_version IS NULL THEN 1 END = 1`
	for i, cond := range conds {
		if i > 0 {
			text += ` UNION ALL`
		}
		text += ` SELECT ` + rowColumns + `, COALESCE(r.name, ''), COALESCE(r.type, '') FROM up` +
			d.per("entity_attrs", "a", `a.entity_id = up.id`+alive+cond) +
			d.maybe("entities", "r", `r.entity_id = a.relation_id`)
	}
	return text + ` ORDER BY 1`
}

// visibleSQL is aboveSQL of the attributes that are not hidden. What a pool
// contains, which may be a hundred thousand, lies between and is not read.
func (d *dialect) visibleSQL(merge bool) string {
	const visible = ` AND substr(a."key", 1, 1) <> '_'`
	return d.aboveSQL(merge, visible+` AND a."key" < '_contains'`, visible+` AND a."key" > '_contains'`)
}

// containersSQL finds what contains an entity, and under which number, in the
// order in which it was put there.
func (d *dialect) containersSQL() string {
	return `SELECT e.entity_id, e.name, e.type, e.driver, a.number FROM entity_attrs a` +
		d.per("entities", "e", `e.entity_id = a.entity_id AND e.deleted_at_version IS NULL`) + `
		WHERE a.relation_id = ? AND a."key" = '_contains' AND a.deleted_at_version IS NULL ORDER BY a.attr_id`
}
