package main

import "testing"

// TestAttrBrokenNetmask: it was taken, and refused when an address was wanted.
func TestAttrBrokenNetmask(t *testing.T) {
	const says = `attribute netmask of /resourcemanager/lan: "255.0.255.0" is no netmask; want ones and then zeros, as in 255.255.255.0, or how many ones, as in 24`
	steps(t, hall, []step{
		{args: "attr set -k netmask -s property -v 255.0.255.0 lan", err: says, code: exitUsage},
		{args: "attr add -k netmask -s property -n 1 -v 255.0.255.0 lan", err: says, code: exitUsage},
		{args: "attr set -k netmask -s property -v 255.255.0.0 lan"},
		{args: "attr get -k netmask lan", out: "KEY      SUBKEY    NUM  TYPE    VALUE\nnetmask  property  -    string  255.255.0.0\n"},
	})
}

// TestImportBrokenNetmask names file and line; nothing is imported.
// entity is an IP manager.
func TestImportBrokenNetmask(t *testing.T) {
	flags, files := inventories(t)
	site := write(t, "site.yaml", "pools:\n  p:\nentities:\n  lan:\n    driver: ipmanager\n    attrs:\n    - {key: netmask, subkey: property, value: 255.0.255.0}\n")
	for i, where := range flags {
		before := dump(t, files[i])
		want(t, runClusto(t, "", append([]string{"import", site}, where...)...), result{
			"", site + `:7: entity lan: netmask/property: "255.0.255.0" is no netmask; want ones and then zeros, as in 255.255.255.0, or how many ones, as in 24` + "\n", exitUsage,
		})
		if after := dump(t, files[i]); after != before {
			t.Errorf("%s: something was imported:\n%s", where[0], after)
		}
	}
}
