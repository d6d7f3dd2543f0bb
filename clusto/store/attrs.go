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

// pendingMax is how many attributes one INSERT writes.
const pendingMax = 200

const attrColumns = 10

var insertHead = `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype,
	int_value, string_value, datetime_value, relation_id, version) VALUES `

// attrsOf gives the live attributes of a key.
func (c *change) attrsOf(ctx context.Context, e *entity, key string) ([]*attr, error) {
	if got, ok := e.attrs[key]; ok || e.fresh {
		return got, nil
	}
	var r row
	var got []*attr
	err := each(ctx, c, `SELECT `+rowColumns+` FROM entity_attrs a
		WHERE a.entity_id = ? AND a."key" = ? AND a.deleted_at_version IS NULL ORDER BY a.attr_id`,
		r.fields(), func() { got = append(got, &attr{row: r, of: e}) }, e.id, key)
	if err != nil {
		return nil, err
	}
	e.attrs[key] = got
	return got, nil
}

// add writes a new attribute. The key's attributes must have been read.
func (c *change) add(ctx context.Context, e *entity, r row) error {
	r.id, r.entity = 0, e.id
	a := &attr{row: r, of: e}
	e.attrs[r.key] = append(e.attrs[r.key], a)
	c.use(a)
	if mac, ok := portMAC(&r); ok {
		c.macs[mac] = append(c.macs[mac], a)
	}
	c.pending = append(c.pending, a)
	if len(c.pending) < pendingMax {
		return nil
	}
	return c.flush(ctx)
}

// drop deletes an attribute.
func (c *change) drop(ctx context.Context, a *attr) error {
	if a.written {
		fresh, err := c.reread(ctx, a)
		if err != nil || fresh == nil {
			return err
		}
		a = fresh
	}
	e := a.of
	e.attrs[a.key] = slices.DeleteFunc(slices.Clone(e.attrs[a.key]), func(b *attr) bool { return a == b })
	if mac, ok := portMAC(&a.row); ok {
		c.macs[mac] = slices.DeleteFunc(c.macs[mac], func(b *attr) bool { return b.of == e && b.number == a.number && b.sub == a.sub })
	}
	if a.id == 0 {
		a.dropped = true
		return nil
	}
	v, err := c.stamp(ctx)
	if err != nil {
		return err
	}
	if c.versioned {
		return c.exec(ctx, `UPDATE entity_attrs SET deleted_at_version = ? WHERE attr_id = ?`, v, a.id)
	}
	return c.exec(ctx, `DELETE FROM entity_attrs WHERE attr_id = ?`, a.id)
}

// reread finds an attribute again that this change wrote, with its id.
func (c *change) reread(ctx context.Context, a *attr) (*attr, error) {
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	delete(a.of.attrs, a.key)
	fresh := a.of.fresh
	a.of.fresh = false
	got, err := c.attrsOf(ctx, a.of, a.key)
	a.of.fresh = fresh
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(got, func(b *attr) bool {
		return b.sub == a.sub && b.number == a.number && sameValue(&a.row, &b.row)
	})
	if i < 0 {
		return nil, nil
	}
	return got[i], nil
}

func sameValue(a, b *row) bool {
	v, w := a.value(), b.value()
	return v.Type == w.Type && v.Int == w.Int && v.Str == w.Str && a.rel == b.rel
}

// flush writes the pending attributes with one statement.
func (c *change) flush(ctx context.Context) error {
	live := slices.DeleteFunc(c.pending, func(a *attr) bool { return a.dropped })
	c.pending = nil
	if len(live) == 0 {
		return nil
	}
	v, err := c.stamp(ctx)
	if err != nil {
		return err
	}
	args := make([]any, 0, attrColumns*len(live))
	for _, a := range live {
		args = append(args, a.entity, a.key, a.sub, a.number, string(a.datatype), a.num, a.text, a.time, a.rel, v)
		a.written = true
	}
	values := strings.TrimSuffix(strings.Repeat("("+params(attrColumns)+"), ", len(live)), ", ")
	if len(live) == pendingMax { // the common length is worth preparing
		return c.exec(ctx, insertHead+values, args...)
	}
	_, err = c.tx.ExecContext(ctx, c.s.dialect.q(insertHead+values), args...)
	return err
}

// counterKey names a counter: what one entity counts under one key.
type counterKey struct {
	entity int64
	key    string
}

type counter struct {
	next  int64 // the next number to give out
	id    int64 // of the row, 0 if there is none yet
	dirty bool
}

// ipCounter counts from the next value; every other counter holds the last one.
func (k counterKey) holdsNext() bool { return k.key == keyIP }

// count gives the next number of a counter. A counter that is missing begins
// behind the highest number in use, numbers being never reused.
func (c *change) count(ctx context.Context, k counterKey, inUse string, args ...any) (int64, error) {
	n, err := c.counter(ctx, k, inUse, args...)
	if err != nil {
		return 0, err
	}
	n.dirty = true
	n.next++
	return n.next - 1, nil
}

// counter reads a counter once.
func (c *change) counter(ctx context.Context, k counterKey, inUse string, args ...any) (*counter, error) {
	n := c.counters[k]
	if n == nil {
		n = &counter{next: math.MinInt64}
		if err := c.readCounter(ctx, k, n); err != nil {
			return nil, err
		}
		if n.next == math.MinInt64 {
			if err := c.beginCounter(ctx, n, inUse, args...); err != nil {
				return nil, err
			}
		}
		c.counters[k] = n
	}
	return n, nil
}

// readCounter reads what the table has of a counter; without a value, next is
// left as it is.
func (c *change) readCounter(ctx context.Context, k counterKey, n *counter) error {
	var value sql.NullInt64
	_, err := c.one(ctx, `SELECT counter_id, value FROM counters WHERE entity_id = ? AND attr_key = ? ORDER BY counter_id LIMIT 1`,
		[]any{&n.id, &value}, k.entity, k.key)
	if err != nil || !value.Valid {
		return err
	}
	n.next = value.Int64
	if !k.holdsNext() {
		n.next++
	}
	return nil
}

// beginCounter sets a counter behind the highest number in use.
func (c *change) beginCounter(ctx context.Context, n *counter, inUse string, args ...any) error {
	var value sql.NullInt64
	if _, err := c.one(ctx, inUse, []any{&value}, args...); err != nil {
		return err
	}
	n.next = 0
	if value.Valid {
		n.next = value.Int64 + 1
	}
	return nil
}

func (c *change) saveCounters(ctx context.Context) error {
	for k, n := range c.counters {
		if !n.dirty {
			continue
		}
		value := n.next - 1
		if k.holdsNext() {
			value = n.next
		}
		var err error
		if n.id != 0 {
			err = c.exec(ctx, `UPDATE counters SET value = ? WHERE counter_id = ?`, value, n.id)
		} else {
			err = c.exec(ctx, `INSERT INTO counters (entity_id, attr_key, value) VALUES (?, ?, ?)`, k.entity, k.key, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// portMAC gives the MAC that an attribute claims for a port.
func portMAC(r *row) (clusto.MAC, bool) {
	if !strings.HasPrefix(r.key, "port-") || r.sub.String != subMAC && r.sub.String != subIPMI {
		return clusto.MAC{}, false
	}
	return parseStored(r.text.String)
}

// macTaken refuses a MAC that is on a port of another entity.
func (c *change) macTaken(ctx context.Context, e *entity, mac clusto.MAC) error {
	refuse := func(by *entity, r *row) error {
		return fmt.Errorf("MAC %s of %s is already on %s, %s: %w", mac, pathOf(e), pathOf(by), portName(r), clusto.ErrConflict)
	}
	for _, a := range c.macs[mac] {
		if a.of != e {
			return refuse(a.of, &a.row)
		}
	}
	forms := mac.Spellings()
	args := make([]any, clusto.MACForms)
	for i := range forms {
		args[i] = forms[i]
	}
	var r row
	var of clusto.Entity
	var taken error
	err := each(ctx, c, ownersSQL, []any{&r.id, &r.entity, &r.key, &r.sub, integer{&r.number}, &of.Name, &of.Type, &of.Driver}, func() {
		port := strings.HasPrefix(r.key, "port-") && (r.sub.String == subMAC || r.sub.String == subIPMI)
		if port && r.entity != e.id && taken == nil {
			taken = refuse(&entity{Entity: of}, &r)
		}
	}, args...)
	if err != nil {
		return err
	}
	return taken
}

func portName(r *row) string {
	if !r.number.Valid {
		return r.key + " " + r.sub.String
	}
	return fmt.Sprintf("%s %d %s", r.key, r.number.Int64, r.sub.String)
}
