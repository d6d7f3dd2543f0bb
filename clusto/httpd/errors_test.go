package httpd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestNotFoundIsASentence: the legacy API said what was asked for, and not what
// was the matter with it.
func TestNotFoundIsASentence(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, tt := range []struct{ path, says string }{
		{"/server/nosuch", `there is no entity "nosuch"`},
		{"/query/get_by_name?name=nosuch", `there is no entity "nosuch"`},
		{"/nosuchtype", `there is no type "nosuchtype"`},
		{"/a/b/c/d", `there is no "/a/b/c/d"`},
		{"/favicon.ico", "there is no icon"},
		{"/query/get_ip_manager?ip=255.255.255.255", `there is no IP manager whose range holds "255.255.255.255"`},
		{"/query/get_ip_manager?ip=x", `parameter ip "x" is no IP address or range`},
		{"/networkswitch/sv2-r01-sw1/get_port_attr?porttype=nic-eth&portnum=999&key=mac", "there is no port nic-eth 999 of /networkswitch/sv2-r01-sw1: driver cisco4948 has none"},
	} {
		resp, got := do(t, http.MethodGet, base+tt.path, "")
		if !strings.Contains(string(got), tt.says) || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s %s, want %s", tt.path, resp.Status, got, tt.says)
		}
	}
}

// TestErrorsBlameWhatIsWrong: they blamed the manager for the driver, and a key
// for a name; and ended in words that the status says.
func TestErrorsBlameWhatIsWrong(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	resp, got := do(t, http.MethodPost, base+"/resourcemanager/servernames/allocate?driver=nosuch", "")
	if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(got), `allocate from /resourcemanager/servernames: there is no driver "nosuch"`) {
		t.Errorf("%s %s", resp.Status, got)
	}
	resp, got = do(t, http.MethodPost, base+"/resourcemanager/net-private0/allocate", "")
	if resp.StatusCode != http.StatusBadRequest || strings.Contains(string(got), " a ipmanager") {
		t.Errorf("%s %s", resp.Status, got)
	}
	for _, tt := range []struct{ ops, says string }{
		{`{"op":"attr"}`, `operation "attr": "name" is missing`},
		{`{"op":"attr","name":"s0001"}`, `attribute of "s0001": "key" is missing`},
		{
			`{"op":"entity","name":"gap","driver":"ipmanager"},{"op":"attr","name":"gap","key":"baseip","subkey":"property","value":{"str":"10.9.0.0"}},` +
				`{"op":"raw","name":"gap","key":"netmask","subkey":"property","values":[{"type":"string","str":"255.0.255.0"}]},{"op":"allocate","name":"gap","to":"s0001"}`,
			`they are "10.9.0.0" and "255.0.255.0"`,
		},
	} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[`+tt.ops+`]}`)
		if status < 400 || !strings.Contains(a.Error, tt.says) || strings.HasSuffix(a.Error, ": invalid") || strings.HasSuffix(a.Error, "clusto") {
			t.Errorf("%s: %d %+v, want %s", tt.ops, status, a, tt.says)
		}
	}
}

// down is a store whose database is out of reach.
type down struct{ httpd.Store }

var errDown = fmt.Errorf("ask database \"postgresql://clusto@db.example/clusto\": failed to connect to `user=clusto`:\n\t10.0.0.1:5432: refused\nSELECT 1: %w", clusto.ErrUnavailable)

func (down) Host(context.Context, clusto.MAC) (*clusto.Host, error) { return nil, errDown }
func (down) Ping(context.Context) error                             { return errDown }
func (down) Entity(context.Context, string) (clusto.Entity, error)  { return clusto.Entity{}, errDown }

func (down) Types(context.Context) ([]string, error)                      { return nil, errors.New("SELECT\n\tfailed") }
func (down) Change(context.Context, []clusto.Op) ([]clusto.Result, error) { return nil, errDown }
func (down) Managers(context.Context) ([]clusto.Network, error) {
	return nil, errors.New("SELECT\n\tfailed")
}
func (down) Hosts(ctx context.Context, fn func(*clusto.Host) error) error    { return errDown }
func (down) Objects(_ context.Context, _ func(o *clusto.Object) error) error { return errDown }

var inLog = regexp.MustCompile(`under request id ([0-9a-z]+-[0-9]+)$`)

// TestErrorsOfTheDatabase were several lines of SQL, with where the database is
// and who asks it, for whoever asked for health. The log has them.
func TestErrorsOfTheDatabase(t *testing.T) {
	var log syncBuffer
	base := serve(t, down{}, httpd.Config{Log: slog.New(slog.NewJSONHandler(&log, nil))})
	for _, path := range []string{"/readyz", aHost, "/v2/hosts", "/v2/objects", "/v2/networks", "/server/s0001", "/"} {
		resp, got := do(t, http.MethodGet, base+path, "")
		said := strings.TrimSpace(string(got))
		if _, legacy, ok := strings.Cut(said, "\n"); ok {
			said = legacy
		} else {
			var a answer
			decode(t, got, &a)
			said = a.Error
		}
		id := inLog.FindStringSubmatch(said)
		if resp.StatusCode < 500 || id == nil || strings.ContainsAny(said, "\n\t") || strings.Contains(said, "SELECT") || strings.Contains(said, "10.0.0.1") {
			t.Errorf("%s: %s %s", path, resp.Status, got)
		} else if !strings.Contains(log.String(), id[1]) || !strings.Contains(log.String(), "10.0.0.1:5432") {
			t.Errorf("%s: the log has no %s: %s", path, id[1], log.String())
		}
	}
	if status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[]}`); status != http.StatusServiceUnavailable || strings.Contains(a.Error, "db.example") {
		t.Errorf("a batch: %d %+v", status, a)
	}
}

// TestEmptyOSPort was taken for the name of an interface, or for none; and one
// of any length was stored.
func TestEmptyOSPort(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, tt := range []struct{ call, says string }{
		{"/server/s0001/bind_ip_to_osport?ip=10.42.0.77&osportname=", "parameter osportname is empty"},
		{"/resourcemanager/net-private0/allocate?object=/server/s0001&osportname=", "parameter osportname is empty"},
		{"/server/s0001/bind_ip_to_osport?ip=10.42.0.77&osportname=" + strings.Repeat("e", 257), "is longer than 256 bytes"},
		{"/resourcemanager/net-private0/allocate?object=/server/s0001&osportname=" + strings.Repeat("e", 257), "is longer than 256 bytes"},
	} {
		resp, got := do(t, http.MethodPost, base+tt.call, "")
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(got), tt.says) {
			t.Errorf("%.80s: %s %s", tt.call, resp.Status, got)
		}
	}
}

// TestWrongMethod was a 501 that sent one to check the API's URL.
func TestWrongMethod(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for path, allow := range map[string]string{"/v2/batch": "POST", "/v2/hosts": "GET, HEAD", "/v2/entities/s0001": "GET, HEAD"} {
		resp, got := do(t, http.MethodDelete, base+path, "")
		if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != allow {
			t.Errorf("%s: %s %q %s", path, resp.Status, resp.Header.Get("Allow"), got)
		}
	}
}
