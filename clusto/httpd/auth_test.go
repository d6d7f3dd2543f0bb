package httpd_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto/httpd"
)

const (
	reader = "r3ader-r3ader-r3ader"
	writer = "wr1ter-wr1ter-wr1ter"
)

func tokens(t *testing.T, text string) *httpd.Tokens {
	t.Helper()
	all, err := httpd.ParseTokens("tokens", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func both(t *testing.T) func() *httpd.Tokens {
	all := tokens(t, "# who may do what\n\nread  "+reader+"  dhcp1\nwrite "+writer+"\n")
	return func() *httpd.Tokens { return all }
}

// send sends a request with an Authorization header.
func send(t *testing.T, auth, method, url, body string) (*http.Response, []byte) {
	t.Helper()
	return with(t, "Authorization", auth, method, url, body)
}

func doAs(t *testing.T, auth, method, url, body string) *http.Response {
	t.Helper()
	resp, _ := send(t, auth, method, url, body)
	return resp
}

func TestTokens(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{Tokens: both(t)})
	const read, write = "Bearer " + reader, "Bearer " + writer
	const pool = `{"ops":[{"op":"entity","name":"p1","driver":"pool"}]}`
	for _, tt := range []struct {
		auth, method, path, body string
		status                   int
	}{
		{"", "GET", "/readyz", "", 200},
		{"", "GET", "/v2/version", "", 200},
		{"Bearer nonsense", "GET", "/readyz", "", 200}, // health is health
		{"", "POST", "/readyz", "", 401},

		{"", "GET", "/v2/hosts/00:1e:c9:00:00:01", "", 401},
		{"", "GET", "/v2/hosts", "", 401},
		{"", "GET", "/v2/find?q=s0001", "", 401},
		{"", "GET", "/v2/networks", "", 401},
		{"", "POST", "/v2/batch", pool, 401},
		{"", "GET", "/", "", 401},
		{"", "GET", "/server/s0001/attrs", "", 401},
		{"", "POST", "/query/get_entities", "", 401},
		{"", "GET", "/nosuch", "", 401},

		{"Bearer", "GET", "/v2/networks", "", 401},
		{"Bearer ", "GET", "/v2/networks", "", 401},
		{"Basic " + reader, "GET", "/v2/networks", "", 401},
		{reader, "GET", "/v2/networks", "", 401},
		{read + "x", "GET", "/v2/networks", "", 401},
		{read[:len(read)-1], "GET", "/v2/networks", "", 401},
		{"Bearer " + strings.ToUpper(reader), "GET", "/v2/networks", "", 401},

		{read, "GET", "/v2/networks", "", 200},
		{"bearer  " + reader + " ", "GET", "/v2/networks", "", 200}, // the scheme's case does not matter
		{read, "HEAD", "/v2/networks", "", 200},
		{read, "GET", "/v2/hosts", "", 200},
		{read, "GET", "/server/s0001/attrs", "", 200},
		{read, "POST", "/query/get_entities", "", 200},
		{read, "POST", "/v2/batch", pool, 403},
		{read, "GET", "/server/s0001/setattr?key=a&value=b", "", 403},
		{write, "GET", "/v2/networks", "", 200},
		{write, "POST", "/v2/batch", pool, 200},
	} {
		resp := doAs(t, tt.auth, tt.method, base+tt.path, tt.body)
		challenge := resp.Header.Get("WWW-Authenticate")
		if denied := tt.status == 401 || tt.status == 403; resp.StatusCode != tt.status || strings.HasPrefix(challenge, "Bearer ") != denied {
			t.Errorf("%s %s as %q: %s %q, want %d", tt.method, tt.path, tt.auth, resp.Status, challenge, tt.status)
		}
	}
}

// TestDenialsInWords says what is wrong in the form of the API that was asked.
func TestDenialsInWords(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{Tokens: both(t)})
	if status, a := ask(t, "GET", base+"/v2/networks", ""); status != 401 || !strings.Contains(a.Error, "Authorization: Bearer") {
		t.Errorf("%d %+v", status, a)
	}
	resp, got := do(t, "GET", base+"/server/s0001/attrs", "")
	if resp.Header.Get("Content-Type") != "text/html; charset=UTF-8" || !strings.HasPrefix(string(got), "401 Unauthorized\n") {
		t.Errorf("%s: %s", resp.Header.Get("Content-Type"), got)
	}
}

// TestTokensOfTheMoment takes what Tokens says at each request; nobody gets in
// while it says nothing.
func TestTokensOfTheMoment(t *testing.T) {
	now := tokens(t, "read "+reader)
	base := serve(t, originalStore(t), httpd.Config{Tokens: func() *httpd.Tokens { return now }})
	for _, step := range []struct {
		now    *httpd.Tokens
		status int
	}{{now, 200}, {tokens(t, "read "+writer), 401}, {nil, 401}, {now, 200}} {
		now = step.now
		if resp := doAs(t, "Bearer "+reader, "GET", base+"/v2/networks", ""); resp.StatusCode != step.status {
			t.Errorf("%s, want %d", resp.Status, step.status)
		}
	}
}

// TestLogTellsWhoChangedWhat, and no token, and of denials one line for many.
func TestLogTellsWhoChangedWhat(t *testing.T) {
	var log syncBuffer
	base := serve(t, originalStore(t), httpd.Config{
		Tokens: both(t), Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	doAs(t, "Bearer "+reader, "GET", base+"/v2/networks", "")
	doAs(t, "Bearer "+writer, "POST", base+"/v2/batch", `{"ops":[]}`)
	for range 3 {
		doAs(t, "Bearer guessed-guessed-guessed", "POST", base+"/v2/batch", "")
	}
	text := log.String()
	for _, want := range []string{
		`level=DEBUG msg=request`, `by=dhcp1`, `level=INFO msg=change`, `by="line 4"`, `level=WARN msg="a request was refused`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if strings.Contains(text, reader) || strings.Contains(text, writer) || strings.Contains(text, "guessed") || strings.Count(text, "level=WARN") != 1 {
		t.Errorf("logged:\n%s", text)
	}
}

func TestTokenFile(t *testing.T) {
	for _, tt := range []struct{ text, says string }{
		{"", "tokens: it has no token"},
		{"# none\n", "tokens: it has no token"},
		{"\n" + reader + "\n", "tokens:2: the first word is neither read nor write"},
		{"read\n", `tokens:1: there is no token after "read"`},
		{"read short\n", "tokens:1: the token is shorter than 16"},
		{"read " + reader + "\nwrite " + reader + "\n", "tokens:2: this token is there already"},
		{"read " + reader + " my name\n", "tokens:1: more than three words"},
		{"read \"" + reader + "\"\n", "tokens:1: the token has characters"},
		{"write " + reader + "\nread " + reader[:15] + "\xff\xff\n", "tokens:2: the token has characters"},
	} {
		all, err := httpd.ParseTokens("tokens", []byte(tt.text))
		if err == nil || all != nil || !strings.HasPrefix(err.Error(), tt.says) || strings.Contains(err.Error(), reader[:15]) {
			t.Errorf("%q: %v", tt.text, err)
		}
	}
	tokens(t, "read "+reader+"\r\nwrite\t"+writer+"  name\r\n")
}

// TestPageOfAnotherSite is what a browser on the operator's machine sends for a
// page that wants to change a server without tokens.
func TestPageOfAnotherSite(t *testing.T) {
	base := serve(t, originalStore(t), httpd.Config{})
	for _, tt := range []struct {
		method, path, site string
		status             int
	}{
		{"POST", "/v2/batch", "cross-site", 403},
		{"POST", "/v2/batch", "same-origin", 400},
		{"POST", "/v2/batch", "", 400},
		{"GET", "/server/s0001/setattr?key=a&value=b", "cross-site", 403},
		{"GET", "/server/s0001/attrs", "cross-site", 200}, // JSONP
	} {
		req, err := http.NewRequestWithContext(t.Context(), tt.method, base+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.site != "" {
			req.Header.Set("Sec-Fetch-Site", tt.site)
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s %s from %q: %s, want %d", tt.method, tt.path, tt.site, resp.Status, tt.status)
		}
	}
}
