// Package httpd serves the inventory over HTTP: /v2, which answers a host in
// one request, and every call of the original clusto-httpd, for clients of old.
//
// Every group of calls is a file with a method that registers its routes: v2*.go
// has ours, query*.go and legacy*.go have the original's and what its library
// had beside. What stands before all of them is in guard*.go and auth*.go.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/clusto/clusto-engine/clusto"
)

// Store is the inventory that the server serves. Errors wrap clusto's
// sentinels; an error of Change may be a *clusto.OpError.
type Store interface {
	Host(ctx context.Context, mac clusto.MAC) (*clusto.Host, error)
	Hosts(ctx context.Context, fn func(*clusto.Host) error) error
	Objects(ctx context.Context, fn func(*clusto.Object) error) error
	Find(ctx context.Context, q string) ([]clusto.Host, error)
	Change(ctx context.Context, ops []clusto.Op) ([]clusto.Result, error)
	Follow(ctx context.Context, since string, beat time.Duration, fn func(*clusto.Change) error) error
	Ping(ctx context.Context) error

	Entity(ctx context.Context, name string) (clusto.Entity, error)
	Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error)
	Attrs(ctx context.Context, q clusto.AttrQuery) ([]clusto.Attr, error)
	Managers(ctx context.Context) ([]clusto.Network, error)
	Object(ctx context.Context, name string) (clusto.Object, error)
	Types(ctx context.Context) ([]string, error)
	Knows(ctx context.Context, driver bool, name string) (bool, error)
	Members(ctx context.Context, name string) ([]clusto.Entity, error)
	AttrsOf(ctx context.Context, names []string, matches []clusto.AttrMatch) (map[string][]clusto.Attr, error)
	PortRange(driver, kind string) (listed, all int)
	PortNumber(driver, kind, text string) int
}

// Config is what a server needs. Zero fields mean the defaults.
type Config struct {
	Store   Store
	Log     *slog.Logger // nothing is logged if nil
	Version string       // of the program; "devel"

	// MaxBody bounds the body of POST /v2/batch, in bytes; 256 MiB, which is
	// some 150,000 servers.
	MaxBody int64

	// ReadOnlyGet refuses changes by GET, by which the original took them. They
	// come by POST then.
	ReadOnlyGet bool

	// Tokens gives the tokens that are good at this moment. Nil lets everybody
	// do everything.
	Tokens func() *Tokens

	// Limits bound what is under way at once.
	Limits Limits

	// Ending is over when the server is about to end: streams and feeds, which
	// others would wait for, are ended then. Nil never is.
	Ending context.Context
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Version == "" {
		c.Version = "devel"
	}
	if c.MaxBody == 0 {
		c.MaxBody = 256 << 20
	}
	if c.Ending == nil {
		c.Ending = context.Background()
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

// server answers requests.
type server struct {
	Config
	boot      string // begins every request id
	requests  atomic.Uint64
	pings     singleflight.Group
	denials   tally // requests without a token that is good for them
	overload  tally // requests without a place
	unchanged tally // changes of a database that takes none
}

// New makes the handler. Give it to NewServer, or to a server with timeouts of
// your own.
func New(c Config) http.Handler {
	s := &server{Config: c.withDefaults(), boot: strconv.FormatInt(time.Now().UnixMilli(), 36)}
	return s.guard(s.authorize(s.checked(s.routes())))
}

// routes registers all calls.
func (s *server) routes() *router {
	limits := s.Limits.limits()
	mux := &router{mux: http.NewServeMux(), params: map[string][]string{}, limited: func(pattern string, fn http.HandlerFunc) http.HandlerFunc {
		return s.limited(limits(pattern), fn)
	}}
	s.routeV2(mux)
	s.routeChanges(mux)
	s.routeOpenAPI(mux)
	s.routeV2Entities(mux)
	s.routeQuery(mux)
	s.routeEntities(mux)
	return mux
}

// NewServer gives an HTTP server for the handler with limits that a slow or
// broken client cannot hold it by. There is no write timeout: a stream of all
// hosts takes as long as its reader; each chunk of it has a deadline instead,
// and each body (guard_time.go).
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       batchTime,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 128},
	}
	if log != nil {
		s.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	}
	return s
}

// status gives the HTTP status of an error.
func status(err error) int {
	switch {
	case errors.Is(err, clusto.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, clusto.ErrConflict):
		return http.StatusConflict
	case errors.Is(err, clusto.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, clusto.ErrReadOnly):
		return http.StatusNotImplemented // to come again is no use
	case errors.Is(err, clusto.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// reason is what the client is told of an error, in one sentence: of one of the
// server's own that the log has more, under the request's id. What the database
// says may have its name and address in it, and takes several lines.
func reason(r *http.Request, err error) string {
	st := status(err)
	switch {
	case st < http.StatusInternalServerError, errors.Is(err, errTooLong), errors.Is(err, errEnding):
		return short(clusto.Reason(err))
	case errors.Is(err, errors.ErrUnsupported):
		return "the changes of this database cannot be followed, for it may not be altered"
	case errors.Is(err, clusto.ErrReadOnly):
		return "the database is read-only: nothing can be changed"
	}
	what := "internal error"
	if st == http.StatusServiceUnavailable {
		what = "the database is out of reach, or it fails"
	}
	return fmt.Sprintf("%s: the log of the server has more of it under request id %v", what, r.Context().Value(requestID{}))
}

// logFailure logs errors that are the server's own fault: not that of a client
// who has gone, or of one who stops the server. That a database takes no changes
// is said once a minute.
func (s *server) logFailure(r *http.Request, status int, err error) {
	if errors.Is(err, clusto.ErrReadOnly) {
		if n, due := s.unchanged.add(); due {
			s.Log.Warn("changes are refused, for the database is read-only; the next such line comes after a minute or more", "refused", n, "err", cut(err.Error(), logged))
		}
		return
	}
	if cause := context.Cause(r.Context()); status >= 500 && (cause == nil || errors.Is(cause, errTooLong)) {
		s.Log.Error("request failed", "id", r.Context().Value(requestID{}), "method", r.Method, "path", short(r.URL.Path), "err", cut(err.Error(), logged))
	}
}
