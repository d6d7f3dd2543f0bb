package httpd

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// callV2 registers a call of /v2, and which parameters it takes in its query:
// any other is refused before the call sees it, and so is one that comes twice
// and may not. A test holds openapi.json to them.
func (s *server) callV2(mux *router, pattern string, fn http.HandlerFunc, params ...string) {
	mux.params[pattern] = params
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		given := r.URL.Query()
		err := only(given, params)
		if err == nil {
			err = once(given)
		}
		if err != nil {
			s.failErr(w, r, err)
			return
		}
		fn(w, r)
	})
}

// repeatable are the parameters of /v2 of which there may be several.
var repeatable = []string{"type", "driver", "name"}

// once refuses a parameter that is there twice, of which one would not count.
func once(given url.Values) error {
	for _, param := range slices.Sorted(maps.Keys(given)) {
		if n := len(given[param]); n > 1 && !slices.Contains(repeatable, param) {
			return invalid("parameter %s is there %d times: want it once", param, n)
		}
	}
	return nil
}

// only refuses parameters that a call does not have. Of several it names the
// one that is first by name, so that the same request is always told the same.
func only[V any](given map[string]V, known []string) error {
	for _, param := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(known, param) {
			continue
		}
		if len(known) == 0 {
			return invalid("there is no parameter %.40q; this call has none", param)
		}
		meant := ""
		if near := clusto.Nearest(param, known, min(max(2, len(param)/3), len(param)-1)); near != "" {
			meant = fmt.Sprintf(" did you mean %q?", near)
		}
		return invalid("there is no parameter %.40q;%s known are %s", param, meant, strings.Join(known, ", "))
	}
	return nil
}
