package store

import (
	"context"
	"database/sql"
	"math"
)

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

// holdsNext reports whether a counter's value is the next number, as with those
// of addresses and names; that of every other key is the last one given.
func (k counterKey) holdsNext() bool {
	return k.key == keyIP || k.key == keyNext || k.key == keySimpleName
}

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
		if _, err := c.stamp(ctx); err != nil {
			return err
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
