package httpd

import "net/http"

// router is a ServeMux that puts each call behind its limit, and remembers what
// it was given.
type router struct {
	mux      *http.ServeMux
	limited  func(pattern string, fn http.HandlerFunc) http.HandlerFunc
	patterns []string
}

// HandleFunc registers a call.
func (m *router) HandleFunc(pattern string, fn func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.mux.HandleFunc(pattern, m.limited(pattern, fn))
}

// ServeHTTP implements http.Handler.
func (m *router) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.mux.ServeHTTP(w, r) }
