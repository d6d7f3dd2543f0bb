package inventory

import "github.com/clusto/clusto-engine/clusto"

// driver is what a file takes for granted of an entity's driver.
type driver struct {
	kind  string         // the type that it makes
	units int            // rack units; 0 counts as 1
	ports map[string]int // how many of each type, numbered from 1
	props []clusto.Attr  // what a new entity has
}

// drivers are those of the original. A site may have drivers of its own: the
// store judges those.
var drivers = map[string]driver{
	"apcrack":                 {kind: "rack", props: rackProps},
	"basicappliance":          {kind: "appliance", ports: map[string]int{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 2}},
	"basiccage":               {kind: "cage"},
	"basicconsoleserver":      {kind: "consoleserver", ports: map[string]int{"console-serial": 24, "nic-eth": 1, "pwr-nema-5": 1}},
	"basicdatacenter":         {kind: "datacenter"},
	"basicnetworkswitch":      {kind: "networkswitch", ports: map[string]int{"nic-eth": 48, "pwr-nema-5": 1}},
	"basicpowerstrip":         {kind: "powerstrip", ports: map[string]int{"nic-eth": 1, "pwr-nema-5": 24}},
	"basicrack":               {kind: "rack", props: rackProps},
	"basicserver":             {kind: "server", ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"basicvirtualserver":      {kind: "server", ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"basiczone":               {kind: "zone"},
	"cisco2960":               {kind: "networkswitch", ports: map[string]int{"console-serial": 1, "nic-eth": 48, "pwr-nema-5": 1}},
	"cisco3560":               {kind: "networkswitch", ports: map[string]int{"console-serial": 1, "nic-eth": 48, "nic-fiber10g": 4, "pwr-nema-5": 1}},
	"cisco4948":               {kind: "networkswitch", ports: map[string]int{"console-serial": 1, "nic-eth": 48, "nic-fiber10g": 2, "pwr-nema-5": 1}},
	"clustometa":              {kind: "clustometa"},
	"device":                  {kind: "generic"},
	"entity":                  {kind: "generic"},
	"equinixdatacenter":       {kind: "datacenter"},
	"exclusive_pool":          {kind: "pool"},
	"ipmanager":               {kind: "resourcemanager", props: []clusto.Attr{property("netmask", text("255.255.255.255"))}},
	"location":                {kind: "location"},
	"netscaler":               {kind: "appliance", ports: map[string]int{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 2}},
	"netscaler10010":          {kind: "appliance", ports: map[string]int{"console-serial": 1, "nic-eth": 9, "pwr-nema-5": 2}},
	"netscaler17000":          {kind: "appliance", ports: map[string]int{"console-serial": 1, "nic-eth": 9, "nic-xfp": 2, "pwr-nema-5": 2}},
	"opengearcm4148":          {kind: "consoleserver", ports: map[string]int{"console-serial": 48, "nic-eth": 1, "pwr-nema-5": 1}},
	"penguinserver":           {kind: "server", ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 1}},
	"penguinserver2u":         {kind: "server", units: 2, ports: map[string]int{"console-serial": 1, "nic-eth": 2, "pwr-nema-5": 2}},
	"pool":                    {kind: "pool"},
	"powertowerxm":            {kind: "powerstrip", ports: map[string]int{"console-serial": 1, "nic-eth": 1, "pwr-nema-5": 16, "pwr-nema-L5": 2}, props: []clusto.Attr{property("withslave", number(0))}},
	"resourcemanager":         {kind: "resourcemanager"},
	"simpleentitynamemanager": {kind: "resourcemanager", props: namesProps},
	"simplenamemanager":       {kind: "resourcemanager", props: namesProps},
	"unique_pool":             {kind: "pool"},
}

var (
	rackProps  = []clusto.Attr{property("minu", number(1)), property("maxu", number(45))}
	namesProps = []clusto.Attr{
		property("digits", number(2)), property("basename", text("")),
		property("leadingZeros", number(1)), property("next", number(1)),
	}
)

func property(key string, v clusto.Value) clusto.Attr {
	sub := "property"
	return clusto.Attr{Key: key, Subkey: &sub, Value: v}
}

func number(i int64) clusto.Value { return clusto.Value{Type: clusto.Int, Int: i} }
func text(s string) clusto.Value  { return clusto.Value{Type: clusto.String, Str: s} }
