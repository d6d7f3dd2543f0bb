package client_test

import (
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

const secret = "secret-secret-secret"

func withSecret() string { return secret }

// TestTokenIsSent by every kind of client, with every request, and is the one of
// the moment.
func TestTokenIsSent(t *testing.T) {
	all, err := httpd.ParseTokens("tokens", []byte("write "+secret))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(httpd.New(httpd.Config{Store: originalStore(t), Tokens: func() *httpd.Tokens { return all }}))
	t.Cleanup(srv.Close)
	now := secret
	cfg := client.Config{URL: srv.URL, Token: func() string { return now }}
	auto, err := client.NewAuto(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(auto.Close)
	c := newClient(t, cfg)
	mac := clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}
	calls := map[string]func() error{
		"Host":        func() error { _, err := c.Host(t.Context(), mac); return err },
		"Hosts":       func() error { _, err := c.Hosts(t.Context(), func(*clusto.Host) error { return nil }); return err },
		"Find":        func() error { _, err := c.Find(t.Context(), "s0001"); return err },
		"Networks":    func() error { _, err := c.Networks(t.Context()); return err },
		"Apply":       func() error { return c.Apply(t.Context(), nil) },
		"of Auto":     func() error { _, err := auto.Host(t.Context(), mac); return err },
		"BootServer":  func() error { _, err := c.BootServer(t.Context(), mac); return notFound(err) },
		"all of Auto": func() error { _, err := auto.Hosts(t.Context(), func(*clusto.Host) error { return nil }); return err },
	}
	for _, now = range []string{secret, "", "wrong-wrong-wrong-wrong", secret} {
		for name, call := range calls {
			err := call()
			if denied := errors.Is(err, client.ErrDenied); denied != (now != secret) || (err == nil) != (now == secret) {
				t.Errorf("%s with %q: %v", name, now, err)
			}
			if err != nil && (!errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) || strings.Contains(err.Error(), "wrong-wrong")) {
				t.Errorf("%s with %q: %v", name, now, err)
			}
		}
	}
}

func notFound(err error) error {
	if errors.Is(err, clusto.ErrNotFound) {
		return nil
	}
	return err
}

// TestTokenStaysAtHome: no client follows a redirect, so that nobody else gets
// the token, or takes clusto-httpd's place.
func TestTokenStaysAtHome(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another server is asked %s %s, with %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}))
	t.Cleanup(other.Close)
	var mu sync.Mutex
	seen := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if seen++; r.Header.Get("Authorization") != "Bearer "+secret {
			t.Errorf("%s %s comes with %q", r.Method, r.URL, r.Header.Get("Authorization"))
		}
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(srv.Close)
	cfg := client.Config{URL: srv.URL, Token: withSecret}
	legacy, err := client.NewLegacy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	auto, err := client.NewAuto(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(auto.Close)
	for name, err := range map[string]error{
		"Client": newClient(t, cfg).Ready(t.Context()), "Legacy": legacy.Ready(t.Context()), "Auto": auto.Ready(t.Context()),
	} {
		if !errors.Is(err, clusto.ErrUnavailable) || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if seen < 3 {
		t.Errorf("%d requests", seen)
	}
}

// TestTrust: the certificates of CAFile count, and no others do.
func TestTrust(t *testing.T) {
	srv := httptest.NewTLSServer(httpd.New(httpd.Config{Store: originalStore(t)}))
	t.Cleanup(srv.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := newClient(t, client.Config{URL: srv.URL, CAFile: file}).Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if err := newClient(t, client.Config{URL: srv.URL}).Ready(t.Context()); !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("the system's authorities: %v", err)
	}
	if err := os.WriteFile(file, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, "/nowhere/ca.pem"} {
		if _, err := client.New(client.Config{URL: srv.URL, CAFile: bad}); !errors.Is(err, clusto.ErrInvalid) || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
