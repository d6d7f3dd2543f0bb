package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/clusto/clusto-engine/clusto"
)

// How often Auto looks which server there is: behind the original, to notice
// that it was replaced by one that answers its calls too; and after a failure.
const (
	lookEvery = time.Minute
	lookNewer = 5 * time.Second // when the original's calls are answered as the original does not
	lookLeast = time.Second
)

// Server is a kind of clusto-httpd.
type Server int32

// The kinds.
const (
	Unknown  Server = iota
	V2              // it answers /v2
	Original        // the original, which does not
)

var errSwitched = errors.New("another clusto-httpd has taken its place")

// Auto asks a clusto-httpd of either kind. It finds out by itself which one
// there is, before its first call, and again after failures and once a minute,
// so that either can take the other's place. Only positive signs count: V2 is
// who answers /v2/version, and Original is who answers that as the original
// does what it does not have, but has the original's list of types. Whoever
// answers neither way, or not at all, changes nothing; before anything is known
// all calls fail with clusto.ErrUnavailable.
//
// The calls of *Client that Legacy does not have are made as to V2.
type Auto struct {
	*Client
	legacy *Legacy
	found  func(Server)

	server  atomic.Int32
	looked  atomic.Int64 // unix ns, the last time
	newer   atomic.Int64 // answers of HTTP/1.1 to the original's calls
	trusted atomic.Int64 // how many of them came before the last look; all, if the original is behind a proxy that speaks it
	flight  singleflight.Group
	ctx     context.Context
	stop    context.CancelFunc
	looking sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	switched chan struct{} // closed when the kind changes
}

// NewAuto makes an Auto. It does not connect. found, if not nil, is called when
// the kind of the server is known, and whenever it changes.
func NewAuto(cfg Config, found func(Server)) (*Auto, error) {
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	l, err := NewLegacy(cfg)
	if err != nil {
		return nil, err
	}
	if found == nil {
		found = func(Server) {}
	}
	a := &Auto{Client: c, legacy: l, found: found, switched: make(chan struct{})}
	a.ctx, a.stop = context.WithCancel(context.Background())
	l.newer = func() {
		a.newer.Add(1)
		a.lookAfter(lookNewer)
	}
	return a, nil
}

// Close ends what Auto does by itself, and closes the connections that nobody
// uses.
func (a *Auto) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.stop()
	a.looking.Wait()
	a.Client.Close()
	a.legacy.Close()
}

// Server is the kind that was found last.
func (a *Auto) Server() Server { return Server(a.server.Load()) }

// Forget has everything read anew, also what Legacy keeps.
func (a *Auto) Forget() { a.legacy.Forget() }

// Host resolves one MAC, as Client.Host does.
func (a *Auto) Host(ctx context.Context, mac clusto.MAC) (h *clusto.Host, err error) {
	err = a.either(ctx,
		func() (err error) { h, err = a.Client.Host(ctx, mac); return err },
		func() (err error) { h, err = a.legacy.Host(ctx, mac); return err })
	return h, err
}

// Networks gives all IP managers' ranges.
func (a *Auto) Networks(ctx context.Context) (n []clusto.Network, err error) {
	err = a.either(ctx,
		func() (err error) { n, err = a.Client.Networks(ctx); return err },
		func() (err error) { n, err = a.legacy.Networks(ctx); return err })
	return n, err
}

// Hosts calls f with every host, as Client.Hosts or Legacy.Hosts does. It ends
// with an error when the server is replaced by one of the other kind.
func (a *Auto) Hosts(ctx context.Context, f func(*clusto.Host) error) (n int, err error) {
	err = a.either(ctx,
		func() (err error) { n, err = a.Client.Hosts(ctx, f); return err },
		func() (err error) { n, err = a.walk(ctx, f); return err })
	return n, err
}

// walk is Hosts behind the original.
func (a *Auto) walk(ctx context.Context, f func(*clusto.Host) error) (int, error) {
	a.mu.Lock()
	switched := a.switched
	a.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-switched:
			cancel(errSwitched)
		case <-ctx.Done():
		}
	}()
	return a.legacy.walk(ctx, func(h *clusto.Host) error { a.heard(nil); return f(h) }, a.stillOriginal, a.suspect)
}

// suspect reports whether there were answers since the last look that the
// original does not give.
func (a *Auto) suspect() bool { return a.newer.Load() > a.trusted.Load() }

// Ready asks whether there is a clusto-httpd of either kind.
func (a *Auto) Ready(ctx context.Context) error {
	return a.either(ctx,
		func() error { return a.Client.Ready(ctx) },
		func() error { return a.legacy.Ready(ctx) })
}

// either makes a call of the kind of server that there is.
func (a *Auto) either(ctx context.Context, v2, legacy func() error) (err error) {
	if a.Server() == Unknown {
		if err := a.find(ctx); err != nil {
			return err
		}
	}
	if a.Server() == Original {
		err = legacy()
	} else {
		err = v2()
	}
	a.heard(err)
	return err
}

// heard looks again, after a call that ended with err, if it is time for that.
func (a *Auto) heard(err error) {
	switch {
	case errors.Is(err, clusto.ErrUnavailable):
		a.lookAfter(lookLeast)
	case a.Server() == Original:
		a.lookAfter(lookEvery)
	}
}

// lookAfter looks again, if the last time is so long ago.
func (a *Auto) lookAfter(d time.Duration) {
	last := a.looked.Load()
	if time.Since(time.Unix(0, last)) >= d && a.looked.CompareAndSwap(last, time.Now().UnixNano()) {
		a.lookAgain()
	}
}

// stillOriginal looks whether the server is there and of the same kind.
func (a *Auto) stillOriginal(ctx context.Context) error {
	err := a.find(ctx)
	if err == nil && a.Server() != Original {
		err = fmt.Errorf("ask %s: %w: %w", a.cfg.URL, errSwitched, clusto.ErrUnavailable)
	}
	return err
}

// find waits until it is known which server there is.
func (a *Auto) find(ctx context.Context) error {
	done := a.lookAgain()
	select {
	case <-ctx.Done():
		return fmt.Errorf("find out which clusto-httpd %s is: %w: %w", a.cfg.URL, context.Cause(ctx), clusto.ErrUnavailable)
	case r := <-done:
		return r.Err
	}
}

// lookAgain looks which server there is, once however many ask.
func (a *Auto) lookAgain() <-chan singleflight.Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		over := make(chan singleflight.Result, 1)
		over <- singleflight.Result{Err: fmt.Errorf("ask %s: the client is closed: %w", a.cfg.URL, clusto.ErrUnavailable)}
		return over
	}
	a.looking.Add(1)
	out := make(chan singleflight.Result, 1)
	go func() {
		defer a.looking.Done()
		_, err, _ := a.flight.Do("", func() (any, error) { return nil, a.look() })
		out <- singleflight.Result{Err: err}
	}()
	return out
}

func (a *Auto) look() error {
	defer func() { a.looked.Store(time.Now().UnixNano()) }()
	is, err := a.ask(a.ctx)
	if err != nil {
		return err
	}
	if old := Server(a.server.Swap(int32(is))); old != is {
		a.mu.Lock()
		close(a.switched)
		a.switched = make(chan struct{})
		a.mu.Unlock()
		a.found(is)
	}
	return nil
}

// ask finds out which server there is, or fails if that is not sure.
func (a *Auto) ask(ctx context.Context) (Server, error) {
	const path = "/v2/version"
	newer := a.newer.Load()
	ctx, cancel := context.WithTimeout(ctx, 2*a.cfg.Timeout)
	defer cancel()
	resp, err := a.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return Unknown, err
	}
	defer drain(resp.Body)
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusOK:
		var v struct {
			API int `json:"api"`
		}
		answer, err := a.body(path, resp)
		if err != nil {
			return Unknown, err
		}
		if json.Unmarshal(answer, &v) == nil && v.API == 2 {
			return V2, nil
		}
	case resp.StatusCode == http.StatusNotFound && kind == "text/html":
		// /TYPE/NAME of an entity that is not there. Ours has no such answer.
		if err := a.legacy.Ready(ctx); err != nil {
			return Unknown, fmt.Errorf("%s knows no /v2, and is not the original clusto-httpd either; check the API URL: %w", a.cfg.URL, err)
		}
		if resp.ProtoAtLeast(1, 1) { // a proxy's
			newer = math.MaxInt64
		}
		a.trusted.Store(newer)
		return Original, nil
	}
	return Unknown, fmt.Errorf("%s answers %s with %s, as no clusto-httpd does; check the API URL: %w", a.cfg.URL, path, line(resp.Status), clusto.ErrUnavailable)
}
