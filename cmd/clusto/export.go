package main

import (
	"context"
	"encoding/json"
	"io"

	"github.com/clusto/clusto-engine/clusto"
	site "github.com/clusto/clusto-engine/clusto/inventory"
)

const exportAbout = "Write the whole inventory to standard output, as YAML from which import makes an equal one."

type exportFlags struct {
	JSON bool `name:"json" help:"Print an object a line, as the API gives them."`
	reading
	choice
}

func (f *exportFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	if f.JSON {
		enc := json.NewEncoder(out)
		return inv.Objects(ctx, func(o *clusto.Object) error { return enc.Encode(o) })
	}
	var all []clusto.Object
	if err := inv.Objects(ctx, func(o *clusto.Object) error { all = append(all, *o); return nil }); err != nil {
		return err
	}
	return site.Export(out, all)
}
