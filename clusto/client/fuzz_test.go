package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	hostile   = "http://inventory.example:9996"
	bodyLimit = 8 << 10
	enough    = 100 // hosts, objects and changes that are taken of a stream
)

var (
	errEnough = errors.New("enough of it")
	errHeard  = errors.New("enough is heard")
)

// stranger answers every request alike: lists of the original's with list, all
// else with one. What is endless comes again and again.
type stranger struct {
	status    int
	says      string // beside it
	typ       string
	list, one []byte
	endless   bool
	lists     bool // of types, as the original has them at /

	asked, read int
}

// RoundTrip implements http.RoundTripper.
func (s *stranger) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked++
	b := answer{of: s, ctx: r.Context(), again: s.one}
	if strings.HasPrefix(r.URL.Path, "/query/get_entities") {
		b.again = s.list
	}
	if s.lists && r.URL.Path == "/" {
		b.again = []byte(`["/pool","/server"]`)
	}
	b.rest = b.again
	return &http.Response{
		StatusCode: s.status, Status: cmp.Or(s.says, http.StatusText(s.status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {s.typ}}, Body: &b, Request: r,
	}, nil
}

// answer is the body of one.
type answer struct {
	of          *stranger
	ctx         context.Context
	again, rest []byte
	read        int
}

// Read implements io.Reader. Nobody reads for ever.
func (b *answer) Read(p []byte) (int, error) {
	switch {
	case b.ctx.Err() != nil:
		return 0, b.ctx.Err()
	case b.read > 64*bodyLimit:
		return 0, errEnough
	case len(b.rest) == 0 && b.of.endless && len(b.again) > 0:
		b.rest = bytes.Repeat(b.again, 1+4096/len(b.again))
	case len(b.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	b.read += n
	b.of.read += n
	return n, nil
}

// Close implements io.Closer.
func (b *answer) Close() error { return nil }

// listener takes a few changes, and hears no more.
type listener struct {
	heard int
	stop  func()
}

func (l *listener) hear() {
	if l.heard++; l.heard >= enough {
		l.stop()
	}
}
func (l *listener) Reset()                         { l.hear() }
func (l *listener) Changed([]string, []clusto.MAC) { l.hear() }
func (l *listener) Live(int64)                     { l.hear() }
func (l *listener) Lost(error)                     { l.hear() }

// FuzzAnswers: whatever a server answers, a call gives what can be understood, or an
// error of one line that says whom it asked and what for; only what was asked for
// can be said not to be found or in conflict. No answer takes more memory than its
// bound, however long it is. What a server in order answers is taken.
func FuzzAnswers(f *testing.F) {
	const host = `{"mac":"00:1e:c9:00:00:01","name":"s0001","type":"server"}`
	const record = `{"object":"/server/s0001","driver":"basicserver","attrs":[{"key":"port-nic-eth","subkey":"mac","number":1,"datatype":"string","value":"00:1e:c9:00:00:01"},` +
		`{"key":"ip","subkey":"ipstring","number":0,"datatype":"string","value":"10.0.0.1"},{"key":"ip","subkey":"manager","number":0,"datatype":"relation","value":"/server/s0001"}],"parents":["/server/s0001"]}`
	wellAnswered(f, host, record)
	for _, body := range []string{
		host, host + "\n", host + "\n" + `{"end":true,"count":1}` + "\n", `{"error":"no\nsuch host","not_found":true}`, `{"error":"x","index":-3}`, `{"error":"x","index":0}`, record,
		`{"hosts":[{}],"networks":[{}],"entities":[{}],"attrs":[{}],"api":2,"applied":1,"results":[{"index":0}]}`, `{"networks":[{"prefix":"10.0.0.0/33"}]}`,
		"event: hello\ndata: {\"seq\":1}\nid: 1-a\n\nevent: change\nid: 2-b\ndata: {\"entities\":[\"/server/s\"],\"macs\":[\"00:1e:c9:00:00:01\"]}\n\n", "event: change\ndata: {}\n\n", "id: x\nevent: reset\ndata: {}\n\n",
		`{"name":"s0001","type":"server","attrs":[],"parents":[]}` + "\n", "[", "null", `["/server/s0001"]`, "{", `{"mac":` + strings.Repeat("9", 600) + `}`, strings.Repeat("[", 20000), strings.Repeat("{},", 9000),
	} {
		for kind := range byte(4) {
			for _, status := range []uint16{200, 400, 404, 401} {
				f.Add(status, kind|8*byte(status&1), []byte(`["/server/s0001"]`), []byte(body))
			}
		}
	}
	for _, list := range []string{"[]", "null", `["/a/b","/a/b",7]`, `["x"]`, `{"a":1}`, "[" + strings.Repeat(`"/a/b",`, 5000) + `"/c/d"]`} {
		f.Add(uint16(200), byte(0), []byte(list), []byte(record))
		f.Add(uint16(200), byte(12), []byte(list), []byte(record))
	}
	f.Fuzz(func(t *testing.T, status uint16, kind byte, list, one []byte) {
		if status < 100 || status > 999 || len(list)+len(one) > 1<<16 {
			return
		}
		types := []string{"application/json", "application/x-ndjson", "text/event-stream", "text/html; charset"}
		s := &stranger{status: int(status), typ: types[kind&3], list: list, one: one, endless: kind&4 != 0, lists: kind&8 != 0}
		for name, call := range everyCall(t, s) {
			s.asked, s.read = 0, 0
			before := allocated()
			err := call(t.Context())
			told(t, name, err)
			if n := allocated() - before; n > 8<<20 {
				t.Errorf("%s took %d bytes of memory, of %d that it read", name, n, s.read)
			}
			if s.asked > 10_000+len(list) {
				t.Errorf("%s asked %d times", name, s.asked)
			}
		}
	})
}

// wellAnswered: each call takes the answer of a server in order.
func wellAnswered(tb testing.TB, host, record string) {
	tb.Helper()
	const plain, lines = "application/json", "application/x-ndjson"
	const entity = `{"name":"s0001","type":"server","driver":"basicserver","attrs":[],"parents":[]}`
	end := "\n" + `{"end":true,"count":1}` + "\n"
	good := map[string]struct{ typ, body string }{
		"Host":       {plain, host},
		"Find":       {plain, `{"hosts":[` + host + `]}`},
		"Networks":   {plain, `{"networks":[{"name":"n","prefix":"10.0.0.0/8"}]}`},
		"Ready":      {plain, `{"api":2}`},
		"Hosts":      {lines, host + end},
		"Objects":    {lines, entity + end},
		"Change":     {plain, `{"applied":2,"results":[{"index":1}]}`},
		"BootServer": {plain, `{"attrs":[]}`},
		"Follow":     {"text/event-stream", strings.Repeat("event: hello\ndata: {\"seq\":1}\nid: 1-a\n\n", enough)},
		"Object":     {plain, entity},
		"Entities":   {plain, `{"entities":[` + entity + `]}`},
		"Attrs":      {plain, `{"attrs":[{"key":"k"}]}`},
	}
	s := &stranger{status: http.StatusOK, list: []byte(`["/server/s0001"]`), lists: true}
	for name, call := range everyCall(tb, s) {
		answer, ok := good[name]
		if strings.HasPrefix(name, "of old, ") {
			answer.typ, answer.body, ok = plain, record, true
		}
		s.typ, s.one = answer.typ, []byte(answer.body)
		if err := call(tb.Context()); !ok || err != nil && !errors.Is(err, errHeard) {
			tb.Errorf("%s: %v, of %q", name, err, answer.body)
		}
	}
}

// everyCall is all that can be asked, of a server of either kind. What is read of an entity
// without bound but its size is left out for what is endless.
func everyCall(t testing.TB, s *stranger) map[string]func(context.Context) error {
	t.Helper()
	mac := clusto.MAC{0, 0x1e, 0xc9, 0, 0, 1}
	cfg := Config{URL: hostile, MaxBody: bodyLimit, Patience: 1, Timeout: time.Minute}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxBody = bodyLimit / longBodies
	l, err := NewLegacy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport, l.c.http.Transport = s, s
	own := func(h *clusto.Host, err error) error {
		if err == nil && h.MAC != mac {
			t.Errorf("a host of %v", h.MAC)
		}
		return err
	}
	all := map[string]func(context.Context) error{
		"Host":             func(ctx context.Context) error { return own(c.Host(ctx, mac)) },
		"Find":             func(ctx context.Context) error { _, err := c.Find(ctx, "s0001"); return err },
		"Networks":         func(ctx context.Context) error { _, err := c.Networks(ctx); return err },
		"Ready":            c.Ready,
		"Hosts":            func(ctx context.Context) error { _, err := c.Hosts(ctx, some[clusto.Host]()); return err },
		"Objects":          func(ctx context.Context) error { return c.Objects(ctx, some[clusto.Object]()) },
		"Change":           func(ctx context.Context) error { return change(ctx, t, c) },
		"BootServer":       func(ctx context.Context) error { _, err := c.BootServer(ctx, mac); return err },
		"Follow":           func(ctx context.Context) error { return follow(ctx, c) },
		"of old, Ready":    l.Ready,
		"of old, Host":     func(ctx context.Context) error { return own(l.Host(ctx, mac)) },
		"of old, Hosts":    func(ctx context.Context) error { _, err := l.Hosts(ctx, some[clusto.Host]()); return err },
		"of old, Networks": func(ctx context.Context) error { _, err := l.Networks(ctx); return err },
		"of old, Object":   func(ctx context.Context) error { _, err := l.Object(ctx, "s0001"); return err },
		"of old, Attrs":    func(ctx context.Context) error { _, err := l.Attrs(ctx, clusto.AttrQuery{Name: "s0001"}); return err },
		"of old, Entities": func(ctx context.Context) error {
			_, err := l.Entities(ctx, clusto.Query{Types: []string{"server"}})
			return err
		},
		"of old, BootServer": func(ctx context.Context) error { _, err := l.BootServer(ctx, mac); return err },
	}
	if !s.endless {
		all["Object"] = func(ctx context.Context) error { _, err := c.Object(ctx, "s0001"); return err }
		all["Entities"] = func(ctx context.Context) error { _, err := c.Entities(ctx, clusto.Query{}); return err }
		all["Attrs"] = func(ctx context.Context) error { _, err := c.Attrs(ctx, clusto.AttrQuery{Name: "s0001"}); return err }
	}
	return all
}

// some takes the first of a stream.
func some[T any]() func(*T) error {
	n := 0
	return func(*T) error {
		if n++; n > enough {
			return errEnough
		}
		return nil
	}
}

// change sends two operations: only one of them can be refused, or have a result.
func change(ctx context.Context, t testing.TB, c *Client) error {
	t.Helper()
	results, err := c.Change(ctx, []clusto.Op{{Op: "has", Name: "a"}, {Op: "has", Name: "b"}})
	if op := (*clusto.OpError)(nil); errors.As(err, &op) {
		if op.Index < 0 || op.Index > 1 {
			t.Errorf("operation %d of 2 is refused: %v", op.Index, err)
		}
		return nil // whoever made the operations knows where they come from
	}
	if slices.ContainsFunc(results, func(r clusto.Result) bool { return r.Index < 0 || r.Index > 1 }) {
		t.Errorf("results %+v of 2 operations", results)
	}
	return err
}

// follow ends in an error always, of kind errHeard if it has heard enough.
func follow(ctx context.Context, c *Client) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	return (&session{c: c, f: &listener{stop: func() { stop(errHeard) }}}).run(ctx)
}

// told: an error is a line that names the server and the call, and of a known kind.
func told(t *testing.T, call string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, errEnough) {
		return
	}
	text := err.Error()
	if len(text) > 2048 || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		t.Errorf("%s: %d bytes, of more than a line: %.2048q", call, len(text), text)
	}
	final := errors.Is(err, clusto.ErrNotFound) || errors.Is(err, clusto.ErrConflict) || errors.Is(err, clusto.ErrInvalid)
	untold := call == "Follow" && errors.Is(err, errors.ErrUnsupported)
	if errors.Is(err, clusto.ErrUnavailable) == (final || untold) {
		t.Errorf("%s: of no kind, or of two: %v", call, err)
	}
	if !strings.Contains(text, hostile) && !final {
		t.Errorf("%s: it does not say whom it asked: %v", call, err)
	}
}

// allocated is how many bytes of memory this program has asked for.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// TestServersWordsWereTakenWhole: what a server said of an error went into ours with its
// line breaks, a megabyte of it, and as the refusal of an operation that nobody had sent,
// without the URL.
func TestServersWordsWereTakenWhole(t *testing.T) {
	for _, body := range []string{
		`{"error":"a\nb` + strings.Repeat("c", 5000) + `"}`, `{"error":"x","index":2}`, `{"error":"x","index":-1}`, `{"mac":` + strings.Repeat("9", 5000) + `}`,
	} {
		for _, status := range []int{200, 400} {
			s := &stranger{status: status, typ: "application/json", one: []byte(body)}
			calls := everyCall(t, s)
			for _, name := range []string{"Host", "Change"} {
				err := calls[name](t.Context())
				told(t, name, err)
				if err == nil || !strings.Contains(err.Error(), hostile) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

// TestServersStatusWasTakenWhole: the words of a status line went into errors as
// they came, up to a megabyte of them.
func TestServersStatusWasTakenWhole(t *testing.T) {
	words := "502 \x1b[2J" + strings.Repeat("w", 100_000)
	for _, status := range []int{401, 404, 500, 501, 502} {
		s := &stranger{status: status, says: words, typ: "text/plain", one: []byte("no")}
		calls := everyCall(t, s)
		a, err := NewAuto(Config{URL: hostile, Patience: 1, Timeout: time.Minute}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		a.Client.http.Transport, a.legacy.c.http.Transport = s, s
		calls["either"] = a.find
		calls["of old, write"] = func(ctx context.Context) error {
			_, err := a.legacy.write(ctx, http.MethodPost, "/pool/p", nil)
			return err
		}
		for name, call := range calls {
			told(t, name, call(t.Context()))
		}
	}
}
