package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// asked are sessions with tokens good and bad, methods and calls that there are not, and
// numbers that a client gives.
var asked = []string{
	"nobody GET /v2/version\nnobody POST /pool/x\nwrong DELETE /pool/p\nread POST /v2/batch {\"ops\":[{\"op\":\"delete\",\"name\":\"p\"}]}\nwrong GET /v2/objects",
	"nobody GET /\nnobody GET /server\nwrong GET /server/s\nnobody GET /server/s/attrs\nwrong POST /query/get_by_name?name=s\nnobody GET /search?q=s\nnobody GET /v2/hosts\nwrong GET /v2/find?q=s\nnobody GET /v2/networks\nnobody GET /v2/entities/s/attrs\nwrong HEAD /readyz\nnobody GET /v2/openapi.json\nwrong GET /server/t",
	"PATCH /v2/nothing\nGET /v2/nothing\nPOST /server/s/insert?object=/pool/p\nread GET /server/s/set_hostname?hostname=h",
	"POST /v2/batch {\"ops\":[{\"op\":\"create\",\"name\":\"t\",\"driver\":\"basicserver\"},{\"op\":\"attr\",\"name\":\"t\",\"key\":\"port-nic-eth\",\"subkey\":\"mac\",\"number\":1,\"value\":{\"type\":\"string\",\"str\":\"0011.2233.4455\"}}]}",
	"POST /v2/batch {\"ops\":[{\"op\":\"bind\",\"name\":\"s\",\"ip\":\"10.0.0.9\",\"number\":40},{\"op\":\"insert\",\"name\":\"sw\",\"into\":\"p\",\"number\":3}]}\nPOST /pool/p/insert?object=/rack/r",

	"GET /v2/changes?since=0\nread GET /v2/changes\nGET /v2/changes?since=3-x\nGET /v2/changes?since=x\nGET /v2/changes 2\nPOST /v2/changes\nHEAD /v2/changes?since=x\nnobody GET /v2/changes",
	"POST /pool/p/setattr?key=dhcp&subkey=enabled&value=1\nGET /v2/changes?since=12",

	// What the store refuses, behind something written by hand to another entity.
	"POST /pool/p/setattr?key=k&value=v\nPOST /basicserver/t\nPOST /server/t/bind_ip_to_osport?ip=10.0.0.7&osportname=eth0",
	"POST /pool/p/setattr?key=k&value=v\nPOST /basicserver/t\nPOST /rack/r/insert?object=/server/t&ru=7",
	"POST /basicrack/r2\nPOST /rack/r2/insert?object=/server/s&ru=1",
	"POST /unique_pool/u\nPOST /unique_pool/v\nPOST /pool/u/insert?object=/server/s\nPOST /pool/v/insert?object=/server/s",
	"DELETE /pool/p",
	"POST /exclusive_pool/e\nPOST /pool/e/insert?object=/server/s",
	"POST /v2/batch {\"ops\":[{\"op\":\"create\",\"name\":\"q\",\"driver\":\"pool\"},{\"op\":\"insert\",\"name\":\"q\",\"into\":\"p\"}]}\nPOST /v2/batch {\"ops\":[{\"op\":\"insert\",\"name\":\"p\",\"into\":\"q\"}]}",
	"POST /pool/p/setattr?key=k&value=v\nDELETE /networkswitch/sw",
	"POST /pool/p/setattr?key=k&value=v\nPOST /server/s/disconnect_port?porttype=nic-eth&portnum=1",
	"POST /v2/batch {\"ops\":[{\"op\":\"add\",\"name\":\"sw\",\"key\":\"bad key\",\"value\":{\"str\":\"v\"}}]}\nPOST /rack/r/setattr?key=maxu&subkey=property&value=many",
}

// FuzzHTTP: no request, whatever went before it, gets a 500; a 501 only says that there is
// no such method or call. One without a token that is good for it changes nothing. After
// any of them the inventory is consistent, the feed has named all that is another one, and
// an export makes an equal inventory of an empty one: what a file cannot hold is refused.
//
// The inventory is a file in memory, as daemons have it in a file: its log (WAL) and locks, and
// several connections, one of them our own, which sees what was written and puts it back. A
// database ":memory:" has neither that log nor a name that another one could open.
//
// A session is a run of requests, one on a line: method, path, and a body behind a space. A line
// may begin with who asks: "read " has a token that only reads, "wrong " one that nobody knows,
// "nobody " none; all others have one that writes. The body of a request for the feed is its
// Last-Event-ID.
//
// Seeds are what the original was asked (see recorded), and sessions by hand, which are short:
// an input is made of one of them.
func FuzzHTTP(f *testing.F) {
	for _, session := range corpus.Texts(f, "http") {
		f.Add(string(session.Bytes))
		f.Add("read " + string(session.Bytes))
	}
	for _, session := range slices.Concat(asked, recorded(f)) {
		f.Add(session)
	}
	s := open(f)
	f.Fuzz(func(t *testing.T, session string) {
		if fits(session) {
			s.hold(t, session)
		}
	})
}

// hold has a session's requests answered, one after the other. What nothing was
// written to is what was looked at in the beginning; else it is looked at again, and reset.
func (s *site) hold(tb testing.TB, session string) {
	tb.Helper()
	h := s.handler()
	if strings.Contains(session, "/v2/changes") {
		s.feed(tb, h, "") // the store keeps for a second what it read last: of the input before
	}
	did := written{}
	for line := range strings.Lines(session) {
		before := s.now(tb)
		who, request := whose(line)
		code, body := ask(tb, h, request, token[who])
		s.answered(tb, line, code, body)
		admitted(tb, line, code, body)
		changed := s.now(tb) != before
		if changed && token[who] != token["write"] {
			tb.Errorf("%q changed the inventory: %d %s", line, code, body)
		}
		if changed && code/100 != 2 {
			tb.Errorf("%q changed the inventory, and got %d %s", line, code, body)
		}
		if code/100 == 2 {
			did.add(request, body)
		}
	}
	if s.written(tb) {
		defer s.reset(tb)
		all := objects(tb, s.store)
		s.rooted(tb)
		consistent(tb, all, did)
		counted(tb, s.objects, all, did)
		named(tb, h, s)
		if !s.exported(tb, all) {
			tb.Errorf("%q made what no file can hold", session)
		}
	}
}

// answered: what the answer to any request may be.
func (s *site) answered(tb testing.TB, line string, code int, body string) {
	tb.Helper()
	_, request := whose(line)
	method, _, _, u := parts(request)
	switch {
	case code == http.StatusNotImplemented && strings.Contains(body, "there is GET to read, POST to create or to act, DELETE to delete"):
		if slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodDelete}, method) || method == http.MethodHead && !ofEntity(u) {
			tb.Errorf("%q: %d %s", line, code, body)
		}
	case code == http.StatusNotImplemented && strings.Contains(body, "there is no call "):
		if !strings.HasPrefix(u.Path, "/v2/") {
			tb.Errorf("%q: %d %s", line, code, body)
		}
	case code >= 500 || code == 0:
		tb.Errorf("%q: %d %s", line, code, body)
	}
}

// ofEntity reports whether a path is one of an entity, or of a call of it: the original answers
// HEAD there with a 501, as we do.
func ofEntity(u *url.URL) bool {
	kind, name, _ := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	return kind != "" && name != "" && kind != "v2" && kind != "query"
}

// openToAll is what needs no token: nothing of it is the inventory's.
var openToAll = []string{"/readyz", "/v2/version", "/v2/openapi.json"}

// admitted: who has no token that is known gets nothing but what is open to all, whatever is
// there; who writes is let in everywhere, and who reads is known.
func admitted(tb testing.TB, line string, code int, body string) {
	tb.Helper()
	who, request := whose(line)
	method, _, _, u := parts(request)
	if u == nil || code == http.StatusBadRequest && body == "" {
		return // no server would take it for a request (see ask)
	}
	open := slices.Contains([]string{http.MethodGet, http.MethodHead}, method) && slices.Contains(openToAll, u.Path)
	unknown, forbidden := code == http.StatusUnauthorized, code == http.StatusForbidden
	if stranger := token[who] != token["write"] && token[who] != token["read"]; unknown != (stranger && !open) || forbidden && (who != "read" || open) {
		tb.Errorf("%q got %d %s", line, code, body)
	}
}

// token is what each has that asks.
var token = map[string]string{"write": "w0123456789abcdef", "read": "r0123456789abcdef", "wrong": "x0123456789abcdef", "nobody": ""}

// whose takes off a line who asks.
func whose(line string) (who, request string) {
	who, request, _ = strings.Cut(line, " ")
	if _, ok := token[who]; ok {
		return who, request
	}
	return "write", line
}

// parts takes a line apart; u is nil for what no server would take for a request.
func parts(line string) (method, target, text string, u *url.URL) {
	method, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	target, text, _ = strings.Cut(rest, " ")
	u, err := url.ParseRequestURI(target)
	if err != nil || method == "" || !strings.HasPrefix(target, "/") {
		u = nil
	}
	return method, target, text, u
}

// ask makes one request; what no server would take for one counts as a 400.
func ask(tb testing.TB, h http.Handler, line, token string) (code int, body string) {
	tb.Helper()
	method, target, text, u := parts(line)
	if u == nil {
		return http.StatusBadRequest, ""
	}
	r, err := http.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(text))
	if err != nil {
		return http.StatusBadRequest, ""
	}
	r.URL, r.RequestURI = u, target // as a server reads it: a target that begins with // names no host
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPost && strings.HasPrefix(text, "{") {
		r.Header.Set("Content-Type", "application/json")
	} else if text != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	if u.Path == "/v2/changes" {
		follow(tb, h, r, w, text)
	} else {
		h.ServeHTTP(w, r)
	}
	return w.Code, w.Body.String()
}
