package httpd_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// hanging is a store whose calls hang until their request ends, or for ever.
// Time is virtual in the tests that use it, so no database can be in its place.
type hanging struct {
	httpd.Store
	hosts, pings atomic.Int64
	forever      chan struct{} // closed to let those go that hang whatever happens
	stream       time.Duration // between two hosts
}

func (h *hanging) Host(ctx context.Context, mac clusto.MAC) (*clusto.Host, error) {
	h.hosts.Add(1)
	defer h.hosts.Add(-1)
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-h.forever:
		return &clusto.Host{MAC: mac}, nil
	}
}

func (h *hanging) Managers(ctx context.Context) ([]clusto.Network, error) {
	_, err := h.Host(ctx, clusto.MAC{})
	return nil, err
}

func (h *hanging) Entity(ctx context.Context, _ string) (clusto.Entity, error) {
	_, err := h.Host(ctx, clusto.MAC{})
	return clusto.Entity{}, err
}

func (h *hanging) Change(ctx context.Context, _ []clusto.Op) ([]clusto.Result, error) {
	_, err := h.Host(ctx, clusto.MAC{})
	return nil, err
}

func (h *hanging) Hosts(ctx context.Context, fn func(*clusto.Host) error) error {
	for range 100 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(h.stream):
		}
		if err := fn(&clusto.Host{Hostname: long}); err != nil {
			return err
		}
	}
	return nil
}

func (h *hanging) Objects(ctx context.Context, _ func(*clusto.Object) error) error {
	_, err := h.Host(ctx, clusto.MAC{})
	return err
}

func (h *hanging) Ping(ctx context.Context) error {
	h.pings.Add(1)
	_, err := h.Host(ctx, clusto.MAC{})
	return err
}

// long makes each host of a stream a chunk of its own.
var long = strings.Repeat("x", 64<<10)

func newHanging(t *testing.T, c httpd.Config) (*hanging, http.Handler) {
	h := &hanging{forever: make(chan struct{}), stream: time.Minute}
	c.Store = h
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return h, httpd.New(c)
}

// asked is a request under way.
type asked struct {
	*httptest.ResponseRecorder
	took time.Duration
	done chan struct{}
}

func begin(ctx context.Context, h http.Handler, method, path, body string) *asked {
	a := &asked{httptest.NewRecorder(), 0, make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(a.done)
		var in io.Reader
		if body != "" {
			in = strings.NewReader(body)
		}
		h.ServeHTTP(a, httptest.NewRequestWithContext(ctx, method, path, in))
		a.took = time.Since(began)
	}()
	return a
}

// want checks the answer, and the time that it took.
func (a *asked) want(t *testing.T, what string, status int, took time.Duration) {
	t.Helper()
	<-a.done
	if a.Code != status || a.took != took {
		t.Errorf("%s: %d after %v, want %d after %v: %s", what, a.Code, a.took, status, took, a.Body)
	}
}

const aHost = "/v2/hosts/00:1e:c9:00:00:01"

// TestAllPlacesTaken turns requests away after a short wait, each kind of them
// at a limit of its own; health and version are always there.
func TestAllPlacesTaken(t *testing.T) {
	const two = 2
	for _, tt := range []struct {
		name, method, path, body string
		wait                     time.Duration
	}{
		{"requests", "GET", aHost, "", time.Second},
		{"legacy requests", "GET", "/query/get_ip_manager?ip=10.0.0.1", "", time.Second},
		{"paths that are no clean ones", "GET", "/server//show", "", time.Second},
		{"streams", "GET", "/v2/hosts", "", 10 * time.Second},
		{"exports", "GET", "/v2/objects", "", 10 * time.Second},
		{"batches", "POST", "/v2/batch", `{"ops":[]}`, 10 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log syncBuffer
				_, h := newHanging(t, httpd.Config{
					Limits: httpd.Limits{Requests: two, Streams: two, Batches: two},
					Log:    slog.New(slog.NewTextHandler(&log, nil)),
				})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				for range two {
					begin(ctx, h, tt.method, tt.path, tt.body)
				}
				synctest.Wait()
				waiting := []*asked{begin(ctx, h, tt.method, tt.path, tt.body), begin(ctx, h, tt.method, tt.path, tt.body)}
				synctest.Wait()
				begin(ctx, h, tt.method, tt.path, tt.body).want(t, "one who would be the third to wait", 503, 0)
				begin(ctx, h, "GET", "/v2/version", "").want(t, "version", 200, 0)
				for _, a := range waiting {
					a.want(t, "one who waits", 503, tt.wait)
					if a.Header().Get("Retry-After") != "1" || !strings.Contains(a.Body.String(), "2 ") {
						t.Errorf("Retry-After %q: %s", a.Header().Get("Retry-After"), a.Body)
					}
				}
				cancel()
				synctest.Wait()
				if n := strings.Count(log.String(), "turned away"); n != 1 {
					t.Errorf("%d lines:\n%s", n, log.String())
				}
				if tt.wait == 10*time.Second && tt.method == "GET" {
					return
				}
				// All have left: there is room again.
				begin(t.Context(), h, "GET", "/v2/hosts", "").want(t, "a stream", 200, 100*time.Minute)
			})
		})
	}
}

// TestPlaceIsFree lets one in who waits as soon as another leaves, however it
// left.
func TestPlaceIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, handler := newHanging(t, httpd.Config{Limits: httpd.Limits{Requests: 1}})
		ctx, cancel := context.WithCancel(t.Context())
		first := begin(ctx, handler, "GET", aHost, "")
		synctest.Wait()
		second := begin(t.Context(), handler, "GET", aHost, "")
		time.Sleep(time.Second / 2)
		cancel()
		<-first.done
		close(h.forever)
		second.want(t, "the next one", 200, time.Second/2)
	})
}

// TestHealthHasItsOwnPlace asks for health while every place is taken, and many
// times at once: the database is asked once.
func TestHealthHasItsOwnPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, handler := newHanging(t, httpd.Config{Limits: httpd.Limits{Requests: 1}})
		begin(t.Context(), handler, "GET", aHost, "")
		var all []*asked
		for range 100 {
			all = append(all, begin(t.Context(), handler, "GET", "/readyz", ""))
		}
		synctest.Wait()
		if n := h.pings.Load(); n != 1 {
			t.Errorf("the database is asked %d times", n)
		}
		close(h.forever)
		for _, a := range all {
			a.want(t, "health", 200, 0)
		}
	})
}

// TestHealthOfAHangingDatabase ends by itself.
func TestHealthOfAHangingDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, h := newHanging(t, httpd.Config{})
		begin(t.Context(), h, "GET", "/readyz", "").want(t, "health", 503, 5*time.Second)
	})
}

// TestRequestTakesTooLong ends what hangs, and says so in the log.
func TestRequestTakesTooLong(t *testing.T) {
	for _, tt := range []struct {
		method, path, body string
		took               time.Duration
	}{
		{"GET", aHost, "", 7 * time.Second},
		{"GET", "/query/get_ip_manager?ip=10.0.0.1", "", 7 * time.Second},
		{"POST", "/v2/batch", `{"ops":[]}`, 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log syncBuffer
			_, h := newHanging(t, httpd.Config{
				Limits: httpd.Limits{Time: 7 * time.Second}, Log: slog.New(slog.NewTextHandler(&log, nil)),
			})
			a := begin(t.Context(), h, tt.method, tt.path, tt.body)
			a.want(t, tt.path, 503, tt.took)
			if !strings.Contains(a.Body.String(), "longer than the server allows") || !strings.Contains(log.String(), "request failed") {
				t.Errorf("%s: %s, logged %s", tt.path, a.Body, log.String())
			}
		})
	}
}

// TestEndingEndsStreams at once, those that wait for their place too.
func TestEndingEndsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		_, h := newHanging(t, httpd.Config{Ending: ctx, Limits: httpd.Limits{Streams: 1}})
		stream := begin(t.Context(), h, "GET", "/v2/hosts", "")
		time.Sleep(10 * time.Minute)
		waiting := begin(t.Context(), h, "GET", "/v2/hosts", "")
		host := begin(t.Context(), h, "GET", aHost, "")
		time.Sleep(time.Second)
		end()
		waiting.want(t, "a stream that waits", 503, time.Second)
		stream.want(t, "a stream", 200, 10*time.Minute+time.Second)
		if text := stream.Body.String(); !strings.HasSuffix(text, "\n") || !strings.Contains(text, `{"error":"the server is being stopped`) {
			t.Errorf("it ends with %q", text[max(0, len(text)-100):])
		}
		host.want(t, "a request", 503, 30*time.Second)
	})
}
