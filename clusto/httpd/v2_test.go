package httpd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/engine/labtest"
)

const jsonType = "application/json"

// answer is the body of every answer of /v2 that is no host.
type answer struct {
	Error    string
	NotFound bool `json:"not_found"`
	Index    *int
	Applied  *int
	Name     string
	API      int
}

// ask sends a request to /v2, which must answer with JSON and a request id.
func ask(t *testing.T, method, url, body string) (int, answer) {
	t.Helper()
	resp, got := do(t, method, url, body)
	if resp.Header.Get("Content-Type") != jsonType || resp.Header.Get("X-Request-Id") == "" {
		t.Errorf("%s %s: content type %q, request id %q", method, url, resp.Header.Get("Content-Type"), resp.Header.Get("X-Request-Id"))
	}
	var a answer
	decode(t, got, &a)
	return resp.StatusCode, a
}

func TestHost(t *testing.T) {
	s := originalStore(t)
	base := serve(t, s, httpd.Config{})
	for _, spelling := range []string{"00:1e:c9:00:00:01", "00-1E-C9-00-00-01", "001e.c900.0001"} {
		resp, got := do(t, http.MethodGet, base+"/v2/hosts/"+spelling, "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != jsonType {
			t.Fatalf("%s: %s\n%s", spelling, resp.Status, got)
		}
		var h clusto.Host
		decode(t, got, &h)
		if h.Name != "s0001" || !h.Enabled || len(h.Addresses) != 1 || h.Addresses[0].Network.Gateway.String() != "10.42.0.1" {
			t.Errorf("%s: %s", spelling, got)
		}
		for i := range h.Attrs {
			if a := &h.Attrs[i]; a.Origin == "" || a.Sub() == "enabled" {
				t.Errorf("attribute %s has origin %q", a.Sub(), a.Origin)
			}
		}
	}
	_, got := do(t, http.MethodGet, base+"/v2/hosts/00:1e:c9:00:00:03", "")
	var h clusto.Host
	if decode(t, got, &h); h.Enabled || !strings.Contains(h.Why, "/server/s0003") {
		t.Errorf("a disabled host: %s", got)
	}
}

func TestErrorsInWords(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{MaxBody: 1 << 10})
	for _, tt := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/v2/hosts/02:00:00:00:00:01", "", 404, "find host 02:00:00:00:00:01: not found in clusto"},
		{"GET", "/v2/hosts/02:00", "", 400, `parse MAC "02:00"`},
		{"GET", "/v2/find", "", 400, "parameter q is missing"},
		{"GET", "/v2/find?q=nobody", "", 404, `"nobody"`},
		{"GET", "/v2/nosuch", "", 501, "check the API URL"},
		{"GET", "/v2/v2/hosts/00:1e:c9:00:00:01", "", 501, "check the API URL"}, // was a 404: every host unknown
		{"POST", "/v2/hosts", "", 405, "takes GET, HEAD, and no POST"},
		{"POST", "/v2/hosts/00:1e:c9:00:00:01", "", 405, "takes GET, HEAD, and no POST"},
		{"DELETE", "/v2/batch", "", 405, "takes POST, and no DELETE"}, // was a 501: "check the API URL"
		{"PUT", "/v2/nosuch", "", 501, "check the API URL"},
		{"POST", "/v2/batch", "", 400, "it is empty"},
		{"POST", "/v2/batch", `{"ops":[`, 400, "unexpected EOF"},
		{"POST", "/v2/batch", `{"ops":[{"op":"entity","nam":"x"}]}`, 400, `"nam"`},
		{"POST", "/v2/batch", `{"ops":[]} {}`, 400, "more than one"},
		{"POST", "/v2/batch", `{"ops":"x"}`, 400, "ops at byte 10 is a string: want a list"},
		{"POST", "/v2/batch", `[]`, 400, "it is no object"},
		{"POST", "/v2/batch", `{"ops":[{"op":"disconnect","name":"s0001","port":"nic-eth","num":1}]}`, 400, "ops.num at byte 66 is a number: want a text"},
		{"POST", "/v2/batch", `{"ops":[{"ru":1.5}]}`, 400, "ops.ru at byte 17 is a number 1.5: want an integer"},
		{"POST", "/v2/batch", `{"ops":[{"value":{"int":99999999999999999999}}]}`, 400, "ops.value.int"},
		{"POST", "/v2/batch", `{"ops":[` + strings.Repeat(" ", 1<<10) + `]}`, 413, "larger than 1024 bytes"},
	} {
		status, a := ask(t, tt.method, base+tt.path, tt.body)
		if status != tt.status || !strings.Contains(a.Error, tt.says) || a.NotFound != (status == 404) {
			t.Errorf("%s %s %.30s: %d %+v, want %d %q", tt.method, tt.path, tt.body, status, a, tt.status, tt.says)
		}
	}
}

// lines splits a stream, whose last line is kept apart.
func lines(t *testing.T, got []byte) (hosts [][]byte, end []byte) {
	t.Helper()
	all := bytes.Split(bytes.TrimSuffix(got, []byte("\n")), []byte("\n"))
	return all[:len(all)-1], all[len(all)-1]
}

func TestStream(t *testing.T) {
	s := originalStore(t)
	base := serve(t, s, httpd.Config{})
	resp, got := do(t, http.MethodGet, base+"/v2/hosts", "")
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%s %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	hosts, end := lines(t, got)
	sameJSON(t, end, []byte(`{"end":true,"count":27}`), false)
	if len(hosts) != 27 {
		t.Errorf("%d hosts", len(hosts))
	}
	for _, line := range hosts {
		var h clusto.Host
		decode(t, line, &h)
		_, alone := do(t, http.MethodGet, base+"/v2/hosts/"+h.MAC.String(), "")
		sameJSON(t, line, alone, false)
	}
}

// broken is the real store until its hosts give out: what no real database does
// when asked to.
type broken struct {
	httpd.Store
	fail func() error
}

func (b broken) Host(context.Context, clusto.MAC) (*clusto.Host, error) { return nil, b.fail() }

func (b broken) Hosts(ctx context.Context, fn func(*clusto.Host) error) error {
	n := 0
	return b.Store.Hosts(ctx, func(h *clusto.Host) error {
		// Long enough a stream that its beginning has been sent.
		for range 200 {
			if err := fn(h); err != nil {
				return err
			}
		}
		if n++; n == 20 {
			return b.fail()
		}
		return nil
	})
}

func TestStreamOfAFailingStore(t *testing.T) {
	fail := func() error { return fmt.Errorf("the disk is gone: %w", clusto.ErrUnavailable) }
	base := serve(t, broken{originalStore(t), fail}, httpd.Config{})
	_, got := do(t, http.MethodGet, base+"/v2/hosts", "")
	hosts, end := lines(t, got)
	var a answer
	if decode(t, end, &a); len(hosts) != 20*200 || !strings.Contains(a.Error, "the database is out of reach") {
		t.Errorf("%d hosts, then %s", len(hosts), end)
	}
}

// TestPanicIsOne500 panics before an answer and within one.
func TestPanicIsOne500(t *testing.T) {
	var log syncBuffer
	base := serve(t, broken{originalStore(t), func() error { panic("no such luck") }}, httpd.Config{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	resp, got := do(t, http.MethodGet, base+"/v2/hosts/02:00:00:00:00:01", "")
	id := resp.Header.Get("X-Request-Id")
	var a answer
	if decode(t, got, &a); resp.StatusCode != http.StatusInternalServerError || id == "" || !strings.Contains(a.Error, id) || strings.Contains(a.Error, "luck") {
		t.Errorf("%s %q: %s", resp.Status, id, got)
	}
	if text := log.String(); strings.Count(text, "request panicked") != 1 || !strings.Contains(text, id) || !strings.Contains(text, "no such luck") {
		t.Errorf("logged: %s", text)
	}
	resp, err := http.Get(base + "/v2/hosts") //nolint:noctx // the server ends it
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream that panicked ends with %v", err)
	}
	if status, _ := ask(t, http.MethodGet, base+"/readyz", ""); status != http.StatusOK {
		t.Errorf("after panics: %d", status)
	}
}

type syncBuffer = labtest.Log

// TestStreamThatNobodyReads has clients that leave in the middle of a stream:
// each handler ends.
func TestStreamThatNobodyReads(t *testing.T) {
	ended := make(chan error)
	base := serve(t, endless{originalStore(t), ended}, httpd.Config{})
	for range 3 {
		resp, err := http.Get(base + "/v2/hosts") //nolint:noctx // closed below
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 100_000)); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if err := <-ended; err == nil {
			t.Error("an endless stream ended by itself")
		}
	}
}

// endless streams one host until nobody takes it.
type endless struct {
	httpd.Store
	ended chan<- error
}

func (e endless) Hosts(ctx context.Context, fn func(*clusto.Host) error) error {
	h, err := e.Host(ctx, clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1})
	for err == nil {
		err = fn(h)
	}
	e.ended <- err
	return err
}

func batch(t *testing.T, ops ...clusto.Op) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"ops": ops})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBatchIsAllOrNothing(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	server := clusto.Op{Op: "entity", Name: "new1", Driver: "penguinserver"}
	mac := func(name, mac string) clusto.Op {
		one, sub := 1, "mac"
		return clusto.Op{Op: "attr", Name: name, Key: "port-nic-eth", Subkey: &sub, Number: &one, Value: &clusto.Value{Type: clusto.String, Str: mac}}
	}
	status, a := ask(t, http.MethodPost, base+"/v2/batch", batch(t, server, mac("new1", "02:00:00:00:00:01"), mac("new1", "00:1e:c9:00:00:01")))
	if status != http.StatusConflict || a.Index == nil || *a.Index != 2 || !strings.Contains(a.Error, "/server/s0001") {
		t.Errorf("a MAC that is taken: %d %+v", status, a)
	}
	if status, a := ask(t, http.MethodPost, base+"/v2/batch", batch(t, server, clusto.Op{Op: "insert", Name: "new1", Into: "nowhere"})); status != http.StatusNotFound || a.Index == nil || *a.Index != 1 {
		t.Errorf("no such pool: %d %+v", status, a)
	}
	if status, _ := ask(t, http.MethodGet, base+"/v2/find?q=new1", ""); status != http.StatusNotFound {
		t.Errorf("half of a batch is there: %d", status)
	}
	for range 2 {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", batch(t, server, mac("new1", "02:00:00:00:00:01")))
		if status != http.StatusOK || a.Applied == nil || *a.Applied != 2 {
			t.Errorf("a good batch: %d %+v", status, a)
		}
	}
	if status, _ := ask(t, http.MethodGet, base+"/v2/hosts/02:00:00:00:00:01", ""); status != http.StatusOK {
		t.Errorf("what a batch made: %d", status)
	}
}

func TestNetworks(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	_, got := do(t, http.MethodGet, base+"/v2/networks", "")
	sameJSON(t, got, []byte(`{"networks":[
		{"name":"net-private0","prefix":"10.42.0.0/24","gateway":"10.42.0.1"},
		{"name":"net-private1","prefix":"10.43.0.0/24","gateway":"10.43.0.1"},
		{"name":"net-public0","prefix":"203.0.113.0/24","gateway":"203.0.113.1"}]}`), false)
}

func TestReadyz(t *testing.T) {
	s := originalStore(t)
	var log syncBuffer
	base := serve(t, s, httpd.Config{Version: "v1.2.3", Log: slog.New(slog.NewJSONHandler(&log, nil))})
	_, got := do(t, http.MethodGet, base+"/readyz", "")
	sameJSON(t, got, []byte(`{"name":"clusto-httpd","version":"v1.2.3","api":2}`), false)
	if err := os.Remove(dbFile(t, s)); err != nil {
		t.Fatal(err)
	}
	if status, a := ask(t, http.MethodGet, base+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(a.Error, "out of reach") {
		t.Errorf("without its file: %d %+v", status, a)
	} else if strings.Contains(a.Error, "clusto.db") || !strings.Contains(log.String(), "clusto.db") { // health needs no token
		t.Errorf("it says %q, and the log %s", a.Error, log.String())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/readyz", "/v2/hosts", "/v2/hosts/00:1e:c9:00:00:01", "/v2/networks", "/v2/find?q=s0001"} {
		if status, a := ask(t, http.MethodGet, base+path, ""); status != http.StatusServiceUnavailable || a.Error == "" || a.NotFound {
			t.Errorf("%s without a database: %d %+v", path, status, a)
		}
	}
}

// TestRawRequests sends what no HTTP client would.
func TestRawRequests(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{MaxBody: 1 << 10})
	for _, tt := range []struct{ request, begins string }{
		{"GET /v2/hosts/00:1e:c9:00:00:01 HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"}, // the original's clients speak it
		{"nonsense\r\n\r\n", "HTTP/1.1 400"},
		{"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400"},
		{"POST /v2/batch HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400"},
		{"GET /server/s0001/attrs?key=%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 400"},
		{"GET /server/s0001%2f../attrs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, tt.request); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.HasPrefix(got, []byte(tt.begins)) {
			t.Errorf("%q: %q, %v, want %q", tt.request, got, err, tt.begins)
		}
		conn.Close()
	}
}
