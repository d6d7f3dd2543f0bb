package original

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Inventory is what answers are made from; store.Store is one.
type Inventory interface {
	Entity(ctx context.Context, name string) (clusto.Entity, error)
	Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error)
	Attrs(ctx context.Context, q clusto.AttrQuery) ([]clusto.Attr, error)
}

// fromInventory answers a call that has no record.
func (s *Server) fromInventory(r *http.Request, p url.Values) answer {
	path := strings.Trim(r.URL.Path, "/")
	parts := strings.Split(path, "/")
	switch {
	case path == "":
		return s.types(r.Context())
	case path == "query/get_entities":
		return s.getEntities(r.Context(), p)
	case path == "query/get_by_name":
		e, err := s.cfg.Inventory.Entity(r.Context(), p.Get("name"))
		if err != nil {
			return traceback("LookupError: " + p.Get("name") + " does not exist.")
		}
		return s.show(r.Context(), e)
	case len(parts) == 2:
		name, _, _ := strings.Cut(parts[1], ".") // a dot ends the name
		e, err := s.cfg.Inventory.Entity(r.Context(), name)
		if err != nil {
			return answer{status: 404, kind: html, body: "404 Not Found\n"}
		} else if e.Type != parts[0] {
			return answer{status: 302, kind: html, location: s.URL + e.Path() + "/"}
		}
		return s.show(r.Context(), e)
	case len(parts) == 1:
		return traceback("NameError: driver name " + path + " doesn't exist.")
	}
	return answer{status: 404, kind: html, body: "404 Not Found\n"}
}

const html = "text/html; charset=UTF-8"

// traceback is how the original tells that it did not expect something.
func traceback(last string) answer {
	return answer{status: 500, kind: "text/plain; charset=UTF-8", body: "Traceback (most recent call last):\n  File \"services.py\", line 1, in __call__\n" + last}
}

func inJSON(v any) answer {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return traceback(err.Error())
	}
	return answer{status: 200, kind: "application/json", body: string(b)}
}

func (s *Server) types(ctx context.Context) answer {
	all, err := s.cfg.Inventory.Entities(ctx, clusto.Query{})
	if err != nil {
		return traceback(err.Error())
	}
	types := []string{}
	for _, e := range all {
		types = append(types, "/"+e.Type)
	}
	slices.Sort(types)
	return inJSON(slices.Compact(types))
}

func (s *Server) getEntities(ctx context.Context, p url.Values) answer {
	var q clusto.Query
	var conditions []struct {
		Key, Subkey string
		Number      *int64
		Value       *string
	}
	for name, into := range map[string]any{"attrs": &conditions, "clusto_drivers": &q.Drivers, "clusto_types": &q.Types} {
		if text := p.Get(name); text != "" && json.Unmarshal([]byte(text), into) != nil {
			return traceback("ValueError: No JSON object could be decoded")
		}
	}
	for _, c := range conditions {
		m := clusto.AttrMatch{Key: c.Key, Subkey: &clusto.NullString{Text: c.Subkey}}
		if c.Number != nil {
			m.Number = &clusto.NumberMatch{Equal: c.Number}
		}
		if c.Value != nil {
			twice, err := url.QueryUnescape(*c.Value) // decoded once before
			if err != nil {
				return traceback("ValueError: " + err.Error())
			}
			m.Value = &clusto.ValueMatch{Texts: []string{twice}} // as text, be it a MAC or not
		}
		q.Attrs = append(q.Attrs, m)
	}
	found, err := s.cfg.Inventory.Entities(ctx, q)
	if err != nil {
		return traceback(err.Error())
	}
	paths := []string{}
	for _, e := range found {
		paths = append(paths, e.Path())
	}
	return inJSON(paths)
}

type attr struct {
	Key      string          `json:"key"`
	Subkey   *string         `json:"subkey"`
	Number   *int            `json:"number"`
	Datatype clusto.Datatype `json:"datatype"`
	Value    any             `json:"value"`
}

// show describes an entity: what is seen of its attributes, by key, and where
// it is.
func (s *Server) show(ctx context.Context, e clusto.Entity) answer {
	attrs, err := s.cfg.Inventory.Attrs(ctx, clusto.AttrQuery{Name: e.Name})
	if err != nil {
		return traceback(err.Error())
	}
	out := []attr{}
	for _, a := range attrs {
		w := attr{a.Key, a.Subkey, a.Number, a.Value.Type, a.Value.Str}
		if a.Value.Type == clusto.Int {
			w.Value = a.Value.Int
		}
		out = append(out, w)
	}
	slices.SortStableFunc(out, func(a, b attr) int { return cmp.Compare(a.Key, b.Key) })
	parents, err := s.parents(ctx, e)
	if err != nil {
		return traceback(err.Error())
	}
	contents, err := s.contents(ctx, e)
	if err != nil {
		return traceback(err.Error())
	}
	return inJSON(map[string]any{
		"object": e.Path(), "driver": e.Driver, "attrs": out, "parents": parents, "contents": contents,
		"actions": []string{"addattr", "attrs", "delattr", "insert", "remove", "setattr", "show"},
	})
}

func (s *Server) parents(ctx context.Context, e clusto.Entity) ([]string, error) {
	parents := []string{}
	all, err := s.cfg.Inventory.Entities(ctx, clusto.Query{Attrs: []clusto.AttrMatch{{Key: "_contains"}}})
	for _, c := range all {
		contents, err := s.contents(ctx, c)
		if err != nil {
			return nil, err
		}
		if slices.Contains(contents, e.Path()) {
			parents = append(parents, c.Path())
		}
	}
	return parents, err
}

func (s *Server) contents(ctx context.Context, e clusto.Entity) ([]string, error) {
	contents := []string{}
	attrs, err := s.cfg.Inventory.Attrs(ctx, clusto.AttrQuery{Name: e.Name, Key: "_contains"})
	for _, a := range attrs {
		contents = append(contents, a.Value.Str)
	}
	return contents, err
}
