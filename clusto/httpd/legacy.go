package httpd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// formMax bounds the body of a legacy call, in bytes.
const formMax = 1 << 20

// legacy answers one call of the original's API with a JSON value, or an error
// for legacyFail.
type legacy func(r *http.Request, p form) (any, error)

// call wraps a legacy call: parameters, JSONP and errors.
func (s *server) call(fn legacy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := readForm(w, r)
		if err != nil {
			s.legacyFail(w, r, err)
			return
		}
		v, err := fn(r, p)
		if err != nil {
			s.legacyFail(w, r, err)
			return
		}
		s.legacyAnswer(w, r, p, v)
	}
}

// form holds a call's parameters, from the query and from a form body; the last
// of a repeated one wins.
type form map[string]string

func readForm(w http.ResponseWriter, r *http.Request) (form, error) {
	p := form{}
	if err := p.add(r.URL.RawQuery); err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if r.Method == http.MethodGet || kind != "" && kind != "application/x-www-form-urlencoded" {
		return p, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, formMax))
	if err != nil {
		return nil, fmt.Errorf("read form: %w: %w", err, clusto.ErrInvalid)
	}
	return p, p.add(string(body))
}

func (p form) add(encoded string) error {
	values, err := url.ParseQuery(encoded)
	if err != nil {
		return fmt.Errorf("read parameters: %w: %w", err, clusto.ErrInvalid)
	}
	for k, v := range values {
		p[k] = v[len(v)-1]
	}
	return nil
}

// callbackName is what a JSONP callback may look like. The original took any
// text, and so let a link run a script of its own.
var callbackName = regexp.MustCompile(`^[A-Za-z_$][0-9A-Za-z_$.]{0,127}$`)

func (s *server) legacyAnswer(w http.ResponseWriter, r *http.Request, p form, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.legacyFail(w, r, err)
		return
	}
	callback, jsonp := p["callback"]
	switch {
	case !jsonp:
		w.Header().Set("Content-Type", "application/json")
	case callback != "" && !callbackName.MatchString(callback):
		s.legacyFail(w, r, fmt.Errorf("parameter callback %q is no function name: %w", callback, clusto.ErrInvalid))
		return
	default:
		w.Header().Set("Content-Type", "text/javascript; charset=UTF-8")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		b = []byte(callback + "(" + string(b) + ")")
	}
	_, _ = w.Write(b) // a client that is gone needs no answer
}

// moved is the answer to a path with the wrong type.
type moved struct{ to string }

func (m *moved) Error() string { return "moved to " + m.to }

// errUnimplemented is a call of the original that this server does not have.
var errUnimplemented = errors.New("this call of the original API is not available here; use /v2")

// legacyFail answers as the original does: "404 Not Found", a line with the
// reason, as text.
func (s *server) legacyFail(w http.ResponseWriter, r *http.Request, err error) {
	err = because(r, err)
	st := status(err)
	var to *moved
	if errors.As(err, &to) {
		w.Header().Set("Location", to.to)
		st = http.StatusFound
	}
	if errors.Is(err, errUnimplemented) {
		st = http.StatusNotImplemented
	} else {
		s.logFailure(r, st, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(st)
	if st == http.StatusFound {
		return
	}
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	_, _ = fmt.Fprintf(w, "%d %s\n%s\n", st, http.StatusText(st), escape.Replace(err.Error()))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clusto.ErrInvalid)...)
}
