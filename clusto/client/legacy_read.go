package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// shown is an entity as the original shows it.
type shown struct {
	Object  string     `json:"object"`
	Driver  string     `json:"driver"`
	Attrs   []wireAttr `json:"attrs"`
	Parents []string   `json:"parents"`
}

// show reads an entity by its name alone, which also finds names with a dot.
func (l *Legacy) show(ctx context.Context, name string) (e clusto.Entity, s *shown, err error) {
	call := "/query/get_by_name?name=" + url.QueryEscape(name)
	// The original answers 500 for a name that it does not have.
	found, err := l.matchingNames(ctx, name)
	if err != nil {
		return e, nil, err
	}
	if len(found) == 0 {
		return e, nil, fmt.Errorf("entity %q: %w", name, clusto.ErrNotFound)
	}
	s = new(shown)
	if err := l.get(ctx, l.c.cfg.Timeout, call, s); err != nil {
		return e, nil, err
	}
	e, ok := splitPath(s.Object)
	if !ok || e.Name != name || s.Attrs == nil || s.Parents == nil {
		return e, nil, l.c.broken(call, fmt.Errorf("it is about %q, not %q, or lacks something", s.Object, name))
	}
	e.Driver = s.Driver
	return e, s, nil
}

func (l *Legacy) matchingNames(ctx context.Context, names ...string) ([]string, error) {
	text, err := json.Marshal(names)
	if err != nil {
		return nil, fmt.Errorf("encode a query: %w", err)
	}
	return l.entities(ctx, l.c.cfg.Timeout, "/query/get_entities?names="+url.QueryEscape(string(text)))
}

// Entities gives the entities that meet every condition, without their drivers:
// the original does not tell them in lists.
func (l *Legacy) Entities(ctx context.Context, q clusto.Query) (out []clusto.Entity, err error) {
	err = l.patiently(ctx, func() error {
		out, err = l.query(ctx, q)
		return err
	})
	return out, err
}

func (l *Legacy) query(ctx context.Context, q clusto.Query) (out []clusto.Entity, err error) {
	params := url.Values{}
	set := func(name string, v any) error {
		text, err := json.Marshal(v)
		params.Set(name, string(text))
		return err
	}
	var errs []error
	for name, list := range map[string][]string{"names": q.Names, "clusto_types": q.Types, "clusto_drivers": q.Drivers} {
		if len(list) > 0 {
			errs = append(errs, set(name, list))
		}
	}
	if len(q.Attrs) > 0 {
		errs = append(errs, set("attrs", wireMatches(q.Attrs)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("encode a query: %w", err)
	}
	paths, err := l.entities(ctx, l.c.cfg.Timeout, "/query/get_entities?"+params.Encode())
	for _, p := range paths {
		e, _ := splitPath(p)
		out = append(out, e)
	}
	return out, err
}

// wireMatches writes conditions as the original reads them, one for each
// spelling of a value.
func wireMatches(matches []clusto.AttrMatch) (out []map[string]any) {
	for _, m := range matches {
		base := map[string]any{}
		if m.Key != "" {
			base["key"] = m.Key
		}
		if m.Subkey != nil {
			base["subkey"] = m.Subkey.Text
			if m.Subkey.Null {
				base["subkey"] = nil
			}
		}
		if m.Number != nil {
			switch {
			case m.Number.Equal != nil:
				base["number"] = *m.Number.Equal
			default:
				base["number"] = !m.Number.Null
			}
		}
		if m.Value == nil || m.Value.Int == nil && len(m.Value.Texts) == 0 {
			out = append(out, base)
			continue
		}
		var values []any
		if m.Value.Int != nil {
			values = append(values, *m.Value.Int)
		}
		for _, t := range m.Value.Texts {
			values = append(values, t)
		}
		for _, v := range values {
			one := map[string]any{"value": v}
			for k, x := range base {
				one[k] = x
			}
			out = append(out, one)
		}
	}
	return out
}

// Object reads an entity with all that the original shows of it: no hidden
// attributes, and of its ports those that something is connected to.
func (l *Legacy) Object(ctx context.Context, name string) (o clusto.Object, err error) {
	err = l.patiently(ctx, func() error {
		o, err = l.object(ctx, name)
		return err
	})
	return o, err
}

func (l *Legacy) object(ctx context.Context, name string) (o clusto.Object, err error) {
	e, s, err := l.show(ctx, name)
	if err != nil {
		return o, err
	}
	o = clusto.Object{Entity: e, Attrs: s.attrs(e.Path(), 0)}
	for _, p := range s.Parents {
		if parent, ok := splitPath(p); ok {
			o.Parents = append(o.Parents, parent)
		}
	}
	o.Ports = portsOf(o.Attrs)
	return o, nil
}

func (s *shown) attrs(origin string, distance int) (out []clusto.Attr) {
	for i := range s.Attrs {
		a := s.Attrs[i].attr()
		a.Origin, a.Distance = origin, distance
		out = append(out, a)
	}
	return out
}

// portsOf gathers the connected ports from the attributes that say so.
func portsOf(attrs []clusto.Attr) (out []clusto.Port) {
	at := func(kind string, num int) *clusto.Port {
		i := slices.IndexFunc(out, func(p clusto.Port) bool { return p.Type == kind && p.Num == num })
		if i < 0 {
			out = append(out, clusto.Port{Type: kind, Num: num})
			i = len(out) - 1
		}
		return &out[i]
	}
	for i := range attrs {
		a := &attrs[i]
		kind, ok := strings.CutPrefix(a.Key, "port-")
		if !ok || a.Number == nil {
			continue
		}
		switch a.Sub() {
		case "connection":
			at(kind, *a.Number).To = a.Value.Str
		case "otherportnum":
			at(kind, *a.Number).ToNum = a.Value.Text()
		}
	}
	return slices.DeleteFunc(out, func(p clusto.Port) bool { return p.To == "" })
}

// Attrs gives the attributes of an entity, with Merge those of its containers
// too, nearest first, each container once. The original's own merged list tells
// no origins, and a read of it never ends where containers contain each other.
func (l *Legacy) Attrs(ctx context.Context, q clusto.AttrQuery) (out []clusto.Attr, err error) {
	err = l.patiently(ctx, func() error {
		out, err = l.attrs(ctx, q)
		return err
	})
	return out, err
}

func (l *Legacy) attrs(ctx context.Context, q clusto.AttrQuery) (out []clusto.Attr, err error) {
	seen := map[string]bool{q.Name: true}
	level := []string{q.Name}
	for distance := 0; len(level) > 0; distance++ {
		var next []string
		for _, name := range level {
			e, s, err := l.show(ctx, name)
			if err != nil {
				return nil, err
			}
			for _, a := range s.attrs(e.Path(), distance) {
				if q.Key == "" || a.Key == q.Key {
					out = append(out, a)
				}
			}
			for _, p := range s.Parents {
				if parent, ok := splitPath(p); ok && !seen[parent.Name] {
					seen[parent.Name] = true
					next = append(next, parent.Name)
				}
			}
		}
		if !q.Merge {
			break
		}
		level = next
	}
	return out, nil
}
