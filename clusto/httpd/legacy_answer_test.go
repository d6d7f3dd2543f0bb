package httpd_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// writes are calls that change the inventory, each in its place in the list: what
// one needs, those before it have made.
var writes = []string{
	"POST /pool/p1?",
	"POST /pool/p1/insert?object=/server/s0010",
	"POST /basicserver/new?",
	"POST /rack/sv2-r01/insert?object=/server/new&ru=44",
	"POST /pool/p1/remove?object=/server/s0010",
	"POST /pool/p1/addattr?key=k&value=v",
	"POST /pool/p1/setattr?key=k&value=w",
	"POST /pool/p1/delattr?key=k",
	"POST /server/s0010/set_port_attr?porttype=nic-eth&portnum=1&key=speed&value=1",
	"POST /server/s0010/connect_ports?porttype=nic-eth&portnum=2&object=/networkswitch/sv2-r01-sw1&otherportnum=47",
	"POST /server/s0010/disconnect_port?porttype=nic-eth&portnum=2",
	"POST /server/s0010/bind_ip_to_osport?ip=10.42.0.99&osportname=eth0&porttype=nic-eth&portnum=2",
	"POST /server/s0010/unbind_ip_from_osport?ip=10.42.0.99",
	"POST /resourcemanager/servernames/allocate?driver=basicserver",
	"POST /resourcemanager/net-private0/allocate?object=/server/s0010&osportname=eth0",
	"POST /server/s0010/set_hostname?hostname=h",
	"DELETE /pool/p1?",
}

// TestRefusedAfterItWasDone: insert, remove, bind_ip_to_osport and
// unbind_ip_from_osport answered a prefetch_attrs that is none with a 400, and
// had written by then. Each call is done rightly behind it: it does change
// something.
func TestRefusedAfterItWasDone(t *testing.T) {
	for _, word := range httpd.Writes() {
		if !slices.ContainsFunc(writes, func(call string) bool { return strings.Contains(call, "/"+word+"?") }) {
			t.Errorf("action %s writes, and is not tried here", word)
		}
	}
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		for _, call := range writes {
			method, where, _ := strings.Cut(call, " ")
			before := state(t, s)
			for _, wrong := range []string{"prefetch_attrs=garbage", "prefetch_attrs=" + url.QueryEscape(`[{"nosuch":1}]`), "callback=" + url.QueryEscape("alert(1)")} {
				resp, got := do(t, method, base+where+"&"+wrong, "")
				if resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%s&%s: %s\n%s", call, wrong, resp.Status, got)
				}
				if state(t, s) != before {
					t.Errorf("%s&%s: refused, and something was written", call, wrong)
				}
			}
			resp, got := do(t, method, base+where, "")
			if resp.StatusCode >= 300 || state(t, s) == before {
				t.Errorf("%s: %s, and it changes nothing\n%s", call, resp.Status, got)
			}
		}
	})
}
