package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzHTTP: no request, whatever went before it, gets a 500, and after any of
// them the inventory is consistent. A method that there is none of gets a 501. The
// feed of changes is left out: it has no end. A session is a run of requests, one on a line:
// method, path, and a body behind a space. They are short: what is thrown at the server is made of
// one of them.
func FuzzHTTP(f *testing.F) {
	for _, session := range corpus.Texts(f, "http") {
		f.Add(string(session.Bytes))
	}
	s := open(f)
	f.Fuzz(func(t *testing.T, session string) {
		if len(session) <= 4096 && strings.Count(session, "\n") <= 32 {
			s.hold(t, session)
		}
	})
}

// hold has a session's requests answered, one after the other. What nothing was
// written to is what was looked at in the beginning; else it is looked at again, and reset.
func (s *site) hold(tb testing.TB, session string) {
	tb.Helper()
	h := httpd.New(httpd.Config{Store: s.store})
	mirrored := true
	for line := range strings.Lines(session) {
		code, body := ask(tb, h, line)
		if code >= 500 && code != http.StatusNotImplemented || code == 0 {
			tb.Errorf("%q: %d %s", line, code, body)
		}
		mirrored = mirrored && (code/100 != 2 || !byHand(line))
	}
	if s.written(tb) {
		defer s.reset(tb)
		consistent(tb, s.store, mirrored)
	}
}

// parts takes a line apart; u is nil for what no server would take for a request.
func parts(line string) (method, target, text string, u *url.URL) {
	method, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	target, text, _ = strings.Cut(rest, " ")
	u, err := url.ParseRequestURI(target)
	if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(u.Path, "/v2/changes") {
		u = nil
	}
	return method, target, text, u
}

// ask makes one request; what no server would take for one counts as a 400.
func ask(tb testing.TB, h http.Handler, line string) (code int, body string) {
	tb.Helper()
	method, target, text, u := parts(line)
	if u == nil {
		return http.StatusBadRequest, ""
	}
	r, err := http.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(text))
	if err != nil {
		return http.StatusBadRequest, ""
	}
	r.RequestURI = target
	if method == http.MethodPost && strings.HasPrefix(text, "{") {
		r.Header.Set("Content-Type", "application/json")
	} else if text != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
