package inventory

import (
	"fmt"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// place is one container of an object and the attributes of it that say so.
type place struct {
	container *source
	rows      []int
}

const keyContains = "_contains"

// placeAll finds what the key in can say of who is in what. It is what an
// insertion would do, in its place among the others.
func (x *exporter) placeAll() {
	for _, c := range x.all {
		for i := range c.Attrs {
			if a := &c.Attrs[i]; a.Key == keyContains && a.Value.Type == clusto.Relation {
				c.holders = true
				if o := x.byPath[a.Value.Str]; o != nil {
					o.add(c, i)
				}
			}
		}
	}
	for _, o := range x.all {
		for _, p := range o.places {
			if !o.takes("in") || !slices.Contains(containers, p.container.Type) {
				continue
			}
			if p.container.Type == "rack" {
				x.rack(o, p)
				continue
			}
			for _, row := range p.rows {
				x.insert(o, p.container, row)
			}
		}
	}
}

func (o *source) add(c *source, row int) {
	if n := len(o.places); n > 0 && o.places[n-1].container == c {
		o.places[n-1].rows = append(o.places[n-1].rows, row)
		return
	}
	o.places = append(o.places, place{c, []int{row}})
}

// insert says that o is in c, if an insertion would write just that attribute.
func (x *exporter) insert(o, c *source, row int) {
	a := &c.Attrs[row]
	last, counts := c.Counters[keyContains]
	if !c.alone[row] || a.Subkey != nil || a.Number == nil || *a.Number < 0 || !counts || int64(*a.Number) > last || !o.mayBeIn(c) {
		return
	}
	name := flowText(c.Name)
	if *a.Number == c.next {
		o.in = append(o.in, name)
	} else {
		o.in = append(o.in, fmt.Sprintf("{name: %s, number: %d}", name, *a.Number))
	}
	c.next = max(c.next, *a.Number+1)
	c.said[row] = true
	o.within = append(o.within, c)
}

// rack says in which units of a rack o is, if it is in as many as it takes.
func (x *exporter) rack(o *source, p place) {
	c, units := p.container, max(1, clusto.Drivers[o.Driver].Units)
	if len(p.rows) != units || !o.mayBeIn(c) ||
		slices.Contains(containers, o.Type) || o.Type == "resourcemanager" || o.Type == clustometa {
		return
	}
	var at []int
	for _, row := range p.rows {
		a := &c.Attrs[row]
		if !c.alone[row] || a.Sub() != "ru" || a.Number == nil {
			return
		}
		at = append(at, *a.Number)
	}
	slices.Sort(at)
	lowest, ok := c.limit("minu", 1)
	highest, ok2 := c.limit("maxu", 45)
	first, last := at[0], at[units-1]
	if !ok || !ok2 || first < max(1, lowest) || last > highest || last-first != units-1 {
		return
	}
	o.in = append(o.in, fmt.Sprintf("{rack: %s, ru: %d}", flowText(c.Name), first))
	for _, row := range p.rows {
		c.said[row] = true
	}
	o.within = append(o.within, c)
}

// limit gives a rack's lowest or highest unit, if it is plain what it is.
func (o *source) limit(key string, without int) (n int, ok bool) {
	i, there := o.properties(key)[key]
	switch {
	case !there:
		return without, true
	case i < 0 || o.Attrs[i].Value.Type != clusto.Int:
		return 0, false
	}
	return int(o.Attrs[i].Value.Int), true
}

// mayBeIn applies the rules that an insertion has to keep.
func (o *source) mayBeIn(c *source) bool {
	for _, p := range o.within {
		switch {
		case p == c,
			c.Type == "pool" && p.Type == "pool" && (c.Driver == "exclusive_pool" || p.Driver == "exclusive_pool"),
			c.Driver == "exclusive_pool" && p.Type == "pool",
			c.Driver == "unique_pool" && p.Driver == "unique_pool",
			slices.Contains(clusto.Locations, c.Type) && p.Type == c.Type:
			return false
		}
	}
	return !o.holders || !c.isIn(o)
}

// isIn reports whether c is o, or in it by what is said so far.
func (c *source) isIn(o *source) bool {
	seen := map[*source]bool{c: true}
	for next := []*source{c}; len(next) > 0; next = next[1:] {
		if next[0] == o {
			return true
		}
		for _, up := range next[0].within {
			if !seen[up] {
				seen[up] = true
				next = append(next, up)
			}
		}
	}
	return false
}
