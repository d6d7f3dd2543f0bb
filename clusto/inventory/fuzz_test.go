package inventory

import (
	"strings"
	"testing"
)

// parsed holds what either format gives: a few errors, each with its line, or
// operations with a name and a place.
func parsed(t *testing.T, file string, site *Site, err error) {
	t.Helper()
	if err != nil {
		if n := strings.Count(err.Error(), "\n"); n > maxErrors*4 || site != nil {
			t.Fatalf("%d lines of errors, and %v", n, site)
		}
		if !strings.Contains(err.Error(), file) {
			t.Fatalf("an error without a place: %v", err)
		}
		return
	}
	for i, op := range site.Ops() {
		if op.Name == "" || site.Where(i) == file {
			t.Fatalf("operation %d has no name or no place: %+v", i, op)
		}
	}
}

// FuzzParse: no panic on any YAML.
func FuzzParse(f *testing.F) {
	f.Add(Sample(2))
	f.Add([]byte("pools: {a: &a {dhcp: {x: [1, {relation: a}], <<: *a}}}\n"))
	f.Add([]byte("servers: {s: {ip: [10.0.0.1, {ip: 10.0.0.2, osport: x}], in: {rack: r, ru: 1}}}\n"))
	f.Add([]byte("entities: {e: {driver: pool, attrs: [{key: k, subkey: s, number: 2147483647, value: {json: '[1]'}}], raw: [{key: _x, values: [1]}]}}\n"))
	f.Add([]byte("networks: {n: {cidr: 10.0.0.0/0, gateway: 255.255.255.255}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		site, err := Parse("f.yaml", data)
		parsed(t, "f.yaml", site, err)
	})
}

// FuzzCSV: no panic on any CSV.
func FuzzCSV(f *testing.F) {
	for _, text := range []string{
		"name,mac,ip,pool\nex0000,00:11:22:33:44:55,192.168.1.50,a;b\n",
		"\xef\xbb\xbfpool, ip ,mac,name,rack,ru,osport,ipmi_mac,ipmi_ip,driver,hostname\n# no\np,1.2.3.4;1.2.3.5,0011.2233.4455,x,r,45,eth0;eth1,001122-334456,10.0.0.1,basicserver,h\n",
		"name,mac,ip,pool\n\"a\n\"\"b\",,,\n", "name,name,ip,pool\n", "name,mac,ip,pool\nx\n", "name,mac,ip,pool\n,,,,,,\n", "\"", "",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		site, err := ParseCSV("f.csv", data)
		parsed(t, "f.csv", site, err)
	})
}
