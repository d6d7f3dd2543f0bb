package httpd_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestBatchOfTheREADME sends what the README has for an example.
func TestBatchOfTheREADME(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), `    {"ops": [`)
	body, _, _ = strings.Cut(body, "]}\n")
	base := serve(t, originalStore(t), httpd.Config{})
	for _, tt := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"ops": [` + body + `]}`, http.StatusOK, `{"applied":4,"results":[{"index":1,"name":"s0029"},{"index":3,"ip":"10.42.0.4"}]}`},
		{`{"ops":[{"op":"remove","name":"s0029","into":"sv2-r01"}]}`, http.StatusOK, `{"applied":1}`},
		{`{"ops":[]}`, http.StatusOK, `{"applied":0}`},
		{
			`{"ops":[{"op":"has","name":"s0029","driver":"pool"}]}`, http.StatusConflict,
			`{"error":"/server/s0029, driver penguinserver, has no driver pool","index":0}`,
		},
	} {
		resp, err := http.Post(base+"/v2/batch", "application/json", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || strings.TrimSpace(string(got)) != tt.want {
			t.Errorf("%s: %d %s, %v, want %s", tt.body, resp.StatusCode, got, err, tt.want)
		}
	}
}
