package httpd_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestPanicOfALegacyCall is one 500 in the original's form, and one line with
// the request's id, with JSONP too.
func TestPanicOfALegacyCall(t *testing.T) {
	for _, query := range []string{"", "?callback=f"} {
		var log syncBuffer
		base := serve(t, panicking{originalStore(t)}, httpd.Config{Log: slog.New(slog.NewJSONHandler(&log, nil))})
		resp, got := do(t, http.MethodGet, base+"/server/s0001/attrs"+query, "")
		id := resp.Header.Get("X-Request-Id")
		if resp.StatusCode != 500 || resp.Header.Get("Content-Type") != "text/html; charset=UTF-8" || id == "" ||
			!strings.Contains(string(got), id) || strings.Contains(string(got), "luck") {
			t.Errorf("%s %s: %s", query, resp.Status, got)
		}
		var line struct{ Msg, ID, Panic string }
		if err := json.Unmarshal([]byte(log.String()), &line); err != nil || line.Msg != "request panicked" || line.ID != id || line.Panic != "no such luck" {
			t.Errorf("%v: logged %s", err, log.String())
		}
	}
}

type panicking struct{ httpd.Store }

func (panicking) Entity(context.Context, string) (clusto.Entity, error) { panic("no such luck") }
func (panicking) Ping(context.Context) error                            { panic("no such luck") }

// TestPanicOfHealth does not end the program: it is asked for on a goroutine of
// its own.
func TestPanicOfHealth(t *testing.T) {
	base := serve(t, panicking{originalStore(t)}, httpd.Config{})
	for range 2 {
		if status, a := ask(t, http.MethodGet, base+"/readyz", ""); status != 503 || strings.Contains(a.Error, "luck") {
			t.Errorf("%d %+v", status, a)
		}
	}
}

// TestForwardedIsNotTrusted: who sends X-Forwarded headers changes nothing.
func TestForwardedIsNotTrusted(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{Tokens: both(t)})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/pool/s0001/attrs", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+reader)
	for _, h := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-For", "Forwarded", "X-Forwarded-Prefix", "X-HTTP-Method-Override"} {
		req.Header.Set(h, "https")
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if to := resp.Header.Get("Location"); resp.StatusCode != 302 || to != base+"/server/s0001/attrs" {
		t.Errorf("%s to %q", resp.Status, to)
	}
}
