package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"github.com/clusto/clusto-engine/clusto"
)

// written is an answer to a writing call.
type written struct {
	status int
	says   string // the last line of what is no JSON: of a traceback the one that tells
}

// refusal says that the original does not do it.
func (a written) refusal() error {
	return fmt.Errorf("the original answers %d: %s: %w", a.status, a.says, clusto.ErrConflict)
}

// passing are tracebacks of what another try may mend: those of the database and
// the machine.
var passing = regexp.MustCompile(`^(\w+\.)*(OperationalError|DBAPIError|InterfaceError|InternalError|TimeoutError|IntegrityError|MemoryError|IOError|OSError|error):?`)

// write makes one writing call in its turn. The original takes actions by GET
// alone. A traceback is how it refuses, and a status that is final; one of its
// database, and any other answer, are its troubles, or a proxy's: errors that
// wrap clusto.ErrUnavailable.
func (l *Legacy) write(ctx context.Context, method, path string, params url.Values) (a written, err error) {
	if err := l.requests.enter(ctx, false); err != nil {
		return a, fmt.Errorf("ask %s%s: %d requests are on their way already: %w: %w", l.c.cfg.URL, path, l.requests.size, err, clusto.ErrUnavailable)
	}
	defer l.requests.leave()
	ctx, cancel := context.WithTimeout(ctx, l.c.cfg.Timeout)
	defer cancel()
	if len(params) > 0 {
		path += "?" + params.Encode()
	}
	resp, err := l.c.do(ctx, method, path, nil)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return a, l.c.broken(path, fmt.Errorf("read it: %w", err))
	}
	text = bytes.TrimSpace(text)
	last := text[bytes.LastIndexByte(text, '\n')+1:]
	a = written{resp.StatusCode, excerpt(last)}
	switch {
	case a.status/100 == 2 || final(a.status):
		return a, nil
	case a.status == http.StatusInternalServerError && bytes.HasPrefix(text, []byte("Traceback")) && !passing.Match(last):
		return a, nil
	}
	return a, fmt.Errorf("ask %s%s: %s: %s: %w", l.c.cfg.URL, path, line(resp.Status), a.says, clusto.ErrUnavailable)
}
