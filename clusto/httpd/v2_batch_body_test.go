package httpd_test

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestBatchWithoutOperations was taken, as one of none.
func TestBatchWithoutOperations(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for body, says := range map[string]string{
		`{}`:                   `"ops" is missing`,
		`null`:                 `it is no object`,
		`{"ops":null}`:         `ops at byte 11 is null: want a list`,
		`{"ops":[],"ops":[]}`:  `"ops" is there twice`,
		`{"ops":[null]}`:       `it is null: want an object`,
		`{"ops":[],"more":[]}`: `there is no field "more"`,
		`{"ops":[]`:            `unexpected EOF`,
	} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", body)
		if status != http.StatusBadRequest || !strings.Contains(a.Error, says) || strings.Contains(a.Error, "\n") {
			t.Errorf("%s: %d %+v, want %s", body, status, a, says)
		}
	}
	if status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[]}`); status != http.StatusOK || a.Applied == nil {
		t.Errorf("an empty list: %d %+v", status, a)
	}
}

// TestBatchInOtherLetters was applied: the names of fields are what they are.
func TestBatchInOtherLetters(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, tt := range []struct{ body, says string }{
		{`{"OPS":[{"op":"create","name":"otherletters","driver":"pool"}]}`, `there is no field "OPS"`},
		{`{"ops":[{"Op":"create","NAME":"otherletters","driver":"pool"}]}`, `there is no field "Op"`},
		{`{"ops":[{"op":"create","NAME":"otherletters","driver":"pool"}]}`, `there is no field "NAME"`},
		{`{"ops":[{"op":"attr","name":"s0001","key":"k","value":{"STR":"x"}}]}`, `there is no field "value.STR"`},
		{`{"ops":[{"op":"raw","name":"s0001","key":"k","values":[{"str":"x"},{"Str":"x"}]}]}`, `there is no field "values.Str"`},
	} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", tt.body)
		if status != http.StatusBadRequest || !strings.Contains(a.Error, tt.says) {
			t.Errorf("%s: %d %+v, want %s", tt.body, status, a, tt.says)
		}
	}
	if status, _ := ask(t, http.MethodGet, base+"/v2/entities/otherletters", ""); status != http.StatusNotFound {
		t.Errorf("the pool: %d", status)
	}
}

// TestBatchWithoutUnicode was stored with U+FFFD for what was none.
func TestBatchWithoutUnicode(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	const before = `{"ops":[{"op":"has","name":"s0001"},`
	for _, tt := range []struct{ op, says string }{
		{`{"op":"attr","name":"s0001","key":"k","value":{"str":"a` + "\xff" + `b"}}`, "value.str is no UTF-8 text"},
		{`{"op":"attr","name":"s0001","key":"k","value":{"str":"\ud800"}}`, `value.str has half of a surrogate pair, \ud800`},
		{`{"op":"attr","name":"s0001","key":"k","value":{"str":"\ud83d\u0041"}}`, `value.str has half of a surrogate pair, \ud83d`},
		{`{"op":"attr","name":"s0001","key":"k","value":{"str":"\ude00\ud83d"}}`, `value.str has half of a surrogate pair, \ude00`},
		{`{"op":"create","name":"a` + "\xff" + `","driver":"pool"}`, "name is no UTF-8 text"},
		{`{"op":"create","name":"a\\\ud800","driver":"pool"}`, "name has half of a surrogate pair"},
		{`{"op":"create","name":"a\ufffd","driver":"pool"}`, "U+FFFD"},
	} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", before+tt.op+`]}`)
		if status != http.StatusBadRequest || a.Index == nil || *a.Index != 1 || !strings.Contains(a.Error, tt.says) || strings.Contains(a.Error, "slash") {
			t.Errorf("%q: %d %+v, want %s", tt.op, status, a, tt.says)
		}
	}
	const whole = before + `{"op":"attr","name":"s0001","key":"k","value":{"str":"\ud83d\ude00 \\ud800 \"}{"}}]}`
	if status, a := ask(t, http.MethodPost, base+"/v2/batch", whole); status != http.StatusOK {
		t.Errorf("whole characters: %d %+v", status, a)
	}
	_, got := do(t, http.MethodGet, base+"/v2/entities/s0001/attrs?key=k", "")
	if !strings.Contains(string(got), `"😀 \\ud800 \"}{"`) {
		t.Errorf("stored %s", got)
	}
}

// TestCompressedBatch was taken for broken JSON.
func TestCompressedBatch(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/v2/batch", strings.NewReader("\x1f\x8b\x08"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(string(got), `\"gzip\"`) {
		t.Errorf("%s %s, %v", resp.Status, got, err)
	}
}

// TestRefusedBodyThatStalls got no answer: the server read on in the body for as
// long as the answer might take.
func TestRefusedBodyThatStalls(t *testing.T) {
	for _, tt := range []struct {
		what, request string
		status        int
		after         time.Duration
	}{
		{"no JSON", "POST /v2/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\na=", 400, 0},
		{"another type", "POST /v2/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[", 400, 0},
		{"nothing", "POST /v2/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n", 400, 30 * time.Second},
		{"no such call", "POST /v2/nosuch HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", 501, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			_, h := newHanging(t, httpd.Config{})
			conn := dialPipe(t, h)
			began := time.Now()
			go func() { _, _ = io.WriteString(conn, tt.request) }()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%s: %v after %v", tt.what, err, time.Since(began))
			}
			body, err := io.ReadAll(resp.Body)
			if took := time.Since(began); err != nil || resp.StatusCode != tt.status || took != tt.after {
				t.Errorf("%s: %s after %v, %v, want %d after %v: %s", tt.what, resp.Status, took, err, tt.status, tt.after, body)
			}
		})
	}
}
