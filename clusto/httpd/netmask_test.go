package httpd_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestBrokenNetmaskIsRefused by every call that sets attributes, in one
// sentence; nothing is changed.
func TestBrokenNetmaskIsRefused(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	const says = `attribute netmask of /resourcemanager/net-private0: "255.0.255.0" is no netmask; want ones and then zeros, as in 255.255.255.0, or how many ones, as in 24`
	_, before := do(t, http.MethodGet, base+"/resourcemanager/net-private0", "")
	query := url.Values{"key": {"netmask"}, "subkey": {"property"}, "value": {"255.0.255.0"}}.Encode()
	for _, action := range []string{"addattr", "setattr"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			resp, got := do(t, method, base+"/resourcemanager/net-private0/"+action+"?"+query, "")
			if resp.StatusCode != http.StatusBadRequest || string(got) != "400 Bad Request\n"+says+"\n" {
				t.Errorf("%s %s: %s %s", method, action, resp.Status, got)
			}
		}
	}
	for _, word := range []string{"attr", "add", "set"} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{"op":"entity","name":"lost","driver":"pool"},`+
			`{"op":"`+word+`","name":"net-private0","key":"netmask","subkey":"property","value":{"str":"255.0.255.0"}}]}`)
		if status != http.StatusBadRequest || a.Error != says || a.Index == nil || *a.Index != 1 {
			t.Errorf("%s: %d %+v", word, status, a)
		}
	}
	if _, after := do(t, http.MethodGet, base+"/resourcemanager/net-private0", ""); string(after) != string(before) {
		t.Errorf("it is now\n%s\nand was\n%s", after, before)
	}
	if resp, got := do(t, http.MethodGet, base+"/pool/lost", ""); resp.StatusCode != http.StatusNotFound || strings.Contains(string(got), "driver") {
		t.Errorf("%s %s", resp.Status, got)
	}
}
