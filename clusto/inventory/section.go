package inventory

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// section is one of the top-level keys.
type section struct {
	key, kind string
	driver    string   // where the file names none; "" if it has to
	types     []string // that drivers of this section may make; nil for any
	keys      []string // that a body may have
	body      func(*parser, *thing)
}

var sections = []*section{
	{
		"networks", "network", "ipmanager",
		[]string{"resourcemanager"},
		[]string{"cidr", "baseip", "netmask", "gateway", "attrs", "raw", "counters"},
		(*parser).network,
	},
	{
		"locations", "location", "",
		[]string{"datacenter", "rack", "cage", "zone", "location"},
		[]string{"driver", "in", "dhcp", "attrs", "raw", "counters"},
		(*parser).container,
	},
	{
		"pools", "pool", "pool",
		[]string{"pool"},
		[]string{"driver", "in", "dhcp", "attrs", "raw", "counters"},
		(*parser).container,
	},
	{
		"servers", "server", "basicserver",
		[]string{"server"},
		[]string{"driver", "in", "mac", "ip", "ports", "ipmi", "dhcp", "hostname", "attrs", "raw", "counters"},
		(*parser).server,
	},
	{
		"devices", "device", "",
		[]string{"networkswitch", "powerstrip", "consoleserver", "appliance", "generic"},
		[]string{"driver", "in", "mac", "ip", "ports", "ipmi", "dhcp", "hostname", "attrs", "raw", "counters"},
		(*parser).device,
	},
	{
		"entities", "entity", "", nil,
		[]string{
			"driver", "type", "in", "cidr", "baseip", "netmask", "gateway", "mac", "ip", "ports", "ipmi",
			"dhcp", "hostname", "attrs", "raw", "counters",
		},
		(*parser).entity,
	},
}

var (
	// nameForm is what fits an URL's path and a comma-separated list.
	nameForm   = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._:@+-]{0,127}$`)
	driverForm = regexp.MustCompile(`^[a-z][0-9a-z_]{0,31}$`)
	keyForm    = regexp.MustCompile(`^[A-Za-z_]+[0-9A-Za-z_-]*$`)
)

// entityType is the type in the object's path. A driver that is not the
// original's is taken for one of its section's first type, unless the file names
// the type.
func (t *thing) entityType() string {
	d, ok := clusto.Drivers[t.driver]
	switch {
	case t.typ != "":
		return t.typ
	case !ok && len(t.section.types) > 0:
		return t.section.types[0]
	}
	return d.Type
}

// site reads the whole file: first who there is, then what is said of them, so
// that everything may be named before it is declared.
func (p *parser) site(root *yaml.Node) {
	var keys []string
	for _, s := range sections {
		keys = append(keys, s.key)
	}
	for _, top := range p.pairs(root) {
		i := slices.Index(keys, top.key)
		if i < 0 {
			p.unknownKey(top.line, top.key, keys)
			continue
		}
		p.what = top.key
		for _, e := range p.pairs(top.val) {
			p.declare(sections[i], e)
		}
		p.what = ""
	}
	p.bodies()
}

// bodies reads what is said of the declared objects, and judges the whole.
func (p *parser) bodies() {
	for _, t := range p.things {
		clear(p.attrSeen)
		p.what = t.String()
		p.checkKeys(t)
		t.section.body(p, t)
	}
	p.what = ""
	p.checkNetworks()
	p.checkCircles()
}

// declare takes down that an object exists.
func (p *parser) declare(s *section, e pair) {
	if !s.takesName(e.key) {
		p.errorf(e.line, "name %q: want letters, digits and . _ : @ + -, a letter or digit first, 128 at most", shorten(e.key))
		return
	}
	if first := p.known[e.key]; first != nil {
		p.errorf(e.line, "name %q is taken by the %s on line %d; names are unique in clusto", e.key, first.section.kind, first.line)
		return
	}
	t := &thing{section: s, name: e.key, line: e.line}
	p.what = t.String()
	t.body = p.pairs(e.val)
	p.driver(t)
	p.what = s.key
	p.known[t.name] = t
	p.things = append(p.things, t)
	p.entities.add(t.line, clusto.Op{Op: "entity", Name: clusto.NewName(t.name), Driver: t.driver, Type: t.typ})
}

// takesName tells the names that fit a URL's path and a comma-separated list;
// under entities go those too that clusto takes, and has from before.
func (s *section) takesName(name string) bool {
	return nameForm.MatchString(name) || s.types == nil && clusto.CheckName(name) == nil
}

func (p *parser) driver(t *thing) {
	t.driver = t.section.driver
	line := t.line
	for _, e := range t.body {
		var ok bool
		switch {
		case e.key == "driver":
			line = e.line
			t.driver, ok = p.text("driver", e.val)
		case e.key == "type" && t.section.types == nil:
			t.typ, ok = p.text("type", e.val)
		default:
			continue
		}
		if !ok {
			return
		}
	}
	if t.section.types == nil {
		p.anyDriver(t, line)
		return
	}
	switch d, ok := clusto.Drivers[t.driver]; {
	case t.driver == "":
		p.errorf(line, "has no driver; name one that makes a %s, such as \"driver: %s\"", strings.Join(t.section.types, ", "), t.section.example())
	case !driverForm.MatchString(t.driver):
		p.errorf(line, "driver %q: want lower-case letters, digits and _, such as %s", shorten(t.driver), t.section.example())
	case ok && !slices.Contains(t.section.types, d.Type):
		p.errorf(line, "driver %s makes a %s, which does not belong under %s%s", t.driver, d.Type, t.section.key, homeOf(d.Type))
	}
}

// anyDriver judges driver and type under entities.
func (p *parser) anyDriver(t *thing, line int) {
	_, known := clusto.Drivers[t.driver]
	switch {
	case t.driver == "":
		p.errorf(line, "has no driver; name one, such as \"driver: basicserver\"")
	case !driverForm.MatchString(t.driver):
		p.errorf(line, "driver %q: want lower-case letters, digits and _, such as basicserver", shorten(t.driver))
	case t.typ == "" && !known:
		p.unknownDriver(t.driver, line)
	case t.typ != "" && !driverForm.MatchString(t.typ):
		p.errorf(line, "type %q: want lower-case letters, digits and _, such as server", shorten(t.typ))
	}
}

func (p *parser) unknownDriver(name string, line int) {
	if near := nearest(name, slices.Sorted(maps.Keys(clusto.Drivers))); near != "" {
		p.errorf(line, "unknown driver %q: did you mean %q? One of your own takes its type too, as in \"type: server\"", name, near)
		return
	}
	p.errorf(line, "unknown driver %q: one of your own takes its type too, as in \"type: server\"", name)
}

// example is a driver that fits the section.
func (s *section) example() string {
	best := s.driver
	for name, d := range clusto.Drivers {
		if d.Type == s.types[0] && s.driver == "" && (best == "" || name < best) {
			best = name
		}
	}
	return best
}

// homeOf says where objects of a type do belong.
func homeOf(typ string) string {
	for _, s := range sections {
		if slices.Contains(s.types, typ) {
			return "; put it under " + s.key
		}
	}
	return ""
}

func (p *parser) checkKeys(t *thing) {
	for _, e := range t.body {
		if !slices.Contains(t.section.keys, e.key) && (e.key != "driver" || t.section.key == "networks") {
			p.unknownKey(e.line, e.key, t.section.keys)
		}
	}
}
