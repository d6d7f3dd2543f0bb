package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

// sent is an answer as the original sends it.
func sent(status, kind, body string) string {
	return fmt.Sprintf("HTTP/1.0 %s\r\nServer: WSGIServer/0.1 Python/2.7\r\nContent-Type: %s\r\n\r\n%s", status, kind, body)
}

// TestOriginalThatFails spoils each of the calls that a host takes, in each way:
// none of them says that the host is unknown, or leaves something out of it.
func TestOriginalThatFails(t *testing.T) {
	t.Parallel()
	srv := standIn(t, newSite(t, hardSite, hardSQL), false)
	steps := []string{
		"POST /query/get_entities", "GET /server/s1", "GET /resourcemanager/lan",
		"GET /pool/left", "GET /pool/deep", "GET /pool/right", "GET /pool/top", "GET /server/bmc",
	}
	for name, raw := range map[string]string{
		"a traceback":      sent("500 Internal Server Error", "text/plain", "Traceback (most recent call last):\n  File \"x.py\"\nOperationalError: database is locked"),
		"a 404":            sent("404 Not Found", "text/html; charset=UTF-8", "404 Not Found\n"),
		"a 404 in JSON":    sent("404 Not Found", jsonType, `{"error":"no","not_found":true}`),
		"a redirect":       "HTTP/1.0 302 Found\r\nLocation: /server/s2/\r\n\r\n",
		"a page":           sent("200 OK", "text/html", "<h1>It works!</h1>"),
		"JSON as text":     sent("200 OK", "text/plain", `[]`),
		"nothing":          sent("200 OK", jsonType, ``),
		"null":             sent("200 OK", jsonType, `null`),
		"an empty object":  sent("200 OK", jsonType, `{}`),
		"a number":         sent("200 OK", jsonType, `7`),
		"wrong types":      sent("200 OK", jsonType, `{"object":7,"attrs":"x","parents":{}}`),
		"a list of things": sent("200 OK", jsonType, `["s1"]`),
		"numbers":          sent("200 OK", jsonType, `[1]`),
		"half":             sent("200 OK", jsonType, `["/server/s`),
		"more":             sent("200 OK", jsonType, `["/server/s1"] ["/server/s2"]`),
		"another entity":   sent("200 OK", jsonType, `{"object":"/server/s2","driver":"basicserver","attrs":[],"parents":[]}`),
		"no parents":       sent("200 OK", jsonType, `{"object":"/server/s1","driver":"basicserver","attrs":[]}`),
		"no MAC":           sent("200 OK", jsonType, `{"object":"/server/s1","driver":"basicserver","attrs":[],"parents":[]}`),
		"a short answer":   "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n[]",
		"20 MB":            sent("200 OK", jsonType, `["`+strings.Repeat("x", 20<<20)+`"]`),
		"noise":            "\x00\x01\x02\r\n\r\n",
		"a closed door":    "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range steps {
				hit := false
				srv.Fail(func(call string) string {
					if !strings.HasPrefix(call, step) {
						return ""
					}
					hit = true
					return raw
				})
				h, err := newLegacy(t, srv.URL).Host(t.Context(), clusto.MAC{2, 0, 0, 0, 0, 1})
				if !hit || !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) || !strings.Contains(err.Error(), srv.URL) {
					t.Errorf("%s: asked %v, %+v, %v", step, hit, h, err)
				}
				if name == "a traceback" && !strings.Contains(fmt.Sprint(err), "database is locked") {
					t.Errorf("%s: %v does not tell what the server said", step, err)
				}
			}
		})
	}
}

// TestSecondQuestionFails: that nobody has the MAC on port 1 says nothing yet.
func TestSecondQuestionFails(t *testing.T) {
	srv := standIn(t, newSite(t, hardSite, ""), false)
	n := 0
	srv.Fail(func(string) string {
		if n++; n == 2 {
			return sent("500 Internal Server Error", "text/plain", "oops")
		}
		return ""
	})
	if _, err := newLegacy(t, srv.URL).Host(t.Context(), clusto.MAC{2, 9}); !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) {
		t.Error(err)
	}
}

// TestOriginalThatHangs does not hold its callers.
func TestOriginalThatHangs(t *testing.T) {
	for name, says := range map[string]string{
		"nothing": "", "a header": "HTTP/1.0 200 OK\r\n", "half an answer": "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[\"/serv",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const pause = 500 * time.Millisecond // enough to connect on a busy machine: it is the answer that hangs
			l, err := client.NewLegacy(client.Config{URL: hanging(t, says), Timeout: pause, LongTimeout: pause, Patience: time.Nanosecond})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			_, host := l.Host(t.Context(), asked)
			_, networks := l.Networks(t.Context())
			_, hosts := l.Hosts(t.Context(), func(*clusto.Host) error { return nil })
			for call, err := range map[string]error{"Host": host, "Networks": networks, "Hosts": hosts, "Ready": l.Ready(t.Context())} {
				if !errors.Is(err, clusto.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", call, err)
				}
			}
		})
	}
}

// TestCallersWhoLeave the queue do not hold a place in it, nor say anything of
// the host.
func TestCallersWhoLeave(t *testing.T) {
	srv := standIn(t, originalStore(t), true)
	l := newLegacy(t, srv.URL)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := l.Host(gone, asked); !errors.Is(err, context.Canceled) || !errors.Is(err, clusto.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if h, err := l.Host(t.Context(), asked); err != nil || h.Name != "s0001" {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestWalkLeavesOut what the server has trouble with, and goes on.
func TestWalkLeavesOut(t *testing.T) {
	srv := standIn(t, originalStore(t), true)
	srv.Fail(func(call string) string {
		if call == "GET /server/s0003" || strings.Contains(call, "00:1e:c9:00:00:05") {
			return sent("500 Internal Server Error", "text/plain", "UnicodeDecodeError: 'ascii' codec can't decode byte 0xc3")
		}
		return ""
	})
	var names []string
	n, err := newLegacy(t, srv.URL).Hosts(t.Context(), func(h *clusto.Host) error { names = append(names, h.Name); return nil })
	if err != nil || n != 25 || slices.Contains(names, "s0003") || slices.Contains(names, "s0005") || !slices.Contains(names, "s0004") {
		t.Errorf("%d hosts, %v: %q", n, err, names)
	}
	stop := errors.New("enough")
	if n, err := newLegacy(t, srv.URL).Hosts(t.Context(), func(*clusto.Host) error { return stop }); !errors.Is(err, stop) || n > 1 {
		t.Errorf("a callback that fails: %d, %v", n, err)
	}
}

// gone closes the door on so many calls.
func gone(calls int) func(string) string {
	return func(string) string {
		if calls--; calls >= 0 {
			return "\r\n"
		}
		return ""
	}
}

// TestWalkWaits for a server that is gone, goes on where it was, and gives up
// when its patience ends.
func TestWalkWaits(t *testing.T) {
	t.Parallel()
	srv := standIn(t, originalStore(t), true)
	l, err := client.NewLegacy(client.Config{URL: srv.URL, Memory: newAttributes})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := map[clusto.MAC]int{}
	n, err := l.Hosts(t.Context(), func(h *clusto.Host) error {
		if seen[h.MAC]++; len(seen) == 10 {
			srv.Fail(gone(2)) // for the next host, and for who looks why
		}
		return nil
	})
	if err != nil || n != 27 || len(seen) != 27 {
		t.Errorf("%d hosts, %d of them different, %v", n, len(seen), err)
	}
	l = newLegacy(t, srv.URL) // without patience
	n, err = l.Hosts(t.Context(), func(*clusto.Host) error { srv.Fail(gone(1000)); return nil })
	if n != 1 || !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("%d hosts, %v", n, err)
	}
}

// TestWalkGivesWay: while hosts are asked for, the walk asks for nothing.
func TestWalkGivesWay(t *testing.T) {
	srv := standIn(t, originalStore(t), true)
	l := newLegacy(t, srv.URL)
	asking, answer := make(chan struct{}), make(chan struct{})
	srv.Fail(func(call string) string {
		if strings.Contains(call, "00:1e:c9:00:00:01") {
			close(asking)
			<-answer
		}
		return ""
	})
	host := make(chan error, 1)
	go func() {
		_, err := l.Host(t.Context(), asked)
		host <- err
	}()
	<-asking
	srv.Fail(nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if n, err := l.Hosts(ctx, func(*clusto.Host) error { return nil }); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%d hosts, %v", n, err)
	}
	if n := srv.Most(); n != 1 {
		t.Errorf("%d requests at once: the walk did not wait", n)
	}
	close(answer)
	if err := <-host; err != nil {
		t.Error(err)
	}
}

// TestCrowdOnOneMAC is not read one by one: it is ambiguous anyway.
func TestCrowdOnOneMAC(t *testing.T) {
	var yaml strings.Builder
	yaml.WriteString("pools:\n")
	for i := range 40 {
		fmt.Fprintf(&yaml, "  p%d: {}\n", i)
	}
	s := newSite(t, yaml.String(), `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
		SELECT entity_id, 'port-nic-eth', 'mac', 2, 'string', '00:00:00:00:00:00', 1 FROM entities WHERE type = 'pool'`)
	srv := standIn(t, s, false)
	h, err := newLegacy(t, srv.URL).Host(t.Context(), clusto.MAC{})
	if err != nil || len(h.Ambiguous) != 40 || h.Enabled || len(srv.Calls()) != 2 {
		t.Errorf("%+v, %v", h, err)
	}
}

// TestMegabytesOfNonsense: a list of what are no paths is given up at its first
// item, and its error is short.
func TestMegabytesOfNonsense(t *testing.T) {
	for _, item := range []string{`{"a":1},`, `12345678,`, `"` + strings.Repeat("x", 1<<20) + `",`} {
		body := "[" + strings.Repeat(item, (8<<20)/len(item)) + `"/server/s1"]`
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		l, err := client.NewLegacy(client.Config{URL: srv.URL})
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Host(t.Context(), clusto.MAC{0, 1, 2, 3, 4, 5})
		if !errors.Is(err, clusto.ErrUnavailable) || len(err.Error()) > 600 {
			t.Errorf("%.20s: %d bytes of error: %.300v", item, len(err.Error()), err)
		}
		l.Close()
		srv.Close()
	}
}
