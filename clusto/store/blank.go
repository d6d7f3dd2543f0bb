package store

import (
	"context"

	"github.com/clusto/clusto-engine/clusto"
)

// manyOps are so many that it pays to ask first what the database has at all.
const manyOps = 64

// blank says what the database had nothing of when the change began: then the
// change knows all there is of it, and needs not ask for each name, MAC and
// address of a first import.
type blank struct{ entities, macs, ips bool }

// ahead does what is better done for many operations than for one.
func (c *change) ahead(ctx context.Context, ops []clusto.Op) error {
	if !c.blank.entities || ops[0].Op != "entity" || c.byName[ops[0].Name] != nil {
		return nil
	}
	return c.makeAhead(ctx, ops)
}

func (c *change) look(ctx context.Context) error {
	for _, l := range []struct {
		has  string
		none *bool
	}{
		{`SELECT 1 FROM entities WHERE name <> 'clustometa' LIMIT 1`, &c.blank.entities},
		{`SELECT 1 FROM entity_attrs WHERE subkey IN ('mac', 'ipmi-mac') LIMIT 1`, &c.blank.macs},
		{`SELECT 1 FROM entity_attrs WHERE "key" = 'ip' LIMIT 1`, &c.blank.ips},
	} {
		var n int
		found, err := c.one(ctx, l.has, []any{&n})
		if err != nil {
			return err
		}
		*l.none = !found
	}
	return nil
}
