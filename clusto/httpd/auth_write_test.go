package httpd

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// TestIsWrite: what is not known to only read is a write.
func TestIsWrite(t *testing.T) {
	for _, tt := range []struct{ path, reads string }{
		{"/", "GET HEAD"},
		{"/server", "GET HEAD"},
		{"/server/s0001", "GET HEAD"}, // POST creates, DELETE deletes
		{"/server/s0001/", "GET HEAD"},
		{"/server/s0001/show", "GET HEAD POST"},
		{"/server/s0001/attrs", "GET HEAD POST"},
		{"/server/s0001/attrs/", "GET HEAD POST"},
		{"/server/s0001/ports", "GET HEAD POST"},
		{"/server/s0001/get_port_attr", "GET HEAD POST"},
		{"/server/s0001/addattr", ""},
		{"/server/s0001/setattr", ""},
		{"/server/s0001/delattr", ""},
		{"/server/s0001/insert", ""},
		{"/server/s0001/remove", ""},
		{"/server/s0001/set_port_attr", ""},
		{"/server/s0001/connect_ports", ""},
		{"/server/s0001/disconnect_port", ""},
		{"/server/s0001/bind_ip_to_osport", ""},
		{"/resourcemanager/lan/allocate", ""},
		{"/server/s0001/nosuch", ""},
		{"/server/s0001/ATTRS", ""},
		{"/server/s0001/attrs/more", ""}, // the original ignored what came after
		{"/server//s0001/attrs", ""},
		{"//server/s0001/setattr", "GET HEAD"}, // the root
		{"/server/s0001/setattr//", ""},
		{"/server/s0001/port_free", "GET HEAD POST"},
		{"/server/s0001/show/setattr", ""},
		{"/query/get_entities", "GET HEAD POST"},
		{"/query/get_by_name", "GET HEAD POST"},
		{"/query/get", "GET HEAD POST"},
		{"/query/get_from_pools", "GET HEAD POST"},
		{"/query/get_ip_manager", "GET HEAD POST"},
		{"/query/nosuch", ""},
		{"/query/get/show", ""}, // no entity
		{"/search", "GET HEAD POST"},
		{"/v2/hosts", "GET HEAD"},
		{"/v2/batch", "GET HEAD"},
		{"/v2/nosuch", "GET HEAD"},
		{"/V2/batch/attrs", "GET HEAD POST"}, // TYPE V2
		{"/readyz", "GET HEAD"},
	} {
		u, err := url.Parse("http://x" + tt.path)
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get", "X"} {
			r := &http.Request{Method: method, URL: u}
			reads := strings.Contains(" "+tt.reads+" ", " "+method+" ")
			if isWrite(r) == reads {
				t.Errorf("%s %s: write is %v", method, tt.path, isWrite(r))
			}
		}
	}
}

// TestIsWriteOfEscapes looks at the path as the calls do.
func TestIsWriteOfEscapes(t *testing.T) {
	for path, want := range map[string]bool{
		"/server/s0001/setattr%3f/../attrs": true,
		"/server/s0001/%73etattr":           true,
		"/server/s0001/attrs%2fsetattr":     true,
		"/server/a%2fb/attrs":               false,
		"/pool/a%2fattrs":                   true, // creates a pool
		"/query%2fget":                      true,
		"/query/get%00":                     true,
		"/server/s0001/%61ttrs":             false,
		"/v2%2fbatch":                       true,
	} {
		if r := httptest.NewRequest(http.MethodPost, path, nil); isWrite(r) != want {
			t.Errorf("POST %s: %v, want %v", path, isWrite(r), want)
		}
	}
}

// TestActionsAreTold: the calls and the guard agree on what each action does.
func TestActionsAreTold(t *testing.T) {
	for word, act := range actions {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := httptest.NewRequest(method, "/server/s0001/"+word, nil)
			if wrong := isWrite(r) != act.writes; wrong && word != "" {
				t.Errorf("%s %s: a write for the guard %v, for the call %v", method, word, isWrite(r), act.writes)
			}
		}
	}
}

// TestReadsOfV2: what is registered of /v2 for another method than GET is a
// write, and nothing else is.
func TestReadsOfV2(t *testing.T) {
	for _, pattern := range (&server{Config: Config{}.withDefaults()}).routes().patterns {
		method, path, ok := strings.Cut(pattern, " ")
		if !ok || !strings.HasPrefix(path, "/v2/") {
			continue
		}
		if isWrite(httptest.NewRequest(method, path, nil)) == (method == http.MethodGet) {
			t.Errorf("%s: write is %v", pattern, method == http.MethodGet)
		}
	}
}
