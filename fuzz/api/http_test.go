package api

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store"
)

// site is what each run of requests begins with.
const site = `POST /pool/p
POST /basicserver/s
POST /basicnetworkswitch/sw
POST /basicrack/r
POST /ipmanager/lan
POST /resourcemanager/lan/setattr?key=baseip&subkey=property&value=10.0.0.0
POST /resourcemanager/lan/setattr?key=netmask&subkey=property&value=255.255.255.0
POST /pool/p/insert?object=/server/s
POST /rack/r/insert?object=/server/s&ru=7
POST /server/s/set_port_attr?porttype=nic-eth&portnum=1&key=mac&value=00:11:22:33:44:55
POST /server/s/connect_ports?porttype=nic-eth&portnum=1&object=/networkswitch/sw&otherportnum=3
POST /server/s/bind_ip_to_osport?ip=10.0.0.7&osportname=eth0`

// sessions are runs of requests, one on a line: method, path, and a body behind
// a space.
var sessions = []string{
	"GET /\nGET /server\nGET /server/s\nGET /server/s/show\nGET /search?q=s\nGET /v2/find?q=s\nGET /v2/hosts\nGET /v2/hosts/00:11:22:33:44:55",
	"GET /query/get_entities?attrs=[{\"key\":\"port-nic-eth\",\"subkey\":\"mac\",\"number\":1,\"value\":\"00:11:22:33:44:55\"}]\nGET /query/get?name=10.0.0.7\nGET /query/get_from_pools?pools=p\nGET /query/get_ip_manager?ip=10.0.0.7",
	"GET /server/s/attrs?merge_container_attrs=1&callback=f\nPOST /server/s/addattr?key=dhcp&subkey=enabled&value=1&datatype=int\nPOST /server/s/setattr?key=dhcp&subkey=enabled&value=0&number=2147483647\nPOST /server/s/delattr?key=dhcp",
	"POST /pool/q\nPOST /pool/q/insert?object=/pool/p\nPOST /pool/p/insert?object=/pool/q\nGET /pool/p/attrs?merge_container_attrs=1\nDELETE /pool/q",
	"POST /resourcemanager/lan/allocate?object=/server/s&osportname=eth1\nGET /resourcemanager/lan/attrs?ignore_hidden=0\nPOST /server/s/unbind_ip_from_osport?ip=10.0.0.7\nGET /server/s/hostname\nPOST /server/s/set_hostname?hostname=h",
	"GET /server/s/ports\nGET /server/s/get_port_attr?porttype=nic-eth&portnum=1&key=connection\nPOST /server/s/disconnect_port?porttype=nic-eth&portnum=1\nGET /server/s/port_free?porttype=nic-eth&portnum=1\nGET /rack/r/units",
	"POST /v2/batch {\"ops\":[{\"op\":\"entity\",\"name\":\"x\",\"driver\":\"pool\",\"as\":\"l\"},{\"op\":\"attr\",\"name\":\"$l\",\"key\":\"k\",\"value\":{\"type\":\"json\",\"str\":\"[1]\"}},{\"op\":\"insert\",\"name\":\"s\",\"into\":\"$l\"}]}",
	"POST /v2/batch {\"ops\":[{\"op\":\"raw\",\"name\":\"s\",\"key\":\"_contains\",\"number\":0,\"values\":[{\"type\":\"relation\",\"str\":\"p\"}]},{\"op\":\"counter\",\"name\":\"s\",\"key\":\"next\",\"number\":9}]}",
	"POST /v2/batch {\"ops\":[{\"op\":\"delete\",\"name\":\"sw\"},{\"op\":\"has\",\"name\":\"s\"},{\"op\":\"connect\",\"name\":\"s\",\"port\":\"nic-eth\",\"num\":\"1\",\"to\":\"s\",\"to_num\":\"2\"}]}",
	"GET /v2/entities/s\nGET /v2/entities/s/attrs?merge=1\nGET /v2/entities?type=server\nGET /v2/objects\nGET /v2/networks\nGET /v2/version\nGET /readyz\nGET /%ff/%00\nPUT /server/s",
}

// FuzzHTTP: no request, whatever went before it, gets a 500, and after any of
// them the inventory is consistent. A method that there is none of gets a 501. The
// feed of changes is left out: it has no end.
func FuzzHTTP(f *testing.F) {
	for _, s := range sessions {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, session string) {
		if len(session) > 4096 || strings.Count(session, "\n") > 32 {
			return
		}
		s, err := store.Open(t.Context(), ":memory:", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		h := httpd.New(httpd.Config{Store: s})
		for line := range strings.Lines(site) {
			if code, body := ask(t, h, line); code/100 != 2 {
				t.Fatalf("%s: %d %s", line, code, body)
			}
		}
		for line := range strings.Lines(session) {
			if code, body := ask(t, h, line); code >= 500 && code != http.StatusNotImplemented || code == 0 {
				t.Errorf("%q: %d %s", line, code, body)
			}
		}
		consistent(t, s)
	})
}

// ask makes one request; what no server would take for one counts as a 400.
func ask(t *testing.T, h http.Handler, line string) (code int, body string) {
	t.Helper()
	method, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	target, text, _ := strings.Cut(rest, " ")
	u, err := url.ParseRequestURI(target)
	if err != nil || !strings.HasPrefix(target, "/") || strings.HasPrefix(u.Path, "/v2/changes") {
		return http.StatusBadRequest, ""
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(text))
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

// consistent: every name once, every relation and connection to something that
// is there, and from there back; and what is there can be exported, and read again.
func consistent(t *testing.T, s *store.Store) {
	t.Helper()
	var all []clusto.Object
	if err := s.Objects(t.Context(), func(o *clusto.Object) error {
		all = append(all, *o)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	paths := map[string]bool{}
	ends := map[string]string{}
	for i := range all {
		o := &all[i]
		if paths[o.Path()] || o.Name == "" {
			t.Errorf("%q is there twice, or has no name", o.Path())
		}
		paths[o.Path()] = true
		for _, p := range o.Ports {
			if p.To != "" {
				ends[fmt.Sprintf("%s %s %d", o.Path(), p.Type, p.Num)] = p.To
			}
		}
	}
	for i := range all {
		for _, a := range all[i].Attrs {
			if a.Value.Type == clusto.Relation && !paths[a.Value.Str] {
				t.Errorf("%s %s/%s points to %q, which is not there", all[i].Path(), a.Key, a.Sub(), a.Value.Str)
			}
		}
		for _, p := range all[i].Parents {
			if !paths[p.Path()] {
				t.Errorf("%s is in %s, which is not there", all[i].Path(), p.Path())
			}
		}
	}
	for end, to := range ends {
		if !paths[to] {
			t.Errorf("%s is connected to %s, which is not there", end, to)
		}
	}
	var out bytes.Buffer
	if err := inventory.Export(&out, all); err != nil {
		return // it says what no file can hold: a text that is not UTF-8
	}
	if _, err := inventory.Parse("export.yaml", out.Bytes()); err != nil {
		t.Errorf("what was exported cannot be imported: %v\n%s", err, out.Bytes())
	}
}
