package httpd

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// callV2 registers a call of /v2, and which parameters it takes in its query:
// any other is refused before the call sees it. A test holds openapi.json to them.
func (s *server) callV2(mux *router, pattern string, fn http.HandlerFunc, params ...string) {
	mux.params[pattern] = params
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		if err := only(r.URL.Query(), params); err != nil {
			s.failErr(w, r, err)
			return
		}
		fn(w, r)
	})
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
