package httpd_test

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

// documentedAnswers asks every call for a success and for errors: of a server
// without tokens, of one with tokens, and of one whose database is closed.
var documentedAnswers = []struct {
	pattern string // of the document
	target  string // "" is the pattern's path
	on      string // "", "tokens" or "closed"
	body    string
	status  int
}{
	{"GET /readyz", "", "", "", 200},
	{"GET /readyz", "", "closed", "", 503},
	{"GET /v2/version", "", "tokens", "", 200},
	{"GET /v2/version", "/v2/version?x=1", "tokens", "", 400},
	{"GET /v2/openapi.json", "", "tokens", "", 200},
	{"GET /v2/openapi.json", "/v2/openapi.json?x=1", "tokens", "", 400},

	{"GET /v2/hosts/{mac}", "/v2/hosts/00:1e:c9:00:00:01", "", "", 200},
	{"GET /v2/hosts/{mac}", "/v2/hosts/00:1e:c9:00:00:03", "", "", 200}, // disabled
	{"GET /v2/hosts/{mac}", "/v2/hosts/00:1e", "", "", 400},
	{"GET /v2/hosts/{mac}", "/v2/hosts/02:00:00:00:00:99", "", "", 404},
	{"GET /v2/hosts/{mac}", "/v2/hosts/02:00:00:00:00:99", "tokens", "", 401},
	{"GET /v2/hosts/{mac}", "/v2/hosts/02:00:00:00:00:99", "closed", "", 503},
	{"GET /v2/hosts", "", "", "", 200},
	{"GET /v2/hosts", "", "tokens", "", 401},
	{"GET /v2/hosts", "", "closed", "", 503},
	{"GET /v2/find", "/v2/find?q=s0001", "", "", 200},
	{"GET /v2/find", "/v2/find?q=10.42.0.11", "", "", 200},
	{"GET /v2/find", "", "", "", 400},
	{"GET /v2/find", "/v2/find?q=nobody", "", "", 404},
	{"GET /v2/find", "/v2/find?q=s0001", "tokens", "", 401},
	{"GET /v2/find", "/v2/find?q=s0001", "closed", "", 503},
	{"GET /v2/networks", "", "", "", 200},
	{"GET /v2/networks", "/v2/networks?x=%ff", "", "", 400},
	{"GET /v2/networks", "", "closed", "", 503},
	{"GET /v2/networks", "", "tokens", "", 401},
	{"GET /v2/entities", "", "", "", 200},
	{"GET /v2/entities", "/v2/entities?type=server&driver=penguinserver&driver=basicserver&q=S00", "", "", 200},
	{"GET /v2/entities", "/v2/entities?kind=server", "", "", 400},
	{"GET /v2/entities", "", "tokens", "", 401},
	{"GET /v2/entities", "", "closed", "", 503},
	{"GET /v2/entities/{name}", "/v2/entities/s0001", "", "", 200},
	{"GET /v2/entities/{name}", "/v2/entities/sv2-r01", "", "", 200},
	{"GET /v2/entities/{name}", "/v2/entities/clustometa", "", "", 200},
	{"GET /v2/entities/{name}", "/v2/entities/%00", "", "", 400},
	{"GET /v2/entities/{name}", "/v2/entities/nobody", "", "", 404},
	{"GET /v2/entities/{name}", "/v2/entities/nobody", "tokens", "", 401},
	{"GET /v2/entities/{name}", "/v2/entities/nobody", "closed", "", 503},
	{"GET /v2/entities/{name}/attrs", "/v2/entities/s0001/attrs?merge=1&hidden=1", "", "", 200},
	{"GET /v2/entities/{name}/attrs", "/v2/entities/s0001/attrs?merge=x", "", "", 400},
	{"GET /v2/entities/{name}/attrs", "/v2/entities/nobody/attrs", "", "", 404},
	{"GET /v2/entities/{name}/attrs", "/v2/entities/s0001/attrs", "tokens", "", 401},
	{"GET /v2/entities/{name}/attrs", "/v2/entities/s0001/attrs", "closed", "", 503},
	{"GET /v2/objects", "", "", "", 200},
	{"GET /v2/objects", "", "tokens", "", 401},
	{"GET /v2/objects", "", "closed", "", 503},
	{"GET /v2/changes", "/v2/changes?since=x", "", "", 400}, // a success is in TestChangesAreAsDocumented
	{"GET /v2/changes", "", "readonly", "", 501},
	{"GET /v2/changes", "", "tokens", "", 401},
	{"GET /v2/changes", "", "closed", "", 503},
	{"POST /v2/batch", "", "", `{"ops":[{"op":"entity","name":"oa1","driver":"pool","as":"a"},{"op":"attr","name":"$a","key":"k","value":{"str":"x"}}]}`, 200},
	{"POST /v2/batch", "", "", `{"ops":[{"op":"allocate","name":"net-private0","to":"s0001","osport":"eth7"}]}`, 200},
	{"POST /v2/batch", "", "", `{"ops":[]}`, 200},
	{"POST /v2/batch", "", "", `{"ops":[{"op":"insert","name":"s0001","into":"nobody"}]}`, 404},
	{"POST /v2/batch", "", "", `{"ops":[{"op":"create","name":"s0001","driver":"pool"}]}`, 409},
	{"POST /v2/batch", "", "", `{"ops":"x"}`, 400},
	{"POST /v2/batch", "", "", `{"ops":[` + strings.Repeat(" ", 1<<10) + `]}`, 413},
	{"POST /v2/batch", "", "tokens", `{"ops":[]}`, 401},
	{"POST /v2/batch", "", "read", `{"ops":[]}`, 403},
	{"POST /v2/batch", "", "readonly", `{"ops":[{"op":"entity","name":"x","driver":"pool"}]}`, 501},
	{"POST /v2/batch", "", "closed", `{"ops":[]}`, 503},
}

// TestAnswersAreAsDocumented compares answers with the document: status, content
// type, headers and every field.
func TestAnswersAreAsDocumented(t *testing.T) {
	d := openAPI(t)
	closed := originalStore(t)
	bases := map[string]string{
		"":       serve(t, originalStore(t), httpd.Config{MaxBody: 1 << 10}),
		"tokens": serve(t, originalStore(t), httpd.Config{Tokens: both(t)}),
		"closed": serve(t, closed, httpd.Config{}),
	}
	closed.Close()
	bases["readonly"] = serve(t, openStore(t, originalFile(t)+"?mode=ro"), httpd.Config{})
	seen := map[string][2]bool{"GET /v2/changes": {true}} // of each pattern: a success, an error
	for _, c := range documentedAnswers {
		method, target, _ := strings.Cut(c.pattern, " ")
		if c.target != "" {
			target = c.target
		}
		base, auth := bases[c.on], ""
		if c.on == "read" {
			base, auth = bases["tokens"], "Bearer "+reader
		}
		resp, got := send(t, auth, method, base+target, c.body)
		where := method + " " + target + " " + strconv.Itoa(c.status)
		if resp.StatusCode != c.status {
			t.Errorf("%s: %s: %s", where, resp.Status, got)
			continue
		}
		d.checkAnswer(t, where, object(d.deref(at(d.operations()[c.pattern]["responses"], strconv.Itoa(c.status)))), resp, got)
		if schema := at(d.operations()[c.pattern]["requestBody"], "content", jsonType, "schema"); c.status == 200 && c.body != "" {
			if err := d.checkJSON([]byte(c.body), schema, where+" body"); err != nil {
				t.Error(err)
			}
		}
		was := seen[c.pattern]
		seen[c.pattern] = [2]bool{was[0] || c.status == 200, was[1] || c.status != 200}
	}
	for pattern, op := range d.operations() {
		if was := seen[pattern]; !was[0] || !was[1] && len(object(op["responses"])) > 1 {
			t.Errorf("%s: a success was seen %v, an error %v", pattern, was[0], was[1])
		}
	}
}

// checkAnswer compares one answer with its description.
func (d document) checkAnswer(t *testing.T, where string, as map[string]any, resp *http.Response, got []byte) {
	t.Helper()
	if as == nil {
		t.Errorf("%s is not documented", where)
		return
	}
	for name := range object(as["headers"]) {
		if resp.Header.Get(name) == "" && name != "Retry-After" {
			t.Errorf("%s: it has no %s", where, name)
		}
	}
	media := at(as["content"], resp.Header.Get("Content-Type"))
	if media == nil {
		t.Errorf("%s: content type %s is not documented", where, resp.Header.Get("Content-Type"))
		return
	}
	schema, pieces := at(media, "schema"), [][]byte{got}
	if line := at(media, "x-line"); line != nil {
		schema, pieces = line, bytes.Split(bytes.TrimSuffix(got, []byte("\n")), []byte("\n"))
	}
	for _, piece := range pieces {
		if err := d.checkJSON(piece, schema, where); err != nil {
			t.Errorf("%v\n%s", err, piece)
		}
	}
}

// TestDocumentIsHeldTo what is answered: the check finds what differs.
func TestDocumentIsHeldTo(t *testing.T) {
	d := openAPI(t)
	schemas := object(at(d["components"], "schemas"))
	for _, tt := range []struct{ schema, text, says string }{
		{"Entity", `{"name":"a","type":"b","driver":"c"}`, ""},
		{"Entity", `{"name":"a","type":"b"}`, "has no driver"},
		{"Entity", `{"name":"a","type":"b","driver":"c","more":1}`, "has more, which is not documented"},
		{"Entity", `{"name":"a","type":"b","driver":1}`, "type integer"},
		{"Entity", `[]`, "type array"},
		{"Value", `{"type":"text"}`, "want one of"},
		{"Version", `{"name":"clusto-httpd","version":"1","api":3}`, "want 2"},
		{"Attr", `{"key":"a","subkey":null,"number":1.5,"value":{}}`, "type number"},
		{"HostLine", `{"end":true,"count":3}`, ""},
		{"HostLine", `{"end":false,"count":3}`, "fits 0 of 3"},
	} {
		err := d.checkJSON([]byte(tt.text), schemas[tt.schema], tt.schema)
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s %s: %v, want %q", tt.schema, tt.text, err, tt.says)
		}
	}
}
