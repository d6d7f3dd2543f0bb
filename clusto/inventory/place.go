package inventory

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// container reads the body of a pool or a location.
func (p *parser) container(t *thing) {
	for _, e := range t.body {
		p.place(t, e)
	}
}

// place reads what all sections have that name it.
func (p *parser) place(t *thing, e pair) {
	switch e.key {
	case "in":
		p.in(t, e)
	case "dhcp":
		p.dhcp(t, e)
	case "attrs":
		p.attrList(t, e)
	case "raw":
		p.rawList(t, e)
	case "counters":
		p.counters(t, e)
	case "hostname":
		if v, ok := p.text(e.key, e.val); ok {
			p.attr(e.line, t.name, attrID{e.key, "", -1}, clusto.Value{Type: clusto.String, Str: v})
		}
	}
}

// in reads the containers: names, racks with a unit, or names with the number
// that the container has for what is in it.
func (p *parser) in(t *thing, e pair) {
	for _, n := range p.items(e.val) {
		op := clusto.Op{Op: "insert", Name: t.name}
		var ok bool
		if n.Kind == yaml.MappingNode {
			ok = p.placeIn(n, &op)
		} else if op.Into, ok = p.text("in", n); ok {
			ok = p.checkContainer(n.Line, op.Into)
		}
		if !ok {
			continue
		}
		if slices.ContainsFunc(t.in, func(o edge) bool { return o.name == op.Into }) && op.RU == 0 {
			p.errorf(n.Line, "in %s is there twice; keep one of them", op.Into)
			continue
		}
		t.in = append(t.in, edge{op.Into, n.Line})
		p.inserts.add(n.Line, op)
	}
}

// placeIn reads {rack: NAME, ru: N} or {name: NAME, number: N}.
func (p *parser) placeIn(n *yaml.Node, op *clusto.Op) (ok bool) {
	pairs := p.pairs(n)
	if !slices.ContainsFunc(pairs, func(e pair) bool { return e.key == "name" || e.key == "number" }) {
		op.Into, op.RU, ok = p.rackUnit(n)
		return ok
	}
	for _, e := range pairs {
		switch e.key {
		case "name":
			op.Into, ok = p.text("in: name", e.val)
		case "number":
			op.Number, ok = p.wanted("in: number", e.val)
		default:
			p.unknownKey(e.line, e.key, []string{"name", "number"})
			ok = false
		}
		if !ok {
			return false
		}
	}
	if op.Into == "" {
		p.errorf(n.Line, "in: a number takes the name too, as in {name: pxeboot-servers, number: 3}")
		return false
	}
	return p.checkContainer(n.Line, op.Into)
}

// wanted reads the number that clusto shall give.
func (p *parser) wanted(what string, n *yaml.Node) (*int, bool) {
	i, ok := p.number(what, n)
	return &i, ok
}

// containers are the types that a file puts things into.
var containers = append([]string{"pool"}, clusto.Locations...)

// checkContainer judges a container that is named without a rack unit.
func (p *parser) checkContainer(line int, name string) bool {
	switch c := p.known[name]; {
	case c == nil && !nameForm.MatchString(name):
		p.errorf(line, "in %q: that is no name of a pool or location", shorten(name))
	case c == nil: // the database may have it
		return true
	case c.entityType() == "rack":
		p.errorf(line, "in %s: it is a rack; write {rack: %s, ru: N}, N being the unit counted from 1", name, name)
	case c.entityType() == "resourcemanager":
		p.errorf(line, "in %s: it is a network; an address is what puts a server into one (ip: ...)", name)
	case !slices.Contains(containers, c.entityType()):
		p.errorf(line, "in %s: it is a %s and holds nothing; only pools and locations do", name, cmp.Or(c.entityType(), c.section.kind))
	default:
		return true
	}
	return false
}

// rackUnit reads {rack: NAME, ru: N}.
func (p *parser) rackUnit(n *yaml.Node) (rack string, ru int, ok bool) {
	line := n.Line
	for _, e := range p.pairs(n) {
		switch e.key {
		case "rack":
			rack, _ = p.text("rack", e.val)
			line = e.line
		case "ru":
			ru, _ = p.number("ru", e.val)
		default:
			p.unknownKey(e.line, e.key, []string{"rack", "ru"})
			return "", 0, false
		}
	}
	if rack == "" || ru < 1 {
		p.errorf(line, "in: a place in a rack takes both, as in {rack: sv2-r01, ru: 3}; units count from 1")
		return "", 0, false
	}
	if c := p.known[rack]; c != nil && c.entityType() != "rack" {
		p.errorf(line, "in %s: it is a %s (line %d), not a rack; write \"in: %s\"", rack, c.entityType(), c.line, rack)
		return "", 0, false
	}
	at := unit{rack, ru}
	if first, taken := p.units[at]; taken {
		p.errorf(line, "unit %d of rack %s is taken by %s on line %d", ru, rack, first.who, first.line)
		return "", 0, false
	}
	p.units[at] = claim{p.what, line}
	return rack, ru, true
}
