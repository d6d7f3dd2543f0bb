package httpd_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// TestErrorAsLongAsItsInput: an error of /v2 repeated all of an input that was
// wrong, up to the 256 MiB of a batch, where it was to say one sentence. It has
// the beginning of the input, and how the sentence ends.
func TestErrorAsLongAsItsInput(t *testing.T) {
	var log syncBuffer
	base := serve(t, originalStore(t), httpd.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, tt := range []struct{ op, says string }{
		{`"op":"LONG","name":"s0001"`, "operation"},
		{`"op":"attr","name":"LONG","key":"k","value":{"str":"v"}`, "it has to be made before it is used"},
		{`"op":"attr","name":"s0001","key":"LONG","value":{"str":"v"}`, "key"},
		{`"op":"attr","name":"s0001","key":"k","subkey":"LONG","value":{"str":"v"}`, "subkey"},
		{`"op":"attr","name":"s0001","key":"k","value":{"type":"LONG","str":"v"}`, " is none of string, int, datetime, relation, json"},
		{`"op":"attr","name":"s0001","key":"k","value":{"type":"datetime","str":"LONG"}`, " is no date like 2010-01-02 03:04:05"},
		{`"op":"attr","name":"s0001","key":"k","value":{"type":"json","str":"LONG"}`, " is no JSON"},
		{`"op":"attr","name":"s0001","key":"k","value":{"type":"relation","str":"LONG"}`, "attribute k of /server/s0001"},
		{`"op":"attr","name":"s0001","key":"k","subkey":"mac","value":{"str":"LONG"}`, "MAC"},
		{`"op":"create","name":"LONG","driver":"pool"`, " is longer than 128 characters"},
		{`"op":"create","name":"n","driver":"LONG"`, "driver"},
		{`"op":"create","name":"n","driver":"mine","type":"LONG"`, "type"},
		{`"op":"create","name":"n","driver":"pool","as":"LONG-"`, "label"},
		{`"op":"insert","name":"s0001","into":"LONG"`, "it has to be made before it is used"},
		{`"op":"bind","name":"s0001","ip":"LONG"`, " is no IPv4 address"},
		{`"op":"bind","name":"s0001","ip":"10.42.0.99","osport":"LONG"`, "256"},
		{`"op":"connect","name":"s0001","port":"LONG","num":"1","to":"s0010","to_num":"1"`, "port"},
		{`"op":"connect","name":"s0001","port":"nic-eth","num":"LONG","to":"s0010","to_num":"1"`, "port"},
		{`"op":"disconnect","name":"s0001","port":"nic-eth","num":"LONG"`, "port"},
		{`"LONG":1`, "there is no field"},
	} {
		for _, long := range []string{strings.Repeat("a", 200_000), strings.Repeat(`\" `, 2000), "1" + strings.Repeat("ä", 2000)} {
			op := strings.Replace(tt.op, "LONG", long, 1)
			status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{`+op+`}]}`)
			if status < 400 || status >= 500 || len(a.Error) > 600 || !strings.Contains(a.Error, tt.says) {
				t.Errorf("%s: %d, %d bytes: %.700s", tt.op, status, len(a.Error), a.Error)
			}
		}
	}
	for _, path := range []string{"/v2/", "/v2/entities/", "/v2/hosts/", "/v2/find?q=", "/v2/find?", "/v2/entities/s0001/attrs?merge=", "/v2/changes?since=", "/v2/entities?attrs="} {
		resp, got := do(t, http.MethodGet, base+path+strings.Repeat("a", 60_000), "")
		if len(got) > 700 {
			t.Errorf("%s: %s, %d bytes", path, resp.Status, len(got))
		}
	}
	for line := range strings.Lines(log.String()) {
		if len(line) > 1000 {
			t.Errorf("the log has a line of %d bytes: %.200s", len(line), line)
		}
	}
}

// TestCutSentence: the quoted text is cut, and not what is said of it.
func TestCutSentence(t *testing.T) {
	long := strings.Repeat("a", 900)
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cutA := `"` + strings.Repeat("a", 80) + `..."`
	for _, tt := range []struct{ what, in, want string }{
		{"short", `key "a" is wrong`, `key "a" is wrong`},
		{"quoted", "key " + quoted(long) + " of " + quoted("s1") + " is wrong", "key " + cutA + ` of "s1" is wrong`},
		{"two", quoted(long) + ", " + quoted(long), cutA + ", " + cutA},
		{"quotes in it", "key " + quoted(`\"`+strings.Repeat("a", 900)) + " is wrong", `key "\\\"` + strings.Repeat("a", 76) + `..." is wrong`},
		{"unquoted", long + " is wrong", strings.Repeat("a", 298) + "..." + strings.Repeat("a", 289) + " is wrong"},
		{"an odd quote", `5" ` + long + " is wrong", `5" ` + strings.Repeat("a", 295) + "..." + strings.Repeat("a", 289) + " is wrong"},
	} {
		if got := httpd.Short(tt.in); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.what, got, tt.want)
		}
	}
}

// TestLongKeyObeysTheRule: a key of 300 letters was told to go on with letters,
// and not that it is too long.
func TestLongKeyObeysTheRule(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	long := strings.Repeat("a", 300)
	const says = " has 300 characters, and 256 are the most"
	for _, params := range []string{"key=" + long, "key=k&subkey=" + long} {
		try(t, http.MethodPost, base+"/server/s0001/addattr?value=v&"+params, http.StatusBadRequest, says)
	}
	for _, fields := range []string{`"key":"` + long + `"`, `"key":"k","subkey":"` + long + `"`} {
		status, a := ask(t, http.MethodPost, base+"/v2/batch", `{"ops":[{"op":"attr","name":"s0001","value":{"str":"v"},`+fields+`}]}`)
		if status != http.StatusBadRequest || !strings.HasSuffix(a.Error, says) {
			t.Errorf("%.40s: %d %s", fields, status, a.Error)
		}
	}
	whole := strings.Repeat("a", 256)
	try(t, http.MethodPost, base+"/server/s0001/addattr?value=v&key="+whole+"&subkey="+whole, http.StatusOK, whole)
}
