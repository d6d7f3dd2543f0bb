package httpd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// routeQuery registers the original's queries.
func (s *server) routeQuery(mux *router) {
	for path, fn := range map[string]legacy{
		"get_entities":   s.getEntities,
		"get_ip_manager": s.getIPManager,
	} {
		h := s.call(fn)
		mux.HandleFunc("GET /query/"+path, h)
		mux.HandleFunc("POST /query/"+path, h)
	}
	later := []string{"get_by_name", "get", "get_from_pools"}
	mux.HandleFunc("/query/", func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(later, strings.TrimPrefix(r.URL.Path, "/query/")) {
			s.legacyFail(w, r, errUnimplemented)
			return
		}
		s.legacyFail(w, r, invalid("There is no such query"))
	})
}

// getEntities answers with the paths of the entities that meet attrs (a JSON
// list of conditions, OR-ed), names, clusto_types and clusto_drivers (JSON
// lists; all of them AND-ed).
func (s *server) getEntities(r *http.Request, p form) (any, error) {
	var q clusto.Query
	var err error
	if text, ok := p["attrs"]; ok {
		if q.Attrs, err = parseMatches(text); err != nil {
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
	found, err := s.Store.Entities(r.Context(), q)
	if err != nil {
		return nil, err
	}
	paths := make([]string, len(found))
	for i, e := range found {
		paths[i] = e.Path()
	}
	return paths, nil
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
		return nil, invalid("parameter %s must be a JSON list of texts: %v", param, err)
	}
	return names, nil
}

func parseMatches(text string) ([]clusto.AttrMatch, error) {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal([]byte(onceMore(text)), &list); err != nil {
		return nil, invalid("parameter attrs must be a JSON list of objects: %v", err)
	}
	matches := make([]clusto.AttrMatch, len(list))
	for i, fields := range list {
		if err := parseMatch(fields, &matches[i]); err != nil {
			return nil, fmt.Errorf("parameter attrs, condition %d: %w", i, err)
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
	if m.Value != nil && m.Subkey != nil && (m.Subkey.Text == "mac" || m.Subkey.Text == "ipmi-mac") {
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
		return v, nil
	}
	return "", invalid("%s must be a text", name)
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
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, invalid("number must be an integer, true or false")
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
		return &clusto.ValueMatch{Texts: []string{v}}, nil
	}
	return nil, invalid("value must be a text, a number, true, false or null")
}

// getIPManager answers with the path of the one IP manager whose range holds
// the address or range; none and several are 404. A manager without a base
// address holds nothing.
func (s *server) getIPManager(r *http.Request, p form) (any, error) {
	text, ok := p["ip"]
	if !ok {
		return nil, invalid("You must specify an IP")
	}
	want, err := parseRange(text)
	if err != nil {
		return nil, fmt.Errorf("IP manager of %q: %w: %w", text, err, clusto.ErrNotFound)
	}
	all, err := s.Store.Managers(r.Context())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range all {
		if m.Prefix.Bits() <= want.Bits() && m.Prefix.Contains(want.Addr()) {
			names = append(names, m.Name)
		}
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("IP manager of %q: one is wanted, these hold it: %q: %w", text, names, clusto.ErrNotFound)
	}
	return clusto.Entity{Name: names[0], Type: "resourcemanager"}.Path(), nil
}

func parseRange(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return netip.ParsePrefix(text)
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	return ip.Prefix(ip.BitLen())
}
