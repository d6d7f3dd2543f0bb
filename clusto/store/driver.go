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
	props []property
}

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
	"apcrack":                 {kind: "rack", props: rackProps},
	"basicappliance":          {kind: "appliance"},
	"basiccage":               {kind: "cage"},
	"basicconsoleserver":      {kind: "consoleserver"},
	"basicdatacenter":         {kind: "datacenter"},
	"basicnetworkswitch":      {kind: "networkswitch"},
	"basicpowerstrip":         {kind: "powerstrip"},
	"basicrack":               {kind: "rack", props: rackProps},
	"basicserver":             {kind: "server"},
	"basicvirtualserver":      {kind: "server"},
	"basiczone":               {kind: "zone"},
	"cisco2960":               {kind: "networkswitch"},
	"cisco3560":               {kind: "networkswitch"},
	"cisco4948":               {kind: "networkswitch"},
	"clustometa":              {kind: "clustometa"},
	"device":                  {kind: "generic"},
	"entity":                  {kind: "generic"},
	"equinixdatacenter":       {kind: "datacenter"},
	driverExclusivePool:       {kind: "pool"},
	driverIPManager:           {kind: "resourcemanager", props: []property{text("netmask", defaultNetmask)}},
	"location":                {kind: "location"},
	"netscaler":               {kind: "appliance"},
	"netscaler10010":          {kind: "appliance"},
	"netscaler17000":          {kind: "appliance"},
	"opengearcm4148":          {kind: "consoleserver"},
	"penguinserver":           {kind: "server"},
	"penguinserver2u":         {kind: "server", units: 2},
	"pool":                    {kind: "pool"},
	"powertowerxm":            {kind: "powerstrip", props: []property{number("withslave", 0)}},
	"resourcemanager":         {kind: "resourcemanager"},
	"simpleentitynamemanager": {kind: "resourcemanager", props: namesProps},
	"simplenamemanager":       {kind: "resourcemanager", props: namesProps},
	driverUniquePool:          {kind: "pool"},
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
