package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// coldResult is a storm that met an empty cache.
type coldResult struct {
	Delay   string  `json:"delay"` // of each call
	Seconds float64 `json:"seconds"`
	Done    int     `json:"done"`
	Calls   int     `json:"calls"` // of the inventory, for hosts
}

const slowAddr = "127.0.0.1:9995"

// slow stands before clusto-httpd, and takes its time. It has no stream of hosts,
// so that the storm meets an empty cache.
type slow struct {
	*httputil.ReverseProxy
	delay time.Duration
	calls atomic.Int64
}

func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/v2/hosts" && r.URL.RawQuery == "":
		http.Error(w, "no stream here", http.StatusNotImplemented)
		return
	case strings.HasPrefix(r.URL.Path, "/v2/hosts"):
		s.calls.Add(1)
		select {
		case <-time.After(s.delay):
		case <-r.Context().Done():
			return
		}
	}
	s.ReverseProxy.ServeHTTP(w, r)
}

// cold powers all hosts on before clusto-dhcpd knows any.
func (l *lab) cold(text string) (c coldResult, err error) {
	delay, err := time.ParseDuration(text)
	if err != nil || delay < 0 {
		return c, fmt.Errorf("--cold %q is no time, as in 10ms", text)
	}
	h, err := l.startHTTPD()
	if err != nil {
		return c, err
	}
	defer h.stop()
	ln, err := net.Listen("tcp", slowAddr)
	if err != nil {
		return c, err
	}
	proxy := &slow{ReverseProxy: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: apiAddr}), delay: delay}
	proxy.Transport = &http.Transport{MaxIdleConnsPerHost: 256}
	srv := &http.Server{Handler: proxy}
	go srv.Serve(ln) //nolint:errcheck // Close ends it
	defer srv.Close()
	d, err := l.startDHCPD("http://" + slowAddr)
	if err != nil {
		return c, err
	}
	defer d.stop()
	f, _, err := l.storm("storm", "--retries", "patient")
	if err != nil {
		return c, err
	}
	c = coldResult{Delay: text, Seconds: f.Seconds, Done: int(f.Rate*f.Seconds + 0.5), Calls: int(proxy.calls.Load())}
	l.say("cold storm, %s a call: %d of %d hosts in %.2f s, %d calls", text, c.Done, l.Hosts, c.Seconds, c.Calls)
	return c, nil
}
