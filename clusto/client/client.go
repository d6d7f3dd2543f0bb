// Package client asks clusto-httpd over HTTP: one host, all hosts as a stream,
// and changes as a batch. Legacy asks the original one, as far as it can answer,
// and Auto whichever is there. Whatever goes wrong on the way wraps
// clusto.ErrUnavailable; only a well-formed answer can say ErrNotFound.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/clusto/clusto-engine/clusto"
)

// Config says whom to ask, and how patiently. Zero fields mean the defaults.
type Config struct {
	URL     string        // http://host:port, without a trailing slash; needed
	Timeout time.Duration // of one call that is no stream; 4 s
	MaxBody int64         // bytes of one answer, or of one line of a stream; 1 MiB
	Agent   string        // User-Agent; "clusto-engine"
	Conns   int           // connections kept open; 64

	Token  func() string // gives the bearer token of each request, "" for none; nil: none
	CAFile string        // PEM: who vouches for an https server, and nobody else; "": the system's
	TLS    *tls.Config   // tells an https server instead of CAFile

	BatchTimeout time.Duration // of Apply; 5 min, as long as clusto-httpd reads
	StreamPause  time.Duration // how long a stream may stand still; 30 s
	FeedPause    time.Duration // how long a feed of changes may be silent; 15 s

	// Behind the original clusto-httpd:
	Loads       int           // hosts read, and requests made, at once; LegacyLoads
	LongTimeout time.Duration // of a call about a container or about all hosts; 30 s
	Patience    time.Duration // how long the walk over all hosts waits for the server's return; 10 min
	Memory      NewMemory     // nil: what hosts share is read for each

	oneShot bool // a connection for each request
}

// LegacyLoads is how many loads the original is burdened with: it serves one
// request at a time, and its backlog has room for five.
const LegacyLoads = 4

const maxBody = 1 << 20

func (c Config) withDefaults() Config {
	c.Timeout = cmp.Or(c.Timeout, 4*time.Second)
	c.MaxBody = cmp.Or(c.MaxBody, maxBody)
	c.Agent = cmp.Or(c.Agent, "clusto-engine")
	c.Conns = cmp.Or(c.Conns, 64)
	c.BatchTimeout = cmp.Or(c.BatchTimeout, 5*time.Minute)
	c.StreamPause = cmp.Or(c.StreamPause, 30*time.Second)
	c.FeedPause = cmp.Or(c.FeedPause, 15*time.Second)
	c.Loads = cmp.Or(c.Loads, LegacyLoads)
	c.LongTimeout = cmp.Or(c.LongTimeout, 30*time.Second)
	c.Patience = cmp.Or(c.Patience, 10*time.Minute)
	return c
}

// Client is safe for many goroutines.
type Client struct {
	cfg  Config
	http *http.Client
}

// New checks the URL and makes a Client. It does not connect.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return nil, fmt.Errorf("API URL %q: want http://host:port: %w", cfg.URL, clusto.ErrInvalid)
	case strings.HasSuffix(cfg.URL, "/"):
		return nil, fmt.Errorf("API URL %q ends with a slash: write %q: %w", cfg.URL, strings.TrimRight(cfg.URL, "/"), clusto.ErrInvalid)
	}
	cfg = cfg.withDefaults()
	trust := cfg.TLS
	if trust == nil {
		if trust, err = Trust(cfg.CAFile); err != nil {
			return nil, err
		}
	}
	return &Client{cfg: cfg, http: &http.Client{
		Transport: transport(cfg, trust),
		// Nobody else gets the token, nor has an answer.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func transport(cfg Config, trust *tls.Config) *http.Transport {
	dialer := net.Dialer{Timeout: cfg.Timeout}
	return &http.Transport{
		TLSClientConfig: trust, TLSHandshakeTimeout: cfg.Timeout,
		DialContext: dialer.DialContext, MaxIdleConns: cfg.Conns, MaxIdleConnsPerHost: cfg.Conns,
		IdleConnTimeout: time.Minute, DisableCompression: true,
		ReadBufferSize: 32 << 10, DisableKeepAlives: cfg.oneShot,
	}
}

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Host resolves one MAC. It returns an error that wraps clusto.ErrNotFound if
// clusto has no such host, and one that wraps clusto.ErrUnavailable if the
// answer could not be had or made no sense.
func (c *Client) Host(ctx context.Context, mac clusto.MAC) (*clusto.Host, error) {
	h := new(clusto.Host)
	if err := c.get(ctx, "/v2/hosts/"+mac.String(), h); err != nil {
		return nil, err
	}
	if h.MAC != mac {
		return nil, c.broken("/v2/hosts/"+mac.String(), fmt.Errorf("it is about %s", h.MAC))
	}
	return h, nil
}

// Find gives every MAC's host of the entity that has the given name, MAC or IP.
func (c *Client) Find(ctx context.Context, what string) ([]clusto.Host, error) {
	var found struct {
		Hosts []clusto.Host `json:"hosts"`
	}
	path := "/v2/find?q=" + url.QueryEscape(what)
	if err := c.get(ctx, path, &found); err != nil {
		return nil, err
	}
	if found.Hosts == nil {
		return nil, c.broken(path, errors.New("it has no hosts"))
	}
	return found.Hosts, nil
}

// Networks gives all IP managers' ranges.
func (c *Client) Networks(ctx context.Context) ([]clusto.Network, error) {
	var all struct {
		Networks []clusto.Network `json:"networks"`
	}
	if err := c.get(ctx, "/v2/networks", &all); err != nil {
		return nil, err
	}
	if all.Networks == nil {
		return nil, c.broken("/v2/networks", errors.New("it has no networks"))
	}
	return all.Networks, nil
}

// Ready asks whether clusto-httpd and its database answer.
func (c *Client) Ready(ctx context.Context) error {
	var v struct {
		API int `json:"api"`
	}
	if err := c.get(ctx, "/readyz", &v); err != nil {
		return err
	}
	if v.API != 2 {
		return c.broken("/readyz", fmt.Errorf("it speaks API version %d, want 2", v.API))
	}
	return nil
}

// Apply is Change for those who need no results.
func (c *Client) Apply(ctx context.Context, ops []clusto.Op) error {
	_, err := c.Change(ctx, ops)
	return err
}

// Change sends a batch: all of it is applied or nothing. It returns what the
// operations made or allocated. An operation that cannot be applied comes back
// as a *clusto.OpError.
func (c *Client) Change(ctx context.Context, ops []clusto.Op) ([]clusto.Result, error) {
	body, err := json.Marshal(struct {
		Ops []clusto.Op `json:"ops"`
	}{append([]clusto.Op{}, ops...)}) // [], not null
	if err != nil {
		return nil, fmt.Errorf("encode %d operations: %w", len(ops), err)
	}
	var answer struct {
		Applied *int            `json:"applied"`
		Results []clusto.Result `json:"results"`
	}
	if err := c.call(ctx, c.cfg.BatchTimeout, http.MethodPost, "/v2/batch", body, &answer); err != nil {
		if op := (*clusto.OpError)(nil); errors.As(err, &op) && (op.Index < 0 || op.Index >= len(ops)) {
			err = c.broken("/v2/batch", fmt.Errorf("it refuses operation %d of %d: %s", op.Index, len(ops), op.Err))
		}
		return nil, err
	}
	if n := answer.Applied; n == nil || *n != len(ops) {
		return nil, c.broken("/v2/batch", fmt.Errorf("it does not say that %d operations were applied", len(ops)))
	}
	for _, r := range answer.Results {
		if r.Index < 0 || r.Index >= len(ops) {
			return nil, c.broken("/v2/batch", fmt.Errorf("it has a result of operation %d of %d", r.Index, len(ops)))
		}
	}
	return answer.Results, nil
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	return c.call(ctx, c.cfg.Timeout, http.MethodGet, path, nil, into)
}

// call sends a request and decodes its answer, both within the timeout.
func (c *Client) call(ctx context.Context, timeout time.Duration, method, path string, body []byte, into any) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return c.refusal(path, resp)
	}
	answer, err := c.body(path, resp)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return c.broken(path, fmt.Errorf("%v in %s", err, excerpt(answer)))
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.cfg.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s%s: %w", c.cfg.URL, path, err)
	}
	req.Header.Set("User-Agent", c.cfg.Agent)
	c.authorize(req)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the rest of it repeats what we say ourselves
		}
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, fmt.Errorf("ask %s%s: %w: %w", c.cfg.URL, path, err, clusto.ErrUnavailable)
	}
	return resp, nil
}

// body reads a JSON answer of bounded size.
func (c *Client) body(path string, resp *http.Response) ([]byte, error) {
	if err := hasType(resp, "application/json"); err != nil {
		return nil, c.broken(path, err)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, c.cfg.MaxBody+1))
	if err != nil {
		return nil, c.broken(path, fmt.Errorf("read it: %w", err))
	}
	if int64(len(b)) > c.cfg.MaxBody {
		return nil, c.broken(path, fmt.Errorf("it is longer than %d bytes", c.cfg.MaxBody))
	}
	return b, nil
}

func hasType(resp *http.Response, want string) error {
	got := resp.Header.Get("Content-Type")
	if t, _, _ := mime.ParseMediaType(got); t != want {
		return fmt.Errorf("its content type is %q, want %s", got, want)
	}
	return nil
}

// refusal turns an answer other than 200 into an error. Only clusto-httpd's own
// words can say that something is not found: a wrong URL must not make every
// host unknown.
func (c *Client) refusal(path string, resp *http.Response) error {
	body, err := c.body(path, resp)
	var p struct {
		Error    string `json:"error"`
		NotFound bool   `json:"not_found"`
		Index    *int   `json:"index"`
	}
	notFound := resp.StatusCode == http.StatusNotFound
	if err != nil || json.Unmarshal(body, &p) != nil || p.Error == "" || notFound != p.NotFound {
		if denied(resp) {
			return fmt.Errorf("ask %s%s: it answers %s; check the token, and the API URL: %w", c.cfg.URL, path, line(resp.Status), ErrDenied)
		}
		return fmt.Errorf("ask %s%s: it answers %s, not as clusto-httpd does; check the API URL: %w", c.cfg.URL, path, line(resp.Status), clusto.ErrUnavailable)
	}
	kind := clusto.ErrUnavailable
	if denied(resp) {
		kind = ErrDenied
	}
	switch resp.StatusCode {
	case http.StatusNotFound:
		kind = clusto.ErrNotFound
	case http.StatusConflict:
		kind = clusto.ErrConflict
	default:
		if final(resp.StatusCode) {
			kind = clusto.ErrInvalid
		}
	}
	if p.Index != nil && path == "/v2/batch" {
		return &clusto.OpError{Index: *p.Index, Err: said{line(p.Error), kind}}
	}
	return fmt.Errorf("ask %s%s: %w", c.cfg.URL, path, said{line(p.Error), kind})
}

// final reports whether a status refuses what was asked for, whoever asks and
// whenever: the same request has no other answer later.
func final(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return status >= 400 && status < 500
}

// said is what the server said, and what kind of refusal it is.
type said struct {
	text string
	kind error
}

func (s said) Error() string { return s.text }
func (s said) Unwrap() error { return s.kind }

// broken says that an answer makes no sense. err must not wrap a sentinel of
// clusto, as that of a MAC that cannot be parsed does.
func (c *Client) broken(path string, err error) error {
	return fmt.Errorf("the answer of %s%s makes no sense: %w: %w", c.cfg.URL, path, said{line(err.Error()), err}, clusto.ErrUnavailable)
}

// line makes one line, and no long one, of what others say.
func line(text string) string {
	const n = 500
	if len(text) > n {
		text = text[:n] + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

func excerpt(b []byte) string {
	const n = 60
	if len(b) > n {
		return fmt.Sprintf("%q...", b[:n])
	}
	return fmt.Sprintf("%q", b)
}

// drain reads a little of what is left, so that the connection can be used
// again, and closes it.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}
