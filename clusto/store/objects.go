package store

import (
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
	w := &objects{byID: map[int64]int{}, gone: map[int64]string{}, fn: fn}
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

// objects is a walk over all objects.
type objects struct {
	all  []object
	byID map[int64]int    // into all
	gone map[int64]string // paths of deleted entities, which a relation may name still
	next int              // into all: the object whose attributes come
	fn   func(*clusto.Object) error
}

type object struct {
	clusto.Object
	id int64
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
			w.byID[id] = len(w.all)
			w.all = append(w.all, object{clusto.Object{Entity: e, Attrs: []clusto.Attr{}, Parents: []clusto.Entity{}}, id})
		})
	if err != nil {
		return err
	}
	err = each(ctx, tx, scanContains+` ORDER BY entity_id`, []any{&parent, &id}, func() {
		p, known := w.byID[parent]
		if i, ok := w.byID[id]; ok && known && !slices.Contains(w.all[i].Parents, w.all[p].Entity) {
			w.all[i].Parents = append(w.all[i].Parents, w.all[p].Entity)
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
			i, ok := w.byID[id]
			if !ok {
				return
			}
			if w.all[i].Counters == nil {
				w.all[i].Counters = map[string]int64{}
			}
			w.all[i].Counters[key] = value
		})
}

// add takes the next attribute, in the order of the entities.
func (w *objects) add(r *row) error {
	i, ok := w.byID[r.entity]
	if !ok {
		return nil // of an entity that was deleted past the rules
	}
	if err := w.upTo(i); err != nil {
		return err
	}
	a := r.attr()
	if a.Value.Type == clusto.Relation {
		if to, ok := w.byID[r.rel.Int64]; ok {
			a.Value.Str = w.all[to].Path()
		} else {
			a.Value.Str = w.gone[r.rel.Int64]
		}
	}
	w.all[i].Attrs = append(w.all[i].Attrs, a)
	return nil
}

// upTo hands on the objects before i.
func (w *objects) upTo(i int) error {
	for ; w.next < i; w.next++ {
		o := &w.all[w.next]
		if err := w.fn(&o.Object); err != nil {
			return err
		}
		*o = object{Object: clusto.Object{Entity: o.Entity}} // its attributes are in nobody's way
	}
	return nil
}
