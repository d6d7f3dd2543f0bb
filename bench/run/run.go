package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// result is the turns of a server under a load.
type result struct {
	Load   string    `json:"load"`
	Server string    `json:"server"`
	Turns  []figures `json:"turns"`
	Failed []string  `json:"failed,omitempty"` // of each turn that came to nothing, why
}

// all has every server take its turns.
func (l *lab) all() error {
	machine, err := describe(l)
	if err != nil {
		return err
	}
	possible := l.possible(&machine)
	present, err := l.present(&machine)
	if err != nil {
		return err
	}
	if err := l.writeMACs(); err != nil {
		return err
	}
	for _, ld := range possible {
		for round := range l.Rounds {
			for _, s := range present {
				if err := l.turn(ld, s, round); err != nil {
					return err
				}
			}
		}
	}
	var cold []coldResult
	for _, text := range l.Cold {
		if text == "none" {
			break
		}
		r, err := l.cold(text)
		if err != nil { // what was measured so far is written all the same
			r.Failed = err.Error()
			l.say("cold storm, %s a call: %v", text, err)
		}
		cold = append(cold, r)
	}
	var traps *burstResult
	if l.Traps > 0 {
		r, err := l.burst(l.Traps)
		if err != nil {
			r.Failed = err.Error()
			l.say("burst of traps: %v", err)
		}
		traps = &r
	}
	r := report{machine, l.results, cold, traps}
	return errors.Join(l.tell(r), r.failures())
}

// present gives the servers that were asked for and are here, ready to start.
func (l *lab) present(m *machine) (out []*server, err error) {
	for _, name := range l.Servers {
		s := servers[slices.IndexFunc(servers, func(s *server) bool { return s.name == name })] // check found it
		version := s.installed()
		if version == "" {
			l.missing(m, s.program)
			continue
		}
		m.Versions[name] = version
		if err := s.prepare(l); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, errors.New("none of the servers is installed")
	}
	return out, nil
}

// possible gives the loads that were asked for and whose program is here.
func (l *lab) possible(m *machine) (out []*load) {
	for _, ld := range loads {
		if !slices.Contains(l.Loads, ld.name) {
			continue
		}
		if ld.program != "" {
			if _, err := exec.LookPath(ld.program); err != nil {
				l.missing(m, ld.program)
				continue
			}
		}
		out = append(out, ld)
	}
	return out
}

func (l *lab) missing(m *machine, program string) {
	l.say("*** NOT MEASURED *** %s is not installed", program)
	m.Missing = append(m.Missing, program)
}

func (l *lab) writeMACs() error {
	var b strings.Builder
	for i := range l.Hosts {
		_, mac := l.host(i)
		b.WriteString(mac + "\n")
	}
	return os.WriteFile(l.file("macs"), []byte(b.String()), 0o644)
}

// turn puts one server under one load.
func (l *lab) turn(ld *load, s *server, round int) error {
	if ld.dora && !s.dora {
		return nil
	}
	i := slices.IndexFunc(l.results, func(r result) bool { return r.Load == ld.name && r.Server == s.name })
	if i < 0 {
		i = len(l.results)
		l.results = append(l.results, result{Load: ld.name, Server: s.name})
	}
	r := &l.results[i]
	f, err := l.measure(ld, s)
	switch {
	case l.ctx.Err() != nil:
		return err
	case err != nil: // the others are measured all the same
		r.Failed = append(r.Failed, fmt.Sprintf("round %d: %v", round+1, err))
		l.say("%-10s %-8s round %d: FAILED: %v", ld.name, s.name, round+1, err)
		return nil
	}
	r.Turns = append(r.Turns, f)
	l.say("%-10s %-8s round %d: %8.0f/s, p50 %.0f us, p99 %.0f us, %.2f s, %.0f again, loss %.4f",
		ld.name, s.name, round+1, f.Rate, f.P50, f.P99, f.Seconds, f.Again, f.Loss)
	return nil
}

func (l *lab) measure(ld *load, s *server) (f figures, err error) {
	ps, err := s.start(l)
	if err != nil {
		return f, err
	}
	defer func() {
		for _, p := range ps {
			p.stop()
		}
	}()
	unwarmed := 0.0
	if s.dora { // every host is asked for once: caches are warm, as they are in service
		warm, _, err := l.storm("discover", "-w", "64", "-n", fmt.Sprint(l.Hosts), "-t", "1m")
		if err != nil {
			return f, err
		}
		if unwarmed = float64(l.Hosts) - warm.Done; unwarmed > 0 {
			l.say("%-10s %-8s %.0f of %d hosts not answered before", ld.name, s.name, unwarmed, l.Hosts)
		}
	}
	before, err := usageOf(ps)
	if err != nil {
		return f, err
	}
	f, replies, err := ld.run(l, s)
	if err != nil {
		return f, err
	}
	f.Unwarmed = unwarmed
	after, err := usageOf(ps)
	if replies > 0 {
		f.CPU = (after.cpu - before.cpu) / float64(replies) * 1e6
	}
	f.RSS = after.rss
	return f, err
}

// median gives the middle of one figure over the turns of a server.
func (l *lab) median(server, load string, of func(figures) float64) float64 {
	for _, r := range l.results {
		if r.Server == server && r.Load == load {
			return median(r.Turns, of)
		}
	}
	return 0
}

func median(turns []figures, of func(figures) float64) float64 {
	if len(turns) == 0 {
		return 0
	}
	var all []float64
	for _, f := range turns {
		all = append(all, of(f))
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// tell prints the tables, and writes them.
func (l *lab) tell(r report) error {
	text := r.markdown()
	fmt.Print(text)
	if l.Out == "" {
		return nil
	}
	if err := os.MkdirAll(l.Out, 0o755); err != nil {
		return err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(l.Out, "results.md"), []byte(text), 0o644),
		os.WriteFile(filepath.Join(l.Out, "results.json"), append(b, '\n'), 0o644))
}
