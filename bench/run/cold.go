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

	"golang.org/x/sync/errgroup"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

// coldResult is a storm that met an empty cache.
type coldResult struct {
	Delay   string  `json:"delay"`   // of each call
	Alone   float64 `json:"alone"`   // seconds that the calls take, without a DHCP server
	Seconds float64 `json:"seconds"` // until the last host had its lease
	Done    float64 `json:"done"`
	Calls   int     `json:"calls"` // of the inventory, for hosts
	Failed  string  `json:"failed,omitempty"`
}

// together is how many calls clusto-dhcpd makes at once; coldSample is how many
// hosts are asked for to see what the calls take alone.
const (
	together   = 64
	coldSample = 2048
)

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

// coldReady: its /readyz waits for the hosts, which it has tried to fetch by now.
func coldReady(d *process) bool {
	return strings.Contains(d.log.String(), "could not be fetched beforehand")
}

// cold powers all hosts on before clusto-dhcpd knows any.
func (l *lab) cold(text string) (c coldResult, err error) {
	c.Delay = text
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
	if c.Alone, err = l.alone(); err != nil {
		return c, err
	}
	proxy.calls.Store(0)
	d, err := l.startDHCPD("http://"+slowAddr, coldReady)
	if err != nil {
		return c, err
	}
	defer d.stop()
	f, _, err := l.storm("storm", "--retries", "patient")
	if err != nil {
		return c, err
	}
	c.Seconds, c.Done, c.Calls = f.Seconds, f.Done, int(proxy.calls.Load())
	l.say("cold storm, %s a call: %.0f of %d hosts in %.2f s, %d calls, which alone take %.2f s", text, c.Done, l.Hosts, c.Seconds, c.Calls, c.Alone)
	return c, nil
}

// alone gives the seconds that a call for each host takes by itself, as many at
// once as clusto-dhcpd makes: the inventory's own throughput.
func (l *lab) alone() (float64, error) {
	c, err := client.New(client.Config{URL: "http://" + slowAddr})
	if err != nil {
		return 0, err
	}
	n := min(coldSample, l.Hosts)
	g, ctx := errgroup.WithContext(l.ctx)
	g.SetLimit(together)
	begun := time.Now()
	for i := range n {
		g.Go(func() error {
			_, text := l.host(i)
			mac, err := clusto.ParseMAC(text)
			if err == nil {
				_, err = c.Host(ctx, mac)
			}
			return err
		})
	}
	err = g.Wait()
	return time.Since(begun).Seconds() * float64(l.Hosts) / float64(n), err
}
