package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

type requestID struct{}

// guard gives each request an id, logs it, and turns a panic into a 500.
func (s *server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := fmt.Sprintf("%s-%d", s.boot, s.requests.Add(1))
		began := time.Now()
		rec := &recorder{ResponseWriter: w}
		rec.Header().Set("X-Request-Id", id)
		// The deadline of the connection's last answer is none of this one.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		defer func() {
			if p := recover(); p != nil {
				s.panicked(rec, r, id, p)
			}
			s.logRequest(rec, r, id, began)
		}()
		r = r.WithContext(context.WithValue(r.Context(), requestID{}, id))
		guardBody(rec, r)
		next.ServeHTTP(rec, r)
	})
}

// logRequest logs who changed something, and everything else for whoever wants
// to see it. A change's values stay out of the log.
func (s *server) logRequest(w *recorder, r *http.Request, id string, began time.Time) {
	if !w.write && !s.Log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	attrs := []any{
		"id", id, "method", r.Method, "path", short(r.URL.Path), "status", w.status, "bytes", w.bytes,
		"took", time.Since(began), "from", r.RemoteAddr,
	}
	if w.by != "" {
		attrs = append(attrs, "by", w.by)
	}
	if w.write {
		s.Log.Info("change", attrs...)
		return
	}
	s.Log.Debug("request", append(attrs, "query", r.URL.RawQuery)...)
}

// panicked answers 500, or breaks the connection off when the answer had begun.
func (s *server) panicked(w *recorder, r *http.Request, id string, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	s.Log.Error("request panicked", "id", id, "method", r.Method, "path", short(r.URL.Path), "panic", p, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler)
	}
	s.refuse(w, r, http.StatusInternalServerError, "internal error, request id "+id)
}

// recorder notes what a handler answered, and bounds the time in which the
// client has to take it.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	by     string // name of the token
	write  bool   // it may have changed something, and by says who did
	time   writeTime
	body   *body // of a request by HTTP/1 that has one
}

// begin is called with the status of every piece of an answer.
func (r *recorder) begin(status int) {
	if r.status != 0 {
		return
	}
	r.status = status
	r.body.answered(r.Header())
	// Not every writer has deadlines; those that lack them need none.
	_ = r.SetWriteDeadline(time.Now().Add(chunkTimeout))
}

func (r *recorder) WriteHeader(status int) {
	r.begin(status)
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	r.begin(http.StatusOK)
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// refuse answers a request that no call has taken, in the words of the API that
// it was meant for.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, status int, msg string) {
	if strings.HasPrefix(r.URL.Path, "/v2/") || r.URL.Path == "/readyz" {
		s.fail(w, r, status, msg)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%d %s\n%s\n", status, http.StatusText(status), msg) // msg is ours
}

// checked refuses requests to /v2 with texts that no database holds, or with
// parameters that are not encoded as such: the calls would not see those.
func (s *server) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v2/") {
			if err := checkTexts(r.URL); err != nil {
				s.failErr(w, r, err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func checkTexts(u *url.URL) error {
	if !storable(u.Path) {
		return invalid("the path is no UTF-8 text, or has a NUL character")
	}
	params, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("read parameters: %v", err)
	}
	for name, values := range params {
		for _, v := range values {
			if !storable(v) {
				return invalid("parameter %.40q is no UTF-8 text, or has a NUL character", name)
			}
		}
	}
	return nil
}
