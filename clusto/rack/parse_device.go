package rack

import (
	"slices"
	"strconv"
)

// roles are the devices of a layout: the type of their entities, and what they
// can be plugged into.
var roles = []struct {
	name, kind string
	plugs      []string
}{
	{roleSwitch, "networkswitch", []string{"outlet", "console"}},
	{roleConsole, "consoleserver", []string{"outlet", "port"}},
	{rolePower, "powerstrip", []string{"port", "console"}},
}

// plugs are the keys of a device's cables: the type of the ports and the device
// that they lead to.
var plugs = []struct{ key, port, role string }{
	{"port", nic, roleSwitch},
	{"outlet", power, rolePower},
	{"console", console, roleConsole},
}

func (p *parser) devices(n *node) {
	at := p.object("devices: ", n, roleSwitch, roleConsole, rolePower)
	if at == nil {
		return
	}
	suffixes := map[string]*device{}
	for _, role := range roles {
		if at[role.name] == nil {
			continue
		}
		d := p.device(role.name, role.kind, at[role.name], role.plugs)
		if d == nil {
			continue
		}
		if first := suffixes[d.suffix]; first != nil {
			p.errorf(d.at.of("suffix"), "%s: suffix %s is that of %s on line %d; names are unique in clusto", d.role, d.suffix, first.called(), first.at.of("suffix"))
		}
		suffixes[d.suffix] = d
		switch d.role {
		case roleSwitch:
			p.l.sw = d
		case roleConsole:
			p.l.console = d
		case rolePower:
			p.l.power = d
		}
	}
	if at[roleSwitch] == nil {
		p.errorf(n.line, `devices: switch is missing; write it, such as "switch": {"suffix": "sw1", "driver": "cisco4948", "ru": 31}`)
	}
	for _, d := range p.l.devices() {
		for _, c := range d.cables {
			if at[c.To] == nil {
				key := plugs[slices.IndexFunc(plugs[:], func(x struct{ key, port, role string }) bool { return x.role == c.To })].key
				p.errorf(d.at.of(key), "%s: %s %s: there is no device %q; add it, or take %s out", d.role, key, c.ToNum, c.To, key)
			}
		}
	}
}

// device reads one device. It is nil after a problem.
func (p *parser) device(role, kind string, n *node, may []string) *device {
	before := len(p.problems)
	at := p.object(role+": ", n, append([]string{"suffix", "driver", "ru", "about"}, may...)...)
	if at == nil {
		return nil
	}
	d := &device{role: role, at: lines{"": n.line}}
	for key, val := range at {
		d.at[key] = val.line
	}
	if s := p.need(role+": ", n, at, "suffix", `such as "suffix": "sw1"`); s != nil {
		d.suffix = p.name(role+": suffix", s, 32)
	}
	if s := p.need(role+": ", n, at, "driver", `such as "driver": "`+ofKind(kind)[0]+`"`); s != nil {
		d.driver = p.driver(role+": driver", s, kind)
	}
	if s := p.need(role+": ", n, at, "ru", `the unit that it is in`); s != nil {
		d.ru = p.number(role+": ru", s, 0)
	}
	for _, plug := range plugs {
		if val := at[plug.key]; val != nil {
			d.cables = append(d.cables, Connection{plug.port, "1", plug.role, p.socket(role+": "+plug.key, val)})
		}
	}
	if len(p.problems) > before {
		return nil
	}
	return d
}

// socket reads the number of a port or the name of an outlet.
func (p *parser) socket(what string, n *node) string {
	if n.kind == '0' {
		return strconv.Itoa(p.number(what, n, 0))
	}
	text := p.text(what, n)
	if n.kind != '"' {
		return ""
	}
	names, err := expand(text)
	if err != nil || len(names) != 1 {
		p.errorf(n.line, "%s %.40q: want one port", what, text)
		return ""
	}
	return names[0]
}
