package main

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// burstResult is a burst of traps at clusto-snmptrapd, as fast as clusto-storm
// sends them.
type burstResult struct {
	Sent      int     `json:"sent"`
	Rate      float64 `json:"rate"`      // sent a second
	Journaled int     `json:"journaled"` // on disk
	Dropped   int     `json:"dropped"`   // by the kernel, for want of room in the receive buffer
	Refused   int     `json:"refused"`   // for want of room in the daemon
	Seconds   float64 `json:"seconds"`   // until the last one was counted, from the first
	Failed    string  `json:"failed,omitempty"`
}

const (
	switches = "10.111.0.1+100"
)

var (
	trapFrames  = regexp.MustCompile(`(?m)^clusto_snmptrapd_frames_total\{verdict="([a-z_]+)"\} ([0-9]+)`)
	trapDropped = regexp.MustCompile(`(?m)^clusto_snmptrapd_kernel_dropped_total\{[^}]*\} ([0-9]+)`)
)

// burst sends traps of one MAC each from a hundred switches.
func (l *lab) burst(n int) (r burstResult, err error) {
	h, err := l.startHTTPD()
	if err != nil {
		return r, err
	}
	defer h.stop()
	d, err := l.start(l.program("clusto-snmptrapd"), "--config", l.file("services.conf"), "--interface", "srv0",
		"--api-url", "http://"+apiAddr, "--metrics", metricsAddr, "--journal", l.file("journal"))
	if err != nil {
		return r, err
	}
	defer d.stop()
	if err := l.await(d, func() bool { return ready(metricsAddr) }); err != nil {
		return r, err
	}
	begun := time.Now()
	f, _, err := l.storm("traps", "--server", serverAddr.String(), "--switches", switches, "-n", strconv.Itoa(n), "-t", "1m")
	if err != nil {
		return r, err
	}
	r.Sent, r.Rate = int(f.Done), f.Rate
	err = l.await(d, func() bool { return r.count() >= r.Sent })
	r.Seconds = time.Since(begun).Seconds()
	l.say("burst of %d traps at %.0f/s: %d on disk, %d dropped by the kernel, %d without room, %.2f s", r.Sent, r.Rate, r.Journaled, r.Dropped, r.Refused, r.Seconds)
	return r, err
}

// count reads the daemon's figures and gives how many traps are accounted for.
func (r *burstResult) count() int {
	text, err := fetch("http://" + metricsAddr + "/metrics")
	if err != nil {
		return 0
	}
	all, refused := 0, 0
	for _, m := range trapFrames.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[2]) // digits
		all += n
		switch m[1] {
		case "journaled":
			r.Journaled = n
		case "journal_full", "journal_failed":
			refused += n
		}
	}
	r.Refused = refused
	if m := trapDropped.FindStringSubmatch(text); m != nil {
		r.Dropped, _ = strconv.Atoi(m[1])
	}
	return all + r.Dropped
}

func fetch(url string) (string, error) {
	resp, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return string(b), err
}
