package httpd_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestNoSentenceOfNetHTTP: the README promised a sentence with every 400 and 431,
// and those that net/http gives before any call have none. It says so, and has
// every status of them.
func TestNoSentenceOfNetHTTP(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, told, ok := strings.Cut(string(readme), "What is no HTTP never gets to a call: Go's net/http")
	told, _, _ = strings.Cut(told, "The original's bugs")
	if !ok {
		t.Error("README.md does not say what net/http answers itself")
	}
	addr := strings.TrimPrefix(serve(t, originalStore(t), httpd.Config{}), "http://")
	for _, tt := range []struct {
		request string
		status  int
	}{
		{"GET /server/%zz/attrs HTTP/1.1\r\nHost: x\r\n\r\n", 400},
		{"no request line\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"POST /pool/p/addattr HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n", 431},
		{"POST /pool/p/addattr HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
		{"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
	} {
		resp, body := raw(t, addr, tt.request)
		if resp.StatusCode != tt.status || len(body) > 100 || resp.Header.Get("X-Request-Id") != "" {
			t.Errorf("%.40q: %s %s", tt.request, resp.Status, body)
		}
		if !regexp.MustCompile(`\b` + strconv.Itoa(tt.status) + ` \(`).MatchString(told) {
			t.Errorf("README.md does not have %d among those of net/http", tt.status)
		}
	}
}

// raw sends bytes, and gives what comes back.
func raw(t *testing.T, addr, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.40q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%.40q: %v", request, err)
	}
	return resp, string(body)
}
