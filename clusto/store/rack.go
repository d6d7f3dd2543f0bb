package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// notRackable are the types that do not go into a rack.
var notRackable = append([]string{"pool", "resourcemanager", "clustometa"}, clusto.Locations...)

// insertIntoRack writes one attribute for each rack unit that the device takes.
func (c *change) insertIntoRack(ctx context.Context, e, into *entity, ru int) error {
	if slices.Contains(notRackable, e.Type) {
		return fmt.Errorf("insert %s into %s: only devices go into a rack: %w", pathOf(e), pathOf(into), clusto.ErrInvalid)
	}
	lowest, err := c.unitLimit(ctx, into, "minu", 1)
	if err != nil {
		return err
	}
	highest, err := c.unitLimit(ctx, into, "maxu", 45)
	if err != nil {
		return err
	}
	units := max(1, clusto.Drivers[e.Driver].Units)
	first, last := int64(ru), int64(ru+units-1)
	if first < lowest || last > highest {
		return fmt.Errorf("insert %s into %s: rack units %d to %d are not within %d to %d: %w", pathOf(e), pathOf(into), first, last, lowest, highest, clusto.ErrInvalid)
	}
	held, err := c.attrsOf(ctx, into, keyContains)
	if err != nil {
		return err
	}
	for _, a := range held {
		if n := a.number.Int64; a.sub.String == "ru" && n >= first && n <= last {
			return fmt.Errorf("insert %s into %s: rack unit %d is taken by %s: %w", pathOf(e), pathOf(into), n, c.nameOf(ctx, a.rel.Int64), clusto.ErrConflict)
		}
	}
	for n := first; n <= last; n++ {
		if err := c.contain(ctx, e, into, sql.NullString{String: "ru", Valid: true}, n); err != nil {
			return err
		}
	}
	return nil
}

// nameOf is for messages: an entity's path by id.
func (c *change) nameOf(ctx context.Context, id int64) string {
	if e, err := c.byEntityID(ctx, id); err == nil && e != nil {
		return pathOf(e)
	}
	return "another device"
}

// unitLimit reads a rack's lowest or highest unit.
func (c *change) unitLimit(ctx context.Context, rack *entity, key string, without int64) (int64, error) {
	attrs, err := c.attrsOf(ctx, rack, key)
	if err != nil {
		return 0, err
	}
	for _, a := range attrs {
		if a.sub.String == subProperty && a.num.Valid {
			without = a.num.Int64
		}
	}
	return without, nil
}
