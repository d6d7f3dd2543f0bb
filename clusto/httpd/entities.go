package httpd

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// routeEntities registers the calls on entities, /TYPE/NAME/ACTION. Their paths
// begin with a variable, so one handler takes all that no other call matched.
func (s *server) routeEntities(mux *router) {
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		if len(parts) == 3 && parts[2] == "attrs" && (r.Method == http.MethodGet || r.Method == http.MethodPost) {
			s.call(func(r *http.Request, p form) (any, error) { return s.getAttrs(r, p, parts[0], parts[1]) })(w, r)
			return
		}
		if len(parts) > 3 || parts[0] == "favicon.ico" {
			s.legacyFail(w, r, fmt.Errorf("%s: %w", r.URL.Path, clusto.ErrNotFound))
			return
		}
		s.legacyFail(w, r, errUnimplemented)
	})
}

// attrsParams are the parameters of .../attrs.
var attrsParams = []string{
	"key", "subkey", "number", "value", "merge_container_attrs",
	"ignore_hidden", "sort_by_keys", "regex", "callback",
}

// legacyAttr is an attribute as the original writes it.
type legacyAttr struct {
	Key      string          `json:"key"`
	Subkey   *string         `json:"subkey"`
	Number   *int            `json:"number"`
	Datatype clusto.Datatype `json:"datatype"`
	Value    any             `json:"value"`
}

// attrsAnswer is the answer of .../attrs.
type attrsAnswer struct {
	Attrs []legacyAttr `json:"attrs"`
}

// getAttrs answers with an entity's attributes that pass the filters, sorted by
// key unless sort_by_keys is empty. As in the original, a switch is off only if
// its value is empty.
func (s *server) getAttrs(r *http.Request, p form, kind, name string) (any, error) {
	for param := range p {
		if !slices.Contains(attrsParams, param) {
			return nil, invalid("there is no parameter %q; known are %s", param, strings.Join(attrsParams, ", "))
		}
	}
	keep, err := newFilter(p)
	if err != nil {
		return nil, err
	}
	e, err := s.Store.Entity(r.Context(), name)
	if err != nil {
		return nil, err
	}
	if e.Type != kind {
		return nil, &moved{wholeURL(r, e.Path()+"/attrs")}
	}
	attrs, err := s.Store.Attrs(r.Context(), keep.query(e.Name, p))
	if err != nil {
		return nil, err
	}
	out := attrsAnswer{Attrs: []legacyAttr{}}
	for i := range attrs {
		if keep.passes(&attrs[i]) {
			out.Attrs = append(out.Attrs, newLegacyAttr(&attrs[i]))
		}
	}
	if p.on("sort_by_keys", true) {
		slices.SortStableFunc(out.Attrs, func(a, b legacyAttr) int { return cmp.Compare(a.Key, b.Key) })
	}
	return out, nil
}

// wholeURL gives another path of this server, with the request's query.
func wholeURL(r *http.Request, path string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	u := url.URL{Scheme: scheme, Host: r.Host, Path: path, RawQuery: r.URL.RawQuery}
	return u.String()
}

func newLegacyAttr(a *clusto.Attr) legacyAttr {
	out := legacyAttr{Key: a.Key, Subkey: a.Subkey, Number: a.Number, Datatype: a.Value.Type, Value: a.Value.Str}
	if a.Value.Type == clusto.Int {
		out.Value = a.Value.Int
	}
	return out
}

// on reads a switch: any text is true, even "0" and "false"; none is false.
func (p form) on(name string, without bool) bool {
	v, ok := p[name]
	if !ok {
		return without
	}
	return v != ""
}

// filter is what .../attrs asks for; nil fields are no condition.
type filter struct {
	key, subkey, value func(string) bool
	number             *int
	exactKey           string
	mac                *clusto.MAC // value, where subkey names a MAC
}

func newFilter(p form) (*filter, error) {
	f := &filter{}
	for _, c := range []struct {
		name string
		into *func(string) bool
	}{{"key", &f.key}, {"subkey", &f.subkey}, {"value", &f.value}} {
		text, ok := p[c.name]
		if !ok {
			continue
		}
		*c.into = func(s string) bool { return s == text }
		if p.on("regex", false) {
			re, err := regexp.Compile(`^(?:` + text + `)`)
			if err != nil {
				return nil, invalid("parameter %s is no regular expression: %v", c.name, err)
			}
			*c.into = re.MatchString
		}
	}
	if !p.on("regex", false) {
		f.exactKey = p["key"]
		f.mac = macFilter(p)
	}
	if text, ok := p["number"]; ok {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil, invalid("parameter number %q is no integer", text)
		}
		f.number = &n
	}
	return f, nil
}

func macFilter(p form) *clusto.MAC {
	if p["subkey"] != "mac" && p["subkey"] != "ipmi-mac" {
		return nil
	}
	mac, err := clusto.ParseMAC(p["value"])
	if err != nil {
		return nil
	}
	return &mac
}

// query asks the store for no more than is needed. Hidden keys come only when
// some key is named, or when they are not ignored.
func (f *filter) query(name string, p form) clusto.AttrQuery {
	return clusto.AttrQuery{
		Name: name, Key: f.exactKey,
		Hidden: f.key != nil || !p.on("ignore_hidden", true),
		Merge:  p.on("merge_container_attrs", false),
	}
}

func (f *filter) passes(a *clusto.Attr) bool {
	switch {
	case f.key != nil && !f.key(a.Key),
		f.subkey != nil && (a.Subkey == nil || !f.subkey(*a.Subkey)),
		f.number != nil && (a.Number == nil || *a.Number != *f.number):
		return false
	case f.value == nil:
		return true
	case a.Value.Type != clusto.String && a.Value.Type != clusto.JSON:
		return false
	case f.mac != nil:
		mac, err := clusto.ParseMAC(a.Value.Str)
		return err == nil && mac == *f.mac
	}
	return f.value(a.Value.Str)
}
