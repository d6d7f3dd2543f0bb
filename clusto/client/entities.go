package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// Object gives an entity with all that it holds.
func (c *Client) Object(ctx context.Context, name string) (clusto.Object, error) {
	var o clusto.Object
	path := "/v2/entities/" + url.PathEscape(name)
	if err := c.getLarge(ctx, path, &o); err != nil {
		return clusto.Object{}, err
	}
	switch {
	case o.Name != name:
		return clusto.Object{}, c.broken(path, fmt.Errorf("it is about %q", o.Name))
	case o.Attrs == nil || o.Parents == nil:
		return clusto.Object{}, c.broken(path, errors.New("it lacks attrs or parents"))
	}
	return o, nil
}

// Entities gives the entities that meet q, in the order in which they were made.
func (c *Client) Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error) {
	params := url.Values{"type": q.Types, "driver": q.Drivers, "name": q.Names}
	if q.Contains != "" {
		params.Set("q", q.Contains)
	}
	if len(q.Attrs) > 0 {
		text, err := json.Marshal(wireMatches(oneSpelling(q.Attrs)))
		if err != nil {
			return nil, fmt.Errorf("encode a query: %w", err)
		}
		params.Set("attrs", string(text))
	}
	var list struct {
		Entities []clusto.Entity `json:"entities"`
	}
	path := "/v2/entities?" + params.Encode()
	if err := c.getLarge(ctx, path, &list); err != nil {
		return nil, err
	}
	if list.Entities == nil {
		return nil, c.broken(path, errors.New("it has no entities"))
	}
	return list.Entities, nil
}

// oneSpelling leaves one spelling of each MAC where /v2 looks for all of them: it
// would look for all of them for each of them, and that is what finding the owners
// of a MAC costs.
func oneSpelling(matches []clusto.AttrMatch) []clusto.AttrMatch {
	matches = slices.Clone(matches)
	for i := range matches {
		m := &matches[i]
		if m.Value == nil || m.Subkey != nil && m.Subkey.Text != subMAC && m.Subkey.Text != subIPMI {
			continue
		}
		seen := map[clusto.MAC]bool{}
		v := *m.Value
		v.Texts = slices.DeleteFunc(slices.Clone(v.Texts), func(text string) bool {
			mac, err := clusto.ParseMAC(text)
			again := err == nil && seen[mac]
			if err == nil {
				seen[mac] = true
			}
			return again
		})
		m.Value = &v
	}
	return matches
}
