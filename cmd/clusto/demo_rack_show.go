package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// showRack draws the rack from top to bottom, as clusto has it.
func (d *demo) showRack(found []rackServer) {
	byUnit := slices.SortedFunc(slices.Values(found), func(a, b rackServer) int { return cmp.Compare(b.unit, a.unit) })
	rows := [][]string{{"unit", "server", "switch port", "outlet", "console port", "mac", "address"}}
	for i := range byUnit {
		s := &byUnit[i]
		rows = append(rows, []string{
			fmt.Sprintf("%4s", strconv.Itoa(s.unit)), s.Name, s.peer("nic-eth").ToNum, s.peer("pwr-nema-5").ToNum,
			s.peer("console-serial").ToNum, rackMAC(s.port).String(), s.ip.String(),
		})
	}
	d.say("Named, racked and cabled in clusto, from top to bottom:\n\n%s", alignedRows(rows))
}
