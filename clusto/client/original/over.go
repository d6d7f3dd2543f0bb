package original

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// Over gives this project's clusto-httpd the original's manners, for tests that
// write: it knows no /v2, refuses by tracebacks, takes actions by GET alone, and
// answers 500 when it has put something into a rack.
func Over(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.Trim(r.URL.Path, "/")
		parts := strings.Split(path, "/")
		a := answer{}
		switch {
		case parts[0] == "v2":
			a = answer{status: 404, kind: html, body: "404 Not Found\n"}
		case len(parts) == 3 && r.Method == http.MethodPost:
			a = answer{status: 400, kind: html, body: "400 Bad Request\nYou may only create objects, not types or actions\n"}
		default:
			a = asOriginal(next, r, parts)
		}
		w.Header().Set("Server", "WSGIServer/0.1 Python/2.7")
		w.Header().Set("Content-Type", a.kind)
		w.Header().Set("Connection", "close")
		if a.location != "" {
			w.Header().Set("Location", a.location)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	})
}

func asOriginal(next http.Handler, r *http.Request, parts []string) answer {
	rec := httptest.NewRecorder()
	next.ServeHTTP(rec, r)
	a := answer{rec.Code, rec.Header().Get("Content-Type"), rec.Header().Get("Location"), rec.Body.String()}
	switch {
	case parts[0] == "rack" && len(parts) == 3 && parts[2] == "insert" && a.status == http.StatusOK:
		return traceback("AttributeError: 'RackAPI' object has no attribute 'contents'")
	case (len(parts) == 3 || parts[0] == "query") && a.status >= 400 && a.status < 500:
		return traceback("TypeError: " + strings.ReplaceAll(a.body, "\n", " "))
	case len(parts) == 2 && r.Method == http.MethodPost && a.status >= 400 && a.status < 500 && a.status != http.StatusConflict:
		return traceback("KeyError: u'" + parts[0] + "'")
	}
	return a
}
