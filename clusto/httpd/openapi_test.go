package httpd_test

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// openAPI reads the document as it is served, and as it is in the folder.
func openAPI(t *testing.T) document {
	t.Helper()
	base := serve(t, originalStore(t), httpd.Config{Tokens: both(t)})
	resp, got := do(t, http.MethodGet, base+"/v2/openapi.json", "")
	file, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != jsonType || string(got) != string(file) {
		t.Fatalf("%s %s, %d bytes", resp.Status, resp.Header.Get("Content-Type"), len(got))
	}
	var d document
	decode(t, got, &d)
	return d
}

// operations gives the operations of the document as a mux spells them.
func (d document) operations() map[string]map[string]any {
	all := map[string]map[string]any{}
	for path, item := range object(d["paths"]) {
		for method, op := range object(item) {
			all[strings.ToUpper(method)+" "+path] = object(op)
		}
	}
	return all
}

// TestOpenAPIHasEveryCall of /v2, and no other. The original's calls are the
// original's to document.
func TestOpenAPIHasEveryCall(t *testing.T) {
	documented := openAPI(t).operations()
	for _, pattern := range httpd.Patterns() {
		_, path, _ := strings.Cut(pattern, " ")
		if path != "/readyz" && !strings.HasPrefix(path, "/v2/") {
			continue // also /v2/ itself, which answers what is no call
		}
		if documented[pattern] == nil {
			t.Errorf("%s is not in openapi.json: describe it there, and ask it in TestAnswersAreAsDocumented", pattern)
		}
		delete(documented, pattern)
	}
	for pattern := range documented {
		t.Errorf("%s is in openapi.json, and the server does not have it", pattern)
	}
}

// TestOpenAPIIsValid checks the structure that OpenAPI 3.1 asks for.
func TestOpenAPIIsValid(t *testing.T) {
	d := openAPI(t)
	if v := text(d["openapi"]); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi is %q", v)
	}
	if text(at(d["info"], "title")) == "" || text(at(d["info"], "version")) == "" {
		t.Error("info needs title and version")
	}
	for key := range d {
		if !slices.Contains([]string{"openapi", "info", "servers", "security", "paths", "components"}, key) {
			t.Errorf("there is no %s in OpenAPI", key)
		}
	}
	d.walk(map[string]any(d), "", func(where string, m map[string]any) {
		if ref := text(m["$ref"]); ref != "" && (!strings.HasPrefix(ref, "#/") || d.deref(m) == nil) {
			t.Errorf("%s: %s does not resolve", where, ref)
		}
	})
	ids := map[string]bool{}
	for pattern, op := range d.operations() {
		id := text(op["operationId"])
		if id == "" || ids[id] || text(op["summary"]) == "" || len(object(op["responses"])) == 0 {
			t.Errorf("%s: it needs an operationId of its own, a summary and responses", pattern)
		}
		ids[id] = true
		d.validParameters(t, pattern, op)
		for status, resp := range object(op["responses"]) {
			d.validResponse(t, pattern+" "+status, status, object(d.deref(resp)))
		}
		for _, need := range list(op["security"]) {
			for scheme := range object(need) {
				if at(d["components"], "securitySchemes", scheme) == nil {
					t.Errorf("%s: there is no security scheme %s", pattern, scheme)
				}
			}
		}
	}
	for name, schema := range object(at(d["components"], "schemas")) {
		validSchema(t, name, schema)
	}
	if s := at(d["components"], "securitySchemes", "token"); text(at(s, "type")) != "http" || text(at(s, "scheme")) != "bearer" {
		t.Errorf("security scheme %v", s)
	}
	d.unused(t)
}

// walk calls fn for each object of the document.
func (d document) walk(v any, where string, fn func(string, map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		fn(where, v)
		for name, e := range v {
			d.walk(e, where+"/"+name, fn)
		}
	case []any:
		for i, e := range v {
			d.walk(e, fmt.Sprintf("%s/%d", where, i), fn)
		}
	}
}

var inPath = regexp.MustCompile(`\{(\w+)\}`)

func (d document) validParameters(t *testing.T, pattern string, op map[string]any) {
	t.Helper()
	declared := map[string]bool{}
	for _, p := range list(op["parameters"]) {
		p := object(d.deref(p))
		name, in := text(p["name"]), text(p["in"])
		if name == "" || in != "path" && in != "query" && in != "header" || text(p["description"]) == "" || declared[in+" "+name] {
			t.Errorf("%s: parameter %v", pattern, p)
		}
		if in == "path" && p["required"] != true {
			t.Errorf("%s: path parameter %s is not required", pattern, name)
		}
		declared[in+" "+name] = true
		validSchema(t, pattern+" "+name, p["schema"])
	}
	for _, m := range inPath.FindAllStringSubmatch(pattern, -1) {
		if !declared["path "+m[1]] {
			t.Errorf("%s: {%s} is not declared", pattern, m[1])
		}
		delete(declared, "path "+m[1])
	}
	for name := range declared {
		if strings.HasPrefix(name, "path ") {
			t.Errorf("%s: parameter %s is not in the path", pattern, name)
		}
	}
}

func (d document) validResponse(t *testing.T, where, status string, resp map[string]any) {
	t.Helper()
	if !regexp.MustCompile(`^[1-5]\d\d$`).MatchString(status) || text(resp["description"]) == "" || len(object(resp["content"])) == 0 {
		t.Errorf("%s: a status, a description and a content are needed: %v", where, resp)
	}
	for kind, media := range object(resp["content"]) {
		validSchema(t, where+" "+kind, at(media, "schema"))
	}
	for name, h := range object(resp["headers"]) {
		validSchema(t, where+" "+name, at(d.deref(h), "schema"))
	}
}

// validSchema checks that a schema is one, and of the kind that check knows.
func validSchema(t *testing.T, where string, schema any) {
	t.Helper()
	s := object(schema)
	if s == nil {
		t.Errorf("%s: there is no schema", where)
	}
	for k, v := range s {
		if !slices.Contains(keywords, k) {
			t.Errorf("%s: keyword %q", where, k)
		}
		if k == "pattern" {
			if _, err := regexp.Compile(text(v)); err != nil {
				t.Errorf("%s: %v", where, err)
			}
		}
	}
	for _, name := range list(s["required"]) {
		if at(s["properties"], text(name)) == nil {
			t.Errorf("%s: %s is required, and is no property", where, name)
		}
	}
	for name, p := range object(s["properties"]) {
		validSchema(t, where+"."+name, p)
	}
	if items := s["items"]; items != nil {
		validSchema(t, where+"[]", items)
	} else if s["type"] == "array" {
		t.Errorf("%s: an array of what?", where)
	}
}

// unused finds components that nothing refers to.
func (d document) unused(t *testing.T) {
	t.Helper()
	used := map[string]bool{}
	d.walk(map[string]any(d), "", func(_ string, m map[string]any) { used[text(m["$ref"])] = true })
	for kind, all := range object(d["components"]) {
		for name := range object(all) {
			if kind != "securitySchemes" && !used["#/components/"+kind+"/"+name] {
				t.Errorf("nothing refers to %s %s", kind, name)
			}
		}
	}
}

// TestOpenAPIHasEveryField: the schemas have the fields of the types that they
// describe, so that what is left out when empty is documented too.
func TestOpenAPIHasEveryField(t *testing.T) {
	d := openAPI(t)
	for name, of := range map[string]any{
		"Host": clusto.Host{}, "Address": clusto.Address{}, "Network": clusto.Network{}, "Attr": clusto.Attr{}, "Value": clusto.Value{},
		"Entity": clusto.Entity{}, "Object": clusto.Object{}, "Port": clusto.Port{}, "Op": clusto.Op{}, "Result": clusto.Result{},
	} {
		got := slices.Sorted(maps.Keys(object(at(d["components"], "schemas", name, "properties"))))
		want := fields(reflect.TypeOf(of))
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s has\n%v, the document\n%v", name, want, got)
		}
	}
}

// fields gives the names that encoding/json gives the fields of a struct.
func fields(of reflect.Type) (names []string) {
	for f := range of.NumField() {
		f := of.Field(f)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			names = append(names, fields(f.Type)...)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// TestOpenAPIHasEveryOperation of a batch: the server lists them when asked for
// another.
func TestOpenAPIHasEveryOperation(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	_, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{"op":"?"}]}`)
	_, known, _ := strings.Cut(a.Error, "none of ")
	op := at(openAPI(t)["components"], "schemas", "Op", "properties", "op")
	var documented []string
	for _, word := range list(at(op, "enum")) {
		documented = append(documented, text(word))
		if !strings.Contains(text(at(op, "description")), "\n- "+text(word)+": ") {
			t.Errorf("%s is not explained", word)
		}
	}
	if slices.Sort(documented); strings.Join(documented, ", ") != known {
		t.Errorf("documented are %s\nthe server has  %s", strings.Join(documented, ", "), known)
	}
}
