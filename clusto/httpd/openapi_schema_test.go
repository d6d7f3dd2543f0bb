package httpd_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// document is an OpenAPI document, as JSON gives it.
type document map[string]any

// at follows names into the document; nil if it does not go on.
func at(v any, names ...string) any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func list(v any) []any { l, _ := v.([]any); return l }

func text(v any) string { s, _ := v.(string); return s }

// deref follows a reference, if v is one.
func (d document) deref(v any) any {
	for range 10 {
		ref := text(at(v, "$ref"))
		if ref == "" {
			return v
		}
		v = at(map[string]any(d), strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return nil
}

// keywords are those of JSON Schema that the document uses; check knows them.
var keywords = []string{
	"$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "oneOf", "pattern", "description",
}

// check reports where a value is not as its schema says. An object has no
// properties but those that are named, unless it says otherwise: what is not
// written down is not known to anyone.
func (d document) check(v, schema any, where string) error {
	s := object(d.deref(schema))
	if s == nil {
		return fmt.Errorf("%s: there is no schema", where)
	}
	for k := range s {
		if !slices.Contains(keywords, k) {
			return fmt.Errorf("%s: the schema has %q, which this test does not know", where, k)
		}
	}
	if want, ok := s["const"]; ok && !reflect.DeepEqual(v, want) {
		return fmt.Errorf("%s is %v, want %v", where, v, want)
	}
	if want, ok := s["enum"]; ok && !slices.Contains(list(want), v) {
		return fmt.Errorf("%s is %v, want one of %v", where, v, want)
	}
	if re := text(s["pattern"]); re != "" && !regexp.MustCompile(re).MatchString(text(v)) {
		return fmt.Errorf("%s is %v, want %s", where, v, re)
	}
	if either := list(s["oneOf"]); either != nil {
		return d.checkOne(v, either, where)
	}
	if err := checkType(v, s["type"], where); err != nil {
		return err
	}
	return d.checkInside(v, s, where)
}

func (d document) checkOne(v any, either []any, where string) error {
	fit := 0
	var why []string
	for _, s := range either {
		if err := d.check(v, s, where); err != nil {
			why = append(why, err.Error())
		} else {
			fit++
		}
	}
	if fit != 1 {
		return fmt.Errorf("%s fits %d of %d schemas: %s", where, fit, len(either), strings.Join(why, "; "))
	}
	return nil
}

func checkType(v, want any, where string) error {
	kind := "null"
	switch v := v.(type) {
	case string:
		kind = "string"
	case bool:
		kind = "boolean"
	case []any:
		kind = "array"
	case map[string]any:
		kind = "object"
	case float64:
		if kind = "number"; v == float64(int64(v)) {
			kind = "integer"
		}
	}
	if want == nil || want == any(kind) || slices.Contains(list(want), any(kind)) {
		return nil
	}
	return fmt.Errorf("%s is of type %s, want %v", where, kind, want)
}

func (d document) checkInside(v any, s map[string]any, where string) error {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if err := d.check(e, s["items"], fmt.Sprintf("%s[%d]", where, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, name := range list(s["required"]) {
			if _, ok := v[text(name)]; !ok {
				return fmt.Errorf("%s has no %s", where, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			schema, known := object(s["properties"])[name]
			if !known {
				if schema = s["additionalProperties"]; schema == true {
					continue
				}
			}
			if schema == nil {
				return fmt.Errorf("%s has %s, which is not documented", where, name)
			}
			if err := d.check(v[name], schema, where+"."+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkJSON checks a text against a schema.
func (d document) checkJSON(b []byte, schema any, where string) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return d.check(v, schema, where)
}
