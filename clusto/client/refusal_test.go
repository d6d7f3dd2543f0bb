package client_test

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

// TestRefusalsThatStay: any 4xx but 400, 404, 409 and 413 counted as an outage, in
// clusto-httpd's own words as well. Discovery sent what it refused with 405, 415
// or 422 again for ever, and nothing else of that switch went on.
func TestRefusalsThatStay(t *testing.T) {
	for status, want := range map[int]error{
		400: clusto.ErrInvalid, 405: clusto.ErrInvalid, 409: clusto.ErrConflict, 413: clusto.ErrInvalid, 414: clusto.ErrInvalid,
		415: clusto.ErrInvalid, 422: clusto.ErrInvalid, 431: clusto.ErrInvalid,
		401: client.ErrDenied, 403: client.ErrDenied,
		408: clusto.ErrUnavailable, 425: clusto.ErrUnavailable, 429: clusto.ErrUnavailable, 500: clusto.ErrUnavailable, 501: clusto.ErrUnavailable,
	} {
		srv := httptest.NewServer(fixed(status, jsonType, `{"error":"no"}`))
		for call, err := range calls(t.Context(), newClient(t, client.Config{URL: srv.URL})) {
			if !errors.Is(err, want) || (want == clusto.ErrInvalid || want == clusto.ErrConflict) == errors.Is(err, clusto.ErrUnavailable) {
				t.Errorf("%d: %s: %v, want %v", status, call, err, want)
			}
		}
		srv.Close()
		if status == 401 || status == 403 || status == 404 {
			continue
		}
		srv = httptest.NewServer(fixed(status, "text/html", fmt.Sprintf("<h1>%d</h1>", status))) // a proxy's
		unavailable(t, fmt.Sprintf("%d in HTML", status), newClient(t, client.Config{URL: srv.URL}))
		srv.Close()
	}
}
