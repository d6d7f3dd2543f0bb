package httpd_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestNamesThatNoPathHas were made, and could not be asked for.
func TestNamesThatNoPathHas(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, tt := range []struct{ op, says string }{
		{`"op":"create","name":".","driver":"pool"`, `entity name "."`},
		{`"op":"entity","name":"..","driver":"pool"`, `entity name ".."`},
		{`"op":"create","name":"q1","driver":"mine","type":"query"`, `type "query" is taken`},
		{`"op":"entity","name":"q1","driver":"mine","type":"v2"`, `type "v2" is taken`},
	} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{`+tt.op+`}]}`)
		if status != http.StatusBadRequest || !strings.Contains(a.Error, tt.says) {
			t.Errorf("%s: %d %+v, want %s", tt.op, status, a, tt.says)
		}
	}
}

// TestNoTypeHasTheAPIsOwnPaths: a call that is added needs its first segment
// among those that no type may have.
func TestNoTypeHasTheAPIsOwnPaths(t *testing.T) {
	for _, pattern := range append(httpd.Patterns(), "/search") {
		path := pattern[strings.Index(pattern, "/"):]
		first, _, _ := strings.Cut(path[1:], "/")
		if first != "" && clusto.CheckType(first) == nil {
			t.Errorf("%s: a type may be called %q", pattern, first)
		}
	}
	if err := clusto.CheckType("server"); err != nil {
		t.Error(err)
	}
}

// TestUndefinedLabel was taken for a name, and an entity made of it.
func TestUndefinedLabel(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, op := range []string{
		`"op":"create","name":"$typo","driver":"pool"`,
		`"op":"entity","name":"$typo","driver":"pool"`,
		`"op":"insert","name":"s0001","into":"$typo"`,
		`"op":"attr","name":"s0001","key":"k","value":{"type":"relation","str":"$typo"}`,
	} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{`+op+`}]}`)
		if status != http.StatusBadRequest || !strings.Contains(a.Error, "label $typo is not defined before") {
			t.Errorf("%s: %d %+v", op, status, a)
		}
	}
	// One whose own name begins so is made, and found, by every call.
	resp, got := do(t, http.MethodPost, base+"/pool/"+url.PathEscape("$own"), "")
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s", resp.Status, got)
	}
	status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{"op":"attr","name":"$own","key":"k","value":{"str":"v"}},{"op":"entity","name":"$$own","driver":"pool"}]}`)
	if status != http.StatusOK {
		t.Errorf("%d %+v", status, a)
	}
}
