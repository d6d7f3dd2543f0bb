package rack

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Plan is a layout as data: what is in each unit, and what leads there.
type Plan struct {
	Name    string `json:"name"`
	File    string `json:"file"`              // where it was read: a path, or "built in"
	Program string `json:"program,omitempty"` // that places servers, which are not in Units then
	Units   []Unit `json:"units"`             // from the highest down
}

// Unit is one unit of a rack, and one thing that claims it; without a driver it
// is empty.
type Unit struct {
	RU           int      `json:"ru"`
	Device       string   `json:"device,omitempty"` // what its name ends in; "" for servers
	Driver       string   `json:"driver,omitempty"`
	Above        bool     `json:"above,omitempty"`        // it is the thing in the unit above
	SwitchPorts  []string `json:"switch_ports,omitempty"` // ports of the switch that lead here
	Outlets      []string `json:"outlets,omitempty"`
	ConsolePorts []string `json:"console_ports,omitempty"`
}

// Plan gives the layout's units. One that several things claim is there for each;
// one that the rack does not have is left out.
func (l *Layout) Plan() Plan {
	units := map[int][]Unit{}
	put := func(u Unit, cables []Connection) {
		for _, c := range cables {
			switch c.Port {
			case nic:
				u.SwitchPorts = append(u.SwitchPorts, c.ToNum)
			case power:
				u.Outlets = append(u.Outlets, c.ToNum)
			case console:
				u.ConsolePorts = append(u.ConsolePorts, c.ToNum)
			}
		}
		units[u.RU] = append(units[u.RU], u)
	}
	for _, d := range l.devices() {
		put(Unit{RU: d.ru, Device: d.suffix, Driver: d.driver}, d.cables)
	}
	for i := range l.servers {
		s := &l.servers[i]
		top := len(s.rus) - 1
		for _, ru := range s.rus[:top] {
			put(Unit{RU: ru, Driver: s.driver, Above: true}, nil)
		}
		put(Unit{RU: s.rus[top], Driver: s.driver}, l.placement("", s, 1).Connections)
	}
	p := Plan{Name: l.Name, File: l.File, Program: l.exec, Units: []Unit{}}
	for ru := l.maxu; ru >= l.minu; ru-- {
		if units[ru] == nil {
			units[ru] = []Unit{{RU: ru}}
		}
		p.Units = append(p.Units, units[ru]...)
	}
	return p
}

// Draw writes a rack of the layout as a table, from its highest unit down: what
// is in each, and the switch ports, outlets and console port that lead there. A
// unit that several things claim has a line for each; one that the rack does not
// have is not drawn.
func Draw(w io.Writer, l *Layout) error {
	table := [][]string{{"unit", "device", "switch port", "outlet", "console port"}}
	for _, u := range l.Plan().Units {
		what := u.Driver
		switch {
		case u.Above:
			what += " as above"
		case u.Device != "":
			what = u.Device + " (" + u.Driver + ")"
		}
		row := []string{strconv.Itoa(u.RU), what}
		for _, cables := range [][]string{u.SwitchPorts, u.Outlets, u.ConsolePorts} {
			row = append(row, strings.Join(cables, ", "))
		}
		table = append(table, row)
	}
	_, err := io.WriteString(w, l.title()+"\n\n"+align(table))
	return err
}

func (l *Layout) title() string {
	if l.exec != "" {
		return fmt.Sprintf("layout %s (%s): servers are placed by %s", l.Name, l.File, l.exec)
	}
	return fmt.Sprintf("layout %s (%s): %d servers on ports %s", l.Name, l.File, len(l.servers), ranges(l.Ports()))
}

// align pads the columns of a table; the first one is of numbers.
func align(table [][]string) string {
	var width [5]int
	for _, row := range table {
		for i, cell := range row {
			width[i] = max(width[i], len(cell))
		}
	}
	var b strings.Builder
	for _, row := range table {
		line := fmt.Sprintf("%*s", width[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %-*s", width[i+1], cell)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
