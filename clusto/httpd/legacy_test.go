package httpd_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// TestSixCalls asks for a host as the original's DHCP daemon did.
func TestSixCalls(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	query := url.QueryEscape(`[{"key": "port-nic-eth", "subkey": "mac", "number": 1, "value": "00:1e:c9:00:00:01"}]`)
	for _, tt := range []struct{ method, path, want string }{
		{"POST", "/query/get_entities?attrs=" + query, `["/server/s0001"]`},
		{"GET", "/server/s0001/attrs?key=dhcp&subkey=enabled&merge_container_attrs=1", `{"attrs":[{"key":"dhcp","subkey":"enabled","number":null,"datatype":"int","value":1}]}`},
		{"GET", "/server/s0001/attrs?key=ip&subkey=ipstring", `{"attrs":[{"key":"ip","subkey":"ipstring","number":6,"datatype":"string","value":"10.42.0.11"}]}`},
		{"GET", "/query/get_ip_manager?ip=10.42.0.11", `"/resourcemanager/net-private0"`},
		{"GET", "/resourcemanager/net-private0/attrs?subkey=property", `{"attrs":[
			{"key":"baseip","subkey":"property","number":null,"datatype":"string","value":"10.42.0.0"},
			{"key":"gateway","subkey":"property","number":null,"datatype":"string","value":"10.42.0.1"},
			{"key":"netmask","subkey":"property","number":null,"datatype":"string","value":"255.255.255.0"}]}`},
		{"GET", "/server/s0001/attrs?key=dhcp&subkey=domain&merge_container_attrs=1", `{"attrs":[
			{"key":"dhcp","subkey":"domain","number":null,"datatype":"string","value":"example.org"},
			{"key":"dhcp","subkey":"domain","number":null,"datatype":"string","value":"sv2.example.net"},
			{"key":"dhcp","subkey":"domain","number":null,"datatype":"string","value":"production.example.org"}]}`},
	} {
		resp, got := do(t, tt.method, base+tt.path, "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != jsonType {
			t.Fatalf("%s: %s\n%s", tt.path, resp.Status, got)
		}
		sameJSON(t, got, []byte(tt.want), false)
	}
}

// TestLegacyErrors names differences from the original: it answered 500, or
// lost the query.
func TestLegacyErrors(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, tt := range []struct {
		path   string
		status int
		says   string
	}{
		{"/server/nobody/attrs", 404, "404 Not Found\n"},
		{"/server/s0001/attrs?number=x", 400, "no integer"},
		{"/server/s0001/attrs?regex=1&key=(", 400, "no regular expression"},
		{"/server/s0001/attrs?nosuch=1", 400, "nosuch"},
		{"/server/s0001/attrs?callback=alert(1)//", 400, "no function name"},
		{"/server/s0001/attrs?key=%3Cscript%3E&regex=1&value=(%3Cscript%3E", 400, "&lt;script&gt;"},
		{"/query/get_by_name?name=nobody", 404, "nobody"},
		{"/a/b/c/d", 404, "404 Not Found\n"},
	} {
		resp, got := do(t, http.MethodGet, base+tt.path, "")
		if resp.StatusCode != tt.status || !strings.Contains(string(got), tt.says) {
			t.Errorf("%s: %s\n%s", tt.path, resp.Status, got)
		}
	}
	resp, _ := do(t, http.MethodGet, base+"/pool/s0001/attrs?key=ip&subkey=ipstring", "")
	if to := resp.Header.Get("Location"); resp.StatusCode != http.StatusFound || to != base+"/server/s0001/attrs?key=ip&subkey=ipstring" {
		t.Errorf("a wrong type: %s to %q", resp.Status, to)
	}
}

// TestFormBody gives parameters in the body, and the same one in both places.
func TestFormBody(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	resp, err := http.PostForm(base+"/query/get_entities?clusto_types=[%22server%22]", url.Values{"clusto_types": {`["rack"]`}}) //nolint:noctx // local
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []string
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil || len(got) == 0 || !strings.HasPrefix(got[0], "/rack/") {
		t.Errorf("got %v, %v", got, err)
	}
}

// TestGet finds an entity by its name, else by serial number, address or MAC.
func TestGet(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		for _, serial := range []string{"", "SN-42", "10.42.0.200"} {
			try(t, "GET", base+"/server/s0010/addattr?key=system&subkey=serial&value="+serial, 200, "")
		}
		try(t, "POST", base+"/pool/00:1e:c9:00:00:01", 201, "")
		for term, want := range map[string]string{
			"s0001": "/server/s0001", "P0123456789": "/server/s0027", "SN-42": "/server/s0010", "10.42.0.11": "/server/s0001",
			"00:1e:c9:00:00:01": "/pool/00:1e:c9:00:00:01", "00:1E:C9:00:00:02": "/server/s0002",
		} {
			got := try(t, "GET", base+"/query/get?name="+term, 200, want)
			var list []struct{ Object string }
			if decode(t, got, &list); len(list) != 1 || list[0].Object != want {
				t.Errorf("%s: %v", term, list)
			}
		}
		for _, term := range []string{"P9999999999", "02:00:00:00:00:99", "10.42.0.200"} { // nobody's, though it could be
			sameJSON(t, try(t, "GET", base+"/query/get?name="+term, 200, ""), []byte(`[]`), false)
		}
		for _, term := range []string{"", "SN-43", "192.0.2.1", "::1", "10.42.0"} {
			try(t, "GET", base+"/query/get?name="+term, 404, "")
		}
	})
}
