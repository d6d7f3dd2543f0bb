package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	driverEntityNames = "simpleentitynamemanager"
	driverNames       = "simplenamemanager"
	keySimpleName     = "simplename"
	keyNext           = "next"
)

// allocateOp takes the next free thing from a manager.
func (c *change) allocateOp(ctx context.Context, op *clusto.Op) error {
	m, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	switch m.Driver {
	case driverIPManager:
		return c.allocateIP(ctx, m, op)
	case driverEntityNames:
		return c.allocateEntity(ctx, m, op)
	case driverNames:
		return c.allocateName(ctx, m, op)
	}
	return fmt.Errorf("allocate from %s: its driver is %s, and %s, %s and %s are those that have something to give: %w",
		pathOf(m), m.Driver, driverIPManager, driverEntityNames, driverNames, clusto.ErrInvalid)
}

// misplaced refuses a field that this kind of manager has no use for, and the
// lack of one that it needs.
func misplaced(m *entity, needed, needs string, unused ...string) error {
	if needed == "" {
		return fmt.Errorf("allocate from %s: %q is missing: %w", pathOf(m), needs, clusto.ErrInvalid)
	}
	for i := 0; i < len(unused); i += 2 {
		if unused[i] != "" {
			return fmt.Errorf("allocate from %s, driver %s: it has no %q: %w", pathOf(m), m.Driver, unused[i+1], clusto.ErrInvalid)
		}
	}
	return nil
}

// allocateEntity makes an entity with the manager's next name.
func (c *change) allocateEntity(ctx context.Context, m *entity, op *clusto.Op) error {
	if err := misplaced(m, op.Driver, "driver", op.To, "to", op.OSPort, "osport"); err != nil {
		return err
	}
	d, err := driverOf(op)
	if err != nil {
		return fmt.Errorf("allocate from %s: %w", pathOf(m), err)
	}
	name, err := c.nextName(ctx, m, func(name string) (bool, error) {
		e, err := c.find(ctx, name)
		return e != nil, err
	})
	if err != nil {
		return err
	}
	if _, err := c.create(ctx, clusto.Entity{Name: name, Type: d.Type, Driver: op.Driver}, d); err != nil {
		return err
	}
	c.gave(op, clusto.Result{Name: name})
	return nil
}

// allocateName gives an entity the manager's next name as attributes of key
// simplename, as the original does.
func (c *change) allocateName(ctx context.Context, m *entity, op *clusto.Op) error {
	if err := misplaced(m, op.To, "to", op.Driver, "driver", op.OSPort, "osport"); err != nil {
		return err
	}
	e, err := c.need(ctx, op.To)
	if err != nil {
		return err
	}
	name, err := c.nextName(ctx, m, func(name string) (bool, error) { return c.nameTaken(ctx, name) })
	if err != nil {
		return err
	}
	meta, err := c.need(ctx, metaName)
	if err != nil {
		return err
	}
	n, err := c.count(ctx, counterKey{meta.id, keySimpleName}, `SELECT max(CAST(number AS INTEGER)) FROM entity_attrs WHERE "key" = 'simplename'`)
	if err != nil {
		return err
	}
	at := row{key: keySimpleName, number: sql.NullInt64{Int64: n, Valid: true}}
	value, manager := at, at
	value.setValue(clusto.Value{Type: clusto.String, Str: name})
	manager.sub = sql.NullString{String: "manager", Valid: true}
	manager.datatype, manager.rel = clusto.Relation, sql.NullInt64{Int64: m.id, Valid: true}
	for _, r := range []row{value, manager} {
		if err := c.add(ctx, e, r); err != nil {
			return err
		}
	}
	c.gave(op, clusto.Result{Name: name})
	return nil
}

// gave notes what an operation allocated.
func (c *change) gave(op *clusto.Op, r clusto.Result) {
	r.Index = c.index
	c.results = append(c.results, r)
	c.label(op, r.Name)
}

// nameTaken reports whether a name is an entity's, or was given to one.
func (c *change) nameTaken(ctx context.Context, name string) (bool, error) {
	if e, err := c.find(ctx, name); e != nil || err != nil {
		return e != nil, err
	}
	if err := c.flush(ctx); err != nil {
		return false, err
	}
	var id int64
	return c.one(ctx, `SELECT a.attr_id FROM entity_attrs a WHERE a.string_value = ? AND COALESCE(a."key", '') = 'simplename'
		AND a.deleted_at_version IS NULL LIMIT 1`, []any{&id}, name)
}

// nextName gives a manager's next name that is free. One that is taken is
// skipped for good.
func (c *change) nextName(ctx context.Context, m *entity, taken func(name string) (bool, error)) (string, error) {
	base, err := c.property(ctx, m, "basename", clusto.Value{Type: clusto.String})
	if err != nil {
		return "", err
	}
	digits, err := c.property(ctx, m, "digits", clusto.Value{Type: clusto.Int, Int: 2})
	if err != nil {
		return "", err
	}
	zeros, err := c.property(ctx, m, "leadingZeros", clusto.Value{Type: clusto.Int, Int: 1})
	if err != nil {
		return "", err
	}
	width, err := strconv.Atoi(strings.TrimSpace(digits.Text()))
	if err != nil || width < 1 || width > 18 {
		return "", fmt.Errorf("allocate from %s: its property digits is %q, and must be 1 to 18: %w", pathOf(m), digits.Text(), clusto.ErrConflict)
	}
	for {
		n, err := c.nextNumber(ctx, m)
		if err != nil {
			return "", err
		}
		num := strconv.FormatInt(n, 10)
		if len(num) > width || n >= math.MaxInt32 {
			return "", fmt.Errorf("allocate from %s: it is out of digits: its next number is %s, and its property digits is %d: %w", pathOf(m), num, width, clusto.ErrConflict)
		}
		if zeros.True() {
			num = strings.Repeat("0", width-len(num)) + num
		}
		name := base.Text() + num
		if err := clusto.CheckName(name); err != nil {
			return "", fmt.Errorf("allocate from %s: %w", pathOf(m), err)
		}
		if is, err := taken(name); !is || err != nil {
			return name, err
		}
	}
}

// nextNumber counts the names of a manager. The counter begins at the property
// next.
func (c *change) nextNumber(ctx context.Context, m *entity) (int64, error) {
	first, err := c.property(ctx, m, keyNext, clusto.Value{Type: clusto.Int, Int: 1})
	if err != nil {
		return 0, err
	}
	start, err := strconv.ParseInt(strings.TrimSpace(first.Text()), 10, 32)
	if err != nil || start < 0 {
		return 0, fmt.Errorf("allocate from %s: its property next is %q, which is no number from 0 on: %w", pathOf(m), first.Text(), clusto.ErrConflict)
	}
	return c.count(ctx, counterKey{m.id, keyNext}, `SELECT CAST(? AS INTEGER)`, start-1)
}

// property gives the value of a driver's property that an entity has, the last
// if there are several.
func (c *change) property(ctx context.Context, e *entity, key string, without clusto.Value) (clusto.Value, error) {
	attrs, err := c.attrsOf(ctx, e, key)
	for _, a := range attrs {
		if a.sub.String == subProperty {
			without = a.value()
		}
	}
	return without, err
}
