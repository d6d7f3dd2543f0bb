package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/client/original"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store"
)

// adoptSite has servers that bootstrap/mac names, each in a way of its own.
const adoptSite = `
servers:
  plain:  {attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:01"}, {key: bootstrap, subkey: mac, number: 1, value: "02:00:00:00:00:11"}]}
  full:   {mac: "02:00:00:00:01:02", ipmi: {mac: "02:00:00:00:02:02"}, attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:02"}]}
  caps:   {attrs: [{key: bootstrap, subkey: mac, value: "02-00-00-00-00-0C"}]}
  twin1:  {attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:03"}]}
  twin2:  {attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:03"}]}
  second: {ports: {nic-eth: {2: {mac: "02:00:00:00:00:04"}}}, attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:04"}]}
  a.dot:  {attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:05"}]}
  taken:  {attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:01:02"}]}
`

// booting is what either client does for update_ipmi.
type booting interface {
	BootServer(ctx context.Context, mac clusto.MAC) (client.BootServer, error)
	SetPortMAC(ctx context.Context, was client.BootServer, bmc bool, mac clusto.MAC) error
}

func applyYAML(t *testing.T, s *store.Store, yaml string) {
	t.Helper()
	parsed, err := inventory.Parse("site.yaml", []byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), parsed.Ops()); err != nil {
		t.Fatal(err)
	}
}

func adoptStore(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "clusto.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	applyYAML(t, s, adoptSite)
	applyYAML(t, s, `pools: {p: {attrs: [{key: bootstrap, subkey: mac, value: "02:00:00:00:00:01"}]}}`) // no server
	return s
}

// writable has the stand-in of the original take set_port_attr, and answer as
// was recorded: with an empty text, and to a POST with 400.
func writable(t *testing.T, srv *original.Server, s *store.Store) {
	srv.Fail(func(call string) string {
		path, query, _ := strings.Cut(call, "?")
		name, ok := strings.CutSuffix(path, "/set_port_attr")
		if !ok {
			return ""
		}
		if strings.HasPrefix(call, "POST ") {
			return sent("400 Bad Request", "text/html; charset=UTF-8", "400 Bad Request\nYou may only create objects, not types or actions\n")
		}
		name = strings.TrimPrefix(name, "GET /server/")
		p, err := url.ParseQuery(query)
		if err != nil || strings.Contains(name, "/") || p.Get("porttype") != "nic-eth" || p.Get("portnum") != "1" {
			t.Errorf("no way to set a port: %s: %v", call, err)
		}
		sub, one := p.Get("key"), 1
		op := clusto.Op{Op: "attr", Name: name, Key: "port-nic-eth", Subkey: &sub, Number: &one, Value: &clusto.Value{Type: clusto.String, Str: p.Get("value")}}
		if err := s.Apply(context.Background(), []clusto.Op{op}); err != nil {
			t.Error(err)
		}
		srv.Changed()
		return "HTTP/1.0 200 OK\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Length: 0\r\n\r\n"
	})
}

// onEither runs a test against both kinds of server, through Auto.
func onEither(t *testing.T, test func(t *testing.T, s *store.Store, c booting)) {
	t.Run("v2", func(t *testing.T) {
		s := adoptStore(t)
		_, srv := dial(t, s)
		a, _ := newAuto(t, srv.URL)
		test(t, s, a)
	})
	t.Run("original", func(t *testing.T) {
		s := adoptStore(t)
		srv := standIn(t, s, false)
		writable(t, srv, s)
		a, _ := newAuto(t, srv.URL)
		test(t, s, a)
	})
}

func bootMAC(high, low byte) clusto.MAC { return clusto.MAC{2, 0, 0, 0, high, low} }

func TestBootServer(t *testing.T) {
	onEither(t, func(t *testing.T, _ *store.Store, c booting) {
		for _, tc := range []struct {
			mac  clusto.MAC
			want client.BootServer
			err  error
		}{
			{bootMAC(0, 1), client.BootServer{Path: "/server/plain"}, nil},
			{bootMAC(0, 0x11), client.BootServer{Path: "/server/plain"}, nil},
			{bootMAC(0, 2), client.BootServer{Path: "/server/full", MAC: bootMAC(1, 2), IPMI: bootMAC(2, 2)}, nil},
			{bootMAC(0, 0x0c), client.BootServer{Path: "/server/caps"}, nil},
			{bootMAC(0, 4), client.BootServer{Path: "/server/second", Elsewhere: true}, nil},
			{bootMAC(0, 5), client.BootServer{Path: "/server/a.dot"}, nil},
			{bootMAC(0, 3), client.BootServer{}, clusto.ErrConflict},
			{bootMAC(0, 0x99), client.BootServer{}, clusto.ErrNotFound},
		} {
			got, err := c.BootServer(t.Context(), tc.mac)
			if !errors.Is(err, tc.err) || err == nil && got != tc.want {
				t.Errorf("%v: %+v, %v; want %+v, %v", tc.mac, got, err, tc.want, tc.err)
			}
		}
	})
}

// port reads what port-nic-eth 1 of a server has.
func port(t *testing.T, s *store.Store, name string) (has string) {
	t.Helper()
	attrs, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: name, Key: "port-nic-eth"})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range attrs {
		if a.Number != nil && *a.Number == 1 && strings.HasSuffix(a.Sub(), "mac") {
			has += a.Sub() + "=" + a.Value.Str + " "
		}
	}
	return has
}

func TestSetPortMAC(t *testing.T) {
	onEither(t, func(t *testing.T, s *store.Store, c booting) {
		for _, tc := range []struct {
			mac  clusto.MAC
			bmc  bool
			name string
			has  string
			err  error
		}{
			{bootMAC(0, 1), false, "plain", "mac=02:00:00:00:00:01 ", nil},
			{bootMAC(0, 0x11), true, "plain", "mac=02:00:00:00:00:01 ipmi-mac=02:00:00:00:00:11 ", nil},
			{bootMAC(0, 2), true, "full", "mac=02:00:00:00:01:02 ipmi-mac=02:00:00:00:00:02 ", nil},
			{bootMAC(0, 2), false, "full", "ipmi-mac=02:00:00:00:00:02 mac=02:00:00:00:00:02 ", nil}, // both
			{bootMAC(0, 0x0c), false, "caps", "mac=02:00:00:00:00:0c ", nil},
		} {
			was, err := c.BootServer(t.Context(), tc.mac)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.SetPortMAC(t.Context(), was, tc.bmc, tc.mac); !errors.Is(err, tc.err) {
				t.Errorf("%v: %v, want %v", tc.mac, err, tc.err)
			}
			if got := port(t, s, tc.name); got != tc.has {
				t.Errorf("%v: %s has %q, want %q", tc.mac, tc.name, got, tc.has)
			}
		}
	})
}

// TestSetPortMACRefuses what has changed since it was read, and what another
// entity has.
func TestSetPortMACRefuses(t *testing.T) {
	onEither(t, func(t *testing.T, s *store.Store, c booting) {
		was, err := c.BootServer(t.Context(), bootMAC(0, 2))
		if err != nil {
			t.Fatal(err)
		}
		was.MAC = clusto.MAC{} // as if it had come meanwhile
		if err := c.SetPortMAC(t.Context(), was, false, bootMAC(0, 2)); !errors.Is(err, clusto.ErrConflict) {
			t.Errorf("a port that has changed: %v", err)
		}
		if got := port(t, s, "full"); !strings.Contains(got, "mac=02:00:00:00:01:02 ") {
			t.Errorf("full has %q", got)
		}
		was, err = c.BootServer(t.Context(), bootMAC(1, 2))
		if err != nil {
			t.Fatal(err)
		}
		err = c.SetPortMAC(t.Context(), was, false, bootMAC(1, 2))
		if !errors.Is(err, clusto.ErrConflict) || !strings.Contains(err.Error(), "/server/full") {
			t.Errorf("another server's MAC: %v", err)
		}
		if got := port(t, s, "taken"); got != "" {
			t.Errorf("taken has %q", got)
		}
	})
}

// TestOriginalCutsNames: what it would write elsewhere is not sent.
func TestOriginalCutsNames(t *testing.T) {
	s := adoptStore(t)
	srv := standIn(t, s, false)
	l := newLegacy(t, srv.URL)
	srv.Fail(func(call string) string {
		if strings.Contains(call, "set_port_attr") {
			t.Errorf("it was told: %s", call)
		}
		return ""
	})
	was, err := l.BootServer(t.Context(), bootMAC(0, 5))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.SetPortMAC(t.Context(), was, false, bootMAC(0, 5)); !errors.Is(err, clusto.ErrConflict) || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("%v", err)
	}
}

// TestOriginalThatStoresNothing: its empty answer proves nothing.
func TestOriginalThatStoresNothing(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n",
		"HTTP/1.0 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nConnectionException: No port nic-eth:1 exists on plain.",
	} {
		s := adoptStore(t)
		srv := standIn(t, s, false)
		l := newLegacy(t, srv.URL)
		srv.Fail(func(call string) string {
			if strings.Contains(call, "set_port_attr") {
				return answer
			}
			return ""
		})
		was, err := l.BootServer(t.Context(), bootMAC(0, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.SetPortMAC(t.Context(), was, false, bootMAC(0, 1)); !errors.Is(err, clusto.ErrUnavailable) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// TestPortThatNobodyUnderstands is left to who wrote it.
func TestPortThatNobodyUnderstands(t *testing.T) {
	for _, ports := range []string{
		`{"key":"port-nic-eth","subkey":"mac","number":1,"datatype":"string","value":"to be done"}`,
		`{"key":"port-nic-eth","subkey":"mac","number":1,"datatype":"string","value":"02:00:00:00:00:07"},` +
			`{"key":"port-nic-eth","subkey":"mac","number":1,"datatype":"string","value":"02:00:00:00:00:08"}`,
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			body := `["/server/s"]`
			if strings.HasSuffix(r.URL.Path, "/attrs") {
				body = `{"attrs":[` + ports + `]}`
			}
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(srv.Close)
		c := newClient(t, client.Config{URL: srv.URL})
		if _, err := c.BootServer(t.Context(), bootMAC(0, 1)); !errors.Is(err, clusto.ErrConflict) {
			t.Errorf("%s: %v", ports, err)
		}
	}
}
