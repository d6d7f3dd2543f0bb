package store

import (
	"context"
	"fmt"

	"github.com/clusto/clusto-engine/clusto"
)

// entityOp makes the entity exist with its driver.
func (c *change) entityOp(ctx context.Context, op *clusto.Op) error {
	if err := clusto.CheckName(op.Name); err != nil {
		return err
	}
	e, err := c.find(ctx, op.Name)
	switch {
	case err != nil:
		return err
	case e == nil:
		return c.createOp(ctx, op)
	case e.Driver == op.Driver && op.Type != "" && op.Type != e.Type:
		return fmt.Errorf("entity %q exists with type %q, not %q: %w", op.Name, e.Type, op.Type, clusto.ErrConflict)
	case e.Driver != op.Driver:
		return fmt.Errorf("entity %q exists with driver %q, not %q: %w", op.Name, e.Driver, op.Driver, clusto.ErrConflict)
	}
	c.label(op, op.Name)
	return nil
}

// createOp makes an entity that must not exist.
func (c *change) createOp(ctx context.Context, op *clusto.Op) error {
	if err := clusto.CheckName(op.Name); err != nil {
		return err
	}
	e, err := c.find(ctx, op.Name)
	if err != nil {
		return err
	}
	if e != nil {
		return fmt.Errorf("create entity %q: the name is taken by %s, driver %q: %w", op.Name, pathOf(e), e.Driver, clusto.ErrConflict)
	}
	d, err := driverOf(op)
	if err != nil {
		return fmt.Errorf("entity %q: %w", op.Name, err)
	}
	if _, err := c.create(ctx, clusto.Entity{Name: op.Name, Type: d.Type, Driver: op.Driver}, d); err != nil {
		return err
	}
	c.label(op, op.Name)
	return nil
}

// create writes a new entity with the properties that its driver gives it.
func (c *change) create(ctx context.Context, e clusto.Entity, d clusto.Driver) (*entity, error) {
	v, err := c.stamp(ctx)
	if err != nil {
		return nil, err
	}
	var id int64
	if _, err := c.one(ctx, `INSERT INTO entities (name, type, driver, version) VALUES (?, ?, ?, ?) RETURNING entity_id`,
		[]any{&id}, e.Name, e.Type, e.Driver, v); err != nil {
		return nil, err
	}
	n := c.know(id, e)
	return n, c.made(ctx, n, d)
}

// made gives a new entity the properties of its driver.
func (c *change) made(ctx context.Context, e *entity, d clusto.Driver) error {
	e.fresh, e.have = true, true
	for _, p := range d.Props {
		r := row{key: p.Key, sub: nullString(p.Subkey)}
		r.setValue(p.Value)
		if err := c.add(ctx, e, r); err != nil {
			return err
		}
	}
	return nil
}

// touched forgets what was derived from an attribute of the entity.
func (c *change) touched(e *entity, key string) {
	if e.Driver == driverIPManager && (key == "baseip" || key == "netmask" || key == "gateway") {
		c.managers, c.haveManagers = nil, false
	}
}

// find gives the entity of that name, nil if there is none.
func (c *change) find(ctx context.Context, name string) (*entity, error) {
	if e := c.byName[name]; e != nil {
		return e, nil
	}
	if c.blank.entities && name != metaName {
		return nil, nil
	}
	e := entity{attrs: map[string][]*attr{}}
	found, err := c.one(ctx, `SELECT entity_id, name, type, driver FROM entities
		WHERE name = ? AND deleted_at_version IS NULL ORDER BY entity_id LIMIT 1`,
		[]any{&e.id, &e.Name, &e.Type, &e.Driver}, name)
	if err != nil || !found {
		return nil, err
	}
	return c.know(e.id, e.Entity), nil
}

// need is find where the entity must exist.
func (c *change) need(ctx context.Context, name string) (*entity, error) {
	if name == "" {
		return nil, fmt.Errorf("the name of an entity is missing: %w", clusto.ErrInvalid)
	}
	e, err := c.find(ctx, name)
	if err == nil && e == nil {
		err = fmt.Errorf("entity %q: %w; it has to be made before it is used", name, clusto.ErrNotFound)
	}
	return e, err
}

// byEntityID gives a living entity, nil if there is none.
func (c *change) byEntityID(ctx context.Context, id int64) (*entity, error) {
	if e := c.byID[id]; e != nil {
		return e, nil
	}
	var e clusto.Entity
	found, err := c.one(ctx, `SELECT name, type, driver FROM entities WHERE entity_id = ? AND deleted_at_version IS NULL`,
		[]any{&e.Name, &e.Type, &e.Driver}, id)
	if err != nil || !found {
		return nil, err
	}
	return c.know(id, e), nil
}

// know files an entity that some query met.
func (c *change) know(id int64, e clusto.Entity) *entity {
	if known := c.byID[id]; known != nil {
		return known
	}
	n := &entity{Entity: e, id: id, attrs: map[string][]*attr{}}
	c.byID[id] = n
	if c.byName[e.Name] == nil {
		c.byName[e.Name] = n
	}
	return n
}

// pathOf is a short name for messages.
func pathOf(e *entity) string { return e.Path() }
