package inventory

import "testing"

// TestParseBrokenNetmask: under attrs it was passed on, and refused by nobody.
func TestParseBrokenNetmask(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"attrs", "entities:\n  lan:\n    driver: ipmanager\n    attrs:\n    - {key: netmask, subkey: property, value: 255.0.255.0}\n" +
			"    - {key: baseip, subkey: property, value: 10.0.0}\n", []string{
			`site.yaml:5: entity lan: netmask/property: "255.0.255.0" is no netmask; want ones and then zeros, as in 255.255.255.0, or how many ones, as in 24`,
			`site.yaml:6: entity lan: baseip/property: "10.0.0" is no IPv4 address; want the first one of the network, as in 10.42.0.0`,
		}},
		{"networks", "networks:\n  lan: {cidr: 10.0.0.0/24, attrs: [{key: netmask, number: 1, subkey: property, value: 33}]}\n", []string{
			`site.yaml:2: network lan: netmask/property number 1: "33" is no netmask; want ones and then zeros, as in 255.255.255.0, or how many ones, as in 24`,
		}},
	})
}
