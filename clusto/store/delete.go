package store

import (
	"context"
	"fmt"

	"github.com/clusto/clusto-engine/clusto"
)

// metaName is the entity that holds the schema's version and the counters that
// belong to no other.
const metaName = "clustometa"

// keySchemaVersion is the attribute of clustometa that says which schema the
// database has. Open refuses a database by it.
const keySchemaVersion = "schemaversion"

// mayChange refuses to write or delete the schema's version.
func (e *entity) mayChange(key string) error {
	if e.Name == metaName && key == keySchemaVersion {
		return fmt.Errorf("attribute %s of %s: it says which schema the database has, and is changed by an upgrade alone: %w", key, pathOf(e), clusto.ErrConflict)
	}
	return nil
}

// deleteOp deletes an entity with all that speaks of it. A database with
// versions keeps the rows and notes when they ended; counters have no versions.
func (c *change) deleteOp(ctx context.Context, op *clusto.Op) error {
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	if e.Name == metaName {
		return fmt.Errorf("delete %s: clusto keeps its schema version and counters there: %w", pathOf(e), clusto.ErrConflict)
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	if err := c.freePeers(ctx, e); err != nil {
		return err
	}
	for _, column := range []string{"entity_id", "relation_id"} {
		if err := c.end(ctx, "entity_attrs", column, e.id); err != nil {
			return err
		}
	}
	if err := c.exec(ctx, `DELETE FROM counters WHERE entity_id = ?`, e.id); err != nil {
		return err
	}
	return c.end(ctx, "entities", "entity_id", e.id)
}

// peersSQL finds the otherportnum of each port that is connected to an entity.
func (d *dialect) peersSQL() string {
	return `SELECT o.attr_id FROM entity_attrs c` +
		d.per("entity_attrs", "o", `o.entity_id = c.entity_id AND o."key" = c."key" AND o.number = c.number
			AND COALESCE(o.subkey, '') = 'otherportnum' AND o.deleted_at_version IS NULL`) + `
		WHERE c.relation_id = ? AND c."key" LIKE 'port-%' AND COALESCE(c.subkey, '') = 'connection' AND c.deleted_at_version IS NULL`
}

// freePeers deletes the other port's number from every port that is connected
// to the entity. The connection itself goes with all other relations.
func (c *change) freePeers(ctx context.Context, e *entity) error {
	var id int64
	var ids []int64
	err := each(ctx, c, c.s.dialect.peersSQL(), []any{&id}, func() { ids = append(ids, id) }, e.id)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := c.end(ctx, "entity_attrs", "attr_id", id); err != nil {
			return err
		}
	}
	return nil
}

// end deletes the rows of a table whose column is id, or ends them at this
// change's version where the database keeps versions.
func (c *change) end(ctx context.Context, table, column string, id int64) error {
	v, err := c.stamp(ctx)
	if err != nil {
		return err
	}
	if c.versioned {
		return c.exec(ctx, `UPDATE `+table+` SET deleted_at_version = ? WHERE `+column+` = ? AND deleted_at_version IS NULL`, v, id)
	}
	return c.exec(ctx, `DELETE FROM `+table+` WHERE `+column+` = ?`, id)
}
