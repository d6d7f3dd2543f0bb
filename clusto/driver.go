package clusto

import (
	"strconv"
	"strings"
)

// Driver is what clusto knows of a driver. A database may have entities of
// drivers beside those in Drivers.
type Driver struct {
	Type  string         // of the entities that it makes
	Units int            // rack units; 0 counts as 1
	Ports map[string]int // how many of each type it lists, numbered from 1
	Props []Attr         // what the original writes when it makes an entity, in its order
}

// Drivers are those of the original, by name. Nobody changes them.
var Drivers = map[string]Driver{
	"apcrack":                 {Type: "rack", Props: rackProps},
	"basicappliance":          {Type: "appliance", Ports: map[string]int{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 2}},
	"basiccage":               {Type: "cage"},
	"basicconsoleserver":      {Type: "consoleserver", Ports: map[string]int{"console-serial": 24, "nic-eth": 1, "pwr-nema-5": 1}},
	"basicdatacenter":         {Type: "datacenter"},
	"basicnetworkswitch":      {Type: "networkswitch", Ports: map[string]int{"nic-eth": 48, "pwr-nema-5": 1}},
	"basicpowerstrip":         {Type: "powerstrip", Ports: map[string]int{"nic-eth": 1, "pwr-nema-5": 24}},
	"basicrack":               {Type: "rack", Props: rackProps},
	"basicserver":             {Type: "server", Ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"basicvirtualserver":      {Type: "server", Ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"basiczone":               {Type: "zone"},
	"cisco2960":               {Type: "networkswitch", Ports: map[string]int{"console-serial": 1, "nic-eth": 48, "pwr-nema-5": 1}},
	"cisco3560":               {Type: "networkswitch", Ports: map[string]int{"console-serial": 1, "nic-eth": 48, "nic-fiber10g": 4, "pwr-nema-5": 1}},
	"cisco4948":               {Type: "networkswitch", Ports: map[string]int{"console-serial": 1, "nic-eth": 48, "nic-fiber10g": 2, "pwr-nema-5": 1}},
	"clustometa":              {Type: "clustometa"},
	"device":                  {Type: "generic"},
	"entity":                  {Type: "generic"},
	"equinixdatacenter":       {Type: "datacenter"},
	"exclusive_pool":          {Type: "pool"},
	"ipmanager":               {Type: "resourcemanager", Props: []Attr{property("netmask", Value{Type: String, Str: singleAddress})}},
	"location":                {Type: "location"},
	"netscaler":               {Type: "appliance", Ports: map[string]int{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 2}},
	"netscaler10010":          {Type: "appliance", Ports: map[string]int{"console-serial": 1, "nic-eth": 9, "pwr-nema-5": 2}},
	"netscaler17000":          {Type: "appliance", Ports: map[string]int{"console-serial": 1, "nic-eth": 9, "nic-xfp": 2, "pwr-nema-5": 2}},
	"opengearcm4148":          {Type: "consoleserver", Ports: map[string]int{"console-serial": 48, "nic-eth": 1, "pwr-nema-5": 1}},
	"penguinserver":           {Type: "server", Ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"penguinserver2u":         {Type: "server", Units: 2, Ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 2}},
	"pool":                    {Type: "pool"},
	"powertowerxm":            {Type: "powerstrip", Ports: map[string]int{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 16, "pwr-nema-L5": 2}, Props: []Attr{property("withslave", Value{Type: Int})}},
	"resourcemanager":         {Type: "resourcemanager"},
	"simpleentitynamemanager": {Type: "resourcemanager", Props: namesProps},
	"simplenamemanager":       {Type: "resourcemanager", Props: namesProps},
	"unique_pool":             {Type: "pool"},
}

// Properties without a default are written when they are given.
var (
	rackProps  = []Attr{property("minu", Value{Type: Int, Int: 1}), property("maxu", Value{Type: Int, Int: 45})}
	namesProps = []Attr{
		property("digits", Value{Type: Int, Int: 2}), property("basename", Value{Type: String}),
		property("leadingZeros", Value{Type: Int, Int: 1}), property("next", Value{Type: Int, Int: 1}),
	}
)

func property(key string, v Value) Attr {
	sub := "property"
	return Attr{Key: key, Subkey: &sub, Value: v}
}

// Locations are the types of which a thing may be in one only, each.
var Locations = []string{"cage", "datacenter", "location", "rack", "zone"}

const (
	PowerTower = "powertowerxm" // the driver whose outlets have names
	OutletType = "pwr-nema-5"   // the type of port that they are
	Outlets    = 32             // of a power tower, of which its driver lists half
)

// PortsOf says how many ports of a type a driver lists, and up to which number
// it has them. known is false for a driver that is not in Drivers: it may have
// any.
func PortsOf(driver, kind string) (listed, all int, known bool) {
	d, known := Drivers[driver]
	listed = d.Ports[kind]
	if driver == PowerTower && kind == OutletType {
		return listed, Outlets, known
	}
	return listed, listed, known
}

// PortNumber reads a port's number, or a power tower's name of an outlet, in small
// letters or capitals, as operations and the attribute otherportnum have it. name
// is the usual spelling. They are 0 and "" for what is neither. Whether the driver
// has so many ports is for PortsOf to say.
func PortNumber(driver, kind, text string) (n int, name string) {
	if driver == PowerTower && kind == OutletType {
		name = strings.ToLower(strings.TrimPrefix(text, "."))
		if n := Outlet(name); n != 0 {
			return n, name
		}
	}
	long, err := strconv.ParseInt(text, 10, 32)
	if err != nil || long < 0 {
		return 0, ""
	}
	return int(long), strconv.FormatInt(long, 10)
}

// Outlet gives the number of a power tower's port by its name: they count aa1 to
// aa8, ab1 to ab8, ba1 to ba8, bb1 to bb8. It is 0 for what is none.
func Outlet(name string) int {
	if len(name) != 3 || name[2] < '1' || name[2] > '8' {
		return 0
	}
	for i, tower := range [...]string{"aa", "ab", "ba", "bb"} {
		if name[:2] == tower {
			return i*8 + int(name[2]-'0')
		}
	}
	return 0
}
