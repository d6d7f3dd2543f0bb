package rack

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// The units of a rack of clusto, where nothing else is said.
const (
	defaultMinU = 1
	defaultMaxU = 45
	highestU    = 100
)

// Parse reads a layout and judges its form alone: whether what it describes can
// be built is for Check to say. file is for messages, and exec is meant from its
// directory on. The error is Problems, all that it found.
func Parse(file string, data []byte) (*Layout, error) {
	p := &parser{l: &Layout{File: file, minu: defaultMinU, maxu: defaultMaxU, byPort: map[int]spot{}}}
	root, err := readJSON(data)
	if s := (*syntaxError)(nil); errors.As(err, &s) {
		p.errorf(s.line, "%s", s.what)
	} else {
		p.layout(root)
	}
	if len(p.problems) > 0 {
		for i := range p.problems {
			p.problems[i].Layout = p.l.Name
		}
		return nil, p.problems
	}
	return p.l, nil
}

// parser reads one file and collects what is wrong with it.
type parser struct {
	l        *Layout
	problems Problems
}

func (p *parser) errorf(line int, format string, args ...any) {
	p.problems = append(p.problems, Problem{File: p.l.File, Line: line, What: fmt.Sprintf(format, args...)})
}

func (p *parser) layout(root *node) {
	at := p.object("", root, "name", "about", "driver", "minu", "maxu", "devices", "servers", "exec", "timeout")
	if at == nil {
		return
	}
	p.l.line = root.line
	if n := p.need("", root, at, "name", `such as "name": "5555"`); n != nil {
		p.l.line = n.line
		p.l.Name = p.name("name", n, 64)
	}
	base := "penguinserver"
	if n := at["driver"]; n != nil {
		base = p.driver("driver", n, "server")
	}
	p.l.minu = p.number("minu", at["minu"], p.l.minu)
	p.l.maxu = p.number("maxu", at["maxu"], p.l.maxu)
	if p.l.minu < 1 || p.l.maxu > highestU || p.l.minu > p.l.maxu {
		p.errorf(p.l.line, "units %d to %d: want minu from 1 on, and maxu of %d at most", p.l.minu, p.l.maxu, highestU)
	}
	if n := p.need("", root, at, "devices", `with a switch at least`); n != nil {
		p.devices(n)
	}
	p.program(root, at)
	for _, n := range p.list("servers", at["servers"]) {
		p.row(n, base)
	}
}

// program reads exec and timeout; what a layout has instead is servers.
func (p *parser) program(root *node, at map[string]*node) {
	servers, exec, timeout := at["servers"], at["exec"], at["timeout"]
	switch {
	case servers == nil && exec == nil:
		p.errorf(root.line, "servers are missing; map the ports to units, or name a program with exec")
	case servers != nil && exec != nil:
		p.errorf(exec.line, "there are servers (line %d) and exec; keep one of them", servers.line)
	case timeout != nil && exec == nil:
		p.errorf(timeout.line, "timeout is for exec, which is not there; take it out")
	case servers != nil && servers.kind == '[' && len(servers.list) == 0:
		p.errorf(servers.line, "servers are none; map the ports to units, or name a program with exec")
	}
	if exec != nil {
		p.execute(exec, timeout)
	}
}

// object gives the members of an object by key, nil if it is none. Unknown keys
// and doubled ones are problems; what begins their messages.
func (p *parser) object(what string, n *node, known ...string) map[string]*node {
	if n.kind != '{' {
		p.errorf(n.line, "%swant an object, {...}, got %v", what, n)
		return nil
	}
	at := map[string]*node{}
	for _, m := range n.keys {
		switch first := at[m.key]; {
		case !slices.Contains(known, m.key):
			p.errorf(m.line, "%sunknown key %q: %s", what, m.key, meant(m.key, known))
		case first != nil:
			p.errorf(m.line, "%s%q is there twice, first on line %d; keep one of them", what, m.key, first.line)
		default:
			at[m.key] = m.val
		}
	}
	if n := at["about"]; n != nil {
		p.text("about", n)
	}
	return at
}

func meant(key string, known []string) string {
	if near := clusto.Nearest(key, known, 2); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "known here are " + strings.Join(known, ", ")
}

// need gives a member that has to be there.
func (p *parser) need(what string, of *node, at map[string]*node, key, example string) *node {
	n := at[key]
	if n == nil {
		p.errorf(of.line, "%s%s is missing; write it, %s", what, key, example)
	}
	return n
}

func (p *parser) text(what string, n *node) string {
	if n.kind != '"' {
		p.errorf(n.line, "%s: want a text in quotes, got %v", what, n)
	}
	return n.text
}

// name reads a name of no more than so many letters. It is "" after a problem.
func (p *parser) name(what string, n *node, most int) string {
	before := len(p.problems)
	s := p.text(what, n)
	if len(p.problems) == before && (!namePattern.MatchString(s) || len(s) > most) {
		p.errorf(n.line, "%s %.80q: want letters, digits and . _ -, a letter or digit first, %d at most", what, s, most)
	}
	if len(p.problems) > before {
		return ""
	}
	return s
}

// number reads one number; without one it is otherwise.
func (p *parser) number(what string, n *node, otherwise int) int {
	if n == nil {
		return otherwise
	}
	if n.kind == '0' {
		if all, err := numbers(n.text); err == nil && len(all) == 1 {
			return all[0]
		}
	}
	p.errorf(n.line, "%s: want a whole number, got %v", what, n)
	return otherwise
}

func (p *parser) list(what string, n *node) []*node {
	if n == nil {
		return nil
	}
	if n.kind != '[' {
		p.errorf(n.line, "%s: want a list, [...], got %v", what, n)
	}
	return n.list
}

// driver reads the name of a driver that makes entities of a type. It is ""
// after a problem.
func (p *parser) driver(what string, n *node, kind string) string {
	name := p.text(what, n)
	d, ok := lookup(name)
	switch {
	case n.kind != '"':
		return ""
	case !ok:
		p.errorf(n.line, "%s %.40q: layouts know no such driver; did you mean %s?", what, name, nearest(name, kind))
		return ""
	case d.Type != kind:
		p.errorf(n.line, "%s %s makes a %s, not a %s; did you mean %s?", what, name, d.Type, kind, nearest(name, kind))
		return ""
	}
	return name
}
