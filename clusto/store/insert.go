package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	driverUniquePool    = "unique_pool"
	driverExclusivePool = "exclusive_pool"
)

const placesInUse = `SELECT max(CAST(number AS INTEGER)) FROM entity_attrs WHERE entity_id = ? AND "key" = '_contains'`

// insertOp puts an entity into a container.
func (c *change) insertOp(ctx context.Context, op *clusto.Op) error {
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	into, err := c.need(ctx, op.Into)
	if err != nil {
		return err
	}
	rack := into.Type == "rack"
	if rack != (op.RU > 0) || op.RU < 0 {
		return fmt.Errorf("insert %s into %s: ru %d; racks need a rack unit from 1 on, other containers have none: %w", pathOf(e), pathOf(into), op.RU, clusto.ErrInvalid)
	}
	parents, err := c.parentsOf(ctx, e)
	if err != nil {
		return err
	}
	if inside(parents, into) {
		return c.alreadyIn(e, into, parents, op.RU)
	}
	if err := c.mayContain(ctx, op, e, into, parents); err != nil {
		return err
	}
	if rack {
		return c.insertIntoRack(ctx, e, into, op.RU)
	}
	n, err := c.number(ctx, into, op.Number, counterKey{into.id, keyContains}, placesInUse, into.id)
	if err != nil {
		return err
	}
	return c.contain(ctx, e, into, sql.NullString{}, n)
}

func inside(parents []parent, into *entity) bool {
	return slices.ContainsFunc(parents, func(p parent) bool { return p.container == into })
}

// alreadyIn checks that an entity is where it shall be.
func (c *change) alreadyIn(e, into *entity, parents []parent, ru int) error {
	if into.Type != "rack" {
		return nil
	}
	var at []int64
	for _, p := range parents {
		if p.container == into {
			at = append(at, p.number)
		}
	}
	slices.Sort(at)
	if at[0] != int64(ru) {
		return fmt.Errorf("insert %s into %s: it is there at rack unit %d, not %d; remove it first: %w", pathOf(e), pathOf(into), at[0], ru, clusto.ErrConflict)
	}
	return nil
}

// contain writes one _contains attribute.
func (c *change) contain(ctx context.Context, e, into *entity, sub sql.NullString, n int64) error {
	r := row{
		key: keyContains, sub: sub, number: sql.NullInt64{Int64: n, Valid: true},
		datatype: clusto.Relation, rel: sql.NullInt64{Int64: e.id, Valid: true},
	}
	e.parents = append(e.parents, parent{into, n})
	return c.add(ctx, into, r)
}

// memberSQL finds where a thing is in a container.
const memberSQL = `SELECT attr_id FROM entity_attrs WHERE relation_id = ? AND "key" = '_contains'
	AND COALESCE(entity_id, 0) = ? AND deleted_at_version IS NULL`

// removeOp takes an entity out of a container, all rack units at once. It looks
// for the relations to the entity: a pool may hold a hundred thousand others.
func (c *change) removeOp(ctx context.Context, op *clusto.Op) error {
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	into, err := c.need(ctx, op.Into)
	if err != nil {
		return err
	}
	if err := c.forgetAttrs(ctx, into, keyContains); err != nil {
		return err
	}
	var id int64
	var ids []int64
	if err := each(ctx, c, memberSQL, []any{&id}, func() { ids = append(ids, id) }, e.id, into.id); err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.end(ctx, "entity_attrs", "attr_id", id); err != nil {
			return err
		}
	}
	e.parents, e.have = nil, false
	return nil
}

// parentsOf gives the containers of an entity.
func (c *change) parentsOf(ctx context.Context, e *entity) ([]parent, error) {
	if e.have {
		return e.parents, nil
	}
	var of clusto.Entity
	var id int64
	var n sql.NullInt64
	var got []parent
	err := each(ctx, c, c.s.dialect.containersSQL(),
		[]any{&id, &of.Name, &of.Type, &of.Driver, integer{&n}},
		func() { got = append(got, parent{c.know(id, of), orNull(n)}) }, e.id)
	if err != nil {
		return nil, err
	}
	e.parents, e.have = got, true
	return got, nil
}

// mayContain applies the rules of the container's kind.
func (c *change) mayContain(ctx context.Context, op *clusto.Op, e, into *entity, parents []parent) error {
	refuse := func(p *entity, why string) error {
		return fmt.Errorf("insert %s into %s: it is in %s, %s: %w", pathOf(e), pathOf(into), pathOf(p), why, clusto.ErrConflict)
	}
	for _, p := range parents {
		switch in := p.container; {
		case into.Type == "pool" && in.Type == "pool" && in.Driver == driverExclusivePool:
			return refuse(in, "which is an exclusive pool")
		case into.Driver == driverExclusivePool && in.Type == "pool":
			return refuse(in, "and an exclusive pool allows no other")
		case into.Driver == driverUniquePool && in.Driver == driverUniquePool:
			return refuse(in, "and one unique pool is all it may be in")
		case slices.Contains(clusto.Locations, into.Type) && in.Type == into.Type:
			return refuse(in, "and a thing has one "+into.Type)
		case into.Type != "pool" && !slices.Contains(clusto.Locations, into.Type):
			return refuse(in, "and a "+into.Type+" takes only what is in nothing else")
		}
	}
	if op.Cycle {
		return nil // every walk ends in one
	}
	return c.noCycle(ctx, e, into)
}

// noCycle refuses to put an entity into itself or into something inside it.
func (c *change) noCycle(ctx context.Context, e, into *entity) error {
	seen := map[*entity]bool{into: true}
	for next := []*entity{into}; len(next) > 0; next = next[1:] {
		if next[0] == e {
			return fmt.Errorf("insert %s into %s: it would contain itself: %w", pathOf(e), pathOf(into), clusto.ErrConflict)
		}
		up, err := c.parentsOf(ctx, next[0])
		if err != nil {
			return err
		}
		for _, p := range up {
			if !seen[p.container] {
				seen[p.container] = true
				next = append(next, p.container)
			}
		}
	}
	return nil
}
