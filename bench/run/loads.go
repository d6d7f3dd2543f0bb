package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/clusto/clusto-engine/engine/storm"
)

// figures is what one turn of a server under one load came to; what a load does
// not measure is 0.
type figures struct {
	Rate    float64 `json:"rate"`                 // replies, or leases of a DORA, each second
	Due     float64 `json:"due_rate,omitempty"`   // of an open loop, each second
	Asked   float64 `json:"asked_rate,omitempty"` // what was asked indeed
	Loss    float64 `json:"loss"`                 // share
	P50     float64 `json:"p50_us"`               // latency
	P90     float64 `json:"p90_us"`               //
	P99     float64 `json:"p99_us"`               //
	P999    float64 `json:"p999_us"`              //
	Seconds float64 `json:"seconds"`              // until the last host had its lease
	Done    float64 `json:"done"`                 // hosts that have their lease, or exchanges
	Again   float64 `json:"retransmitted"`
	// Unwarmed is how many hosts got no answer when all were asked once, before.
	Unwarmed float64 `json:"unwarmed,omitempty"`
	CPU      float64 `json:"cpu_seconds_per_million"` // replies; of the server's programs
	RSS      float64 `json:"rss_bytes"`               // of the server's programs, afterwards
}

// stormed is what clusto-storm prints.
type stormed struct {
	Done          int     `json:"done"`
	Rate          float64 `json:"rate"`
	Asked         float64 `json:"asked_rate"`
	Loss          float64 `json:"loss"`
	Seconds       float64 `json:"seconds"`
	Received      int     `json:"received"`
	Retransmitted int     `json:"retransmitted"`
	Latencies     []struct {
		P50  float64 `json:"p50_us"`
		P90  float64 `json:"p90_us"`
		P99  float64 `json:"p99_us"`
		P999 float64 `json:"p99_9_us"`
	} `json:"latencies"`
}

// load is something that servers are put under.
type load struct {
	name, about string
	program     string // in PATH; "" for one of ours
	dora        bool   // it takes a DHCP server
	run         func(l *lab, s *server) (f figures, replies int, err error)
}

// openShare is the rate of the open loop, as a share of what the mirror did with a
// window in this run.
const openShare = 0.5

var loads = []*load{
	{name: "window", about: "DISCOVER -> OFFER, 256 under way", run: func(l *lab, s *server) (figures, int, error) {
		return l.discover(s, "-w", "256", "-t", l.Time.String())
	}},
	// Of 256 requests a peer's socket may not have room for all, and what is lost holds
	// its place for a second; for 32 there is room.
	{name: "window32", about: "DISCOVER -> OFFER, 32 under way", run: func(l *lab, s *server) (figures, int, error) {
		return l.discover(s, "-w", "32", "-t", l.Time.String())
	}},
	{name: "open", about: "DISCOVER -> OFFER, open loop at half of the mirror's rate", run: func(l *lab, s *server) (figures, int, error) {
		rate := openShare * l.median("mirror", "window", func(f figures) float64 { return f.Rate })
		if rate == 0 {
			return figures{}, 0, fmt.Errorf("the open loop needs the rate of server mirror under load window in the same run")
		}
		f, replies, err := l.discover(s, "--rate", strconv.Itoa(int(rate)), "-t", l.Time.String(), "-w", strconv.Itoa(storm.MaxUnderWay))
		f.Due = math.Floor(rate)
		return f, replies, err
	}},
	{name: "lone", about: "DISCOVER -> OFFER, a lone client", run: func(l *lab, s *server) (figures, int, error) {
		return l.discover(s, "-w", "1", "-t", l.Time.String())
	}},
	{name: "dora", about: "DISCOVER -> ACK, 256 under way", dora: true, run: func(l *lab, _ *server) (figures, int, error) {
		return l.storm("dora", "-w", "256", "-t", l.Time.String())
	}},
	{name: "storm", about: "all hosts at once, with a boot ROM's patience", dora: true, run: func(l *lab, _ *server) (figures, int, error) {
		return l.storm("storm")
	}},
	{name: "avalanche", about: "perfdhcp's avalanche of all hosts", program: "perfdhcp", dora: true, run: (*lab).avalanche},
}

func (l *lab) discover(s *server, args ...string) (figures, int, error) {
	if !s.dora {
		args = append(args, "--mirrored")
	}
	return l.storm("discover", args...)
}

// storm runs clusto-storm.
func (l *lab) storm(mode string, args ...string) (f figures, replies int, err error) {
	args = append([]string{mode, "--interface", "cli0", "--macs", l.macs(), "--json", "--quiet"}, args...)
	text, err := l.load(l.ctx, []int{1}, l.program("clusto-storm"), args...)
	if err != nil {
		return f, 0, err
	}
	var r stormed
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return f, 0, fmt.Errorf("read what clusto-storm %s prints: %w\n%s", mode, err, text)
	}
	f = figures{Rate: r.Rate, Asked: r.Asked, Loss: r.Loss, Seconds: r.Seconds, Done: float64(r.Done), Again: float64(r.Retransmitted)}
	if n := len(r.Latencies); n > 0 {
		last := r.Latencies[n-1]
		f.P50, f.P90, f.P99, f.P999 = last.P50, last.P90, last.P99, last.P999
	}
	return f, r.Received, nil
}

var (
	avalancheAgain = regexp.MustCompile(`Requests resent: ([0-9]+)`)
	avalancheGot   = regexp.MustCompile(`(?m)^received packets: ([0-9]+)`) // OFFERs, then ACKs
)

// avalancheMost is how long an avalanche may take: perfdhcp's never ends where a server does
// not answer a host.
const avalancheMost = 10 * time.Minute

// avalanche runs perfdhcp as a relay with all hosts behind it.
func (l *lab) avalanche(_ *server) (f figures, replies int, err error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeoutCause(l.ctx, avalancheMost, fmt.Errorf("it took %s; the server does not answer all hosts, perhaps", avalancheMost))
	defer cancel()
	text, err := l.load(ctx, []int{3}, "perfdhcp", "-4", "-B", "-l", "cli0", "-M", l.file("macs"), "--scenario", "avalanche", "-R", strconv.Itoa(l.Hosts), serverAddr.String())
	if err != nil {
		return f, 0, err
	}
	return provisioned(text, l.Hosts, time.Since(begun).Seconds())
}

// provisioned reads what perfdhcp prints of an avalanche.
func provisioned(text string, hosts int, seconds float64) (f figures, replies int, err error) {
	again, got := avalancheAgain.FindStringSubmatch(text), avalancheGot.FindAllStringSubmatch(text, -1)
	if again == nil || len(got) != 2 {
		return f, 0, fmt.Errorf("perfdhcp does not print what it received and sent again:\n%s", text)
	}
	offers, _ := strconv.Atoi(got[0][1]) // digits
	acks, _ := strconv.Atoi(got[1][1])
	f = figures{Seconds: seconds, Done: float64(acks), Rate: float64(acks) / seconds}
	f.Again, _ = strconv.ParseFloat(again[1], 64)
	f.Loss = 1 - float64(offers+acks)/float64(2*hosts)
	return f, offers + acks, nil
}
