package httpd_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// The original's bugs, as the list of them numbers them. TestReplay has those
// that its transcript shows; here is what it does not show, or shows too little
// of.

// try makes a request, and checks the status and what the answer says.
func try(t *testing.T, method, where string, status int, says string) []byte {
	t.Helper()
	resp, got := do(t, method, where, "")
	if resp.StatusCode != status || !strings.Contains(string(got), says) {
		t.Errorf("%s %s: %s, want %d and %q\n%s", method, where, resp.Status, status, says, got)
	}
	return got
}

// state is all that a store holds.
func state(t *testing.T, s *store.Store) string {
	t.Helper()
	var all strings.Builder
	err := s.Objects(t.Context(), func(o *clusto.Object) error { return json.NewEncoder(&all).Encode(o) })
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestBug1MergedReadThroughACycle hung the server for good.
func TestBug1MergedReadThroughACycle(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		for _, pool := range []string{"a", "b", "c"} {
			try(t, "POST", base+"/pool/"+pool, 201, "")
			try(t, "POST", base+"/pool/"+pool+"/addattr?key=dhcp&subkey=from&value="+pool, 200, "")
		}
		for _, p := range []string{"a/insert?object=/pool/b", "b/insert?object=/pool/c", "c/insert?object=/pool/a", "a/insert?object=/pool/a"} {
			try(t, "GET", base+"/pool/"+p, 200, "")
		}
		try(t, "GET", base+"/pool/c/insert?object=/server/s0001", 200, "")
		got := try(t, "GET", base+"/server/s0001/attrs?key=dhcp&subkey=from&merge_container_attrs=1", 200, "")
		// The nearest first; a is reached by way of c and b, and holds itself.
		sameJSON(t, values(t, got), []byte(`["c","b","a"]`), false)
		got = try(t, "GET", base+"/query/get_from_pools?pools=a,b&types=server", 200, "")
		sameJSON(t, got, []byte(`["/server/s0001"]`), false)
		got = try(t, "GET", base+"/query/get_from_pools?pools=a&types=pool", 200, "")
		sameJSON(t, got, []byte(`["/pool/a","/pool/b","/pool/c"]`), false)
		mac, _ := clusto.ParseMAC("00:1e:c9:00:00:01")
		if _, err := s.Host(t.Context(), mac); err != nil {
			t.Error(err)
		}
	})
}

// values gives the values of .../attrs.
func values(t *testing.T, body []byte) []byte {
	t.Helper()
	var answer struct{ Attrs []struct{ Value any } }
	decode(t, body, &answer)
	out := []any{}
	for _, a := range answer.Attrs {
		out = append(out, a.Value)
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBug2TracebackForAnErrorOfTheClient: where 400 or 404 belongs is no 500,
// and what was asked for is named.
func TestBug2TracebackForAnErrorOfTheClient(t *testing.T) {
	s := originalStore(t)
	base := serve(t, s, httpd.Config{})
	before := state(t, s)
	for _, tt := range []struct {
		method, path string
		status       int
		says         string
	}{
		{"GET", "/nosuchtype", 404, `"nosuchtype"`},
		{"GET", "/resource", 404, `"resource"`},
		{"POST", "/nosuchdriver/x", 400, `"nosuchdriver"`},
		{"POST", "/server/x", 400, `did you mean "basicserver"`},
		{"GET", "/query/get_entities?clusto_types=[%22nosuch%22]", 400, `"nosuch"`},
		{"GET", "/query/get_entities?clusto_drivers=[%22nosuch%22]", 400, `"nosuch"`},
		{"GET", "/query/get_by_name?name=nosuch", 404, `"nosuch"`},
		{"GET", "/rack/sv2-r01/insert?object=/server/db.example.org&ru=2", 400, "rack unit 2 is taken by /server/s0002"},
		{"GET", "/pool/webservers/insert?object=/server/s0001", 400, "insert /server/s0001 into /pool/webservers: it is there already"},
		{"GET", "/query/get_entities?attrs=[{", 400, "attrs must be a JSON list of objects, and is broken at byte 2"},
		{"GET", "/server/s0001/_dict", 404, `"_dict"`},
		{"GET", "/server/s0001/__class__", 404, `"__class__"`},
		{"GET", "/server/s0001/setattr?key=k", 400, `"value"`},
		{"GET", "/server/s0001/get_port_attr?porttype=nic-eth&portnum=9&key=mac", 404, "port nic-eth 9 of /server/s0001"},
	} {
		got := try(t, tt.method, base+tt.path, tt.status, tt.says)
		if strings.Contains(string(got), "goroutine") || strings.Count(string(got), "\n") != 2 {
			t.Errorf("%s: more than a sentence:\n%s", tt.path, got)
		}
	}
	if state(t, s) != before {
		t.Error("something was written")
	}
}

// TestBug3PartsOfTheRequestWereIgnored: each filter of delattr counts, the type
// of DELETE, the query of a redirect, dots, and what follows an action.
func TestBug3PartsOfTheRequestWereIgnored(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		pool := base + "/pool/empty-pool"
		for _, p := range []string{"value=a", "value=b", "subkey=x&value=a", "number=3&value=a", "subkey=x&number=3&value=7&datatype=int", "subkey=x&number=3&value=7"} {
			try(t, "GET", pool+"/addattr?key=k&"+p, 200, "")
		}
		left := func(want string) {
			t.Helper()
			sameJSON(t, values(t, try(t, "GET", pool+"/attrs?key=k", 200, "")), []byte(want), false)
		}
		try(t, "GET", pool+"/delattr?key=k&value=b", 200, "")
		left(`["a","a","a",7,"7"]`)
		try(t, "GET", pool+"/delattr?key=k&subkey=x&number=3&value=7&datatype=int", 200, "")
		left(`["a","a","a","7"]`)
		try(t, "GET", pool+"/delattr?key=k&number=3&value=a", 200, "")
		left(`["a","a","7"]`)
		try(t, "GET", pool+"/delattr?key=k&subkey=x&value=nosuch", 200, "")
		left(`["a","a","7"]`)
		try(t, "GET", pool+"/delattr?key=k&subkey=x", 200, "")
		left(`["a"]`)

		try(t, "DELETE", base+"/pool/s0001", 404, "the one of that name is /server/s0001")
		try(t, "GET", base+"/server/s0001", 200, "")
		try(t, "GET", base+"/server/db.example.org", 200, `"/server/db.example.org"`)
		try(t, "GET", base+"/server/db.example.org/attrs?key=ip&subkey=ipstring", 200, "10.42.0.40")
		for _, path := range []string{"/attrs.json", "/attrsX", "/attrs%3Fx", "/attrs/more", "/setattr.html?key=k&value=v"} {
			try(t, "GET", base+"/server/s0001"+path, 404, "")
		}
	})
}

// TestBug3RedirectKeepsTheQuery, and a POST stays one.
func TestBug3RedirectKeepsTheQuery(t *testing.T) {
	s := originalStore(t)
	if err := s.Apply(t.Context(), []clusto.Op{{Op: "entity", Name: "a b?c", Driver: "pool"}}); err != nil {
		t.Fatal(err)
	}
	base := serve(t, s, httpd.Config{})
	for _, tt := range []struct {
		method, path string
		status       int
		to           string
	}{
		{"GET", "/pool/s0001?prefetch_attrs=[]", 302, "/server/s0001/?prefetch_attrs=[]"},
		{"GET", "/pool/s0001/attrs?key=ip&subkey=ipstring", 302, "/server/s0001/attrs?key=ip&subkey=ipstring"},
		{"POST", "/pool/s0001/addattr?key=k&value=v", 307, "/server/s0001/addattr?key=k&value=v"},
		{"GET", "/server/a%20b%3Fc/attrs", 302, "/pool/a%20b%3Fc/attrs"},
	} {
		resp, _ := do(t, tt.method, base+tt.path, "")
		if to := resp.Header.Get("Location"); resp.StatusCode != tt.status || to != base+tt.to {
			t.Errorf("%s: %s to %q", tt.path, resp.Status, to)
		}
	}
}

// TestBug3ValuesAreDecodedOnce: those with a + or a % were never found.
func TestBug3ValuesAreDecodedOnce(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, value := range []string{"a+b", "100%", "%41", "a b", "%7B"} {
		try(t, "GET", base+"/pool/empty-pool/setattr?key=odd&value="+url.QueryEscape(value), 200, "")
		match, err := json.Marshal([]map[string]string{{"key": "odd", "value": value}})
		if err != nil {
			t.Fatal(err)
		}
		once := url.QueryEscape(string(match))
		try(t, "GET", base+"/query/get_entities?attrs="+once, 200, "/pool/empty-pool")
		try(t, "GET", base+"/query/get_entities?attrs="+url.QueryEscape(once), 200, "/pool/empty-pool") // clients encode twice
	}
}

// TestBug4RackInsertAndAllocate did their work and failed, or never began.
func TestBug4RackInsertAndAllocate(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		try(t, "GET", base+"/rack/sv2-r02/remove?object=/server/s0021", 200, "")
		try(t, "GET", base+"/rack/sv2-r02/insert?object=/server/s0021&ru=42", 200, `"/server/s0021"`)
		got := try(t, "GET", base+"/server/s0021/units", 200, "")
		sameJSON(t, got, []byte(`{"object":"/server/s0021","rack":"/rack/sv2-r02","units":[42,43]}`), false)
		got = try(t, "GET", base+"/resourcemanager/servernames/allocate?driver=penguinserver", 201, "")
		sameJSON(t, got, []byte(`"/server/s0029"`), false)
		try(t, "GET", base+"/server/s0029", 200, `"penguinserver"`)
	})
}

// TestBug5WritesByGet are taken, unless read_only_get is set; POST always is.
func TestBug5WritesByGet(t *testing.T) {
	s := originalStore(t)
	open, closed := serve(t, s, httpd.Config{}), serve(t, s, httpd.Config{ReadOnlyGet: true})
	for _, path := range []string{
		"/pool/empty-pool/addattr?key=k&value=v", "/pool/empty-pool/setattr?key=j&value=v", "/pool/empty-pool/delattr?key=k",
		"/pool/empty-pool/insert?object=/server/s0010", "/pool/empty-pool/remove?object=/server/s0010",
		"/server/s0010/set_port_attr?porttype=nic-eth&portnum=1&key=speed&value=1",
		"/server/s0010/set_hostname?hostname=h", "/server/s0010/bind_ip_to_osport?ip=10.42.0.77&osportname=eth9",
		"/server/s0010/unbind_ip_from_osport?ip=10.42.0.77", "/server/s0010/disconnect_port?porttype=nic-eth&portnum=1",
		"/server/s0010/connect_ports?porttype=nic-eth&portnum=1&object=/networkswitch/sv2-r02-sw1&otherportnum=47",
	} {
		before := state(t, s)
		try(t, "GET", closed+path, http.StatusMethodNotAllowed, "send it by POST")
		if resp, _ := do(t, "GET", closed+path, ""); resp.Header.Get("Allow") != "POST" {
			t.Errorf("%s: allowed is %q", path, resp.Header.Get("Allow"))
		}
		if state(t, s) != before {
			t.Errorf("%s: refused, and done", path)
		}
		try(t, "POST", closed+path, 200, "")
		try(t, "GET", open+path[:strings.Index(path, "?")], 400, "missing") // an open one asks for parameters
	}
	for _, path := range []string{"", "/attrs", "/show", "/ports", "/hostname", "/units", "/port_free?porttype=nic-eth&portnum=1"} {
		try(t, "GET", closed+"/server/s0010"+path, 200, "")
	}
}

// TestBug5Post takes parameters from the form.
func TestBug5Post(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	resp, got := do(t, "POST", base+"/pool/empty-pool/addattr?value=lost", "key=owner&value=alice+b")
	if resp.StatusCode != 200 || !strings.Contains(string(got), `"alice b"`) {
		t.Errorf("%s\n%s", resp.Status, got)
	}
}

// TestBug6ManagerWithoutBaseIP was every address's manager in the original, and
// so made every other ambiguous.
func TestBug6ManagerWithoutBaseIP(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	try(t, "POST", base+"/ipmanager/net-empty", 201, "")
	got := try(t, "GET", base+"/query/get_ip_manager?ip=10.42.0.11", 200, "")
	sameJSON(t, got, []byte(`"/resourcemanager/net-private0"`), false)
	try(t, "GET", base+"/query/get_ip_manager?ip=192.0.2.1", 404, "192.0.2.1")
	try(t, "GET", base+"/query/get?name=192.0.2.1", 404, "192.0.2.1")
}

// TestBug7DeletingLeftOtherPortNumbers on the ports of what was connected.
func TestBug7DeletingLeftOtherPortNumbers(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		try(t, "DELETE", base+"/server/s0001", 200, "200 OK\nObject deleted\n")
		for path, kind := range map[string]string{
			"/networkswitch/sv2-r01-sw1": "nic-eth", "/consoleserver/sv2-r01-ts1": "console-serial",
		} {
			got := try(t, "GET", base+path+"/attrs?key=port-"+kind+"&number=1", 200, "")
			sameJSON(t, got, []byte(`{"attrs":[]}`), false)
			got = try(t, "GET", base+path+"/port_free?portnum=1&porttype="+kind, 200, "")
			sameJSON(t, got, []byte(`true`), false)
		}
		if got := try(t, "GET", base+"/powerstrip/sv2-r01-pwr1/attrs?key=port-pwr-nema-5&number=25", 200, ""); strings.Contains(string(got), "otherportnum") {
			t.Errorf("the outlet: %s", got)
		}
	})
}

// TestBug8MACs were compared as text. They are found in any spelling, and stored
// in one.
func TestBug8MACs(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		attrs := func(subkey string) string {
			return `/query/get_entities?attrs=[{"key":"port-nic-eth",` + subkey + `"value":"`
		}
		for _, mac := range []string{"00:1e:c9:00:00:01", "00:1E:C9:00:00:01", "00-1e-c9-00-00-01", "001e.c900.0001", "001EC9000001"} {
			for _, q := range []string{
				attrs(`"subkey":"mac","number":1,`) + mac + `"}]`, attrs("") + mac + `"}]`,
				"/query/get?name=" + mac,
				"/server/s0001/attrs?subkey=mac&value=" + mac, "/server/s0001/attrs?value=" + mac,
			} {
				q = strings.NewReplacer(`"`, "%22", "{", "%7B", "}", "%7D").Replace(q)
				if got := try(t, "GET", base+q, 200, ""); len(got) < 15 {
					t.Errorf("%s: %s", q, got)
				}
			}
		}
		for _, call := range []string{"set_port_attr?porttype=nic-eth&portnum=2&key=mac&value=", "addattr?key=port-nic-eth&subkey=ipmi-mac&number=2&value="} {
			try(t, "GET", base+"/server/s0001/"+call+"02-AB-CD-00-00-01", 200, "")
		}
		got := try(t, "GET", base+"/server/s0001/attrs?key=port-nic-eth&number=2", 200, "")
		sameJSON(t, values(t, got), []byte(`["02:ab:cd:00:00:01","02:ab:cd:00:00:01"]`), false)
	})
}

// TestClientsOfTheOriginalAreNotKept waiting: an answer ends with its length.
func TestClientsOfTheOriginalAreNotKept(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	client := http.Client{Timeout: 10 * time.Second}
	req, err := http.NewRequestWithContext(t.Context(), "GET", base+"/server/s0018/set_port_attr?porttype=nic-eth&portnum=1&key=speed&value=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ContentLength != 0 || resp.StatusCode != 200 {
		t.Errorf("%s, length %d", resp.Status, resp.ContentLength)
	}
}

// TestRedirectWithoutAHost leads a client of HTTP/1.0, which needs to name no
// host, to the address that it came to.
func TestRedirectWithoutAHost(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Write([]byte("GET /pool/s0001/attrs?key=ip HTTP/1.0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if want := "\r\nLocation: " + base + "/server/s0001/attrs?key=ip\r\n"; err != nil || !strings.Contains(string(answer), want) {
		t.Errorf("no %q, %v:\n%s", want, err, answer)
	}
}
