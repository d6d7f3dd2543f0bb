package store

import (
	"context"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// named gives the operation with names instead of labels.
func (c *change) named(ctx context.Context, op clusto.Op) (clusto.Op, error) {
	names := []*string{&op.To, &op.Into}
	if name, own := ownName(&op); own {
		op.Name = name
	} else {
		names = append(names, &op.Name)
	}
	if v := op.Value; v != nil && v.Type == clusto.Relation {
		w := *v
		op.Value, names = &w, append(names, &w.Str)
	}
	op.Values = slices.Clone(op.Values)
	for i := range op.Values {
		if v := &op.Values[i]; v.Type == clusto.Relation {
			names = append(names, &v.Str)
		}
	}
	for _, name := range names {
		if err := c.unlabel(ctx, name); err != nil {
			return op, err
		}
	}
	return op, nil
}

// ownName gives the name that clusto.NewName has written, and reports whether
// the operation has one.
func ownName(op *clusto.Op) (name string, own bool) {
	name, own = strings.CutPrefix(op.Name, "$")
	own = own && strings.HasPrefix(name, "$") && (op.Op == "entity" || op.Op == "create")
	return name, own
}

// unlabel puts the name that "$label" stands for in its place.
func (c *change) unlabel(ctx context.Context, name *string) (err error) {
	*name, err = c.labels.Name(*name, func(name string) (bool, error) {
		e, err := c.find(ctx, name)
		return e != nil, err
	})
	return err
}
