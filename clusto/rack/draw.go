package rack

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Draw writes a rack of the layout as a table, from its highest unit down: what
// is in each, and the switch ports, outlets and console port that lead there. A
// unit that several things claim has a line for each; one that the rack does not
// have is not drawn.
func Draw(w io.Writer, l *Layout) error {
	units := map[int][][]string{}
	for _, d := range l.devices() {
		units[d.ru] = append(units[d.ru], append([]string{d.suffix + " (" + d.driver + ")"}, cells(d.cables)...))
	}
	for i := range l.servers {
		s := &l.servers[i]
		top := len(s.rus) - 1
		for _, ru := range s.rus[:top] {
			units[ru] = append(units[ru], []string{s.driver + " as above"})
		}
		c := l.placement("", s, 1).Connections
		units[s.rus[top]] = append(units[s.rus[top]], append([]string{s.driver}, cells(c)...))
	}
	table := [][]string{{"unit", "device", "switch port", "outlet", "console port"}}
	for ru := l.maxu; ru >= l.minu; ru-- {
		if units[ru] == nil {
			units[ru] = [][]string{nil}
		}
		for _, row := range units[ru] {
			table = append(table, append([]string{strconv.Itoa(ru)}, row...))
		}
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

// cells are the last three columns: where the cables lead.
func cells(cables []Connection) []string {
	var switchPorts, outlets, consoles []string
	for _, c := range cables {
		switch c.Port {
		case nic:
			switchPorts = append(switchPorts, c.ToNum)
		case power:
			outlets = append(outlets, c.ToNum)
		case console:
			consoles = append(consoles, c.ToNum)
		}
	}
	return []string{strings.Join(switchPorts, ", "), strings.Join(outlets, ", "), strings.Join(consoles, ", ")}
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
