package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// hasOp refuses to go on unless an entity is, or holds, what the operation says.
// Where it names no entity, the result names the one found.
func (c *change) hasOp(ctx context.Context, op *clusto.Op) error {
	found, err := c.search(ctx, op)
	switch {
	case err != nil:
		return err
	case len(found) == 0:
		return fmt.Errorf("%s: %w", c.lack(ctx, op), clusto.ErrConflict)
	case op.As != "" && len(found) > 1:
		return fmt.Errorf("label %q: several entities have %s, such as %s and %s: %w", op.As, describe(op), found[0].Path(), found[1].Path(), clusto.ErrConflict)
	}
	c.label(op, found[0].Name)
	if op.Name == "" {
		c.results = append(c.results, clusto.Result{Index: c.index, Name: found[0].Name})
	}
	return nil
}

// lacksOp refuses to go on if hasOp would not.
func (c *change) lacksOp(ctx context.Context, op *clusto.Op) error {
	found, err := c.search(ctx, op)
	if err != nil || len(found) == 0 {
		return err
	}
	what := describe(op)
	if what == "" {
		return fmt.Errorf("entity %q exists, it is %s: %w", op.Name, found[0].Path(), clusto.ErrConflict)
	}
	return fmt.Errorf("%s has %s: %w", found[0].Path(), what, clusto.ErrConflict)
}

// lack says in words what is missing.
func (c *change) lack(ctx context.Context, op *clusto.Op) string {
	if op.Name == "" {
		return "no entity has " + describe(op)
	}
	e, err := c.find(ctx, op.Name)
	if err != nil || e == nil {
		return fmt.Sprintf("entity %q does not exist", op.Name)
	}
	return fmt.Sprintf("%s, driver %s, has no %s", e.Path(), e.Driver, describe(op))
}

// describe says in words what a has or lacks operation looks for.
func describe(op *clusto.Op) string {
	var parts []string
	if op.Driver != "" {
		parts = append(parts, fmt.Sprintf("driver %s", op.Driver))
	}
	if op.Key != "" {
		what := "attribute " + op.Key
		if op.Subkey != nil {
			what += " " + *op.Subkey
		}
		if op.Number != nil {
			what += fmt.Sprintf(" %d", *op.Number)
		}
		if op.Value != nil {
			what += fmt.Sprintf(" = %q", op.Value.Text())
		}
		parts = append(parts, what)
	}
	return strings.Join(parts, " and ")
}

// search gives up to two entities that meet an operation.
func (c *change) search(ctx context.Context, op *clusto.Op) ([]clusto.Entity, error) {
	switch {
	case op.Name == "" && op.Key == "":
		return nil, fmt.Errorf("%s: give a name, or the key of an attribute: %w", op.Op, clusto.ErrInvalid)
	case op.Key == "" && (op.Subkey != nil || op.Number != nil || op.Value != nil):
		return nil, fmt.Errorf("%s %q: subkey, number and value need a key: %w", op.Op, op.Name, clusto.ErrInvalid)
	}
	want, err := c.wanted(ctx, op)
	if errors.Is(err, clusto.ErrNotFound) {
		return nil, nil // nothing is related to what does not exist
	} else if err != nil {
		return nil, err
	}
	if op.Name == "" {
		return c.holding(ctx, &want)
	}
	e, err := c.find(ctx, op.Name)
	if err != nil || e == nil || op.Driver != "" && e.Driver != op.Driver {
		return nil, err
	}
	if ok, err := c.holds(ctx, e, &want); !ok || err != nil {
		return nil, err
	}
	return []clusto.Entity{e.Entity}, nil
}

// holds reports whether an entity has an attribute that is wanted, or need not.
func (c *change) holds(ctx context.Context, e *entity, want *wanted) (bool, error) {
	op := want.op
	if op.Key == "" {
		return true, nil
	}
	if in := c.byID[want.rel]; op.Key == keyContains && in != nil && op.Subkey == nil && op.Number == nil {
		// A pool may hold a hundred thousand things, a thing is in few pools.
		parents, err := c.parentsOf(ctx, in)
		return inside(parents, e), err
	}
	attrs, err := c.attrsOf(ctx, e, op.Key)
	return slices.ContainsFunc(attrs, func(a *attr) bool { return want.matches(&a.row) }), err
}

// holding gives up to two entities that have an attribute that is wanted.
func (c *change) holding(ctx context.Context, want *wanted) (found []clusto.Entity, err error) {
	if err := c.flush(ctx); err != nil {
		return nil, err
	}
	text, args := want.holdersSQL(c.s.dialect)
	rows, err := c.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var r row
	var e clusto.Entity
	into := append(r.fields(), &e.Name, &e.Type, &e.Driver)
	for len(found) < 2 && rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		ok := want.matches(&r) && (want.op.Driver == "" || want.op.Driver == e.Driver)
		if ok && !slices.Contains(found, e) {
			found = append(found, e)
		}
	}
	return found, rows.Err()
}

// holdersSQL finds the attributes that are wanted, and others beside them, with
// their entities. A value leads to few and a key may lead to all, so with a value
// the key is wrapped, lest a planner takes its index.
func (w *wanted) holdersSQL(d *dialect) (text string, args []any) {
	const key = ` WHERE COALESCE(a."key", '') = ?`
	text = `SELECT ` + rowColumns + `, e.name, e.type, e.driver FROM `
	one := `entity_attrs a` + d.per("entities", "e", `e.entity_id = a.entity_id AND e.deleted_at_version IS NULL`)
	switch v := w.value; {
	case v.Type == clusto.Relation:
		return text + one + ` WHERE a.relation_id = ? AND a."key" = ? AND a.deleted_at_version IS NULL`, []any{w.rel, w.op.Key}
	case v.Type == clusto.Int:
		return text + one + key + ` AND a.int_value = ` + wide + ` AND a.deleted_at_version IS NULL`, []any{w.op.Key, v.Int}
	case v.Type == clusto.String || v.Type == clusto.JSON:
		forms := []any{v.Str}
		if mac, err := clusto.ParseMAC(v.Str); err == nil && isMAC(subkeyOf(w.op)) {
			forms = spelled(mac)
		}
		return text + d.heldBy(len(forms)) + key, append(forms, w.op.Key)
	}
	return text + one + ` WHERE a."key" = ? AND a.deleted_at_version IS NULL`, []any{w.op.Key}
}
