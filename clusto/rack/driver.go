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
	power   = clusto.OutletType
	console = "console-serial"
)

// virtual is the one driver of those types whose entities stand in no rack.
const virtual = "basicvirtualserver"

// lookup gives a driver of things that a layout has units for.
func lookup(name string) (clusto.Driver, bool) {
	d, ok := clusto.Drivers[name]
	switch d.Type {
	case "server", "networkswitch", "consoleserver", "powerstrip":
		return d, ok && name != virtual
	}
	return d, false
}

// unitsOf says how many units something of a driver takes.
func unitsOf(driver string) int { return max(1, clusto.Drivers[driver].Units) }

// has reports whether there is a port of that type and number. Outlets with names
// go by these alone, so that no two series mean the same one.
func has(driver, port, num string) bool {
	if named(driver, port) {
		return clusto.Outlet(num) != 0
	}
	n, name := clusto.PortNumber(driver, port, num)
	_, all, _ := clusto.PortsOf(driver, port)
	return name == num && 1 <= n && n <= all
}

func named(driver, port string) bool { return driver == clusto.PowerTower && port == power }

// all says which ports there are: "1 to 48", "aa1 to bb8", "none".
func all(driver, port string) string {
	_, n, _ := clusto.PortsOf(driver, port)
	switch {
	case named(driver, port):
		return "aa1 to bb8"
	case n == 0:
		return "none"
	case n == 1:
		return "1 alone"
	}
	return "1 to " + strconv.Itoa(n)
}

// ofKind gives the names of the drivers of a type.
func ofKind(kind string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(clusto.Drivers)), func(name string) bool {
		d, ok := lookup(name)
		return !ok || d.Type != kind
	})
}

// nearest gives the driver of that type that was probably meant.
func nearest(name, kind string) string { return clusto.Nearest(name, ofKind(kind), math.MaxInt) }
