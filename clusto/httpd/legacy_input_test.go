package httpd_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// calls have parameters that are right; each is tried with each of them wrong.
var calls = []string{
	"GET /search?q=s0",
	"GET /query/get?name=s0001",
	"GET /query/get_by_name?name=s0001&prefetch_attrs=[]",
	"GET /query/get_entities?attrs=[]&names=[]&clusto_types=[]&clusto_drivers=[]",
	"GET /query/get_from_pools?pools=webservers&types=server&prefetch_attrs=[]",
	"GET /query/get_ip_manager?ip=10.42.0.11",
	"GET /server/s0001/show?prefetch_attrs=[]",
	"GET /server/s0001/attrs?key=ip&subkey=ipstring&number=1&value=x&regex=1&callback=cb",
	"GET /server/s0001/addattr?key=k&subkey=s&number=1&value=1&datatype=int",
	"GET /server/s0001/setattr?key=k&subkey=s&number=1&value=/server/s0002&datatype=relation",
	"GET /server/s0001/delattr?key=k&subkey=s&number=1&value=1&datatype=int",
	"GET /rack/sv2-r01/insert?object=/server/s0010&ru=44",
	"GET /pool/empty-pool/insert?object=/server/s0010",
	"GET /pool/webservers/remove?object=/server/s0010",
	"GET /server/s0001/get_port_attr?porttype=nic-eth&portnum=1&key=mac",
	"GET /server/s0010/set_port_attr?porttype=nic-eth&portnum=1&key=speed&value=1",
	"GET /server/s0010/connect_ports?porttype=nic-eth&portnum=2&object=/networkswitch/sv2-r01-sw1&otherportnum=47",
	"GET /server/s0010/disconnect_port?porttype=nic-eth&portnum=2",
	"GET /server/s0010/port_free?porttype=nic-eth&portnum=2",
	"GET /server/s0010/bind_ip_to_osport?ip=10.42.0.99&osportname=eth0&porttype=nic-eth&portnum=2",
	"GET /server/s0010/unbind_ip_from_osport?ip=10.42.0.99",
	"GET /resourcemanager/servernames/allocate?driver=basicserver",
	"GET /resourcemanager/net-private0/allocate?object=/server/s0010&osportname=eth0",
	"GET /server/s0010/set_hostname?hostname=h",
	"GET /v2/entities?type=server&driver=basicserver&name=s0001&q=s",
	"GET /v2/entities/s0001",
}

// wrong are values that fit no parameter, or few.
var wrong = []string{
	"", " ", "\x00", "a\x00b", "\xff", "a\xc3(", "-1", "0", "1.5", "1e3", "0x1", "abc", "99999999999", "99999999999999999999",
	"-99999999999", "[]", "{}", "[{", `[{"key":1}]`, `[{"number":99999999999}]`, `[{"value":"\u0000"}]`, `["\u0000"]`, "null", "true",
	"/", "//", "/server", "/server/", "/server/nosuch", "/server/s0001/x", "nosuch", "(", "../..", "%00", "alert(1)//",
	strings.Repeat("x", 300), strings.Repeat("/", 300), strings.Repeat("Ä", 5000), strings.Repeat("[", 5000),
}

// hard are those that the two databases take differently.
var hard = []string{
	"", "\x00", "a\xc3(", "99999999999", "99999999999999999999", "-99999999999", `[{"number":99999999999}]`, `[{"value":"\u0000"}]`, `["\u0000"]`,
	strings.Repeat("Ä", 5000),
}

// TestBadInput gives each parameter of each call each wrong value, and each path
// each wrong name: never a 500, one sentence, and nothing is written by what is
// refused.
func TestBadInput(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		values := wrong
		if raceDetector || strings.HasSuffix(t.Name(), "postgresql") {
			values = hard
		}
		in := &badInput{s: s, base: serve(t, s, httpd.Config{}), before: state(t, s)}
		for _, call := range calls {
			method, where, _ := strings.Cut(call, " ")
			path, query, _ := strings.Cut(where, "?")
			in.params(t, method, path, query, values)
		}
		for _, name := range values {
			escaped := url.PathEscape(name)
			for _, path := range []string{"/" + escaped, "/server/" + escaped, "/server/" + escaped + "/attrs", "/server/s0001/" + escaped, "/" + escaped + "/s0001", "/v2/entities/" + escaped} {
				in.send(t, "GET", path)
			}
			in.send(t, "POST", "/server/s0001/"+escaped)
			in.send(t, "DELETE", "/server/"+escaped)
			in.send(t, "DELETE", "/"+escaped+"/s0001")
			in.send(t, "POST", "/nosuch/"+escaped)
		}
		in.written(t, "paths")
	})
}

// badInput sends what is wrong.
type badInput struct {
	s      *store.Store
	base   string
	before string
	took   int // requests that were right after all, since before was read
}

// params sends a call with each parameter wrong, and without it.
func (in *badInput) params(t *testing.T, method, path, query string, values []string) {
	params, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	for param, right := range params {
		for _, value := range values {
			params[param] = []string{value}
			in.send(t, method, path+"?"+params.Encode())
		}
		delete(params, param)
		in.send(t, method, path+"?"+params.Encode())
		params[param] = right
		if !raceDetector {
			in.written(t, path+" "+param)
		}
	}
	in.send(t, method, path+"?a=%zz")
}

func (in *badInput) send(t *testing.T, method, where string) {
	resp, got := do(t, method, in.base+where, "")
	switch {
	case resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented, resp.StatusCode >= 400 && len(got) > 1000:
		t.Errorf("%s %.200s: %s\n%.300s", method, where, resp.Status, got)
	case resp.StatusCode < 400:
		in.took++
	}
}

// written checks that nothing was written if all was refused.
func (in *badInput) written(t *testing.T, by string) {
	now := state(t, in.s)
	if in.took == 0 && now != in.before {
		t.Errorf("%s: refused, and something was written", by)
	}
	in.before, in.took = now, 0
}

// TestTooLarge: bodies and lists have limits, which are said.
func TestTooLarge(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		before := state(t, s)
		for _, tt := range []struct {
			path, body string
			status     int
			says       string
		}{
			{"/pool/empty-pool/addattr?key=k", "value=" + strings.Repeat("x", 1<<20), 413, "larger than 1048576 bytes"},
			{"/query/get_entities", "names=[" + strings.Repeat(`"x",`, 10000) + `"x"]`, 400, "10001 names: 10000 at most"},
			{"/query/get_entities", "attrs=[" + strings.Repeat(`{},`, 256) + `{}]`, 400, "257 conditions: 256 at most"},
			{"/query/get_from_pools", "pools=webservers" + strings.Repeat(",webservers", 64), 400, "65 pools: 64 at most"},
			{"/pool/empty-pool/addattr?value=v", "key=" + strings.Repeat("k", 257), 400, "key"},
			{"/pool/" + strings.Repeat("x", 129), "", 400, "longer than 128"},
		} {
			resp, got := do(t, http.MethodPost, base+tt.path, tt.body)
			if resp.StatusCode != tt.status || !strings.Contains(string(got), tt.says) || len(got) > 1000 {
				t.Errorf("%.60s: %s\n%.300s", tt.path, resp.Status, got)
			}
		}
		if state(t, s) != before {
			t.Error("something was written")
		}
		for _, body := range []string{"names=[" + strings.Repeat(`"x",`, 9999) + `"s0001"]`, `names=["s0001"]&attrs=[` + strings.Repeat(`{"key":"ip","subkey":"ipstring","number":6,"value":"10.42.0.11"},`, 255) + `{}]`} {
			resp, got := do(t, http.MethodPost, base+"/query/get_entities", body)
			if resp.StatusCode != 200 || string(got) != `["/server/s0001"]` {
				t.Errorf("at the limit: %s\n%.300s", resp.Status, got)
			}
		}
	})
}

// TestNames that a path has to carry.
func TestNames(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		for _, name := range []string{"a.b.c", ".a", "a b", "Köln ☃", "50%", "a+b", "a?b#c", "a;b&c=d", "attrs", "show", "..a", "日本", "v2", "query", `"'<x>`, "a\\b", "-", "_"} {
			path := base + "/pool/" + url.PathEscape(name)
			shown := fmt.Sprintf("/pool/%s", name)
			_, got := do(t, "POST", path, "")
			var made struct{ Object string }
			decode(t, got, &made)
			if made.Object != shown {
				t.Errorf("%q: made %q", name, made.Object)
			}
			try(t, "POST", path, 409, "")
			try(t, "GET", path+"/", 200, "")
			try(t, "GET", path+"/addattr?key=k&value=v", 200, `"v"`)
			try(t, "GET", path+"/attrs?key=k", 200, `"v"`)
			try(t, "GET", base+"/query/get_by_name?name="+url.QueryEscape(name), 200, `"pool"`)
			try(t, "GET", base+"/pool/empty-pool/insert?object="+url.QueryEscape(shown), 200, "")
			try(t, "DELETE", path, 200, "deleted")
			try(t, "GET", path, 404, "")
		}
		for _, name := range []string{"a%2Fb", "%2F", "a%00b", "%ff", "a%0ab", "%20a", "a%20"} {
			try(t, "POST", base+"/pool/"+name, 400, "")
			if resp, _ := do(t, "GET", base+"/pool/"+name, ""); resp.StatusCode != 400 && resp.StatusCode != 404 {
				t.Errorf("GET %s: %s", name, resp.Status)
			}
		}
	})
}

// TestInsertTwiceAtOnce: one of many that insert the same thing succeeds, and so
// does one of many that make the same entity.
func TestInsertTwiceAtOnce(t *testing.T) {
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		for where, status := range map[string]int{
			"GET /pool/empty-pool/insert?object=/server/s0010": 200,
			"POST /pool/new": 201,
		} {
			method, path, _ := strings.Cut(where, " ")
			var wg sync.WaitGroup
			var done atomic.Int32
			for range 8 {
				wg.Go(func() {
					switch resp, got := do(t, method, base+path, ""); resp.StatusCode {
					case status:
						done.Add(1)
					case 400, 409:
					default:
						t.Errorf("%s\n%s", resp.Status, got)
					}
				})
			}
			wg.Wait()
			if done.Load() != 1 {
				t.Errorf("%s: done %d times", where, done.Load())
			}
		}
	})
}
