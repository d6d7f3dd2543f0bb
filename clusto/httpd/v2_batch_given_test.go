package httpd_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestBatchWithoutValues deleted by an operation raw that had none, and stored
// empty texts for values that said nothing.
func TestBatchWithoutValues(t *testing.T) {
	s := originalStore(t)
	base := serve(t, s, httpd.Config{})
	before := state(t, s)
	const missing, neither = `"values" is missing; [] deletes`, `a value has neither "str" nor "type"`
	for op, says := range map[string]string{
		`{"op":"raw","name":"s0001","key":"ip","subkey":"ipstring","number":6}`:               missing,
		`{"op":"raw","name":"s0001","key":"ip","subkey":"ipstring","number":6,"values":null}`: missing,
		`{"op":"raw","name":"s0001","key":"k","values":[{"str":"v"},{}]}`:                     neither,
		`{"op":"raw","name":"s0001","key":"k","values":[null]}`:                               neither,
		`{"op":"attr","name":"s0001","key":"k","value":{}}`:                                   neither,
		`{"op":"set","name":"s0001","key":"k","value":{"type":""}}`:                           neither,
		`{"op":"add","name":"s0001","key":"k","value":{"str":null}}`:                          neither,
		`{"op":"add","name":"s0001","key":"k","value":{"int":0}}`:                             neither,
		`{"op":"del","name":"s0001","key":"ip","value":{"addrs":[]}}`:                         neither,
	} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[`+op+`]}`)
		if status != http.StatusBadRequest || !strings.Contains(a.Error, says) || strings.Contains(a.Error, "\n") {
			t.Errorf("%s: %d %+v, want %s", op, status, a, says)
		}
		if now := state(t, s); now != before {
			t.Errorf("%s: something was written", op)
			before = now
		}
	}
}

// TestBatchWithEmptyValues is what who means them sends: our own programs, too.
func TestBatchWithEmptyValues(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	set := func(ops ...clusto.Op) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"ops": ops})
		if err != nil {
			t.Fatal(err)
		}
		if status, a := ask(t, http.MethodPost, base+"/v2/batch", string(body)); status != http.StatusOK {
			t.Errorf("%s: %d %+v", body, status, a)
		}
	}
	attrs := func(want string) {
		t.Helper()
		_, got := do(t, http.MethodGet, base+"/server/s0001/attrs?key=k", "")
		sameJSON(t, got, []byte(`{"attrs":[`+want+`]}`), false)
	}
	raw := clusto.Op{Op: "raw", Name: "s0001", Key: "k"}
	raw.Values = []clusto.Value{{Type: clusto.String}, {Type: clusto.Int}}
	set(raw)
	const none = `{"key":"k","subkey":null,"number":null,"datatype":`
	attrs(none + `"string","value":""},` + none + `"int","value":0}`)
	raw.Values = []clusto.Value{}
	set(raw)
	attrs("")
	if status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{"op":"attr","name":"s0001","key":"k","value":{"str":""}}]}`); status != http.StatusOK {
		t.Errorf("%d %+v", status, a)
	}
	attrs(none + `"string","value":""}`)
}
