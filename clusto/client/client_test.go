package client_test

import (
	"database/sql"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

// originalStore opens the site that real clusto wrote.
func originalStore(t *testing.T) *store.Store {
	t.Helper()
	text, err := os.ReadFile("../store/testdata/clusto.sql")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clusto.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// dial serves a store on a real listener, and gives a client of it.
func dial(t *testing.T, s httpd.Store) (*client.Client, *httptest.Server) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = httpd.NewServer(httpd.New(httpd.Config{Store: s, Log: log}), log)
	srv.Start()
	t.Cleanup(srv.Close)
	return newClient(t, client.Config{URL: srv.URL}), srv
}

func newClient(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestRealServer makes every call, and compares with what the store says.
func TestRealServer(t *testing.T) {
	s := originalStore(t)
	c, _ := dial(t, s)
	if err := c.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	n, err := c.Hosts(t.Context(), func(h *clusto.Host) error {
		want, err := s.Host(t.Context(), h.MAC)
		if err != nil {
			return err
		}
		got, err := c.Host(t.Context(), h.MAC)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(h, want) {
			t.Errorf("%s:\nalone  %+v\nstream %+v\nstore  %+v", h.MAC, got, h, want)
		}
		return nil
	})
	if err != nil || n != 27 {
		t.Errorf("%d hosts, %v", n, err)
	}
	if found, err := c.Find(t.Context(), "10.42.0.11"); err != nil || len(found) != 1 || found[0].Name != "s0001" {
		t.Errorf("find: %+v, %v", found, err)
	}
	want, _ := s.Managers(t.Context())
	if got, err := c.Networks(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("networks: %+v, %v", got, err)
	}
	stop := errors.New("enough")
	if n, err := c.Hosts(t.Context(), func(*clusto.Host) error { return stop }); !errors.Is(err, stop) || errors.Is(err, clusto.ErrUnavailable) || n != 0 {
		t.Errorf("a callback that fails: %d, %v", n, err)
	}
}

// TestRealRefusals has errors that are the inventory's own word.
func TestRealRefusals(t *testing.T) {
	c, _ := dial(t, originalStore(t))
	_, err := c.Host(t.Context(), clusto.MAC{2})
	if !errors.Is(err, clusto.ErrNotFound) || errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), "02:00:00:00:00:00") {
		t.Errorf("an unknown host: %v", err)
	}
	if _, err := c.Find(t.Context(), "nobody & co"); !errors.Is(err, clusto.ErrNotFound) || !strings.Contains(err.Error(), "nobody & co") {
		t.Errorf("an unknown name: %v", err)
	}
	pool := clusto.Op{Op: "entity", Name: "p", Driver: "pool"}
	for _, tt := range []struct {
		op   clusto.Op
		want error
	}{
		{clusto.Op{Op: "insert", Name: "p", Into: "nowhere"}, clusto.ErrNotFound},
		{clusto.Op{Op: "entity", Name: "s0001", Driver: "pool"}, clusto.ErrConflict},
		{clusto.Op{Op: "nothing"}, clusto.ErrInvalid},
	} {
		err := c.Apply(t.Context(), []clusto.Op{pool, tt.op})
		var at *clusto.OpError
		if !errors.As(err, &at) || at.Index != 1 || !errors.Is(err, tt.want) || errors.Is(err, clusto.ErrUnavailable) {
			t.Errorf("%+v: %v, want operation 1, %v", tt.op, err, tt.want)
		}
	}
	if err := c.Apply(t.Context(), []clusto.Op{pool}); err != nil {
		t.Error(err)
	}
}

// TestChangeTellsWhatItMade has a batch allocate, over HTTP.
func TestChangeTellsWhatItMade(t *testing.T) {
	s := originalStore(t)
	c, _ := dial(t, s)
	results, err := c.Change(t.Context(), []clusto.Op{
		{Op: "entity", Name: "p", Driver: "pool"},
		{Op: "allocate", Name: "servernames", Driver: "penguinserver", As: "new"},
		{Op: "allocate", Name: "net-private1", To: "$new", OSPort: "eth0"},
	})
	if want := []clusto.Result{{Index: 1, Name: "s0029"}, {Index: 2, IP: "10.43.0.5"}}; err != nil || !slices.Equal(results, want) {
		t.Errorf("got %v, %v, want %v", results, err, want)
	}
	if results, err := c.Change(t.Context(), []clusto.Op{{Op: "delete", Name: "s0029"}}); err != nil || len(results) != 0 {
		t.Errorf("got %v, %v", results, err)
	}
	_, err = c.Change(t.Context(), []clusto.Op{{Op: "delete", Name: "s0029", Key: "dhcp"}})
	var at *clusto.OpError
	if !errors.As(err, &at) || at.Index != 0 || !errors.Is(err, clusto.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// TestLostServer stops the database, then the server.
func TestLostServer(t *testing.T) {
	s := originalStore(t)
	c, srv := dial(t, s)
	if err := c.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	unavailable(t, "without a database", c)
	srv.CloseClientConnections()
	srv.Close()
	unavailable(t, "without a server", c)
}

func TestURLThatIsWrong(t *testing.T) {
	for _, u := range []string{"", "127.0.0.1:9996", "ftp://h", "http://", "http://h:1/", "http://h:1:2"} {
		if _, err := client.New(client.Config{URL: u}); !errors.Is(err, clusto.ErrInvalid) {
			t.Errorf("%q: %v", u, err)
		}
	}
	// Was ErrNotFound: a path too many made every host unknown.
	_, srv := dial(t, originalStore(t))
	for _, path := range []string{"/v2", "/api", "/server"} {
		unavailable(t, path, newClient(t, client.Config{URL: srv.URL + path}))
	}
}
