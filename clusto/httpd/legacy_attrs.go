package httpd

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

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
func (s *server) getAttrs(r *http.Request, p form, e clusto.Entity) (any, error) {
	if err := only(p, attrsParams); err != nil {
		return nil, err
	}
	keep, err := newFilter(p)
	if err != nil {
		return nil, err
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
		byKey(out.Attrs)
	}
	return out, nil
}

func newLegacyAttr(a *clusto.Attr) legacyAttr {
	return legacyAttr{Key: a.Key, Subkey: a.Subkey, Number: a.Number, Datatype: a.Value.Type, Value: plain(a.Value)}
}

// plain gives a value as JSON has it: an integer or a text.
func plain(v clusto.Value) any {
	if v.Type == clusto.Int {
		return v.Int
	}
	return v.Str
}

// byKey puts attributes into the order in which the original shows them.
func byKey(attrs []legacyAttr) {
	slices.SortStableFunc(attrs, func(a, b legacyAttr) int { return cmp.Compare(a.Key, b.Key) })
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
	mac                *clusto.MAC // value, where it may be one
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
	var err error
	f.number, err = p.number()
	return f, err
}

func macFilter(p form) *clusto.MAC {
	if sub, ok := p["subkey"]; ok && sub != "mac" && sub != "ipmi-mac" {
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
