package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// showRack draws the rack from top to bottom, as clusto has it: in is the rack.
func (d *demo) showRack(in *clusto.Object, found []rackServer) {
	rows := [][]string{{"unit", "", "switch port", "outlet", "console port", "mac", "address"}}
	contents := map[int]string{}
	for i := range in.Attrs {
		if unit, path, ok := inUnit(&in.Attrs[i]); ok {
			contents[unit] = path
		}
	}
	for unit := 45; unit >= 1; unit-- {
		if contents[unit] == "" {
			continue
		}
		row := []string{fmt.Sprintf("%4d", unit), contents[unit][strings.LastIndexByte(contents[unit], '/')+1:]}
		if i := slices.IndexFunc(found, func(s rackServer) bool { return s.Path() == contents[unit] }); i >= 0 {
			s := &found[i]
			row = append(row, s.peer("nic-eth").ToNum, s.peer("pwr-nema-5").ToNum, s.peer("console-serial").ToNum,
				rackMAC(s.port).String(), s.ip.String())
		}
		rows = append(rows, row)
	}
	var b strings.Builder
	columns(&b, "", rows)
	d.say("Named, racked and cabled in clusto, from top to bottom:\n\n%s", &b)
}

// inUnit reads an attribute of a rack: what is in which unit.
func inUnit(a *clusto.Attr) (unit int, path string, ok bool) {
	if a.Key != "_contains" || a.Sub() != "ru" || a.Number == nil {
		return 0, "", false
	}
	return *a.Number, a.Value.Str, true
}
