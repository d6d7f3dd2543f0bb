package rack

import (
	"fmt"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Problem is one thing wrong with a layout.
type Problem struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`   // from 1; 0 when it concerns the file as a whole
	Layout string `json:"layout,omitempty"` // its name, "" if it has none
	Port   int    `json:"port,omitempty"`   // the switch port of the server that it concerns; 0 for none
	What   string `json:"what"`             // what is wrong, with what it collides, and what to do
}

func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Layout != "" {
		b.WriteString(": layout " + p.Layout)
	}
	if p.Port != 0 {
		fmt.Fprintf(&b, ": port %d", p.Port)
	}
	return b.String() + ": " + p.What
}

// Problems is all that is wrong with one layout or several, as an error that
// wraps clusto.ErrInvalid.
type Problems []Problem

// shown is how many problems an error tells.
const shown = 5

// Error gives the first ones, each on its line.
func (ps Problems) Error() string {
	var lines []string
	for i, p := range ps {
		if i == shown {
			lines = append(lines, fmt.Sprintf("and %d more", len(ps)-shown))
			break
		}
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives clusto.ErrInvalid.
func (ps Problems) Unwrap() error { return clusto.ErrInvalid }
