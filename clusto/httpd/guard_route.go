package httpd

import (
	"net/http"
	"strings"
)

// router is a ServeMux that puts each call behind its limit, and remembers what
// it was given.
type router struct {
	mux      *http.ServeMux
	limited  func(pattern string, fn http.HandlerFunc) http.HandlerFunc
	patterns []string
	params   map[string][]string // that a call of /v2 takes in its query, by pattern
	rest     http.HandlerFunc    // takes what no pattern matches
}

// HandleFunc registers a call.
func (m *router) HandleFunc(pattern string, fn func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.mux.HandleFunc(pattern, m.limited(pattern, fn))
}

// HandleRest registers who takes all that no pattern matches.
func (m *router) HandleRest(fn func(http.ResponseWriter, *http.Request)) {
	m.HandleFunc("/", fn)
	m.rest = m.limited("/", fn)
}

// methods lists those that the path of a request has calls for, "" for none.
func (m *router) methods(r *http.Request) string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		as := *r
		as.Method = method
		if _, pattern := m.mux.Handler(&as); strings.Contains(pattern, " ") { // "GET /v2/hosts"
			allowed = append(allowed, method)
		}
	}
	return strings.Join(allowed, ", ")
}

// ServeHTTP implements http.Handler. A ServeMux redirects from a path like
// //server to /server; the original's paths are taken as they are.
func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	unclean := strings.Contains(path, "//") || strings.Contains(path+"/", "/./") || strings.Contains(path+"/", "/../")
	if unclean && !strings.HasPrefix(path, "/v2/") && m.rest != nil {
		m.rest(w, r)
		return
	}
	m.mux.ServeHTTP(w, r)
}
