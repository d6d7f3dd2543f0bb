package httpd_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
	"github.com/clusto/clusto-engine/clusto/store"
)

const (
	jsType   = "text/javascript; charset=UTF-8"
	textType = "text/html; charset=UTF-8"
)

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

// records is how many requests the transcript holds.
const records = 351

// reply is an answer: its value is JSON's, in or out of a callback, or the text.
type reply struct {
	status   int
	kind     string
	location string
	value    any
}

// TestReplay repeats what the original was asked, in order, writes and all, and
// compares the answers. Lists come in the original's order, but for those that
// the transcript names as unordered: there the original gave them by chance.
// What we answer otherwise is in mended, each with the reason.
func TestReplay(t *testing.T) {
	recs := transcript(t)
	answers := map[int]any{}
	for _, rec := range recs {
		answers[rec.N] = rec.reply(t).value
	}
	eachOriginal(t, func(t *testing.T, s *store.Store) {
		base := serve(t, s, httpd.Config{})
		for _, rec := range recs {
			t.Run(fmt.Sprint(rec.N), func(t *testing.T) { replay(t, base, rec, answers) })
		}
	})
	for n := range mended {
		if _, ok := answers[n]; !ok {
			t.Errorf("mended names %d, of which there is no record", n)
		}
	}
}

func transcript(t *testing.T) (recs []record) {
	t.Helper()
	f, err := os.Open("testdata/transcript.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var rec record
		decode(t, lines.Bytes(), &rec)
		recs = append(recs, rec)
	}
	if err := lines.Err(); err != nil || len(recs) != records {
		t.Fatalf("%d records, want %d: %v", len(recs), records, err)
	}
	return recs
}

// reply is what the original answered.
func (rec *record) reply(t *testing.T) reply {
	t.Helper()
	r := reply{status: rec.Status, kind: rec.Headers["content-type"]}
	decode(t, rec.Response, &r.value)
	if to := rec.Headers["location"]; to != "" {
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		r.location = u.RequestURI()
	}
	text, isText := r.value.(string)
	switch {
	case r.kind == jsType:
		r.value = called(t, text, rec.Query)
	case r.status >= 400 || isText && rec.Method == "HEAD":
		r.value = nil // an error's words are our own
	}
	return r
}

// called takes the callback off.
func called(t *testing.T, text, query string) any {
	t.Helper()
	q, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	rest, begins := strings.CutPrefix(text, q.Get("callback")+"(")
	if !begins || !strings.HasSuffix(rest, ")") {
		t.Fatalf("no call of %q: %.100s", q.Get("callback"), text)
	}
	var v any
	decode(t, []byte(strings.TrimSuffix(rest, ")")), &v)
	return v
}

func replay(t *testing.T, base string, rec record, answers map[int]any) {
	was := rec.reply(t)
	want, unordered := was, rec.Unordered
	if m, ok := mended[rec.N]; ok {
		if want = m.apply(t, was, answers); m.why == "" || reflect.DeepEqual(was, want) {
			t.Errorf("mended names this record, but changes nothing or gives no reason")
		}
		if m.unordered != "" {
			unordered = append(unordered, m.unordered)
		}
	}
	where := base + rec.Path
	if rec.Query != "" {
		where += "?" + rec.Query
	}
	resp, body := do(t, rec.Method, where, rec.Body)
	got := reply{status: resp.StatusCode, kind: resp.Header.Get("Content-Type")}
	if to, ok := strings.CutPrefix(resp.Header.Get("Location"), base); ok {
		got.location = to
	}
	if got.status != want.status || got.kind != want.kind || got.location != want.location {
		t.Fatalf("%s %s?%s (%s): %d %s %s, want %d %s %s\n%s", rec.Method, rec.Path, rec.Query, rec.Note,
			got.status, got.kind, got.location, want.status, want.kind, want.location, body)
	}
	switch {
	case got.status >= 300 || rec.Method == "HEAD":
	case got.kind == jsType:
		got.value = called(t, string(body), rec.Query)
	case got.kind == jsonType:
		decode(t, body, &got.value)
	default:
		got.value = string(body)
	}
	for _, path := range unordered {
		unorder(got.value, path)
		unorder(want.value, path)
	}
	if got.status < 300 && !reflect.DeepEqual(got.value, want.value) {
		w, _ := json.Marshal(want.value)
		t.Errorf("%s %s?%s (%s): got\n%s\nwant\n%s", rec.Method, rec.Path, rec.Query, rec.Note, body, w)
	}
}

// unorder sorts the list that "response" or "response.field" names, in an object
// or in each of a list of objects.
func unorder(v any, path string) {
	_, field, inside := strings.Cut(path, ".")
	if m, ok := v.(map[string]any); ok && inside {
		v = m[field]
	}
	sortTexts(v)
}
