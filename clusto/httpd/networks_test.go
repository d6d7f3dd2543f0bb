package httpd_test

import (
	"net/http"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

func TestNetworks(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	resp, body := do(t, http.MethodGet, base+"/v2/networks", "")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	sameJSON(t, body, []byte(`{"networks":[
		{"name":"net-private0","prefix":"10.42.0.0/24","gateway":"10.42.0.1"},
		{"name":"net-private1","prefix":"10.43.0.0/24","gateway":"10.43.0.1"},
		{"name":"net-public0","prefix":"203.0.113.0/24","gateway":"203.0.113.1"}]}`), false)
}
