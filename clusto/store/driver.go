package store

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// driver is what creating and racking an entity needs to know of its driver.
type driver struct {
	kind  string // the type that entities of this driver get
	units int    // rack units; 0 counts as 1
	ports ports
	props []property
}

// ports says how many ports of each type a driver has. They are numbered from 1.
type ports map[string]int

// property is an attribute with subkey "property" that a new entity gets.
type property struct {
	key   string
	value clusto.Value
}

func number(key string, n int64) property {
	return property{key, clusto.Value{Type: clusto.Int, Int: n}}
}

func text(key, s string) property {
	return property{key, clusto.Value{Type: clusto.String, Str: s}}
}

// The properties that the original writes when it creates an entity, in its
// order. Properties without a default are written when they are given.
var (
	rackProps  = []property{number("minu", 1), number("maxu", 45)}
	namesProps = []property{number("digits", 2), text("basename", ""), number("leadingZeros", 1), number("next", 1)}
)

// drivers are those of the original, by name.
var drivers = map[string]driver{
	"apcrack":            {kind: "rack", props: rackProps},
	"basicappliance":     {kind: "appliance", ports: ports{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 2}},
	"basiccage":          {kind: "cage"},
	"basicconsoleserver": {kind: "consoleserver", ports: ports{"console-serial": 24, "nic-eth": 1, "pwr-nema-5": 1}},
	"basicdatacenter":    {kind: "datacenter"},
	"basicnetworkswitch": {kind: "networkswitch", ports: ports{"nic-eth": 48, "pwr-nema-5": 1}},
	"basicpowerstrip":    {kind: "powerstrip", ports: ports{"nic-eth": 1, "pwr-nema-5": 24}},
	"basicrack":          {kind: "rack", props: rackProps},
	"basicserver":        {kind: "server", ports: ports{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"basicvirtualserver": {kind: "server", ports: ports{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"basiczone":          {kind: "zone"},
	"cisco2960":          {kind: "networkswitch", ports: ports{"console-serial": 1, "nic-eth": 48, "pwr-nema-5": 1}},
	"cisco3560":          {kind: "networkswitch", ports: ports{"console-serial": 1, "nic-eth": 48, "nic-fiber10g": 4, "pwr-nema-5": 1}},
	"cisco4948":          {kind: "networkswitch", ports: ports{"console-serial": 1, "nic-eth": 48, "nic-fiber10g": 2, "pwr-nema-5": 1}},
	"clustometa":         {kind: "clustometa"},
	"device":             {kind: "generic"},
	"entity":             {kind: "generic"},
	"equinixdatacenter":  {kind: "datacenter"},
	driverExclusivePool:  {kind: "pool"},
	driverIPManager:      {kind: "resourcemanager", props: []property{text("netmask", defaultNetmask)}},
	"location":           {kind: "location"},
	"netscaler":          {kind: "appliance", ports: ports{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 2}},
	"netscaler10010":     {kind: "appliance", ports: ports{"console-serial": 1, "nic-eth": 9, "pwr-nema-5": 2}},
	"netscaler17000":     {kind: "appliance", ports: ports{"console-serial": 1, "nic-eth": 9, "nic-xfp": 2, "pwr-nema-5": 2}},
	"opengearcm4148":     {kind: "consoleserver", ports: ports{"console-serial": 48, "nic-eth": 1, "pwr-nema-5": 1}},
	"penguinserver":      {kind: "server", ports: ports{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"penguinserver2u":    {kind: "server", units: 2, ports: ports{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 2}},
	"pool":               {kind: "pool"},
	driverPowerTower:     {kind: "powerstrip", ports: ports{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 16, "pwr-nema-L5": 2}, props: []property{number("withslave", 0)}},
	"resourcemanager":    {kind: "resourcemanager"},
	driverEntityNames:    {kind: "resourcemanager", props: namesProps},
	driverNames:          {kind: "resourcemanager", props: namesProps},
	driverUniquePool:     {kind: "pool"},
}

// locations are the types of which a thing may be in one only, each.
var locations = []string{"cage", "datacenter", "location", "rack", "zone"}

// driverOf gives the driver that an entity operation names. A type makes one of
// a driver that clusto does not have.
func driverOf(op *clusto.Op) (driver, error) {
	d, ok := drivers[op.Driver]
	switch {
	case op.Type != "" && (!typePattern.MatchString(op.Type) || !typePattern.MatchString(op.Driver)):
		return d, fmt.Errorf("entity %q: type %q and driver %q: want lower-case letters, digits and _, 32 at most: %w", op.Name, op.Type, op.Driver, clusto.ErrInvalid)
	case op.Type != "":
		d.kind = op.Type
	case !ok:
		return d, fmt.Errorf("entity %q: there is no driver %q; did you mean %q?: %w", op.Name, op.Driver, nearest(op.Driver), clusto.ErrInvalid)
	}
	return d, nil
}

var typePattern = regexp.MustCompile(`^[a-z][0-9a-z_]{0,31}$`)

// nearest gives the driver whose name is the fewest edits away from name.
func nearest(name string) string {
	return clusto.Nearest(name, slices.Sorted(maps.Keys(drivers)), math.MaxInt)
}
