package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// rawOp makes an entity hold just the given values under (key, subkey, number),
// whatever the rules of the other operations say of them.
func (c *change) rawOp(ctx context.Context, op *clusto.Op) error {
	if err := validRaw(op); err != nil {
		return err
	}
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	want, err := c.rawRows(ctx, e, op)
	if err != nil {
		return err
	}
	have, err := c.slot(ctx, e, op)
	if err != nil {
		return err
	}
	if slices.EqualFunc(have, want, func(a *attr, r row) bool { return sameValue(&a.row, &r) }) {
		return nil
	}
	for _, a := range have {
		if err := c.drop(ctx, a); err != nil {
			return err
		}
	}
	for _, r := range want {
		if err := c.add(ctx, e, r); err != nil {
			return err
		}
	}
	return c.changedRaw(ctx, e, op.Key, have, want)
}

func validRaw(op *clusto.Op) error {
	texts := []string{op.Key}
	if op.Subkey != nil {
		texts = append(texts, *op.Subkey)
	}
	for _, t := range texts {
		if t == "" || clusto.LongKey(t) || strings.ContainsRune(t, 0) {
			return fmt.Errorf("raw attribute of %q: key or subkey %.40q has no characters, more than 256, or a NUL: %w", op.Name, t, clusto.ErrInvalid)
		}
	}
	if n := op.Number; n != nil && (*n < math.MinInt32 || *n > math.MaxInt32) {
		return fmt.Errorf("raw attribute %s of %q: number %d is out of range: %w", op.Key, op.Name, *n, clusto.ErrInvalid)
	}
	return nil
}

// rawRows makes the rows of the values. A relation or date without text is one
// that points to nothing.
func (c *change) rawRows(ctx context.Context, e *entity, op *clusto.Op) ([]row, error) {
	rows := make([]row, len(op.Values))
	for i, v := range op.Values {
		r := &rows[i]
		r.key, r.sub, r.number = op.Key, nullString(op.Subkey), nullNumber(op.Number)
		switch {
		case v.Str == "" && (v.Type == clusto.Relation || v.Type == clusto.Datetime):
			r.datatype = v.Type
			continue
		case v.Type == clusto.Relation:
			to, err := c.related(ctx, v.Str)
			if err != nil {
				return nil, fmt.Errorf("raw attribute %s of %s: %w", op.Key, pathOf(e), err)
			}
			r.datatype, r.rel = v.Type, sql.NullInt64{Int64: to.id, Valid: true}
			continue
		case v.Type != clusto.JSON || strings.ContainsRune(v.Str, 0):
			var err error
			if v, err = checkValue(v, ""); err != nil {
				return nil, fmt.Errorf("raw attribute %s of %s: %w", op.Key, pathOf(e), err)
			}
		}
		r.setValue(v)
	}
	return rows, nil
}

func nullString(s *string) (n sql.NullString) {
	if s != nil {
		n = sql.NullString{String: *s, Valid: true}
	}
	return n
}

func nullNumber(i *int) (n sql.NullInt64) {
	if i != nil {
		n = sql.NullInt64{Int64: int64(*i), Valid: true}
	}
	return n
}

// slot gives the attributes under the operation's key, subkey and number, in
// the order in which they were written.
func (c *change) slot(ctx context.Context, e *entity, op *clusto.Op) ([]*attr, error) {
	all, err := c.attrsOf(ctx, e, op.Key)
	if err != nil {
		return nil, err
	}
	var same []*attr
	for _, a := range all {
		if a.sub == nullString(op.Subkey) && a.number == nullNumber(op.Number) {
			same = append(same, a)
		}
	}
	return same, nil
}

// changedRaw forgets what the change knew of what raw attributes say.
func (c *change) changedRaw(ctx context.Context, e *entity, key string, had []*attr, has []row) error {
	if key != keyContains && key != keyIP {
		return nil
	}
	if err := c.flush(ctx); err != nil { // the database knows whose an address is
		return err
	}
	forget := func(id int64) {
		if in := c.byID[id]; in != nil && key == keyContains {
			in.parents, in.have = nil, false
		}
	}
	for _, a := range had {
		forget(a.rel.Int64)
	}
	for _, r := range has {
		forget(r.rel.Int64)
	}
	return nil
}

// counterOp makes a counter stand at a value at least: what was given out once
// is not given out again.
func (c *change) counterOp(ctx context.Context, op *clusto.Op) error {
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	if err := validRaw(op); err != nil {
		return err
	}
	if op.Number == nil {
		return fmt.Errorf("counter %s of %s: the number is missing: %w", op.Key, pathOf(e), clusto.ErrInvalid)
	}
	k := counterKey{e.id, op.Key}
	next := int64(*op.Number)
	if !k.holdsNext() {
		next++
	}
	n := c.counters[k]
	if n == nil {
		n = &counter{next: math.MinInt64}
		if err := c.readCounter(ctx, k, n); err != nil {
			return err
		}
	}
	if n.next < next {
		n.next, n.dirty = next, true
		c.counters[k] = n
	}
	return nil
}

// number gives an attribute of e its number: the wanted one, unless e holds it
// already, else the counter's next. The counter goes on behind it.
func (c *change) number(ctx context.Context, e *entity, wanted *int, k counterKey, inUse string, args ...any) (int64, error) {
	if wanted == nil {
		return c.count(ctx, k, inUse, args...)
	}
	n, err := c.counter(ctx, k, inUse, args...)
	if err != nil {
		return 0, err
	}
	w := int64(*wanted)
	if w < n.next {
		used, err := c.usedBy(ctx, counterKey{e.id, k.key})
		if err != nil {
			return 0, err
		}
		if used[w] || w < 0 {
			return c.count(ctx, k, inUse, args...)
		}
		return w, nil
	}
	if w > math.MaxInt32 {
		return 0, fmt.Errorf("number %d of %s is out of range: %w", w, pathOf(e), clusto.ErrInvalid)
	}
	n.next, n.dirty = w+1, true
	return w, nil
}

const numbersOfKeySQL = `SELECT number FROM entity_attrs WHERE entity_id = ? AND "key" = ? AND deleted_at_version IS NULL`

// usedBy gives the numbers that an entity's attributes of a key have.
func (c *change) usedBy(ctx context.Context, k counterKey) (map[int64]bool, error) {
	if used := c.used[k]; used != nil {
		return used, nil
	}
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	used := map[int64]bool{}
	var n sql.NullInt64
	err := each(ctx, c, numbersOfKeySQL, []any{integer{&n}}, func() { used[orNull(n)] = true }, k.entity, k.key)
	c.used[k] = used
	return used, err
}

// use notes the number of a new attribute where numbers are kept.
func (c *change) use(a *attr) {
	if len(c.used) == 0 {
		return
	}
	if used := c.used[counterKey{a.of.id, a.key}]; used != nil {
		used[orNull(a.number)] = true
	}
}
