package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/client/original"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// newAuto gives an Auto, and what it finds.
func newAuto(t *testing.T, url string) (*client.Auto, <-chan client.Server) {
	t.Helper()
	found := make(chan client.Server, 16)
	a, err := client.NewAuto(client.Config{URL: url, Memory: newAttributes}, func(s client.Server) { found <- s })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a, found
}

// place is an address at which one server takes another's place.
type place struct {
	t     *testing.T
	addr  string
	close func()
}

func newPlace(t *testing.T) *place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, addr: l.Addr().String(), close: func() { l.Close() }}
	t.Cleanup(func() { p.close() })
	return p
}

func (p *place) url() string { return "http://" + p.addr }

// original has the original serve a store from now on.
func (p *place) original(s *store.Store) *original.Server {
	p.t.Helper()
	p.close()
	srv, err := original.Listen(p.addr, original.Config{Inventory: s})
	if err != nil {
		p.t.Fatal(err)
	}
	p.close = srv.Close
	return srv
}

// ours has our clusto-httpd do so.
func (p *place) ours(s *store.Store) {
	p.t.Helper()
	log := slog.New(slog.NewTextHandler(p.t.Output(), nil))
	p.handler(httpd.New(httpd.Config{Store: s, Log: log}))
}

func (p *place) handler(h http.Handler) {
	p.t.Helper()
	p.close()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = srv.Serve(l) }()
	p.close = func() { _ = l.Close(); _ = srv.Close() } // the server knows of its port only once it serves
}

// works wants a known and an unknown host to be told apart.
func works(t *testing.T, a *client.Auto) {
	t.Helper()
	if h, err := a.Host(t.Context(), asked); err != nil || h.Name != "s0001" {
		t.Errorf("a host: %+v, %v", h, err)
	}
	if _, err := a.Host(t.Context(), clusto.MAC{9}); !errors.Is(err, clusto.ErrNotFound) || errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("an unknown host: %v", err)
	}
	if n, err := a.Hosts(t.Context(), func(*clusto.Host) error { return nil }); err != nil || n != 27 {
		t.Errorf("%d hosts, %v", n, err)
	}
	if n, err := a.Networks(t.Context()); err != nil || len(n) != 3 {
		t.Errorf("networks %+v, %v", n, err)
	}
	if err := a.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestEitherServer is found by itself.
func TestEitherServer(t *testing.T) {
	s := originalStore(t)
	p := newPlace(t)
	p.original(s)
	a, found := newAuto(t, p.url())
	works(t, a)
	if is := <-found; is != client.Original {
		t.Errorf("found %d", is)
	}
	p.ours(s)
	a, found = newAuto(t, p.url())
	works(t, a)
	if is := <-found; is != client.V2 {
		t.Errorf("found %d", is)
	}
}

// TestOneTakesTheOthersPlace: the original is noticed by the first call that
// fails, ours by the next look.
func TestOneTakesTheOthersPlace(t *testing.T) {
	s := originalStore(t)
	p := newPlace(t)
	p.close()
	a, found := newAuto(t, p.url())
	fails := func() {
		t.Helper()
		a.LookAgain()
		if _, err := a.Host(t.Context(), asked); !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("a call of the kind that is not there: %v", err)
		}
	}
	fails()       // nobody is there yet
	a.LookAgain() // which ends before somebody is
	for _, want := range []client.Server{client.Original, client.V2, client.Original} {
		if want == client.V2 {
			p.ours(s)
		} else {
			p.original(s)
		}
		switch {
		case a.Server() == client.Unknown:
			if err := a.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		case want == client.V2: // it answers as the original does, too
			a.LookAgain()
			if _, err := a.Host(t.Context(), asked); err != nil {
				t.Error(err)
			}
		default:
			fails()
		}
		if is := <-found; is != want {
			t.Fatalf("found %d, want %d", is, want)
		}
		works(t, a)
		p.close()
		fails()       // gone, but it stays what it was
		a.LookAgain() // which ends before another is there
	}
}

// TestOursIsDown: a proxy, a page, or another program in its place is not taken
// for the original, neither at the start nor later.
func TestOursIsDown(t *testing.T) {
	s := originalStore(t)
	types := `["/pool", "/server"]`
	page := fixed(404, "text/html; charset=UTF-8", "404 Not Found\n")
	byPath := func(version, index http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				index(w, r)
				return
			}
			version(w, r)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"nothing but pages":   page,
		"a welcome":           byPath(page, fixed(200, "text/html", "<h1>It works!</h1>")),
		"a list of nothing":   byPath(page, fixed(200, jsonType, `[]`)),
		"a list without end":  byPath(page, fixed(200, jsonType, types[:9])),
		"a list of files":     byPath(page, fixed(200, jsonType, `["a", "b"]`)),
		"a list out of order": byPath(page, fixed(200, jsonType, `["/server", "/pool"]`)),
		"a list of entities":  byPath(page, fixed(200, jsonType, `["/pool/a", "/pool/b"]`)),
		"a list as text":      byPath(page, fixed(200, "text/plain", types)),
		"a list with 500":     byPath(page, fixed(500, jsonType, types)),
		"502 of a proxy":      byPath(fixed(502, "text/html", "Bad Gateway"), fixed(200, jsonType, types)),
		"503 of ours":         byPath(fixed(503, jsonType, `{"error":"the database is gone"}`), fixed(200, jsonType, types)),
		"404 in JSON":         byPath(fixed(404, jsonType, `{"error":"no"}`), fixed(200, jsonType, types)),
		"another version":     byPath(fixed(200, jsonType, `{"api":3}`), fixed(200, jsonType, types)),
		"a broken version":    byPath(fixed(200, jsonType, `{"api":`), fixed(200, jsonType, types)),
		"a login":             byPath(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, fixed(200, jsonType, types)),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			p.handler(h)
			a, _ := newAuto(t, p.url())
			_, err := a.Host(t.Context(), asked)
			if !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) || a.Server() != client.Unknown {
				t.Errorf("at the start: found %d, %v", a.Server(), err)
			}
			p.ours(s)
			works(t, a)
			p.handler(h)
			a.LookAgain()
			if _, err = a.Host(t.Context(), asked); !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) {
				t.Errorf("later: %v", err)
			}
			a.Close() // it has looked by then
			if a.Server() != client.V2 {
				t.Errorf("later: found %d", a.Server())
			}
		})
	}
}

// TestWalkFirst: that the kind became known was taken for a change of it, so
// that a walk that was the first call ended at once.
func TestWalkFirst(t *testing.T) {
	p := newPlace(t)
	p.original(originalStore(t))
	a, _ := newAuto(t, p.url())
	if n, err := a.Hosts(t.Context(), func(*clusto.Host) error { return nil }); err != nil || n != 27 {
		t.Errorf("%d hosts, %v", n, err)
	}
}

// TestReplacedOnTheWalk: a walk over the original's hosts ends when ours takes
// its place, so that all come from there.
func TestReplacedOnTheWalk(t *testing.T) {
	s := originalStore(t)
	p := newPlace(t)
	p.original(s)
	a, found := newAuto(t, p.url())
	n, err := a.Hosts(t.Context(), func(*clusto.Host) error {
		if a.Server() == client.Original && len(found) == 1 {
			<-found
			p.ours(s)
			a.LookAgain()
		}
		return nil
	})
	if !errors.Is(err, clusto.ErrUnavailable) || n > 2 { // of 27
		t.Errorf("%d hosts, %v", n, err)
	}
	if is := <-found; is != client.V2 {
		t.Errorf("found %d", is)
	}
	works(t, a)
}

// TestWalkBehindAProxy: who puts a proxy before the original, which speaks
// HTTP/1.1, does not have every host looked at with suspicion.
func TestWalkBehindAProxy(t *testing.T) {
	behind, p := newPlace(t), newPlace(t)
	old := behind.original(originalStore(t))
	u, err := url.Parse(behind.url())
	if err != nil {
		t.Fatal(err)
	}
	p.handler(httputil.NewSingleHostReverseProxy(u))
	a, _ := newAuto(t, p.url())
	if n, err := a.Hosts(t.Context(), func(*clusto.Host) error { return nil }); err != nil || n != 27 {
		t.Errorf("%d hosts, %v", n, err)
	}
	looks := 0
	for _, c := range old.Calls() {
		if strings.Contains(c.Call, "/v2/version") {
			looks++
		}
	}
	if looks > 9 { // for 27 hosts
		t.Errorf("looked %d times", looks)
	}
}

// TestAutoThatIsClosed or left by its caller says nothing of the host.
func TestAutoThatIsClosed(t *testing.T) {
	a, _ := newAuto(t, hanging(t, ""))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Host(ctx, asked); !errors.Is(err, context.Canceled) || !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("left: %v", err)
	}
	a.Close() // also what it began by itself
	if _, err := a.Host(t.Context(), asked); !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
	if _, err := client.NewAuto(client.Config{URL: "nowhere"}, nil); !errors.Is(err, clusto.ErrInvalid) {
		t.Errorf("a wrong URL: %v", err)
	}
	srv := httptest.NewServer(fixed(200, jsonType, `{"api":2}`))
	defer srv.Close()
	b, err := client.NewAuto(client.Config{URL: srv.URL}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}
