package store

import (
	"context"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// makeAhead makes the new entities that the next operations ask for, many with
// one statement. The operations themselves find them made. What is wrong with
// one is left for its operation to say.
func (c *change) makeAhead(ctx context.Context, ops []clusto.Op) error {
	var want []clusto.Entity
	named := map[string]clusto.Driver{}
	for i := range ops[:min(len(ops), entitiesAtOnce)] {
		op := &ops[i]
		name := op.Name
		if own, is := ownName(op); is {
			name = own
		} else if op.Op != "entity" || strings.HasPrefix(name, "$") { // that may be a label
			break
		}
		d, err := driverOf(op)
		if _, twice := named[name]; twice || err != nil || clusto.CheckName(name) != nil || c.byName[name] != nil || name == metaName {
			continue
		}
		named[name] = d
		want = append(want, clusto.Entity{Name: name, Type: d.Type, Driver: op.Driver})
	}
	if len(want) < 2 {
		return nil
	}
	v, err := c.stamp(ctx)
	if err != nil {
		return err
	}
	text, args := c.s.dialect.insertEntities(want, v)
	ids := make(map[string]int64, len(want))
	var id int64
	var name string
	tx, err := c.idle()
	if err != nil {
		return err
	}
	err = each(ctx, tx, c.s.dialect.q(text), []any{&id, &name}, func() { ids[name] = id }, args...)
	if err != nil {
		return err
	}
	for _, e := range want {
		if err := c.made(ctx, c.know(ids[e.Name], e), named[e.Name]); err != nil {
			return err
		}
	}
	return nil
}
