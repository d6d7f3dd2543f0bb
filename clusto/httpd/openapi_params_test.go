package httpd_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// queryOf gives the names of the query parameters that the document has for a
// call.
func (d document) queryOf(pattern string) (names []string) {
	for _, p := range list(d.operations()[pattern]["parameters"]) {
		if p := object(d.deref(p)); text(p["in"]) == "query" {
			names = append(names, text(p["name"]))
		}
	}
	slices.Sort(names)
	return names
}

// TestOpenAPIHasEveryParameter that a call takes, and no other. What is not
// declared to callV2 does not reach a call, so there are none beside these.
func TestOpenAPIHasEveryParameter(t *testing.T) {
	d := openAPI(t)
	declared := httpd.Params()
	base := serve(t, originalStore(t), httpd.Config{})
	for pattern := range d.operations() {
		method, path, _ := strings.Cut(pattern, " ")
		if path == "/readyz" {
			continue // that is for others' checks, which may ask as they like
		}
		taken, ok := declared[pattern]
		if taken = slices.Sorted(slices.Values(taken)); !ok || !slices.Equal(taken, d.queryOf(pattern)) {
			t.Errorf("%s takes %q (%v), openapi.json has %q", pattern, taken, ok, d.queryOf(pattern))
		}
		path = inPath.ReplaceAllString(path, "s0001")
		status, a := ask(t, method, base+path+"?nobodys=1", `{"ops":[]}`)
		if status != http.StatusBadRequest || !strings.Contains(a.Error, `there is no parameter "nobodys"; `) {
			t.Errorf("%s with a parameter that it does not have: %d %+v", pattern, status, a)
		}
	}
}

// TestEveryParameterCounts: each that is documented makes a difference.
func TestEveryParameterCounts(t *testing.T) {
	d := openAPI(t)
	base := serve(t, originalStore(t), httpd.Config{})
	values := map[string]map[string]string{
		"GET /v2/find":                  {"q": "s0001"},
		"GET /v2/entities":              {"type": "server", "driver": "pool", "name": "s0001", "q": "s00", "attrs": `[{"key":"dhcp"}]`},
		"GET /v2/entities/{name}/attrs": {"key": "dhcp", "merge": "1", "hidden": "1"},
		"GET /v2/changes":               {"since": "x"},
	}
	for pattern := range d.operations() {
		if got, want := slices.Sorted(maps.Keys(values[pattern])), d.queryOf(pattern); !slices.Equal(got, want) {
			t.Errorf("%s: asked with %q, documented are %q", pattern, got, want)
		}
		method, path, _ := strings.Cut(pattern, " ")
		target := base + strings.Replace(path, "{name}", "sv2-r01", 1)
		for param, value := range values[pattern] {
			if param == "since" { // without it the feed does not end
				if resp, got := do(t, method, target+"?since="+value, ""); resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%s since %s: %s %s", pattern, value, resp.Status, got)
				}
				continue
			}
			_, without := do(t, method, target, "")
			resp, with := do(t, method, target+"?"+url.Values{param: {value}}.Encode(), "")
			if resp.StatusCode != http.StatusOK || string(with) == string(without) {
				t.Errorf("%s: %s=%s makes no difference: %s %.200s", pattern, param, value, resp.Status, with)
			}
		}
	}
}

// TestRepeatedParameter: of one that came twice /v2 took the first, or the last.
// Those that are lists in the document may be repeated, and no others.
func TestRepeatedParameter(t *testing.T) {
	d := openAPI(t)
	base := serve(t, originalStore(t), httpd.Config{})
	for pattern, op := range d.operations() {
		method, path, _ := strings.Cut(pattern, " ")
		path = inPath.ReplaceAllString(path, "s0001")
		for _, p := range list(op["parameters"]) {
			p := object(d.deref(p))
			if text(p["in"]) != "query" {
				continue
			}
			name, repeatable := text(p["name"]), text(object(p["schema"])["type"]) == "array"
			status, a := ask(t, method, base+path+"?"+url.Values{name: {"x", "x"}}.Encode(), "")
			told := status == http.StatusBadRequest && a.Error == "parameter "+name+" is there 2 times: want it once"
			if told == repeatable {
				t.Errorf("%s with %s twice: %d %s", pattern, name, status, a.Error)
			}
		}
	}
}

// TestNullCondition was one that everything meets.
func TestNullCondition(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	null := url.QueryEscape(`[{"key":"dhcp"},null]`)
	for _, path := range []string{"/v2/entities?attrs=", "/query/get_entities?attrs=", "/server/s0001/show?prefetch_attrs="} {
		try(t, http.MethodGet, base+path+null, http.StatusBadRequest, "condition 1 is null: want an object")
	}
}

// TestAnArray was "a array".
func TestAnArray(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for body, says := range map[string]string{
		`{"ops":[[]]}`:            "is an array: want an object",
		`{"ops":[{"name":{}}]}`:   "is an object: want a text",
		`{"ops":[{"name":true}]}`: "is a bool: want a text",
	} {
		if status, a := ask(t, http.MethodPost, base+"/v2/batch", body); status != http.StatusBadRequest || !strings.Contains(a.Error, says) {
			t.Errorf("%s: %d %s", body, status, a.Error)
		}
	}
}
