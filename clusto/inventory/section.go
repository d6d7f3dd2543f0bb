package inventory

import (
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
	types     []string // that drivers of this section may make
	keys      []string // that a body may have
	body      func(*parser, *thing)
}

var sections = []*section{
	{
		"networks", "network", "ipmanager",
		[]string{"resourcemanager"},
		[]string{"cidr", "baseip", "netmask", "gateway", "attrs"},
		(*parser).network,
	},
	{
		"locations", "location", "",
		[]string{"datacenter", "rack", "cage", "zone", "location"},
		[]string{"driver", "in", "dhcp", "attrs"},
		(*parser).container,
	},
	{
		"pools", "pool", "pool",
		[]string{"pool"},
		[]string{"driver", "in", "dhcp", "attrs"},
		(*parser).container,
	},
	{
		"servers", "server", "basicserver",
		[]string{"server"},
		[]string{"driver", "in", "mac", "ip", "ports", "ipmi", "dhcp", "hostname", "attrs"},
		(*parser).server,
	},
	{
		"devices", "device", "",
		[]string{"networkswitch", "powerstrip", "consoleserver", "appliance", "generic"},
		[]string{"driver", "in", "mac", "ip", "ports", "ipmi", "dhcp", "hostname", "attrs"},
		(*parser).device,
	},
}

// driverTypes gives the type that each of the original's drivers makes. A site
// may have drivers of its own: the store judges those.
var driverTypes = map[string]string{
	"apcrack": "rack", "basicappliance": "appliance", "basiccage": "cage", "basicconsoleserver": "consoleserver",
	"basicdatacenter": "datacenter", "basicnetworkswitch": "networkswitch", "basicpowerstrip": "powerstrip",
	"basicrack": "rack", "basicserver": "server", "basicvirtualserver": "server", "basiczone": "zone",
	"cisco2960": "networkswitch", "cisco3560": "networkswitch", "cisco4948": "networkswitch",
	"clustometa": "clustometa", "device": "generic", "entity": "generic", "equinixdatacenter": "datacenter",
	"exclusive_pool": "pool", "ipmanager": "resourcemanager", "location": "location", "netscaler": "appliance",
	"netscaler10010": "appliance", "netscaler17000": "appliance", "opengearcm4148": "consoleserver",
	"penguinserver": "server", "penguinserver2u": "server", "pool": "pool", "powertowerxm": "powerstrip",
	"resourcemanager": "resourcemanager", "simpleentitynamemanager": "resourcemanager",
	"simplenamemanager": "resourcemanager", "unique_pool": "pool",
}

var (
	// nameForm is what fits an URL's path and a comma-separated list.
	nameForm   = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._:@+-]{0,127}$`)
	driverForm = regexp.MustCompile(`^[a-z][0-9a-z_]{0,31}$`)
	keyForm    = regexp.MustCompile(`^[A-Za-z_]+[0-9A-Za-z_-]*$`)
)

// entityType is the type in the object's path. A driver that is not the
// original's is taken for one of its section's first type.
func (t *thing) entityType() string {
	if typ, ok := driverTypes[t.driver]; ok {
		return typ
	}
	return t.section.types[0]
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
	if !nameForm.MatchString(e.key) {
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
	p.entities.add(t.line, clusto.Op{Op: "entity", Name: t.name, Driver: t.driver})
}

func (p *parser) driver(t *thing) {
	t.driver = t.section.driver
	line := t.line
	if i := slices.IndexFunc(t.body, func(e pair) bool { return e.key == "driver" }); i >= 0 {
		line = t.body[i].line
		name, ok := p.text("driver", t.body[i].val)
		if !ok {
			return
		}
		t.driver = name
	}
	switch typ, ok := driverTypes[t.driver]; {
	case t.driver == "":
		p.errorf(line, "has no driver; name one that makes a %s, such as \"driver: %s\"", strings.Join(t.section.types, ", "), t.section.example())
	case !driverForm.MatchString(t.driver):
		p.errorf(line, "driver %q: want lower-case letters, digits and _, such as %s", shorten(t.driver), t.section.example())
	case ok && !slices.Contains(t.section.types, typ):
		p.errorf(line, "driver %s makes a %s, which does not belong under %s%s", t.driver, typ, t.section.key, homeOf(typ))
	}
}

// example is a driver that fits the section.
func (s *section) example() string {
	best := s.driver
	for d, typ := range driverTypes {
		if typ == s.types[0] && s.driver == "" && (best == "" || d < best) {
			best = d
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

// container reads the body of a pool or a location.
func (p *parser) container(t *thing) {
	for _, e := range t.body {
		p.place(t, e)
	}
}

// place reads what all sections but networks have.
func (p *parser) place(t *thing, e pair) {
	switch e.key {
	case "in":
		p.in(t, e)
	case "dhcp":
		p.dhcp(t, e)
	case "attrs":
		p.attrList(t, e)
	case "hostname":
		if v, ok := p.text(e.key, e.val); ok {
			p.attr(e.line, t.name, attrID{e.key, "", -1}, clusto.Value{Type: clusto.String, Str: v})
		}
	}
}

// in reads the containers: names, or racks with a unit.
func (p *parser) in(t *thing, e pair) {
	for _, n := range p.items(e.val) {
		into, ru := "", 0
		var ok bool
		if n.Kind == yaml.MappingNode {
			into, ru, ok = p.rackUnit(n)
		} else if into, ok = p.text("in", n); ok {
			ok = p.checkContainer(n.Line, into)
		}
		if !ok {
			continue
		}
		if slices.ContainsFunc(t.in, func(o edge) bool { return o.name == into }) && ru == 0 {
			p.errorf(n.Line, "in %s is there twice; keep one of them", into)
			continue
		}
		t.in = append(t.in, edge{into, n.Line})
		p.inserts.add(n.Line, clusto.Op{Op: "insert", Name: t.name, Into: into, RU: ru})
	}
}

// checkContainer judges a container that is named without a rack unit.
func (p *parser) checkContainer(line int, name string) bool {
	switch c := p.known[name]; {
	case !nameForm.MatchString(name):
		p.errorf(line, "in %q: that is no name of a pool or location", shorten(name))
	case c == nil: // the database may have it
		return true
	case c.entityType() == "rack":
		p.errorf(line, "in %s: it is a rack; write {rack: %s, ru: N}, N being the unit counted from 1", name, name)
	case c.section.key == "networks":
		p.errorf(line, "in %s: it is a network; an address is what puts a server into one (ip: ...)", name)
	case c.section.key == "servers" || c.section.key == "devices":
		p.errorf(line, "in %s: it is a %s and holds nothing; only pools and locations do", name, c.section.kind)
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
	if c := p.known[rack]; c != nil && c.section.key != "locations" || c != nil && c.entityType() != "rack" {
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
