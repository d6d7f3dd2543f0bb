package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

const showAbout = "Show a server, pool, rack or other entity, and what DHCP makes of it."

type showFlags struct {
	What  string `arg:"" complete:"entity" help:"A name, MAC or IPv4 address."`
	Depth *int   `placeholder:"N" help:"Levels of the tree of contents to show, 0 for all. Without it, all of a pool, and one of anything else."`
	output
	reading
	choice
}

// Validate checks what kong cannot.
func (f *showFlags) Validate() error {
	if f.Depth != nil && *f.Depth < 0 {
		return fmt.Errorf("--depth: %d is none; write 0 for all levels, or a number", *f.Depth)
	}
	return nil
}

// view is what is known of what was asked for, and what --json prints.
type view struct {
	Hosts   []clusto.Host   `json:"hosts"`
	Objects []clusto.Object `json:"objects"`           // of the hosts, but for MACs of several owners
	Tree    *branch         `json:"tree,omitempty"`    // of what contains something, and is no rack
	Units   []rackUnit      `json:"units,omitempty"`   // of a rack, from the top down
	NoUnit  []string        `json:"no_unit,omitempty"` // what is in the rack and in no unit

	at map[string]string // "/rack/r1" -> "ru 3", where the entity is
}

func (f *showFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	hosts, err := inv.Find(ctx, f.What)
	if errors.Is(err, clusto.ErrNotFound) {
		return f.unknown(ctx, inv, f.What)
	} else if err != nil {
		return err
	}
	v := view{Hosts: hosts, Objects: []clusto.Object{}}
	groups := byEntity(hosts)
	for _, g := range groups {
		if g[0].Ambiguous != nil {
			continue
		}
		o, err := inv.Object(ctx, g[0].Name)
		if err != nil {
			return err
		}
		v.Objects = append(v.Objects, o)
	}
	if len(v.Objects) == 1 {
		if err := f.look(ctx, inv, &v); err != nil {
			return err
		}
	}
	if f.JSON {
		return printJSON(out, v)
	}
	for i, g := range groups {
		if i > 0 {
			fmt.Fprintln(out)
		}
		v.print(out, g)
	}
	return nil
}

// look adds what is around the one object: what is in it, and where it is.
func (f *showFlags) look(ctx context.Context, inv inventory, v *view) (err error) {
	o := &v.Objects[0]
	v.at = map[string]string{}
	for _, p := range o.Parents {
		if p.Type != "rack" {
			continue
		}
		rack, err := inv.Object(ctx, p.Name)
		if err != nil {
			return err
		}
		v.at[p.Path()] = unitsOf(&rack, o.Path())
	}
	if o.Type == "rack" {
		v.Units, v.NoUnit = elevation(o)
		return nil
	}
	depth := 1
	if o.Type == "pool" {
		depth = 0
	}
	if f.Depth != nil {
		depth = *f.Depth
	}
	v.Tree, err = growTree(ctx, inv, o, depth)
	return err
}

// byEntity puts the records of each entity together, a record for each MAC. A
// MAC of several owners is alone.
func byEntity(hosts []clusto.Host) (groups [][]clusto.Host) {
	for _, h := range hosts {
		i := slices.IndexFunc(groups, func(g []clusto.Host) bool {
			return g[0].Entity == h.Entity && g[0].Ambiguous == nil && h.Ambiguous == nil
		})
		if i < 0 {
			groups = append(groups, nil)
			i = len(groups) - 1
		}
		groups[i] = append(groups[i], h)
	}
	return groups
}

func (v *view) print(w io.Writer, group []clusto.Host) {
	h := group[0]
	if h.Ambiguous != nil {
		fmt.Fprintf(w, "%s has several owners, and gets no answer until one is left: %s\n", h.MAC, strings.Join(h.Ambiguous, ", "))
		return
	}
	o := &v.Objects[slices.IndexFunc(v.Objects, func(o clusto.Object) bool { return o.Entity == h.Entity })]
	fmt.Fprintf(w, "%s\n", h.Path())
	rows := [][]string{{"type", h.Type}, {"driver", h.Driver}, {"hostname", h.Hostname}, {"dhcp", dhcpText(&h)}}
	if len(v.Units) > 0 {
		rows = append(rows, []string{"units", unitsText(v.Units)})
	}
	table(w, "", rows)
	optional(w, "in", v.parentRows(o))
	if isHost := len(o.Ports) > 0 || h.MAC != (clusto.MAC{}); isHost {
		table(w, "ports", portRows(o))
		table(w, "addresses", addressRows(h.Addresses))
		table(w, "dhcp attributes", dhcpRows(h.Attrs))
	} else {
		optional(w, "addresses", addressRows(h.Addresses))
		optional(w, "dhcp attributes", dhcpRows(h.Attrs))
	}
	optional(w, "attributes", ownRows(o))
	v.printContents(w)
}

func dhcpText(h *clusto.Host) string {
	if h.Enabled {
		return "enabled"
	}
	return "not enabled: " + h.Why
}

func (v *view) parentRows(o *clusto.Object) (rows [][]string) {
	for _, p := range o.Parents {
		rows = append(rows, []string{p.Path(), v.at[p.Path()]})
	}
	return rows
}

func (v *view) printContents(w io.Writer) {
	switch {
	case v.Units != nil:
		table(w, "from the top", unitRows(v.Units))
		var rows [][]string
		for _, path := range v.NoUnit {
			rows = append(rows, []string{path})
		}
		optional(w, "in no unit", rows)
	case v.Tree != nil:
		table(w, "contents", v.Tree.rows(0))
	}
}

// optional is a table that is left out when it is empty.
func optional(w io.Writer, title string, rows [][]string) {
	if len(rows) > 0 {
		table(w, title, rows)
	}
}

// table writes rows in aligned columns under a title.
func table(w io.Writer, title string, rows [][]string) {
	indent := "  "
	if title != "" {
		indent = "    "
		if len(rows) == 0 {
			title += ": none"
		}
		fmt.Fprintf(w, "  %s\n", title)
	}
	columns(w, indent, rows)
}

// columns writes rows in aligned columns. What ends a row beyond the second
// column may be as long as it likes.
func columns(w io.Writer, indent string, rows [][]string) {
	var widths []int // -1 for a column that nothing is in
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, -1)
			}
			if cell == "" {
				continue
			}
			widths[i] = max(widths[i], 0)
			if i < 2 || strings.Join(row[i+1:], "") != "" {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			if widths[i] >= 0 {
				fmt.Fprintf(&line, "%-*s  ", widths[i], cell)
			}
		}
		fmt.Fprintln(w, indent+strings.TrimRight(line.String(), " "))
	}
}
