package httpd_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// eachOriginal runs a test on the site that real clusto wrote: its own file, and
// the same rows on PostgreSQL.
func eachOriginal(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Run("sqlite", func(t *testing.T) { test(t, originalStore(t)) })
	t.Run("postgresql", func(t *testing.T) {
		dsn := pgtest.New(t)
		openStore(t, dsn).Close() // makes the tables
		pgtest.Copy(t, originalFile(t), dsn)
		test(t, openStore(t, dsn))
	})
}

func openStore(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// originalFile loads the site that real clusto wrote into a SQLite file.
func originalFile(t *testing.T) string {
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
	return file
}

func originalStore(t *testing.T) *store.Store {
	t.Helper()
	file := originalFile(t)
	s := openStore(t, file)
	files.Store(s, file)
	return s
}

// files holds the file of each store.
var files sync.Map

func dbFile(t *testing.T, s *store.Store) string {
	t.Helper()
	file, _ := files.Load(s)
	return file.(string)
}

// serve runs the handler on a real listener.
func serve(t *testing.T, s httpd.Store, c httpd.Config) string {
	t.Helper()
	c.Store = s
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = httpd.NewServer(httpd.New(c), c.Log)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

func do(t *testing.T, method, url, body string) (*http.Response, []byte) {
	t.Helper()
	return with(t, "", "", method, url, body)
}

// with is do with a header, which is left out if its value is "". No redirect is
// followed.
func with(t *testing.T, header, value, method, url, body string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if value != "" {
		req.Header.Set(header, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, got
}

func decode(t *testing.T, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
}

func sameJSON(t *testing.T, got, want []byte, asSet bool) {
	t.Helper()
	var g, w any
	decode(t, got, &g)
	decode(t, want, &w)
	if asSet {
		sortTexts(g)
		sortTexts(w)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func sortTexts(v any) {
	if list, ok := v.([]any); ok {
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
}
