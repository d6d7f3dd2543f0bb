package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// sessions are runs of requests, one on a line: method, path, and a body behind
// a space. They are short: what is thrown at the server is made of one of them.
var sessions = []string{
	"GET /",
	"GET /server",
	"GET /server/s\nGET /server/s/show",
	"GET /search?q=s",
	"GET /v2/find?q=s",
	"GET /v2/hosts",
	"GET /v2/hosts/00:11:22:33:44:55",
	"GET /query/get_entities?attrs=[{\"key\":\"port-nic-eth\",\"subkey\":\"mac\",\"number\":1,\"value\":\"00:11:22:33:44:55\"}]",
	"GET /query/get?name=10.0.0.7",
	"GET /query/get_by_name?name=s\nGET /query/get_from_pools?pools=p",
	"GET /query/get_ip_manager?ip=10.0.0.7",
	"GET /server/s/attrs?merge_container_attrs=1&callback=f",
	"POST /server/s/addattr?key=dhcp&subkey=enabled&value=1&datatype=int\nPOST /server/s/delattr?key=dhcp",
	"POST /server/s/setattr?key=dhcp&subkey=enabled&value=0&number=2147483647",
	"POST /pool/q\nPOST /pool/q/insert?object=/pool/p\nPOST /pool/p/insert?object=/pool/q",
	"POST /pool/p/remove?object=/server/s\nDELETE /pool/p",
	"POST /resourcemanager/lan/allocate?object=/server/s&osportname=eth1\nGET /resourcemanager/lan/attrs?ignore_hidden=0",
	"POST /server/s/unbind_ip_from_osport?ip=10.0.0.7",
	"POST /server/s/set_hostname?hostname=h\nGET /server/s/hostname",
	"GET /server/s/ports\nGET /server/s/get_port_attr?porttype=nic-eth&portnum=1&key=connection",
	"POST /server/s/disconnect_port?porttype=nic-eth&portnum=1\nGET /server/s/port_free?porttype=nic-eth&portnum=1",
	"POST /server/s/connect_ports?porttype=nic-eth&portnum=2&object=/server/s&otherportnum=1",
	"DELETE /networkswitch/sw",
	"GET /rack/r/units",
	"POST /v2/batch {\"ops\":[{\"op\":\"entity\",\"name\":\"x\",\"driver\":\"pool\",\"as\":\"l\"},{\"op\":\"attr\",\"name\":\"$l\",\"key\":\"k\",\"value\":{\"type\":\"json\",\"str\":\"[1]\"}},{\"op\":\"insert\",\"name\":\"s\",\"into\":\"$l\"}]}",
	"POST /v2/batch {\"ops\":[{\"op\":\"raw\",\"name\":\"s\",\"key\":\"_contains\",\"number\":0,\"values\":[{\"type\":\"relation\",\"str\":\"p\"}]},{\"op\":\"counter\",\"name\":\"s\",\"key\":\"next\",\"number\":9}]}",
	"POST /v2/batch {\"ops\":[{\"op\":\"delete\",\"name\":\"sw\"},{\"op\":\"has\",\"name\":\"s\"},{\"op\":\"connect\",\"name\":\"s\",\"port\":\"nic-eth\",\"num\":\"1\",\"to\":\"s\",\"to_num\":\"2\"}]}",
	"GET /v2/entities/s",
	"GET /v2/entities/s/attrs?merge=1",
	"GET /v2/entities?type=server",
	"GET /v2/objects",
	"GET /v2/networks\nGET /v2/version",
	"GET /readyz\nGET /%ff/%00\nPUT /server/s",
}

// FuzzHTTP: no request, whatever went before it, gets a 500, and after any of
// them the inventory is consistent. A method that there is none of gets a 501. The
// feed of changes is left out: it has no end.
func FuzzHTTP(f *testing.F) {
	for _, session := range sessions {
		f.Add(session)
	}
	s := open(f)
	f.Fuzz(func(t *testing.T, session string) {
		if len(session) <= 4096 && strings.Count(session, "\n") <= 32 {
			s.hold(t, session)
		}
	})
}

// hold has a session's requests answered, one after the other. What nothing was
// written to is what was looked at in the beginning; else it is looked at again, and reset.
func (s *site) hold(tb testing.TB, session string) {
	tb.Helper()
	h := httpd.New(httpd.Config{Store: s.store})
	mirrored := true
	for line := range strings.Lines(session) {
		code, body := ask(tb, h, line)
		if code >= 500 && code != http.StatusNotImplemented || code == 0 {
			tb.Errorf("%q: %d %s", line, code, body)
		}
		mirrored = mirrored && (code/100 != 2 || !byHand(line))
	}
	if s.written(tb) {
		defer s.reset(tb)
		consistent(tb, s.store, mirrored)
	}
}

// parts takes a line apart; u is nil for what no server would take for a request.
func parts(line string) (method, target, text string, u *url.URL) {
	method, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	target, text, _ = strings.Cut(rest, " ")
	u, err := url.ParseRequestURI(target)
	if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(u.Path, "/v2/changes") {
		u = nil
	}
	return method, target, text, u
}

// ask makes one request; what no server would take for one counts as a 400.
func ask(tb testing.TB, h http.Handler, line string) (code int, body string) {
	tb.Helper()
	method, target, text, u := parts(line)
	if u == nil {
		return http.StatusBadRequest, ""
	}
	r, err := http.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(text))
	if err != nil {
		return http.StatusBadRequest, ""
	}
	r.RequestURI = target
	if method == http.MethodPost && strings.HasPrefix(text, "{") {
		r.Header.Set("Content-Type", "application/json")
	} else if text != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
