package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/storm"
)

// hall is machines that are powered on at once.
type hall struct {
	wire
	whose
	asking
	Outstanding int           `short:"w" placeholder:"N" help:"Machines that wait at once; 0: all of them."`
	Retries     string        `enum:"pxe,rfc2131,patient" default:"pxe" placeholder:"HOW" help:"When a machine sends again: pxe (after 4, 8, 16 s, and gives up after 60 s), rfc2131 (gives up after 124 s), or patient (as pxe, then every 32 s for 15 minutes) (${default})."`
	Jitter      time.Duration `default:"1s" placeholder:"TIME" help:"Each wait is off by up to this much (${default})."`
	Seed        uint64        `placeholder:"N" help:"Of transaction ids and jitter; 0: another one each time."`
	Time        time.Duration `short:"t" default:"1h" placeholder:"TIME" help:"End after TIME, whatever is unfinished (${default})."`
	Chart       string        `placeholder:"FILE" help:"Draw machines with a lease over time, as SVG."`
	output
}

func (h *hall) run(ctx context.Context) error {
	macs, err := readMACs(h.MACs)
	if err != nil {
		return err
	}
	if h.Time <= 0 || h.Outstanding < 0 || h.Jitter < 0 || h.Jitter >= 4*time.Second {
		return fmt.Errorf("%w: --outstanding is 0 or more, --jitter less than 4s, --time more than 0", errUsage)
	}
	chart, err := h.chart()
	if err != nil {
		return err
	}
	g, err := h.open(dhcpPorts...)
	if err != nil {
		return err
	}
	defer g.Close()
	clients, err := h.clients(ctx, &h.wire, g, macs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, h.Time, fmt.Errorf("--time %v is over", h.Time))
	defer cancel()
	c := newCurve(len(clients))
	res, err := storm.Run(ctx, h.config(g, c, len(clients)), clients, storm.DORA)
	rep := hallReport(&h.wire, res, g.Stats(), len(clients))
	if chart != nil {
		err = errors.Join(err, c.draw(chart), chart.Close())
	}
	return h.report(rep, err, rep.unanswered())
}

func (h *hall) config(g *afpacket.Group, c *curve, n int) storm.Config {
	cfg := storm.Config{
		Conn: g.Conn(0), Outstanding: h.Outstanding, Schedule: storm.PXE(), Jitter: h.Jitter, Seed: h.Seed,
	}
	switch h.Retries {
	case "rfc2131":
		cfg.Schedule = storm.RFC2131()
	case "patient":
		cfg.Schedule = append(cfg.Schedule, slices.Repeat([]time.Duration{32 * time.Second}, 26)...)
	}
	if cfg.Outstanding == 0 {
		cfg.Outstanding = n
	}
	if cfg.Seed == 0 {
		cfg.Seed = uint64(time.Now().UnixNano())
	}
	tell := h.progress("storm")
	cfg.OnProgress = func(done, failed, total int) {
		at := c.add(done)
		if tell != nil {
			tell(storm.LoadResult{Done: done, Lost: failed, Unfinished: total - done - failed, Elapsed: at})
		}
	}
	return cfg
}

// chart makes the file for it beforehand: a storm is not to be had twice.
func (h *hall) chart() (*os.File, error) {
	if h.Chart == "" {
		return nil, nil
	}
	f, err := os.Create(h.Chart)
	if err != nil {
		return nil, fmt.Errorf("%w: --chart: %w", errUsage, err)
	}
	return f, nil
}

func hallReport(w *wire, r storm.Result, s afpacket.Stats, n int) *result {
	m := newMeter([]string{"ack"})
	for _, d := range r.Latencies {
		m.reply(1, d)
	}
	out := &result{
		Mode: "storm", Interface: w.Interface,
		Begun: n, Done: r.Done, Lost: r.Failed, Unfinished: n - r.Done - r.Failed,
		Sent: r.Sent, NotSent: r.TxDropped, Retransmitted: r.Retransmitted,
		Received: r.Received, Late: r.Late, Invalid: r.Invalid, Stray: r.Stray,
		Seconds: r.Elapsed.Seconds(), KernelDropped: s.Dropped, Latencies: m.latencies(),
	}
	out.rates(r.Elapsed, r.Answered)
	return out
}

// curve is how many machines were done when.
type curve struct {
	total int
	begun time.Time

	mu     sync.Mutex
	points []point
}

type point struct {
	at   time.Duration
	done int
}

func newCurve(total int) *curve {
	return &curve{total: total, begun: time.Now(), points: make([]point, 1, 4096)}
}

func (c *curve) add(done int) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := time.Since(c.begun)
	c.points = append(c.points, point{at, done})
	return at
}
