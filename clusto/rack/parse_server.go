package rack

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// row is a row of servers, expanded but not yet dealt out.
type row struct {
	driver  string
	ports   [][]int // for each network card
	rus     []int
	outlets [][]string // for each power supply
	console []int      // nil: the ports of the first network card
	at      lines
}

// row reads some servers whose ports, units and outlets go in step.
func (p *parser) row(n *node, base string) {
	before := len(p.problems)
	at := p.object("servers: ", n, "ports", "ru", "outlets", "console", "driver", "about")
	if at == nil {
		return
	}
	r := row{driver: base, at: lines{"": n.line}}
	for key, val := range at {
		r.at[key] = val.line
	}
	if d := at["driver"]; d != nil {
		r.driver = p.driver("driver", d, "server")
	}
	for _, s := range p.each("ports", p.need("servers: ", n, at, "ports", `such as "ports": "1-5"`)) {
		r.ports = append(r.ports, p.numbers("ports", s))
	}
	for _, s := range p.each("ru", p.need("servers: ", n, at, "ru", `such as "ru": "1-5"`)) {
		r.rus = append(r.rus, p.numbers("ru", s)...)
	}
	for _, s := range p.each("outlets", at["outlets"]) {
		r.outlets = append(r.outlets, p.names("outlets", s))
	}
	for _, s := range p.each("console", at["console"]) {
		r.console = append(r.console, p.numbers("console", s)...)
	}
	if len(p.problems) > before || r.driver == "" {
		return
	}
	if p.fits(&r); len(p.problems) == before {
		p.deal(&r, unitsOf(r.driver))
	}
}

// each gives the members of a list, or the one thing that is no list.
func (p *parser) each(what string, n *node) []*node {
	switch {
	case n == nil:
		return nil
	case n.kind != '[':
		return []*node{n}
	case len(n.list) == 0:
		p.errorf(n.line, "%s: the list is empty; fill it or take it out", what)
	}
	return n.list
}

func (p *parser) names(what string, n *node) []string {
	if n.kind != '"' && n.kind != '0' {
		p.errorf(n.line, `%s: want numbers or names, such as "1-5", got %v`, what, n)
		return nil
	}
	names, err := expand(n.text)
	if err != nil {
		p.errorf(n.line, "%s: %v", what, err)
	}
	return names
}

func (p *parser) numbers(what string, n *node) []int {
	if n.kind != '"' && n.kind != '0' {
		p.errorf(n.line, `%s: want numbers, such as "1-5", got %v`, what, n)
		return nil
	}
	all, err := numbers(n.text)
	if err != nil {
		p.errorf(n.line, "%s: %v", what, err)
	}
	return all
}

// fits checks that a row has as much of everything as it has servers.
func (p *parser) fits(r *row) {
	n := len(r.ports[0])
	count := func(key string, got int) {
		if got != n {
			p.errorf(r.at.of(key), "%s: %d for %d servers, one for each port; make them as many", key, got, n)
		}
	}
	for _, ports := range r.ports {
		count("ports", len(ports))
	}
	for _, outlets := range r.outlets {
		count("outlets", len(outlets))
	}
	if r.console != nil {
		count("console", len(r.console))
	}
	if got, units := len(r.rus), unitsOf(r.driver); got != n*units {
		p.errorf(r.at.of("ru"), "ru: %d for %d servers, one for each port; %s takes %d", got, n, r.driver, units)
	}
	most := func(key, port string, got int) {
		if listed, _, _ := clusto.PortsOf(r.driver, port); got > listed {
			p.errorf(r.at.of(key), "%s: a list of %d; %s has %d ports of type %s", key, got, r.driver, listed, port)
		}
	}
	most("ports", nic, len(r.ports))
	most("outlets", power, len(r.outlets))
	if r.outlets != nil && p.l.power == nil {
		p.errorf(r.at.of("outlets"), "outlets: there is no power strip; add the device %q, or take outlets out", rolePower)
	}
	if r.console != nil && p.l.console == nil {
		p.errorf(r.at.of("console"), "console: there is no console server; add the device %q, or take console out", roleConsole)
	}
}

// deal makes the servers of a row.
func (p *parser) deal(r *row, units int) {
	for i := range r.ports[0] {
		s := server{driver: r.driver, at: r.at, rus: slices.Sorted(slices.Values(r.rus[i*units : (i+1)*units]))}
		for card, ports := range r.ports {
			s.ports = append(s.ports, ports[i])
			if _, ok := p.l.byPort[ports[i]]; !ok {
				p.l.byPort[ports[i]] = spot{len(p.l.servers), card + 1}
			}
		}
		for _, outlets := range r.outlets {
			s.outlets = append(s.outlets, outlets[i])
		}
		switch {
		case r.console != nil:
			s.console = r.console[i]
		case p.l.console != nil:
			s.console = s.ports[0]
		}
		if last := s.rus[units-1]; last-s.rus[0] != units-1 {
			p.errorf(r.at.of("ru"), "ru: units %s for the server of port %d, %s: want %d next to each other", ranges(s.rus), s.ports[0], r.driver, units)
		}
		p.l.servers = append(p.l.servers, s)
	}
}

const (
	defaultTimeout = 5 * time.Second
	longestTimeout = time.Minute
)

// execute reads the program of a layout.
func (p *parser) execute(exec, timeout *node) {
	p.l.execLine, p.l.timeout = exec.line, defaultTimeout
	path := p.text("exec", exec)
	switch {
	case exec.kind != '"':
	case path == "" || strings.ContainsRune(path, 0):
		p.errorf(exec.line, "exec: %q is no path of a program", path)
	case filepath.IsAbs(path):
		p.l.exec = path
	default:
		abs, err := filepath.Abs(filepath.Join(filepath.Dir(p.l.File), path))
		if err != nil {
			p.errorf(exec.line, "exec: %q: %v; write its path from / on", path, err)
		}
		p.l.exec = abs
	}
	if timeout == nil {
		return
	}
	d, err := time.ParseDuration(p.text("timeout", timeout))
	if timeout.kind == '"' && (err != nil || d <= 0 || d > longestTimeout) {
		p.errorf(timeout.line, `timeout %.40q: want a time such as "5s", %v at most`, timeout.text, longestTimeout)
	}
	p.l.timeout = d
}
