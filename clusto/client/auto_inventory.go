package client

import (
	"context"

	"github.com/clusto/clusto-engine/clusto"
)

// Entities does what Client.Entities does.
func (a *Auto) Entities(ctx context.Context, q clusto.Query) (out []clusto.Entity, err error) {
	err = a.either(ctx,
		func() (err error) { out, err = a.Client.Entities(ctx, q); return err },
		func() (err error) { out, err = a.legacy.Entities(ctx, q); return err })
	return out, err
}

// Object does what Client.Object does.
func (a *Auto) Object(ctx context.Context, name string) (o clusto.Object, err error) {
	err = a.either(ctx,
		func() (err error) { o, err = a.Client.Object(ctx, name); return err },
		func() (err error) { o, err = a.legacy.Object(ctx, name); return err })
	return o, err
}

// Attrs does what Client.Attrs does.
func (a *Auto) Attrs(ctx context.Context, q clusto.AttrQuery) (out []clusto.Attr, err error) {
	err = a.either(ctx,
		func() (err error) { out, err = a.Client.Attrs(ctx, q); return err },
		func() (err error) { out, err = a.legacy.Attrs(ctx, q); return err })
	return out, err
}

// Change does what Client.Change does; behind the original in single steps.
func (a *Auto) Change(ctx context.Context, ops []clusto.Op) (res []clusto.Result, err error) {
	err = a.either(ctx,
		func() (err error) { res, err = a.Client.Change(ctx, ops); return err },
		func() (err error) { res, err = a.legacy.Change(ctx, ops); return err })
	return res, err
}
