package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// Objects gives every entity with its attributes and counters to fn, in the
// order in which they were made (entity_id). Ports are left out: the attributes
// have what is in use. All of it is one state of the database; fn must not
// change it, and should not take long. fn's error ends it and is returned.
func (s *Store) Objects(ctx context.Context, fn func(*clusto.Object) error) error {
	tx, err := s.beginBulk(ctx)
	if err != nil {
		return s.failed("read", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	w := &objects{words: map[string]string{}, gone: map[int64]string{}, counters: map[int64]map[string]int64{}, attrs: []clusto.Attr{}, fn: fn}
	if err := w.load(ctx, tx); err != nil {
		return s.failed("read", err)
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+rowColumns+` FROM entity_attrs a
		WHERE a.deleted_at_version IS NULL ORDER BY a.entity_id, a.attr_id`)
	if err != nil {
		return s.failed("read", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		if err := rows.Scan(r.fields()...); err != nil {
			return s.failed("read", err)
		}
		if err := w.add(&r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return s.failed("read", err)
	}
	return w.upTo(len(w.all))
}

// objects is a walk over all objects. It keeps little of each: there may be a
// million, and an export takes as long as its reader.
type objects struct {
	all      []head // by id
	words    map[string]string
	gone     map[int64]string // paths of deleted entities, which a relation may name still
	counters map[int64]map[string]int64
	next     int           // into all: the object whose attributes come
	attrs    []clusto.Attr // its, so far
	fn       func(*clusto.Object) error
}

// head is what is kept of an object.
type head struct {
	clusto.Entity
	id      int64
	parents []int32 // into all
}

// at finds a living entity.
func (w *objects) at(id int64) (i int, ok bool) {
	return slices.BinarySearchFunc(w.all, id, func(h head, id int64) int { return cmp.Compare(h.id, id) })
}

// word gives one text for all that are equal: there are few types and drivers.
func (w *objects) word(s string) string {
	if known, ok := w.words[s]; ok {
		return known
	}
	w.words[s] = s
	return s
}

// load reads who there is, what contains whom, and the counters.
func (w *objects) load(ctx context.Context, tx querier) error {
	var id, parent int64
	var e clusto.Entity
	var live bool
	err := each(ctx, tx, `SELECT entity_id, name, type, driver, deleted_at_version IS NULL FROM entities ORDER BY entity_id`,
		[]any{&id, &e.Name, &e.Type, &e.Driver, &live}, func() {
			if !live {
				w.gone[id] = e.Path()
				return
			}
			e.Type, e.Driver = w.word(e.Type), w.word(e.Driver)
			w.all = append(w.all, head{Entity: e, id: id})
		})
	if err != nil {
		return err
	}
	err = each(ctx, tx, scanContains+` ORDER BY entity_id`, []any{&parent, &id}, func() {
		p, known := w.at(parent)
		if i, ok := w.at(id); ok && known && !slices.Contains(w.all[i].parents, int32(p)) {
			w.all[i].parents = append(w.all[i].parents, int32(p))
		}
	})
	if err != nil {
		return err
	}
	var key string
	var value int64
	return each(ctx, tx, `SELECT entity_id, attr_key, value FROM counters
		WHERE attr_key IS NOT NULL AND value IS NOT NULL ORDER BY counter_id DESC`, // the first one counts
		[]any{&id, &key, &value}, func() {
			if w.counters[id] == nil {
				w.counters[id] = map[string]int64{}
			}
			w.counters[id][key] = value
		})
}

// add takes the next attribute, in the order of the entities.
func (w *objects) add(r *row) error {
	i, ok := w.at(r.entity)
	if !ok {
		return nil // of an entity that was deleted past the rules
	}
	if err := w.upTo(i); err != nil {
		return err
	}
	a := r.attr()
	if a.Value.Type == clusto.Relation {
		if to, ok := w.at(r.rel.Int64); ok {
			a.Value.Str = w.all[to].Path()
		} else {
			a.Value.Str = w.gone[r.rel.Int64]
		}
	}
	w.attrs = append(w.attrs, a)
	return nil
}

// upTo hands on the objects before i.
func (w *objects) upTo(i int) error {
	for ; w.next < i; w.next++ {
		h := &w.all[w.next]
		o := clusto.Object{Entity: h.Entity, Attrs: w.attrs, Parents: []clusto.Entity{}, Counters: w.counters[h.id]}
		w.attrs = []clusto.Attr{}
		for _, p := range h.parents {
			o.Parents = append(o.Parents, w.all[p].Entity)
		}
		if err := w.fn(&o); err != nil {
			return err
		}
	}
	return nil
}
