package client

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/clusto/clusto-engine/clusto"
)

// maxObject bounds one line of the stream of all objects: a pool holds an
// attribute for each of its members.
const maxObject = 256 << 20

// Objects calls f with every entity of the inventory and all that it holds, in
// the order in which they were made. The rest
// is as with Hosts.
func (c *Client) Objects(ctx context.Context, f func(*clusto.Object) error) error {
	lines := stream{path: "/v2/objects", of: "object", begins: `{"name"`, max: maxObject}
	_, err := c.stream(ctx, lines, func(line []byte) (use func() error, err error) {
		o := new(clusto.Object)
		err = json.Unmarshal(line, o)
		return func() error { return f(o) }, err
	})
	return err
}

// getLarge is get where the answer grows with what a container holds.
func (c *Client) getLarge(ctx context.Context, path string, into any) error {
	patient := *c
	patient.cfg.MaxBody = max(c.cfg.MaxBody, maxObject)
	return patient.call(ctx, c.cfg.LongTimeout, http.MethodGet, path, nil, into)
}
