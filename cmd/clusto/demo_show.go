package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/clusto/clusto-engine/engine/storm"
)

// bar shows progress: in place on a terminal, else a line at the end.
type bar struct {
	w     io.Writer
	live  bool
	total int
	begun time.Time
	last  string
}

func newBar(f *os.File, total int) *bar {
	return &bar{w: f, live: isatty.IsTerminal(f.Fd()), total: total, begun: time.Now()}
}

const barWidth = 40

func (b *bar) show(done, failed, total int) {
	full := barWidth * (done + failed) / max(total, 1)
	b.last = fmt.Sprintf("Power on [%s%s] %d of %d bound", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, total)
	if failed > 0 {
		b.last += fmt.Sprintf(", %d failed", failed)
	}
	if b.live {
		fmt.Fprintf(b.w, "\r%s", b.last)
	}
}

func (b *bar) end() {
	if b.live {
		fmt.Fprint(b.w, "\r")
	}
	fmt.Fprintf(b.w, "%s in %s\n", b.last, round(time.Since(b.begun)))
}

// round makes a time short enough to read.
func round(t time.Duration) time.Duration {
	switch {
	case t > time.Second:
		return t.Round(10 * time.Millisecond)
	case t > time.Millisecond:
		return t.Round(10 * time.Microsecond)
	}
	return t.Round(100 * time.Nanosecond)
}

// showReplies shows some ACKs in full: of hosts that boot different files.
func (d *demo) showReplies() {
	seen := map[string]bool{}
	for i := range d.acks {
		m, err := decode(d.acks[i])
		if err != nil || seen[string(m.File())] || len(seen) >= d.flags.Shown {
			continue
		}
		seen[string(m.File())] = true
		d.say("\n%s (%s) was told:", d.want[i].name, d.want[i].mac)
		fmt.Print(describe(m))
	}
}

func (d *demo) showResult(r *storm.Result) {
	d.say("\nThe clients: %s sent, %d of them again for want of a reply; %s, %s, %s",
		count(r.Sent, "frame"), r.Retransmitted, count(r.Offers, "offer"), count(r.Acks, "acknowledgement"), count(r.Naks, "refusal"))
	d.say("From the first DISCOVER to the ACK, with %d at once: p50 %s, p90 %s, p99 %s, slowest %s; %.0f servers a second",
		r.Peak, round(r.Percentile(50)), round(r.Percentile(90)), round(r.Percentile(99)), round(r.Percentile(100)),
		float64(r.Done)/r.Elapsed.Seconds())
}

// showVerdicts shows how clusto-dhcpd's frames ended, in its own count.
func (d *demo) showVerdicts() error {
	text, err := fetch("http://" + demoMetrics + "/metrics")
	if err != nil {
		return fmt.Errorf("read clusto-dhcpd's metrics: %w", err)
	}
	d.say("clusto-dhcpd's verdicts:")
	for line := range strings.Lines(text) {
		name, ok := strings.CutPrefix(line, `clusto_dhcpd_frames_total{verdict="`)
		if !ok {
			continue
		}
		verdict, n, _ := strings.Cut(strings.TrimSpace(name), `"} `)
		if n != "0" {
			d.say("  %-15s %8s", verdict, n)
		}
	}
	d.say("")
	return nil
}
