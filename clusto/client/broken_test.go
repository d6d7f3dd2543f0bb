package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

var asked = clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}

// calls are all that a client can ask.
func calls(ctx context.Context, c *client.Client) map[string]error {
	_, host := c.Host(ctx, asked)
	_, find := c.Find(ctx, "s0001")
	_, networks := c.Networks(ctx)
	_, hosts := c.Hosts(ctx, func(*clusto.Host) error { return nil })
	_, attrs := c.Attrs(ctx, clusto.AttrQuery{Name: "s0001"})
	return map[string]error{
		"Host": host, "Find": find, "Networks": networks, "Hosts": hosts, "Ready": c.Ready(ctx), "Attrs": attrs,
		"Objects": c.Objects(ctx, func(*clusto.Object) error { return nil }),
		"Apply":   c.Apply(ctx, []clusto.Op{{Op: "entity", Name: "x", Driver: "pool"}}),
	}
}

// unavailable wants every call to fail as ErrUnavailable, and as nothing else.
func unavailable(t *testing.T, what string, c *client.Client) {
	t.Helper()
	for call, err := range calls(t.Context(), c) {
		if !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) || errors.Is(err, clusto.ErrConflict) || errors.Is(err, clusto.ErrInvalid) {
			t.Errorf("%s: %s: %v", what, call, err)
		}
	}
}

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
)

// fixed answers everything alike; the body says how long it is.
func fixed(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// cut sends a part of what it promises.
func cut(contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+100))
		_, _ = io.WriteString(w, body)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// TestBrokenServers has servers that answer, but not as clusto-httpd does. None
// of them can say that a host is unknown.
func TestBrokenServers(t *testing.T) {
	t.Parallel()
	host := `{"mac":"00:1e:c9:00:00:01","name":"s0001"}`
	tenMB := `{"mac":"` + strings.Repeat("0", 10<<20) + `"}`
	for name, h := range map[string]http.HandlerFunc{
		"500 in JSON":          fixed(500, jsonType, `{"error":"out of luck"}`),
		"500 in HTML":          fixed(500, "text/html", "<h1>Internal Server Error</h1>"),
		"502 of a proxy":       fixed(502, "text/html", "<h1>Bad Gateway</h1>"),
		"503":                  fixed(503, jsonType, `{"error":"the database is gone"}`),
		"404 in HTML":          fixed(404, "text/html", "<h1>Not Found</h1>"),
		"404 of another API":   fixed(404, jsonType, `{"error":"Not Found","status":404}`), // was ErrNotFound
		"404 without words":    fixed(404, jsonType, `{}`),
		"not_found with 500":   fixed(500, jsonType, `{"error":"x","not_found":true}`),
		"a redirect":           func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
		"nothing":              fixed(200, jsonType, ""),
		"no content":           func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"cut JSON":             fixed(200, jsonType, host[:20]),
		"a cut answer":         cut(jsonType, host[:20]),
		"a whole answer, cut":  cut(jsonType, host),
		"10 MB":                fixed(200, jsonType, tenMB),
		"10 MB in a line":      fixed(200, ndjsonType, tenMB+"\n"),
		"a 500 of 10 MB":       fixed(500, jsonType, tenMB),
		"wrong types":          fixed(200, jsonType, `{"mac":7,"hosts":7,"networks":7,"api":"2","applied":"1"}`),
		"a list":               fixed(200, jsonType, `[]`),
		"null":                 fixed(200, jsonType, `null`),
		"an empty object":      fixed(200, jsonType, `{}`), // was a success of Apply, Find and Networks
		"a result of nothing":  fixed(200, jsonType, `{"applied":1,"results":[{"index":1,"name":"x"}]}`),
		"no MAC":               fixed(200, jsonType, `{"mac":"zz","api":1}`), // was ErrInvalid as well
		"another host":         fixed(200, jsonType, `{"mac":"00:1e:c9:00:00:02","name":"s0002"}`),
		"two values":           fixed(200, jsonType, host+host),
		"another content type": fixed(200, "text/plain", host),
		"no content type":      fixed(200, "", host),
		"a page":               fixed(200, "text/html", "<html>welcome</html>"),
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(h)
			defer srv.Close()
			unavailable(t, name, newClient(t, client.Config{URL: srv.URL}))
		})
	}
}

// TestBrokenStreams end in other ways than with their end line.
func TestBrokenStreams(t *testing.T) {
	line := `{"mac":"00:1e:c9:00:00:01","name":"s0001"}` + "\n"
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		n    int
		says string
	}{
		"cut between lines": {fixed(200, ndjsonType, line+line), 2, "after 2 hosts: unexpected EOF"},
		"cut in a line":     {fixed(200, ndjsonType, line+line[:20]), 1, "after 1 hosts: unexpected EOF"},
		"a lost connection": {cut(ndjsonType, line+line), 2, "after 2 hosts: unexpected EOF"},
		"too few":           {fixed(200, ndjsonType, line+`{"end":true,"count":2}`+"\n"), 1, "1 hosts came, the server counts 2"},
		"an error":          {fixed(200, ndjsonType, line+`{"error":"the disk is gone"}`+"\n"), 1, "the disk is gone"},
		"another line":      {fixed(200, ndjsonType, line+`{"name":"s0002"}`+"\n"), 1, "neither a host nor the end"},
		"a wrong type":      {fixed(200, ndjsonType, line+`{"mac":"00:1e:c9:00:00:02","enabled":"yes"}`+"\n"), 1, "line 2"},
		"an empty line":     {fixed(200, ndjsonType, line+"\n"), 1, "line 2"},
		"an end cut short":  {fixed(200, ndjsonType, line+`{"end":true,"count":1}`), 1, "unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(tt.h)
			defer srv.Close()
			n, err := newClient(t, client.Config{URL: srv.URL}).Hosts(t.Context(), func(*clusto.Host) error { return nil })
			if n != tt.n || !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%d hosts, %v; want %d, %q", n, err, tt.n, tt.says)
			}
		})
	}
}

// TestLongLines has hosts that are larger than the reader's buffer.
func TestLongLines(t *testing.T) {
	line := `{"mac":"00:1e:c9:00:00:01","name":"` + strings.Repeat("x", 200<<10) + `"}` + "\n"
	srv := httptest.NewServer(fixed(200, ndjsonType, line+line+line+`{"end":true,"count":3}`+"\n"))
	defer srv.Close()
	n, err := newClient(t, client.Config{URL: srv.URL}).Hosts(t.Context(), func(h *clusto.Host) error {
		if len(h.Name) != 200<<10 {
			t.Errorf("a name of %d bytes", len(h.Name))
		}
		return nil
	})
	if n != 3 || err != nil {
		t.Errorf("%d hosts, %v", n, err)
	}
}

// TestServerThatHangs takes connections, or a request, or half of an answer, and
// says no more.
func TestServerThatHangs(t *testing.T) {
	for name, says := range map[string]string{
		"nothing":        "",
		"a header":       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
		"half an answer": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"mac\"",
		"half a stream":  "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n{\"mac\":\"00:1e:c9:00:00:01\"}\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const pause = 100 * time.Millisecond
			c := newClient(t, client.Config{URL: hanging(t, says), Timeout: pause, BatchTimeout: pause, LongTimeout: pause, StreamPause: pause})
			unavailable(t, name, c)
			_, err := c.Hosts(t.Context(), func(*clusto.Host) error { return nil })
			if name == "half a stream" && !strings.Contains(err.Error(), "after 1 hosts: the stream stood still") {
				t.Errorf("a stream: %v", err)
			}
			_, err = c.Host(t.Context(), asked)
			if name != "half a stream" && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a host: %v", err)
			}
		})
	}
}

// hanging listens, says the same to everyone who has asked, and closes nothing.
func hanging(t *testing.T, says string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				if _, err := http.ReadRequest(in); err == nil {
					_, _ = io.WriteString(conn, says)
				}
				_, _ = io.Copy(io.Discard, in) // until the client leaves
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return "http://" + l.Addr().String()
}

// TestCallerWhoLeaves cancels a call: it ends, and says nothing of the host.
func TestCallerWhoLeaves(t *testing.T) {
	c := newClient(t, client.Config{URL: hanging(t, "")})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for call, err := range calls(ctx, c) {
		if !errors.Is(err, context.Canceled) || errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("%s: %v", call, err)
		}
	}
}
