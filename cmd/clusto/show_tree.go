package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// branch is something in a container, and what is in it.
type branch struct {
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Contents []*branch `json:"contents,omitempty"`
	Again    bool      `json:"again,omitempty"` // shown above, with its contents
	More     bool      `json:"more,omitempty"`  // below the depth that was asked for
}

// containers are the types whose contents a tree shows.
var containers = []string{"pool", "rack", "cage", "datacenter", "location", "zone"}

// growTree gives the contents of an object down to a depth, 0 for all. What is
// in several of its containers, or in itself, comes with its contents once. It
// is nil if there are none.
func growTree(ctx context.Context, inv inventory, o *clusto.Object, depth int) (*branch, error) {
	root := &branch{Name: o.Name, Type: o.Type}
	seen := map[string]bool{o.Path(): true}
	if err := root.grow(ctx, inv, o, depth, seen); err != nil {
		return nil, err
	}
	if len(root.Contents) == 0 && !slices.Contains(containers, o.Type) {
		return nil, nil
	}
	return root, nil
}

func (b *branch) grow(ctx context.Context, inv inventory, o *clusto.Object, depth int, seen map[string]bool) error {
	for _, path := range contents(o) {
		kind, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		in := &branch{Name: name, Type: kind}
		b.Contents = append(b.Contents, in)
		switch {
		case !slices.Contains(containers, kind):
			continue
		case seen[path]:
			in.Again = true
			continue
		case depth == 1:
			in.More = true
			continue
		}
		seen[path] = true
		next, err := inv.Object(ctx, name)
		if err != nil {
			return err
		}
		if err := in.grow(ctx, inv, &next, max(0, depth-1), seen); err != nil {
			return err
		}
	}
	return nil
}

// contents gives the paths of what is in an object, in the order of the numbers
// that it has for them, each once.
func contents(o *clusto.Object) (paths []string) {
	rows := containing(o)
	slices.SortStableFunc(rows, func(a, b clusto.Attr) int { return cmp.Compare(numberOf(&a), numberOf(&b)) })
	seen := map[string]bool{}
	for _, a := range rows {
		if path := a.Value.Str; !seen[path] {
			seen[path] = true
			paths = append(paths, path)
		}
	}
	return paths
}

// containing gives the attributes that say what is in an object.
func containing(o *clusto.Object) (rows []clusto.Attr) {
	for _, a := range o.Attrs {
		if a.Key == "_contains" && a.Value.Type == clusto.Relation && a.Value.Str != "" {
			rows = append(rows, a)
		}
	}
	return rows
}

// numberOf is an attribute's number, -1 for none.
func numberOf(a *clusto.Attr) int {
	if a.Number == nil {
		return -1
	}
	return *a.Number
}

// rows are the lines of a tree below its root.
func (b *branch) rows(depth int) (rows [][]string) {
	for _, in := range b.Contents {
		note := ""
		switch {
		case in.Again:
			note = "see above"
		case in.More:
			note = "..."
		}
		rows = append(rows, []string{strings.Repeat("  ", depth) + in.Name, in.Type, note})
		rows = append(rows, in.rows(depth+1)...)
	}
	return rows
}

// rackUnit is one unit of a rack and what is in it.
type rackUnit struct {
	RU       int      `json:"ru"`
	Entities []string `json:"entities"` // paths; empty if it is free
}

// elevation gives the units of a rack from the top down, and what is in none.
func elevation(o *clusto.Object) (units []rackUnit, noUnit []string) {
	lowest, highest := limit(o, "minu", 1), limit(o, "maxu", 45)
	at := map[int][]string{}
	for _, a := range containing(o) {
		if a.Sub() != "ru" || a.Number == nil {
			noUnit = append(noUnit, a.Value.Str)
			continue
		}
		at[*a.Number] = append(at[*a.Number], a.Value.Str)
	}
	listed := map[int]bool{}
	for ru := range at {
		listed[ru] = true
	}
	for ru := lowest; ru <= min(highest, lowest+999); ru++ {
		listed[ru] = true
	}
	for ru := range listed {
		units = append(units, rackUnit{ru, append([]string{}, at[ru]...)})
	}
	slices.SortFunc(units, func(a, b rackUnit) int { return cmp.Compare(b.RU, a.RU) })
	return units, noUnit
}

func limit(o *clusto.Object, key string, without int) int {
	for i := range o.Attrs {
		if a := &o.Attrs[i]; a.Key == key && a.Sub() == "property" && a.Value.Type == clusto.Int {
			without = int(a.Value.Int)
		}
	}
	return without
}

func unitRows(units []rackUnit) (rows [][]string) {
	for _, u := range units {
		what := strings.Join(u.Entities, ", ")
		rows = append(rows, []string{strconv.Itoa(u.RU), cmp.Or(what, "-")})
	}
	return rows
}

func unitsText(units []rackUnit) string {
	free := 0
	for _, u := range units {
		if len(u.Entities) == 0 {
			free++
		}
	}
	return fmt.Sprintf("%d, %d free", len(units), free)
}

// unitsOf says where in a rack something is: "ru 3", "ru 3-4".
func unitsOf(rack *clusto.Object, path string) string {
	var at []int
	for _, a := range containing(rack) {
		if a.Value.Str == path && a.Sub() == "ru" && a.Number != nil {
			at = append(at, *a.Number)
		}
	}
	if len(at) == 0 {
		return ""
	}
	slices.Sort(at)
	first, last := at[0], at[len(at)-1]
	if first == last {
		return fmt.Sprintf("ru %d", first)
	}
	return fmt.Sprintf("ru %d-%d", first, last)
}
