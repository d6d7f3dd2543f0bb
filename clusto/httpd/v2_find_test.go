package httpd_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestFindOfAPool had the MAC 00:00:00:00:00:00.
func TestFindOfAPool(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	resp, got := do(t, http.MethodGet, base+"/v2/find?q=webservers", "")
	if resp.StatusCode != http.StatusOK || strings.Contains(string(got), `"mac"`) || !strings.Contains(string(got), `"name":"webservers"`) {
		t.Errorf("%s %s", resp.Status, got)
	}
	if _, got := do(t, http.MethodGet, base+"/v2/find?q=s0001", ""); !strings.Contains(string(got), `"mac":"00:1e:c9:00:00:01"`) {
		t.Errorf("a server: %s", got)
	}
}
