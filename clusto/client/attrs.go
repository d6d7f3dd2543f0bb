package client

import (
	"context"
	"errors"
	"net/url"

	"github.com/clusto/clusto-engine/clusto"
)

// Attrs gives the attributes that q asks for, as Store.Attrs does.
func (c *Client) Attrs(ctx context.Context, q clusto.AttrQuery) ([]clusto.Attr, error) {
	params := url.Values{}
	if q.Key != "" {
		params.Set("key", q.Key)
	}
	for param, on := range map[string]bool{"merge": q.Merge, "hidden": q.Hidden} {
		if on {
			params.Set(param, "1")
		}
	}
	var answer struct {
		Attrs []clusto.Attr `json:"attrs"`
	}
	path := "/v2/entities/" + url.PathEscape(q.Name) + "/attrs?" + params.Encode()
	if err := c.getLarge(ctx, path, &answer); err != nil {
		return nil, err
	}
	if answer.Attrs == nil {
		return nil, c.broken(path, errors.New("it has no attributes"))
	}
	return answer.Attrs, nil
}
