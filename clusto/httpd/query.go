package httpd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// routeQuery registers the original's queries.
func (s *server) routeQuery(mux *router) {
	queries := map[string]legacy{
		"get":            s.get,
		"get_by_name":    s.getByName,
		"get_entities":   s.getEntities,
		"get_from_pools": s.getFromPools,
		"get_ip_manager": s.getIPManager,
	}
	for path, fn := range queries {
		h := s.call(fn)
		mux.HandleFunc("GET /query/"+path, h)
		mux.HandleFunc("POST /query/"+path, h)
	}
	none := func(w http.ResponseWriter, r *http.Request) {
		if _, ok := queries[strings.TrimPrefix(r.URL.Path, "/query/")]; ok {
			s.legacyFail(w, r, errMethod)
			return
		}
		s.legacyFail(w, r, invalid("There is no such query"))
	}
	mux.HandleFunc("/query/", none)
	mux.HandleFunc("/query", none)
}

// getEntities answers with the paths of the entities that meet attrs (a JSON
// list of conditions, OR-ed), names, clusto_types and clusto_drivers (JSON
// lists; all of them AND-ed).
func (s *server) getEntities(r *http.Request, p form) (any, error) {
	var q clusto.Query
	var err error
	if text, ok := p["attrs"]; ok {
		if q.Attrs, err = parseMatches("attrs", text); err != nil {
			return nil, err
		}
	}
	for _, l := range []struct {
		name string
		into *[]string
	}{{"names", &q.Names}, {"clusto_types", &q.Types}, {"clusto_drivers", &q.Drivers}} {
		if text, ok := p[l.name]; ok {
			if *l.into, err = parseNames(l.name, text); err != nil {
				return nil, err
			}
		}
	}
	if err := s.allKnown(r, q.Types, q.Drivers); err != nil {
		return nil, err
	}
	found, err := s.Store.Entities(r.Context(), q)
	if err != nil {
		return nil, err
	}
	return paths(found), nil
}

// allKnown refuses a query for types or drivers that there are none of.
func (s *server) allKnown(r *http.Request, types, drivers []string) error {
	err := s.known(r, "type", types...)
	if err == nil {
		err = s.known(r, "driver", drivers...)
	}
	return err
}

// onceMore undoes the second encoding that clients of old put around a whole
// parameter. The original decoded every value twice, and so lost those that
// hold a + or a %.
func onceMore(text string) string {
	if strings.HasPrefix(text, "%") {
		if plain, err := url.QueryUnescape(text); err == nil {
			return plain
		}
	}
	return text
}

func parseNames(param, text string) ([]string, error) {
	var names []string
	if err := json.Unmarshal([]byte(onceMore(text)), &names); err != nil {
		return nil, invalid("parameter %s must be a JSON list of texts%s", param, syntax(err))
	}
	if len(names) > namesMax {
		return nil, invalid("parameter %s has %d names: %d at most, send the rest in another query", param, len(names), namesMax)
	}
	for _, name := range names {
		if !storable(name) {
			return nil, invalid("parameter %s: %.40q has a NUL character", param, name)
		}
	}
	return names, nil
}

// syntax says where JSON is broken, if it is.
func syntax(err error) string {
	var broken *json.SyntaxError
	if errors.As(err, &broken) {
		return fmt.Sprintf(", and is broken at byte %d: %v", broken.Offset, broken)
	}
	return ""
}

// Limits of a query, within what both databases take.
const (
	matchesMax = 256
	namesMax   = 10000
)

func parseMatches(param, text string) ([]clusto.AttrMatch, error) {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(onceMore(text)), &list); err != nil {
		return nil, invalid("parameter %s must be a JSON list of objects%s", param, syntax(err))
	}
	if len(list) > matchesMax {
		return nil, invalid("parameter %s has %d conditions: %d at most, send the rest in another query", param, len(list), matchesMax)
	}
	matches := make([]clusto.AttrMatch, len(list))
	for i, fields := range list {
		if fields == nil { // it would match everything, as {} does
			return nil, invalid("parameter %s, condition %d is null: want an object", param, i)
		}
		if err := parseMatch(fields, &matches[i]); err != nil {
			return nil, fmt.Errorf("parameter %s, condition %d: %w", param, i, err)
		}
	}
	return matches, nil
}

func parseMatch(fields map[string]json.RawMessage, m *clusto.AttrMatch) error {
	for name, raw := range fields {
		var v any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&v); err != nil {
			return invalid("%s: %v", name, err)
		}
		var err error
		switch name {
		case "key":
			m.Key, err = parseText(name, v)
		case "subkey":
			m.Subkey, err = parseSubkey(v)
		case "number":
			m.Number, err = parseNumber(v)
		case "value":
			m.Value, err = parseValue(v)
		default:
			return invalid("%q is none of key, subkey, number, value", name)
		}
		if err != nil {
			return err
		}
	}
	if m.Value != nil && (m.Subkey == nil || m.Subkey.Text == "mac" || m.Subkey.Text == "ipmi-mac") {
		widenMAC(m.Value)
	}
	return nil
}

// widenMAC makes a query for a MAC find it however it is stored.
func widenMAC(v *clusto.ValueMatch) {
	if len(v.Texts) != 1 {
		return
	}
	if mac, err := clusto.ParseMAC(v.Texts[0]); err == nil {
		forms := mac.Spellings()
		v.Texts = forms[:]
	}
}

func parseText(name string, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		if storable(v) {
			return v, nil
		}
	}
	return "", invalid("%s must be a text without NUL characters", name)
}

func parseSubkey(v any) (*clusto.NullString, error) {
	text, err := parseText("subkey", v)
	return &clusto.NullString{Text: text, Null: v == nil}, err
}

// parseNumber reads a number, also as text; true asks for any, false and null
// for none.
func parseNumber(v any) (*clusto.NumberMatch, error) {
	text := ""
	switch v := v.(type) {
	case nil:
		return &clusto.NumberMatch{Null: true}, nil
	case bool:
		return &clusto.NumberMatch{Null: !v}, nil
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return nil, invalid("number must be an integer of 32 bits, true or false")
	}
	return &clusto.NumberMatch{Equal: &n}, nil
}

// parseValue reads a value with its type: an integer or a truth value matches
// integers, null what has no text, all else texts.
func parseValue(v any) (*clusto.ValueMatch, error) {
	switch v := v.(type) {
	case nil:
		return &clusto.ValueMatch{}, nil
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		return &clusto.ValueMatch{Int: &n}, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return &clusto.ValueMatch{Int: &n}, nil
		}
		return &clusto.ValueMatch{Texts: []string{v.String()}}, nil
	case string:
		if storable(v) {
			return &clusto.ValueMatch{Texts: []string{v}}, nil
		}
	}
	return nil, invalid("value must be a text without NUL characters, a number, true, false or null")
}
