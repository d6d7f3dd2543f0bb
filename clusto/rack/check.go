package rack

import (
	"fmt"
	"os"
	"strconv"
)

// Check gives all that keeps a layout from being built: ports, units and outlets
// that do not exist, those that two things claim, and a program that cannot be
// run.
func Check(l *Layout) []Problem {
	c := newChecker(l, "")
	first := map[int]int{} // line by port
	for i := range l.servers {
		s := &l.servers[i]
		c.port, c.at = s.ports[0], s.at
		if line, ok := first[c.port]; ok {
			c.errorf("ports", "it is mapped twice, first on line %d; take it out of one of them", line)
			continue
		}
		first[c.port] = c.at.of("ports")
		c.server(l.placement("", s, 1), fmt.Sprintf("the server of port %d", c.port))
	}
	if l.exec != "" {
		c.port, c.at = 0, lines{"": l.execLine}
		if why := unfit(l.exec); why != "" {
			c.errorf("", "exec: %s", why)
		}
	}
	return c.problems
}

// unfit says why a program cannot be run, "" if it can.
func unfit(path string) string {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return err.Error() + "; correct the path, which is meant from the directory of the layout on"
	case !info.Mode().IsRegular():
		return path + " is no program"
	case info.Mode()&0o111 == 0:
		return path + " may not be executed; chmod +x " + path
	}
	return ""
}

// slot is what one thing at a time can have: a port, an outlet, or, without a
// device, a unit.
type slot struct{ device, port, num string }

// holder is who has a slot.
type holder struct {
	who  string // "the switch", "the server of port 5"
	line int    // 0 for what is not in the file
}

func (h holder) String() string {
	if h.line == 0 {
		return h.who
	}
	return fmt.Sprintf("%s on line %d", h.who, h.line)
}

// checker deals out what a rack has.
type checker struct {
	l        *Layout
	devices  map[string]*device // by name
	taken    map[slot]holder
	problems []Problem

	port int    // of the server that is looked at, 0 for others
	say  string // what is looked at, for messages where the port does not tell
	at   lines
}

// newChecker begins with the devices in their places.
func newChecker(l *Layout, rack string) *checker {
	c := &checker{l: l, devices: map[string]*device{}, taken: map[slot]holder{}}
	for _, d := range l.devices() {
		c.devices[d.name(rack)] = d
	}
	for _, d := range l.devices() {
		c.at, c.say = d.at, d.called()+": "
		c.unit(d.ru, d.called())
		for _, cable := range d.cables {
			cable.To = l.device(cable.To).name(rack)
			c.cable(d.driver, cable, d.called())
		}
	}
	c.say = ""
	return c
}

func (c *checker) errorf(key, format string, args ...any) {
	c.problems = append(c.problems, Problem{c.l.File, c.at.of(key), c.l.Name, c.port, c.say + fmt.Sprintf(format, args...)})
}

// server checks one server against all that there is already.
func (c *checker) server(p Placement, who string) {
	for _, ru := range p.RUs {
		c.unit(ru, who)
	}
	for _, cable := range p.Connections {
		c.cable(p.Driver, cable, who)
	}
}

func (c *checker) unit(ru int, who string) {
	if ru < c.l.minu || ru > c.l.maxu {
		c.errorf("ru", "there is no unit %d; the rack has %d to %d", ru, c.l.minu, c.l.maxu)
		return
	}
	c.claim("ru", slot{port: "unit", num: strconv.Itoa(ru)}, "unit "+strconv.Itoa(ru), who)
}

// cable checks both ends of a cable that begins at something of a driver.
func (c *checker) cable(from string, cable Connection, who string) {
	key, word := "ports", "switch port"
	switch cable.Port {
	case power:
		key, word = "outlets", "outlet"
	case console:
		key, word = "console", "console port"
	}
	what := word + " " + cable.ToNum
	if !has(from, cable.Port, cable.Num) {
		c.errorf(key, "%s: %s has no %s %s to plug into it; it has %s", what, from, cable.Port, cable.Num, all(from, cable.Port))
		return
	}
	if to := c.devices[cable.To]; to == nil {
		what += " of " + cable.To
	} else if !has(to.driver, cable.Port, cable.ToNum) {
		c.errorf(key, "there is no %s; %s has %s", what, to.driver, all(to.driver, cable.Port))
		return
	}
	c.claim(key, slot{cable.To, cable.Port, cable.ToNum}, what, who)
}

// claim gives a slot to who, or says who has it.
func (c *checker) claim(key string, s slot, what, who string) {
	if first, ok := c.taken[s]; ok {
		c.errorf(key, "%s is taken by %s; give one of them another", what, first)
		return
	}
	c.taken[s] = holder{who, c.at.of(key)}
}
