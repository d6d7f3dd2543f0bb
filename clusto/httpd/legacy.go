package httpd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

// legacy answers one call of the original's API with a JSON value, or an error
// for legacyFail.
type legacy func(r *http.Request, p form) (any, error)

// call wraps a legacy call: parameters, JSONP and errors.
func (s *server) call(fn legacy) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p, err := readForm(w, r)
		if err == nil {
			err = p.checkAnswer(isWrite(r))
		}
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

// storable reports whether a database can hold the text.
func storable(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// callbackName is what a JSONP callback may look like. The original took any
// text, and so let a link run a script of its own.
var callbackName = regexp.MustCompile(`^[A-Za-z_$][0-9A-Za-z_$.]{0,127}$`)

// created is the answer that a call made something; what is JSON.
type created struct{ what any }

// text is an answer that is no JSON.
type text string

const textType = "text/html; charset=UTF-8"

func (s *server) legacyAnswer(w http.ResponseWriter, r *http.Request, p form, v any) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	status := http.StatusOK
	switch a := v.(type) {
	case text:
		w.Header().Set("Content-Type", textType)
		_, _ = io.WriteString(w, string(a))
		return
	case created:
		status, v = http.StatusCreated, a.what
	}
	b, err := json.Marshal(v)
	if err != nil {
		s.legacyFail(w, r, err)
		return
	}
	if callback, jsonp := p["callback"]; jsonp {
		w.Header().Set("Content-Type", "text/javascript; charset=UTF-8")
		b = []byte(callback + "(" + string(b) + ")")
	} else {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that is gone needs no answer
}

// checkAnswer refuses parameters that only the answer reads, before anything is
// done: a callback that is no name (none at all is the original's too), and of a
// call that may write a prefetch_attrs that is none, which a read finds itself.
func (p form) checkAnswer(write bool) error {
	if name := p["callback"]; name != "" && !callbackName.MatchString(name) {
		return invalid("parameter callback %.40q is no function name", name)
	}
	if !write {
		return nil
	}
	_, _, err := p.prefetchAttrs()
	return err
}

// moved is the answer to a path with the wrong type.
type moved struct{ to string }

func (m *moved) Error() string { return "moved to " + m.to }

// refusal is an answer that is told by its status alone.
type refusal struct {
	status int
	why    string
}

func (e *refusal) Error() string { return e.why }

// legacyFail answers as the original does: "404 Not Found", a line with the
// reason, as text.
func (s *server) legacyFail(w http.ResponseWriter, r *http.Request, err error) {
	err = because(r, err)
	st := status(err)
	var to *moved
	var refused *refusal
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &to):
		w.Header().Set("Location", to.to)
		st = http.StatusFound
		if r.Method == http.MethodPost {
			st = http.StatusTemporaryRedirect // 302 would make a GET of it
		}
	case errors.As(err, &refused):
		st = refused.status
	case errors.As(err, &large):
		st, err = http.StatusRequestEntityTooLarge, fmt.Errorf("the form is larger than %d bytes", large.Limit)
	}
	if st == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", http.MethodPost)
	} else if refused == nil {
		s.logFailure(r, st, err)
	}
	w.Header().Set("Content-Type", textType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(st)
	if to != nil {
		return
	}
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	why := strings.TrimSuffix(err.Error(), ": "+clusto.ErrNotFound.Error()) // the status says it
	if refused == nil && large == nil && !errors.Is(err, clusto.ErrNotFound) {
		why = reason(r, err)
	}
	_, _ = fmt.Fprintf(w, "%d %s\n%s\n", st, http.StatusText(st), escape.Replace(short(why)))
}

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, clusto.ErrInvalid)...)
}
