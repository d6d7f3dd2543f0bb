package httpd

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// getTypes answers with the paths of the types.
func (s *server) getTypes(r *http.Request, _ form) (any, error) {
	types, err := s.Store.Types(r.Context())
	if err != nil {
		return nil, err
	}
	for i := range types {
		types[i] = "/" + types[i]
	}
	return types, nil
}

// listType answers with the paths of a type's entities, by entity_id.
func (s *server) listType(r *http.Request, kind string) (any, error) {
	found, err := s.Store.Entities(r.Context(), clusto.Query{Types: []string{kind}})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		if ok, err := s.Store.Knows(r.Context(), false, kind); err != nil {
			return nil, err
		} else if !ok {
			return nil, fmt.Errorf("there is no type %.40q, neither clusto's nor of an entity: %w", kind, clusto.ErrNotFound)
		}
	}
	return paths(found), nil
}

// known refuses a type or a driver that neither clusto nor an entity has.
func (s *server) known(r *http.Request, what string, names ...string) error {
	for _, name := range names {
		ok, err := s.Store.Knows(r.Context(), what == "driver", name)
		if err != nil {
			return err
		}
		if !ok {
			return invalid("there is no %s %.40q", what, name)
		}
	}
	return nil
}

func paths(entities []clusto.Entity) []string {
	out := make([]string, len(entities))
	for i, e := range entities {
		out[i] = e.Path()
	}
	return out
}

// getSearch answers with the paths of the entities whose name contains q.
func (s *server) getSearch(r *http.Request, p form) (any, error) {
	if p["q"] == "" {
		return nil, invalid("No query specified: parameter q is missing")
	}
	found, err := s.Store.Entities(r.Context(), clusto.Query{Contains: p["q"]})
	if err != nil {
		return nil, err
	}
	return paths(found), nil
}

// shown is an entity as the original shows it.
type shown struct {
	Object   string       `json:"object"`
	Driver   string       `json:"driver"`
	Attrs    []legacyAttr `json:"attrs"`
	Contents []any        `json:"contents"` // paths, or prefetched
	Parents  []string     `json:"parents"`
	Actions  []string     `json:"actions"`
}

// prefetched is an entity of a list with the attributes that prefetch_attrs asks
// for, by its path.
type prefetched map[string]attrsAnswer

// show answers with all of an entity, without hidden attributes.
func (s *server) show(r *http.Request, p form, e clusto.Entity) (any, error) {
	return s.showAs(r, p, e.Name, true)
}

func (s *server) showAs(r *http.Request, p form, name string, byPath bool) (any, error) {
	o, err := s.Store.Object(r.Context(), name)
	if err != nil {
		return nil, err
	}
	out := shown{
		Object: o.Path(), Driver: o.Driver, Attrs: []legacyAttr{},
		Parents: paths(o.Parents), Actions: shownActions(o.Type, byPath),
	}
	for i := range o.Attrs {
		if !strings.HasPrefix(o.Attrs[i].Key, "_") {
			out.Attrs = append(out.Attrs, newLegacyAttr(&o.Attrs[i]))
		}
	}
	byKey(out.Attrs)
	out.Contents, err = s.prefetch(r, p, contents(&o))
	return out, err
}

// contents lists what an entity contains, each once.
func contents(o *clusto.Object) []string {
	var out []string
	seen := map[string]bool{}
	for _, a := range o.Attrs {
		if to := a.Value.Str; a.Key == "_contains" && a.Value.Type == clusto.Relation && to != "" && !seen[to] {
			seen[to] = true
			out = append(out, to)
		}
	}
	return out
}

// prefetch gives the entities of a list with the attributes that parameter
// prefetch_attrs names (as attrs of get_entities does), else their paths alone.
func (s *server) prefetch(r *http.Request, p form, list []string) ([]any, error) {
	out := make([]any, len(list))
	matches, asked, err := p.prefetchAttrs()
	if err != nil {
		return nil, err
	}
	if !asked {
		for i, path := range list {
			out[i] = path
		}
		return out, nil
	}
	names := make([]string, len(list))
	for i, path := range list {
		names[i] = nameOf(path)
	}
	found, err := s.Store.AttrsOf(r.Context(), names, matches)
	if err != nil {
		return nil, err
	}
	for i, path := range list {
		answer := attrsAnswer{Attrs: []legacyAttr{}}
		for _, a := range found[names[i]] {
			answer.Attrs = append(answer.Attrs, newLegacyAttr(&a))
		}
		byKey(answer.Attrs)
		out[i] = prefetched{path: answer}
	}
	return out, nil
}

// prefetchAttrs reads the parameter prefetch_attrs, if it is there.
func (p form) prefetchAttrs() (matches []clusto.AttrMatch, asked bool, err error) {
	text, asked := p["prefetch_attrs"]
	if !asked {
		return nil, false, nil
	}
	matches, err = parseMatches("prefetch_attrs", text)
	return matches, true, err
}

// nameOf gives the name in "/type/name".
func nameOf(path string) string {
	_, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name
}

// create makes an entity of a driver.
func (s *server) create(r *http.Request, driver, name string) (any, error) {
	if _, err := s.change(r, clusto.Op{Op: "create", Name: clusto.NewName(name), Driver: driver}); err != nil {
		return nil, err
	}
	v, err := s.showAs(r, nil, name, false)
	return created{v}, err
}

// delete deletes an entity with its attributes and all references to it. Its
// type must be right: the original deleted whatever had the name.
func (s *server) delete(r *http.Request, kind, name string) (any, error) {
	e, err := s.Store.Entity(r.Context(), name)
	if err != nil {
		return nil, err
	}
	if e.Type != kind {
		return nil, fmt.Errorf("there is no /%s/%s; the one of that name is %s: %w", kind, name, e.Path(), clusto.ErrNotFound)
	}
	if _, err := s.change(r, clusto.Op{Op: "delete", Name: name}); err != nil {
		return nil, err
	}
	return text("200 OK\nObject deleted\n"), nil
}

// change applies the operations of one call, all or nothing.
func (s *server) change(r *http.Request, ops ...clusto.Op) ([]clusto.Result, error) {
	results, err := s.Store.Change(r.Context(), ops)
	var op *clusto.OpError
	if errors.As(err, &op) {
		err = op.Err // whoever made the call knows nothing of operations
	}
	return results, err
}
