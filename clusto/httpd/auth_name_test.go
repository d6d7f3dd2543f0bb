package httpd_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestNameOfAnotherSite that points to a server without tokens: its page was
// taken for one of the server's own.
func TestNameOfAnotherSite(t *testing.T) {
	open := serve(t, originalStore(t), httpd.Config{})
	closed := serve(t, originalStore(t), httpd.Config{Tokens: both(t)})
	for _, tt := range []struct {
		base, host, header, value string
		status                    int
	}{
		{open, "evil.example", "Origin", "http://evil.example", 403},
		{open, "evil.example:9996", "Origin", "http://evil.example:9996", 403},
		{open, "evil.example", "Sec-Fetch-Site", "same-origin", 403},
		{open, "evil.example", "Sec-Fetch-Mode", "cors", 403},
		{open, "localhost.evil.example", "Origin", "http://localhost.evil.example", 403},
		{open, "127.0.0.1.evil.example", "Origin", "http://127.0.0.1.evil.example", 403},
		{open, "localhost", "Origin", "http://localhost", 200},
		{open, "LOCALHOST.:9996", "Origin", "http://LOCALHOST.:9996", 200},
		{open, "clusto.localhost:9996", "Origin", "http://clusto.localhost:9996", 200},
		{open, "127.0.0.1:9996", "Origin", "http://127.0.0.1:9996", 200},
		{open, "192.168.1.2", "Origin", "http://192.168.1.2", 200},
		{open, "[::1]:9996", "Origin", "http://[::1]:9996", 200},
		{open, "[::1]", "Origin", "http://[::1]", 200},
		{open, "127.0.0.1", "Origin", "http://evil.example", 403},
		{open, "inventory.example:9996", "User-Agent", "clusto", 200}, // no browser
		{closed, "inventory.example", "Origin", "http://inventory.example", 200},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tt.base+"/v2/batch", strings.NewReader(`{"ops":[]}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = tt.host
		req.Header.Set("Authorization", "Bearer "+writer)
		req.Header.Set(tt.header, tt.value)
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("Host %s, %s %s: %s, want %d", tt.host, tt.header, tt.value, resp.Status, tt.status)
		}
	}
}

// TestReadByANameOfAnotherSite: a page whose name was made to point to the server
// reads as if from its own site. A browser sends neither Origin nor Fetch Metadata
// with that over plain HTTP, and so the page was given the inventory. clusto's
// clients, the original's and curl go on to use any name.
func TestReadByANameOfAnotherSite(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, path := range []string{"/server/s0001", "/v2/entities/s0001"} {
		for _, tt := range []struct {
			host, languages string
			status          int
		}{
			{"evil.example:9996", "en-US,en;q=0.5", 403},
			{"evil.example:9996", "", 403},
			{"localhost:9996", "en-US,en;q=0.5", 200},
			{"127.0.0.1:9996", "en-US,en;q=0.5", 200},
			{"clusto-httpd.example.org", "none", 200},
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tt.host
			if tt.languages != "none" {
				req.Header.Set("Accept-Language", tt.languages)
			}
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Errorf("%s of %s, languages %q: %s, want %d", path, tt.host, tt.languages, resp.Status, tt.status)
			}
		}
	}
}
