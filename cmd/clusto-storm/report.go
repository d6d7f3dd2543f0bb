package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/mattn/go-isatty"

	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/storm"
)

// output is how the result is told.
type output struct {
	JSON  bool `name:"json" help:"Print the result as JSON."`
	Quiet bool `short:"q" help:"Show no progress."`
}

// meter keeps the latencies of each step, to three digits.
type meter struct {
	names []string
	steps []*hdrhistogram.Histogram
}

func newMeter(names []string) *meter {
	m := &meter{names: names}
	for range names {
		m.steps = append(m.steps, hdrhistogram.New(1, int64(10*time.Minute), 3))
	}
	return m
}

func (m *meter) reply(step int, d time.Duration) {
	_ = m.steps[step-1].RecordValue(int64(min(d, 10*time.Minute))) // so that it is in range
}

// latency is the time to a reply, in microseconds.
type latency struct {
	Step  string  `json:"step"`
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p99_9_us"`
	Max   float64 `json:"max_us"`
}

func (m *meter) latencies() []latency {
	out := []latency{} // [] in JSON if there are none
	for i, h := range m.steps {
		if h.TotalCount() == 0 {
			continue
		}
		at := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1e3 }
		out = append(out, latency{
			m.names[i], h.TotalCount(), math.Round(h.Mean()) / 1e3, at(50), at(90), at(99), at(99.9), float64(h.Max()) / 1e3,
		})
	}
	return out
}

// result is what a run came to. Of a hall exchanges are machines.
type result struct {
	Mode      string `json:"mode"`
	Interface string `json:"interface"`
	MACs      string `json:"macs,omitempty"`

	Begun      int `json:"begun"`
	Done       int `json:"done"`
	Refused    int `json:"refused"`
	Lost       int `json:"lost"`
	Unfinished int `json:"unfinished"`
	NotBegun   int `json:"not_begun"` // beside begun: due, but there was no room for them

	Loss    float64 `json:"loss"` // of those that ended or did not begin, the share that is lost or did not begin
	Rate    float64 `json:"rate"` // done, each second until nothing began or was answered any more
	Asked   float64 `json:"asked_rate"`
	Seconds float64 `json:"seconds"`

	Sent          int    `json:"sent"`
	Retransmitted int    `json:"retransmitted"`
	NotSent       int    `json:"not_sent"` // the kernel did not take them
	Received      int    `json:"received"`
	Late          int    `json:"late"`
	Invalid       int    `json:"invalid"`
	Stray         int    `json:"stray"`
	KernelDropped uint64 `json:"kernel_dropped"` // replies that this program was too slow for

	Latencies []latency `json:"latencies"`
}

func loadReport(mode string, w *wire, r storm.LoadResult, m *meter, s afpacket.Stats) *result {
	out := &result{
		Mode: mode, Interface: w.Interface,
		Begun: r.Begun, Done: r.Done, Refused: r.Refused, Lost: r.Lost, Unfinished: r.Unfinished, NotBegun: r.NotBegun,
		Sent: r.Sent, NotSent: r.TxDropped, Received: r.Received, Late: r.Late, Invalid: r.Invalid, Stray: r.Stray,
		Seconds: r.Elapsed.Seconds(), KernelDropped: s.Dropped, Latencies: m.latencies(),
	}
	out.rates(r.Asking, max(r.Asking, r.Answered))
	return out
}

// rates fills in what follows from counts; asking is how long exchanges began, and
// busy how long anything came of it: no wait for what is lost.
func (r *result) rates(asking, busy time.Duration) {
	if due := r.Begun - r.Unfinished + r.NotBegun; due > 0 {
		r.Loss = float64(r.Lost+r.NotBegun) / float64(due)
	}
	if asking > 0 {
		r.Asked = math.Round(float64(r.Begun) / asking.Seconds())
	}
	if busy > 0 {
		r.Rate = math.Round(float64(r.Done) / busy.Seconds())
	}
}

// unsent is an error if the kernel did not take all frames, or not all was begun that
// was due.
func (r *result) unsent() error {
	if r.NotBegun > 0 {
		return fmt.Errorf("%s exchanges were due and not begun: as many as --outstanding were under way, or --rate is more than this machine can send", number3(r.NotBegun))
	}
	if r.NotSent > 0 {
		return fmt.Errorf("%s frames were not sent: the kernel did not take them, as it does if they are longer than the MTU of %s", number3(r.NotSent), r.Interface)
	}
	return nil
}

// unanswered is an error if not all went well.
func (r *result) unanswered() error {
	if left := r.Begun - r.Done; left > 0 {
		return fmt.Errorf("%s of %s not answered as they should be", number3(left), number3(r.Begun))
	}
	return nil
}

// progress gives what shows a load while it runs: on a terminal alone.
func (o *output) progress(name string) func(storm.LoadResult) {
	if o.Quiet || !isatty.IsTerminal(os.Stderr.Fd()) {
		return nil
	}
	last, shown := storm.LoadResult{}, time.Time{}
	return func(r storm.LoadResult) {
		if time.Since(shown) < time.Second/4 {
			return
		}
		shown = time.Now()
		rate := float64(r.Done-last.Done) / max((r.Elapsed-last.Elapsed).Seconds(), 1e-9)
		last = r
		fmt.Fprintf(os.Stderr, "\r%s: %4.1fs  %s done, %s/s, %s under way, %s lost \x1b[K",
			name, r.Elapsed.Seconds(), number3(r.Done), number3(int(rate)), number3(r.Unfinished), number3(r.Lost))
	}
}

// report tells the result, also of a run that was cut off by err.
func (o *output) report(r *result, err, unanswered error) error {
	if !o.Quiet && isatty.IsTerminal(os.Stderr.Fd()) {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
	var werr error
	if o.JSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		werr = enc.Encode(r)
	} else {
		werr = r.print(os.Stdout)
	}
	if werr != nil {
		werr = fmt.Errorf("write the result: %w", werr)
	}
	if err == nil {
		err = unanswered
	}
	return errors.Join(err, werr)
}

func (r *result) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, n int, more string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\t  %s\n", name, number3(n), fmt.Sprintf(more, args...))
	}
	row("begun", r.Begun, "%s/s", number3(int(r.Asked)))
	row("done", r.Done, "%s/s in %.3f s", number3(int(r.Rate)), r.Seconds)
	for _, c := range []struct {
		name string
		n    int
	}{{"not begun", r.NotBegun}, {"refused", r.Refused}, {"unfinished", r.Unfinished}, {"sent again", r.Retransmitted}} {
		if c.n > 0 {
			row(c.name, c.n, "")
		}
	}
	row("lost", r.Lost, "%.4f %%", 100*r.Loss)
	row("frames sent", r.Sent, "%s that the kernel did not take", number3(r.NotSent))
	row("received", r.Received, "late %s, invalid %s, stray %s; %s dropped by this machine's kernel",
		number3(r.Late), number3(r.Invalid), number3(r.Stray), number3(int(r.KernelDropped)))
	if err := t.Flush(); err != nil || len(r.Latencies) == 0 {
		return err
	}
	fmt.Fprintln(w)
	t.Init(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "until\tmean\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, l := range r.Latencies {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", l.Step, micros(l.Mean), micros(l.P50), micros(l.P90), micros(l.P99), micros(l.P999), micros(l.Max))
	}
	return t.Flush()
}

// micros writes so many microseconds short enough to read.
func micros(us float64) string {
	switch {
	case us >= 1e6:
		return fmt.Sprintf("%.2fs", us/1e6)
	case us >= 1e3:
		return fmt.Sprintf("%.2fms", us/1e3)
	}
	return fmt.Sprintf("%.1fus", us)
}

// number3 writes a number with commas.
func number3(n int) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return b.String()
}
