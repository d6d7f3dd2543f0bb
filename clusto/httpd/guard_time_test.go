package httpd_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// pipe serves one connection in virtual time.
type pipe struct {
	server chan net.Conn
	once   sync.Once
}

func (p *pipe) Accept() (net.Conn, error) {
	if c, ok := <-p.server; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p *pipe) Addr() net.Addr { return &net.IPAddr{} }
func (p *pipe) Close() error   { p.once.Do(func() { close(p.server) }); return nil }

// dialPipe serves h on a connection, and gives the client's end.
func dialPipe(t *testing.T, h http.Handler) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	l := &pipe{server: make(chan net.Conn, 1)}
	l.server <- server
	srv := httpd.NewServer(h, nil)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { client.Close(); srv.Close() })
	return client
}

// TestSlowClients sends headers and bodies a byte at a time, or not at all: the
// server cuts them off, and its places are free again.
func TestSlowClients(t *testing.T) {
	const post = "POST /v2/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
	const form = "POST /query/get_entities HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
	for _, tt := range []struct {
		name, begins string
		every        time.Duration // between two bytes; 0: no more come
		cut          time.Duration
	}{
		{"no header", "", 0, 10 * time.Second},
		{"half a header", "GET /readyz HTTP/1.1\r\nHos", 0, 10 * time.Second},
		{"a header by bytes", "GET /readyz HTTP/1.1\r\nX: ", time.Second, 10 * time.Second},
		{"no batch", post, 0, 30 * time.Second},
		{"a batch by bytes", post + " ", 20 * time.Second, 5 * time.Minute},
		{"no form", form, 0, 30 * time.Second},
		{"a form by bytes", form, 20 * time.Second, 30 * time.Second},
		{"the body of a call that reads none", "POST /nosuch HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", 20 * time.Second, 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, h := newHanging(t, httpd.Config{Limits: httpd.Limits{Requests: 1, Batches: 1}})
				began := time.Now()
				conn := dialPipe(t, h)
				var sending sync.WaitGroup
				sending.Go(func() {
					_, _ = io.WriteString(conn, tt.begins)
					for tt.every > 0 {
						time.Sleep(tt.every)
						if _, err := conn.Write([]byte(" ")); err != nil {
							return
						}
					}
				})
				defer sending.Wait()
				_, _ = io.Copy(io.Discard, conn) // until it is closed
				if cut := time.Since(began); cut < tt.cut || cut > tt.cut+time.Second {
					t.Errorf("cut off after %v, want %v", cut, tt.cut)
				}
			})
		})
	}
}

// TestConnectionGoesOn after a body: its deadlines are none of the next
// request's.
func TestConnectionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, handler := newHanging(t, httpd.Config{})
		close(h.forever)
		conn := dialPipe(t, handler)
		in := bufio.NewReader(conn)
		for _, request := range []string{
			"POST /v2/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"ops\":[]}",
			"GET /v2/hosts HTTP/1.1\r\nHost: x\r\n\r\n", // takes 100 minutes
			"GET /v2/version HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			go func() { _, _ = io.WriteString(conn, request) }()
			resp, err := http.ReadResponse(in, nil)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("%s: %v, %v", request, resp, err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Errorf("%s: %v", request, err)
			}
			time.Sleep(time.Minute)
		}
	})
}

// TestEndingCutsAReader who takes nothing of a stream.
func TestEndingCutsAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		h, handler := newHanging(t, httpd.Config{Ending: ctx})
		h.stream = 0
		conn := dialPipe(t, handler)
		go func() { _, _ = io.WriteString(conn, "GET /v2/hosts HTTP/1.1\r\nHost: x\r\n\r\n") }()
		synctest.Wait() // nobody reads: the server waits
		began := time.Now()
		end()
		time.Sleep(2 * time.Second)
		_, err := io.Copy(io.Discard, conn)
		if took := time.Since(began); err != nil || took > 2*time.Second {
			t.Errorf("cut off after %v, %v", took, err)
		}
	})
}
