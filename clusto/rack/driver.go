package rack

import (
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/clusto/clusto-engine/clusto"
)

// Types of ports.
const (
	nic     = "nic-eth"
	power   = "pwr-nema-5"
	console = "console-serial"
)

// driver is what a layout needs to know of a driver of clusto.
type driver struct {
	kind    string // type of its entities
	units   int
	ports   map[string]int // how many, by type
	outlets []string       // names of its power ports, where they are no numbers
}

// drivers are those of the original whose entities stand in a rack.
var drivers = map[string]driver{
	"basicserver":        {kind: "server", units: 1, ports: map[string]int{nic: 2, power: 1, console: 1}},
	"penguinserver":      {kind: "server", units: 1, ports: map[string]int{nic: 2, power: 1, console: 1}},
	"penguinserver2u":    {kind: "server", units: 2, ports: map[string]int{nic: 2, power: 2, console: 1}},
	"basicnetworkswitch": {kind: "networkswitch", units: 1, ports: map[string]int{nic: 48, power: 1}},
	"cisco2960":          {kind: "networkswitch", units: 1, ports: map[string]int{nic: 48, power: 1, console: 1}},
	"cisco3560":          {kind: "networkswitch", units: 1, ports: map[string]int{nic: 48, power: 1, console: 1}},
	"cisco4948":          {kind: "networkswitch", units: 1, ports: map[string]int{nic: 48, power: 1, console: 1}},
	"basicconsoleserver": {kind: "consoleserver", units: 1, ports: map[string]int{nic: 1, power: 1, console: 24}},
	"opengearcm4148":     {kind: "consoleserver", units: 1, ports: map[string]int{nic: 1, power: 1, console: 48}},
	"basicpowerstrip":    {kind: "powerstrip", units: 1, ports: map[string]int{nic: 1, power: 24}},
	"powertowerxm":       {kind: "powerstrip", units: 1, ports: map[string]int{nic: 1, console: 1}, outlets: towerOutlets()},
}

// towerOutlets are aa1 to bb8, in the order of their port numbers 1 to 32. All
// of them take a plug, though the driver of the original lists 16 ports.
func towerOutlets() (names []string) {
	for _, bank := range []string{"aa", "ab", "ba", "bb"} {
		for i := range 8 {
			names = append(names, bank+strconv.Itoa(i+1))
		}
	}
	return names
}

// has reports whether there is a port of that type and number or name.
func (d *driver) has(port, num string) bool {
	if port == power && d.outlets != nil {
		return slices.Contains(d.outlets, num)
	}
	n, err := strconv.Atoi(num)
	return err == nil && strconv.Itoa(n) == num && 1 <= n && n <= d.ports[port]
}

// all says which ports there are: "1 to 48", "aa1 to bb8", "none".
func (d *driver) all(port string) string {
	switch n := len(d.outlets); {
	case port == power && n > 0:
		return d.outlets[0] + " to " + d.outlets[n-1]
	case d.ports[port] == 0:
		return "none"
	case d.ports[port] == 1:
		return "1 alone"
	}
	return "1 to " + strconv.Itoa(d.ports[port])
}

// ofKind gives the names of the drivers of a type.
func ofKind(kind string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(drivers)), func(name string) bool { return drivers[name].kind != kind })
}

// nearest gives the driver of that type that was probably meant.
func nearest(name, kind string) string { return clusto.Nearest(name, ofKind(kind), math.MaxInt) }
