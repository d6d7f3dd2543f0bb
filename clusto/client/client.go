// Package client asks clusto-httpd over HTTP: one host, all hosts as a stream,
// and changes as a batch. Whatever goes wrong on the way wraps
// clusto.ErrUnavailable; only a well-formed answer can say ErrNotFound.
package client

import (
	"bytes"
	"context"
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

	"github.com/clusto/clusto-engine/clusto"
)

// Config says whom to ask, and how patiently. Zero fields mean the defaults.
type Config struct {
	URL     string        // http://host:port, without a trailing slash; needed
	Timeout time.Duration // of one call that is no stream; 4 s
	MaxBody int64         // bytes of one answer, or of one line of a stream; 1 MiB
	Agent   string        // User-Agent; "clusto-engine"
	Conns   int           // connections kept open; 64
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
	if cfg.Timeout == 0 {
		cfg.Timeout = 4 * time.Second
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 1 << 20
	}
	if cfg.Agent == "" {
		cfg.Agent = "clusto-engine"
	}
	if cfg.Conns == 0 {
		cfg.Conns = 64
	}
	return &Client{cfg: cfg, http: &http.Client{
		Transport:     transport(cfg),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func transport(cfg Config) *http.Transport {
	dialer := net.Dialer{Timeout: cfg.Timeout}
	return &http.Transport{
		DialContext: dialer.DialContext, MaxIdleConns: cfg.Conns, MaxIdleConnsPerHost: cfg.Conns,
		IdleConnTimeout: time.Minute, DisableCompression: true, ResponseHeaderTimeout: 30 * time.Second,
		ReadBufferSize: 32 << 10,
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
	err := c.get(ctx, "/v2/find?q="+url.QueryEscape(what), &found)
	return found.Hosts, err
}

// Networks gives all IP managers' ranges.
func (c *Client) Networks(ctx context.Context) ([]clusto.Network, error) {
	var all struct {
		Networks []clusto.Network `json:"networks"`
	}
	err := c.get(ctx, "/v2/networks", &all)
	return all.Networks, err
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

// Apply sends a batch: all of it is applied or nothing. An operation that
// cannot be applied comes back as a *clusto.OpError.
func (c *Client) Apply(ctx context.Context, ops []clusto.Op) error {
	body, err := json.Marshal(struct {
		Ops []clusto.Op `json:"ops"`
	}{ops})
	if err != nil {
		return fmt.Errorf("encode %d operations: %w", len(ops), err)
	}
	resp, err := c.do(ctx, http.MethodPost, "/v2/batch", body)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return c.refusal("/v2/batch", resp)
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer drain(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return c.refusal(path, resp)
	}
	body, err := c.body(path, resp)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return c.broken(path, fmt.Errorf("%w in %s", err, excerpt(body)))
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.cfg.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s%s: %w", c.cfg.URL, path, err)
	}
	req.Header.Set("User-Agent", c.cfg.Agent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // the rest of it repeats what we say ourselves
		}
		return nil, fmt.Errorf("ask %s%s: %w: %w", c.cfg.URL, path, err, clusto.ErrUnavailable)
	}
	return resp, nil
}

// body reads a JSON answer of bounded size.
func (c *Client) body(path string, resp *http.Response) ([]byte, error) {
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t != "application/json" {
		return nil, c.broken(path, fmt.Errorf("its content type is %q, want application/json", resp.Header.Get("Content-Type")))
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

// refusal turns an answer other than 200 into an error. Only clusto-httpd's own
// words can say that something is not found: a wrong URL must not make every
// host unknown.
func (c *Client) refusal(path string, resp *http.Response) error {
	body, err := c.body(path, resp)
	var p struct {
		Error string `json:"error"`
		Index *int   `json:"index"`
	}
	if err != nil || json.Unmarshal(body, &p) != nil || p.Error == "" {
		return fmt.Errorf("ask %s%s: it answers %s, not as clusto-httpd does; check the API URL: %w", c.cfg.URL, path, resp.Status, clusto.ErrUnavailable)
	}
	kind := clusto.ErrUnavailable
	switch resp.StatusCode {
	case http.StatusNotFound:
		kind = clusto.ErrNotFound
	case http.StatusConflict:
		kind = clusto.ErrConflict
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		kind = clusto.ErrInvalid
	}
	if p.Index != nil {
		return &clusto.OpError{Index: *p.Index, Err: said{p.Error, kind}}
	}
	return fmt.Errorf("ask %s%s: %w", c.cfg.URL, path, said{p.Error, kind})
}

// said is what the server said, and what kind of refusal it is.
type said struct {
	text string
	kind error
}

func (s said) Error() string { return s.text }
func (s said) Unwrap() error { return s.kind }

func (c *Client) broken(path string, err error) error {
	return fmt.Errorf("the answer of %s%s makes no sense: %w: %w", c.cfg.URL, path, err, clusto.ErrUnavailable)
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
