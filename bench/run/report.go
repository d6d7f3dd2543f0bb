package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine is what the figures are of.
type machine struct {
	CPU      string            `json:"cpu"`
	CPUs     int               `json:"cpus"`
	Kernel   string            `json:"kernel"`
	Go       string            `json:"go"`
	Date     string            `json:"date"`
	Hosts    int               `json:"hosts"`
	Rounds   int               `json:"rounds"`
	Seconds  float64           `json:"seconds_of_a_load"`
	Versions map[string]string `json:"versions"`
	Missing  []string          `json:"missing,omitempty"`
}

func describe(l *lab) (m machine, err error) {
	m = machine{
		CPU: "unknown", CPUs: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly),
		Hosts: l.Hosts, Rounds: l.Rounds, Seconds: l.Time.Seconds(), Versions: map[string]string{},
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return m, err
	}
	m.Kernel = unix.ByteSliceToString(u.Release[:])
	text, err := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if _, name, ok := strings.Cut(line, "model name"); ok {
			m.CPU = strings.Trim(name, "\t: \n")
		}
	}
	return m, err
}

// report is all that a run found out.
type report struct {
	Machine machine      `json:"machine"`
	Results []result     `json:"results"`
	Cold    []coldResult `json:"cold,omitempty"`
	Burst   *burstResult `json:"burst,omitempty"`
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d CPUs (%s), Linux %s, %s, %s. %d hosts, median of %d rounds.\n",
		r.Machine.CPUs, r.Machine.CPU, r.Machine.Kernel, r.Machine.Go, r.Machine.Date, r.Machine.Hosts, r.Machine.Rounds)
	for _, name := range r.servers() {
		if v := r.Machine.Versions[name]; v != "this one" {
			fmt.Fprintf(&b, "%s %s. ", name, v)
		}
	}
	for _, name := range r.Machine.Missing {
		fmt.Fprintf(&b, "%s was not installed. ", name)
	}
	b.WriteString("\n")
	for _, ld := range loads {
		r.table(&b, ld)
	}
	r.coldTable(&b)
	r.burstTable(&b)
	return b.String()
}

func (r *report) servers() (names []string) {
	for _, s := range servers {
		if _, ok := r.Machine.Versions[s.name]; ok {
			names = append(names, s.name)
		}
	}
	return names
}

// table writes what all servers did under one load.
func (r *report) table(b *strings.Builder, ld *load) {
	i := slices.IndexFunc(r.Results, func(x result) bool { return x.Load == ld.name })
	if i < 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s\n\n", ld.about)
	b.WriteString("| | a second | asked a second | of the mirror | clusto is | p50 | p90 | p99 | p99.9 | took | sent again | loss | CPU s/million | RSS |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	rate := func(server string) float64 {
		for _, x := range r.Results {
			if x.Load == ld.name && x.Server == server {
				return median(x.Turns, func(f figures) float64 { return f.Rate })
			}
		}
		return 0
	}
	for _, x := range r.Results {
		if x.Load != ld.name {
			continue
		}
		if len(x.Turns) == 0 {
			fmt.Fprintf(b, "| %s | failed: %s |\n", x.Server, firstLine(x.Failed[0]))
			continue
		}
		at := func(of func(f figures) float64) float64 { return median(x.Turns, of) }
		fmt.Fprintf(b, "| %s | %.0f | %s | %s | %s | %s | %s | %s | %s | %.2f s | %.0f | %.3f %% | %.2f | %.0f MB |\n", x.Server+r.notes(&x),
			rate(x.Server), asked(at(func(f figures) float64 { return f.Asked }), at(func(f figures) float64 { return f.Due })), ratio(rate(x.Server), rate("mirror")), times(rate("clusto"), rate(x.Server), x.Server),
			micros(at(func(f figures) float64 { return f.P50 })), micros(at(func(f figures) float64 { return f.P90 })),
			micros(at(func(f figures) float64 { return f.P99 })), micros(at(func(f figures) float64 { return f.P999 })),
			at(func(f figures) float64 { return f.Seconds }), at(func(f figures) float64 { return f.Again }),
			100*at(func(f figures) float64 { return f.Loss }), at(func(f figures) float64 { return f.CPU }), at(func(f figures) float64 { return f.RSS })/1e6)
	}
}

// notes says behind a server's name what its figures lack.
func (r *report) notes(x *result) string {
	var all []string
	if n := len(x.Turns); n < r.Machine.Rounds {
		all = append(all, fmt.Sprintf("%d of %d rounds", n, r.Machine.Rounds))
	}
	cold := 0.0
	for _, f := range x.Turns {
		cold = max(cold, f.Unwarmed)
	}
	if cold > 0 {
		all = append(all, fmt.Sprintf("up to %.0f hosts not answered before", cold))
	}
	if all == nil {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

// failures is an error that names all that failed; nil if nothing did.
func (r *report) failures() error {
	var all []error
	for _, x := range r.Results {
		for _, why := range x.Failed {
			all = append(all, fmt.Errorf("%s under %s failed, %s", x.Server, x.Load, firstLine(why)))
		}
	}
	for _, c := range r.Cold {
		if c.Failed != "" {
			all = append(all, fmt.Errorf("the cold storm of %s a call failed: %s", c.Delay, firstLine(c.Failed)))
		}
	}
	if r.Burst != nil && r.Burst.Failed != "" {
		all = append(all, fmt.Errorf("the burst of traps failed: %s", firstLine(r.Burst.Failed)))
	}
	return errors.Join(all...)
}

// asked gives the rate that was asked at, beside the one that an open loop was to
// keep.
func asked(rate, due float64) string {
	switch {
	case rate == 0:
		return ""
	case due == 0:
		return fmt.Sprintf("%.0f", rate)
	}
	return fmt.Sprintf("%.0f of %.0f", rate, due)
}

func ratio(a, b float64) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

func times(ours, its float64, name string) string {
	if its == 0 || ours == 0 || name == "clusto" || name == "mirror" {
		return ""
	}
	return fmt.Sprintf("%.1f x", ours/its)
}

func micros(us float64) string {
	switch {
	case us == 0:
		return ""
	case us < 1000:
		return fmt.Sprintf("%.0f us", us)
	}
	return fmt.Sprintf("%.1f ms", us/1000)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// coldTable writes how storms went that met an empty cache.
func (r *report) coldTable(b *strings.Builder) {
	if len(r.Cold) == 0 {
		return
	}
	b.WriteString("\n### All hosts at once, an empty cache, a slow inventory\n\n| a call takes | last lease after | the calls alone | times that | leases | calls of the inventory |\n|---|---|---|---|---|---|\n")
	for _, c := range r.Cold {
		if c.Failed != "" {
			fmt.Fprintf(b, "| %s | failed: %s |\n", c.Delay, firstLine(c.Failed))
			continue
		}
		fmt.Fprintf(b, "| %s | %.2f s | %.2f s | %.2f | %.0f | %d |\n", c.Delay, c.Seconds, c.Alone, c.Seconds/c.Alone, c.Done, c.Calls)
	}
}

// burstTable writes what became of a burst of traps.
func (r *report) burstTable(b *strings.Builder) {
	if r.Burst == nil {
		return
	}
	b.WriteString("\n### A burst of traps at clusto-snmptrapd\n\n| traps | sent a second | on disk | dropped by the kernel | without room | all counted after |\n|---|---|---|---|---|---|\n")
	if t := r.Burst; t.Failed != "" {
		fmt.Fprintf(b, "| | failed: %s |\n", firstLine(t.Failed))
	} else {
		fmt.Fprintf(b, "| %d | %.0f | %d | %d | %d | %.2f s |\n", t.Sent, t.Rate, t.Journaled, t.Dropped, t.Refused, t.Seconds)
	}
}
