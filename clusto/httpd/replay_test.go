package httpd_test

import (
	"bufio"
	"bytes"
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

// record is a request to the original clusto-httpd and its answer.
type record struct {
	N           int
	Method      string
	Path, Query string
	Body, Note  string
	Status      int
	Headers     map[string]string
	Response    json.RawMessage
	Unordered   []string
}

// mended are the records where the original's answer is a bug. A status alone
// means that the answer is an error; else the answer is the JSON given.
var mended = map[int]struct {
	status int
	answer string
	why    string
}{
	70: {200, `{"attrs":[
		{"key":"port-nic-eth","subkey":"connection","number":1,"datatype":"relation","value":"/networkswitch/sv2-r01-sw1"},
		{"key":"port-nic-eth","subkey":"otherportnum","number":1,"datatype":"int","value":1},
		{"key":"port-nic-eth","subkey":"mac","number":1,"datatype":"string","value":"00:1e:c9:00:00:01"},
		{"key":"port-nic-eth","subkey":"osportname","number":1,"datatype":"string","value":"eth0"}]}`, "number= on attrs was a 500"},
	75:  {200, ``, "callback on attrs was a 500"},
	131: {200, `["/server/s0016"]`, "MACs were compared as text"},
	132: {200, `["/server/s0016"]`, "MACs were compared as text"},
	145: {400, ``, "an unknown field was a 500"},
	146: {400, ``, "an ill-typed value was a 500"},
	149: {400, ``, "attrs that is no list was a 500"},
	150: {400, ``, "attrs of texts was a 500"},
	155: {400, ``, "a bare text was a 500"},
	156: {200, `[]`, "an unknown type was a 500; a site may have types of its own"},
	158: {200, `[]`, "an unknown driver was a 500; a site may have drivers of its own"},
	164: {400, ``, "broken JSON was a 500"},
	165: {400, ``, "empty JSON was a 500"},
}

// records is how many requests the transcript holds: all that the original was
// asked of the six calls, before anything was written.
const records = 79

// TestReplay repeats what the original was asked, and compares the answers.
// Lists come in the original's order, but for those that the transcript names
// as unordered: there the original gave them by chance.
func TestReplay(t *testing.T) {
	f, err := os.Open("testdata/transcript.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	base := serve(t, originalStore(t), httpd.Config{})
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		var rec record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(fmt.Sprint(rec.N), func(t *testing.T) { replay(t, base, rec) })
	}
	if err := lines.Err(); err != nil || n != records {
		t.Fatalf("%d records, want %d: %v", n, records, err)
	}
}

func replay(t *testing.T, base string, rec record) {
	url := base + rec.Path
	if rec.Query != "" {
		url += "?" + rec.Query
	}
	resp, body := do(t, rec.Method, url, rec.Body)
	want, wantType, response := rec.Status, rec.Headers["content-type"], []byte(rec.Response)
	if m, ok := mended[rec.N]; ok {
		if same := resp.StatusCode == rec.Status && m.status != rec.Status; same {
			t.Errorf("answered as the original, though mended: %s", m.why)
		}
		want, wantType, response = m.status, "application/json", []byte(m.answer)
		switch {
		case want >= 400:
			wantType = "text/html; charset=UTF-8"
		case strings.Contains(rec.Query, "callback="):
			wantType = "text/javascript; charset=UTF-8"
		}
	}
	if resp.StatusCode != want || resp.Header.Get("Content-Type") != wantType {
		t.Fatalf("%s %s?%s: %d %s, want %d %s (%s)\n%s", rec.Method, rec.Path, rec.Query,
			resp.StatusCode, resp.Header.Get("Content-Type"), want, wantType, rec.Note, body)
	}
	switch {
	case want != http.StatusOK || len(response) == 0:
	case strings.HasPrefix(wantType, "text/javascript"):
		var text string
		decode(t, response, &text)
		sameJSON(t, unwrap(t, body), unwrap(t, []byte(text)), false)
	default:
		sameJSON(t, body, response, len(rec.Unordered) > 0)
	}
}

func do(t *testing.T, method, url, body string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
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

// unwrap takes the call around JSONP off.
func unwrap(t *testing.T, b []byte) []byte {
	t.Helper()
	if !bytes.HasPrefix(b, []byte("cb(")) || !bytes.HasSuffix(b, []byte(")")) {
		t.Fatalf("no call of cb: %s", b)
	}
	return b[3 : len(b)-1]
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
