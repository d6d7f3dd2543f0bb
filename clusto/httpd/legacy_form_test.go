package httpd_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// post sends a body of some Content-Type, none if that is "".
func post(t *testing.T, where, kind, body string) (status int, answer string) {
	t.Helper()
	resp, got := with(t, "Content-Type", kind, http.MethodPost, where, body)
	return resp.StatusCode, string(got)
}

// parts is a multipart/form-data body with the boundary B, as curl -F sends it.
func parts(dispositions ...string) string {
	var b strings.Builder
	for _, d := range dispositions {
		name, value, _ := strings.Cut(d, "=")
		b.WriteString("--B\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n")
	}
	return b.String() + "--B--\r\n"
}

const partsType = "multipart/form-data; boundary=B"

// TestBodyThatIsNoFormWasDropped: the subkey in the body of a delattr was not
// seen, so that all attributes of the key were deleted.
func TestBodyThatIsNoFormWasDropped(t *testing.T) {
	s := originalStore(t)
	base := serve(t, s, httpd.Config{})
	before := state(t, s)
	const file = "--B\r\nContent-Disposition: form-data; name=\"subkey\"; filename=\"\"\r\n\r\na\r\n--B--\r\n"
	for _, tt := range []struct {
		kind, body string
		status     int
		says       string
	}{
		{partsType, parts("subkey=nosuch"), 200, ""}, // nothing has it
		{partsType, parts("subkey=ipstring", "subkey=nosuch"), 200, ""},
		{"application/x-www-form-urlencoded; charset=utf-8", "subkey=nosuch", 200, ""},
		{"", "subkey=nosuch", 200, ""},
		{"application/json", `{"subkey":"nosuch"}`, 415, `a body of Content-Type "application/json" is not read here`},
		{"text/plain", "subkey=nosuch", 415, `"text/plain"`},
		{"nonsense", "subkey=nosuch", 415, `"nonsense"`},
		{";", "subkey=nosuch", 415, `";"`},
		{"multipart/mixed; boundary=B", parts("subkey=nosuch"), 415, `"multipart/mixed`},
		{"multipart/form-data", parts("subkey=nosuch"), 400, "has no boundary"},
		{partsType, file, 400, `part "subkey" of the form is a file`},
		{partsType, parts("=nosuch"), 400, "a part of the form has no name"},
		{partsType, parts("subkey=a\x00"), 400, "NUL"},
		{partsType, strings.TrimSuffix(parts("subkey=nosuch"), "--B--\r\n"), 400, "read"},
		{partsType, "subkey=nosuch", 400, "read form"},
		{partsType, parts("subkey=" + strings.Repeat("x", 1<<20)), 413, "larger than 1048576 bytes"},
		{"application/json", strings.Repeat(" ", 1<<20+1), 413, "larger than 1048576 bytes"},
	} {
		status, got := post(t, base+"/server/s0001/delattr?key=ip", tt.kind, tt.body)
		if status != tt.status || !strings.Contains(got, tt.says) || status >= 400 && strings.Count(got, "\n") != 2 {
			t.Errorf("%s %.60q: %d %.300s, want %d %s", tt.kind, tt.body, status, got, tt.status, tt.says)
		}
		if state(t, s) != before {
			t.Fatalf("%s %.60q: something was written", tt.kind, tt.body)
		}
	}
	if status, got := post(t, base+"/server/s0001/delattr?key=ip", "application/json", ""); status != 200 || state(t, s) == before {
		t.Errorf("no body, though one of JSON: %d %s", status, got)
	}
}

// TestPartsOfAQuery: a query takes them as it takes a form of the other kind.
func TestPartsOfAQuery(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	status, got := post(t, base+"/query/get_entities?clusto_types=[%22server%22]", partsType, parts(`names=["s0001","nosuch"]`, `clusto_types=["server"]`))
	if status != 200 || got != `["/server/s0001"]` {
		t.Errorf("%d %s", status, got)
	}
	if status, got := post(t, base+"/query/get_entities", "application/json", `{"names":["s0001"]}`); status != 415 {
		t.Errorf("JSON: %d %.100s", status, got)
	}
}
