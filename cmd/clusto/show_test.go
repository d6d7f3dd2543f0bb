package main

import (
	"encoding/json"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

const small = `networks:
  lan: {cidr: 192.168.1.0/24, gateway: 192.168.1.254}
locations:
  sv2:     {driver: basicdatacenter, dhcp: {NTP_server: 192.168.1.4}}
  sv2-r01: {driver: basicrack, in: sv2}
pools:
  pxeboot-servers:
    dhcp: {enabled: 1, tftp_server: 192.168.1.1, tftp_filename: /pxelinux.0}
servers:
  ex0000:
    in: [pxeboot-servers, {rack: sv2-r01, ru: 3}]
    mac: 00:11:22:33:44:55
    ip: 192.168.1.50
    ipmi: {mac: 00:11:22:33:44:56, ip: 192.168.1.51}
`

const shownHost = `/server/ex0000
  type      server
  driver    basicserver
  hostname  ex0000
  dhcp      enabled
  in
    /pool/pxeboot-servers
    /rack/sv2-r01          ru 3
  ports
    console-serial 1
    nic-eth 1         00:11:22:33:44:55
    nic-eth 1         00:11:22:33:44:56  BMC
    nic-eth 2
    pwr-nema-5 1
  addresses
    192.168.1.50  eth0   network lan  192.168.1.0/24  netmask 255.255.255.0  gateway 192.168.1.254
    192.168.1.51  ipmi0  network lan  192.168.1.0/24  netmask 255.255.255.0  gateway 192.168.1.254
  dhcp attributes
    NTP_server     192.168.1.4  /datacenter/sv2        distance 2
    tftp_filename  /pxelinux.0  /pool/pxeboot-servers  distance 1
    tftp_server    192.168.1.1  /pool/pxeboot-servers  distance 1
`

const shownRack = `/rack/sv2-r01
  type      rack
  driver    basicrack
  hostname  sv2-r01
  dhcp      not enabled: no dhcp/enabled on /rack/sv2-r01 or any of its containers
  units     45, 44 free
  in
    /datacenter/sv2
  dhcp attributes
    NTP_server  192.168.1.4  /datacenter/sv2  distance 1
  attributes
    maxu/property  45
    minu/property  1
  from the top
    45  -
    44  -
`

func TestShow(t *testing.T) {
	t.Parallel()
	flags, dbs := inventories(t)
	for i, where := range flags {
		if r := runClusto(t, small, append([]string{"import", "-"}, where...)...); r.code != 0 {
			t.Fatalf("import: %+v", r)
		}
		show := func(args ...string) result {
			return runClusto(t, "", append(append([]string{"show"}, args...), where...)...)
		}
		for _, what := range []string{"ex0000", "00:11:22:33:44:55", "0011.2233.4456", "192.168.1.50", "192.168.1.51"} {
			want(t, show(what), result{shownHost, "", 0})
		}
		if r := show("sv2-r01"); r.code != 0 || !strings.HasPrefix(r.out, shownRack) || !strings.HasSuffix(r.out, "\n    4   -\n    3   /server/ex0000\n    2   -\n    1   -\n") {
			t.Errorf("a rack: %+v", r)
		}
		want(t, show("ex0009"), result{"", "clusto show: \"ex0009\" is no name, MAC or IPv4 address in " + where[1] + "; did you mean \"ex0000\"?\n", exitFailed})

		r := show("ex0000", "--json")
		var got view
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 || r.err != "" {
			t.Fatalf("--json: %v in %+v", err, r)
		}
		if hosts, err := openStore(t, dbs[i]).Find(t.Context(), "ex0000"); err != nil || !reflect.DeepEqual(got.Hosts, hosts) {
			t.Errorf("--json gives\n%+v, the store\n%+v, %v", got.Hosts, hosts, err)
		}
		if o, err := openStore(t, dbs[i]).Object(t.Context(), "ex0000"); err != nil || len(got.Objects) != 1 || !reflect.DeepEqual(got.Objects[0], o) {
			t.Errorf("--json gives\n%+v, the store\n%+v, %v", got.Objects, o, err)
		}
	}
}

func TestShowMakesNoDatabase(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "sqlite:///"} {
		dir := t.TempDir()
		r := runClusto(t, "", "show", "x", "--db", prefix+dir+"/new.db")
		if r.code == 0 || r.out != "" || !strings.Contains(r.err, dir+"/new.db") || strings.Count(r.err, "\n") != 1 {
			t.Errorf("a database that is not there: %+v", r)
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) != 0 {
			t.Errorf("show made %v", left)
		}
	}
}

func TestShowWithoutInventory(t *testing.T) {
	t.Parallel()
	r := runClusto(t, "", "show", "x", "--api-url", "http://127.0.0.1:1")
	if r.code != exitFailed || !strings.Contains(r.err, "start clusto-httpd there") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("nobody listens: %+v", r)
	}
}

// oddHost is what a site file cannot bring about.
func oddHost() clusto.Host {
	sub, two := "tftp_server", 2
	return clusto.Host{
		MAC: clusto.MAC{2, 0, 0, 0, 0, 1}, Entity: clusto.Entity{Name: "sw1", Type: "networkswitch", Driver: "basicnetworkswitch"},
		Port: "port-nic-eth", Number: 2, OSPort: "eth1", Hostname: "sw1", Why: `dhcp/enabled is "0" on /pool/off`,
		Addresses: []clusto.Address{
			{IP: netip.MustParseAddr("10.0.0.1")},
			{IP: netip.MustParseAddr("10.0.0.2"), OSPort: "eth1", Network: &clusto.Network{Name: "n", Prefix: netip.MustParsePrefix("10.0.0.0/22")}},
		},
		Attrs: []clusto.Attr{
			{Key: "dhcp", Value: clusto.Value{Type: clusto.String}, Origin: "/pool/p", Distance: 1},
			{Key: "dhcp", Subkey: &sub, Number: &two, Value: clusto.Value{
				Type: clusto.Relation, Str: "/server/boot",
				Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.8"), netip.MustParseAddr("10.0.0.9")},
			}, Origin: "/networkswitch/sw1"},
			{Key: "dhcp", Subkey: &sub, Value: clusto.Value{Type: clusto.String, Str: "a\x1b[2Jb"}, Origin: "/networkswitch/sw1"},
		},
	}
}

// oddView is more of the same entity.
func oddView(e clusto.Entity) view {
	two, vlan := 2, "vlan"
	return view{Objects: []clusto.Object{{
		Entity: e,
		Attrs: []clusto.Attr{
			{Key: "port-nic-eth", Subkey: &vlan, Number: &two, Value: clusto.Value{Type: clusto.Int, Int: 7}},
			{Key: "port-nic-eth", Number: &two, Value: clusto.Value{Type: clusto.String}},
			{Key: "note", Number: &two, Value: clusto.Value{Type: clusto.String, Str: "two"}},
			{Key: "note", Value: clusto.Value{Type: clusto.JSON, Str: "[1]"}},
			{Key: "_hidden", Value: clusto.Value{Type: clusto.Int}},
		},
		Ports: []clusto.Port{{Type: "nic-eth", Num: 1}, {Type: "nic-eth", Num: 2, To: "/server/a", ToNum: "1"}},
	}}}
}

const oddities = `/networkswitch/sw1
  type      networkswitch
  driver    basicnetworkswitch
  hostname  sw1
  dhcp      not enabled: dhcp/enabled is "0" on /pool/off
  ports
    nic-eth 1
    nic-eth 2  to /server/a 1  vlan 7  (no subkey) ""
  addresses
    10.0.0.1  any port  in no network of clusto
    10.0.0.2  eth1      network n  10.0.0.0/22  netmask 255.255.252.0  no gateway
  dhcp attributes
    (no subkey)      ""                                 /pool/p             distance 1
    tftp_server [2]  /server/boot = 10.0.0.8, 10.0.0.9  /networkswitch/sw1  distance 0
    tftp_server      "a\x1b[2Jb"                        /networkswitch/sw1  distance 0
  attributes
    note      [1]
    note [2]  two
02:00:00:00:00:09 has several owners, and gets no answer until one is left: /server/a, /server/b
02:00:00:00:00:08 has several owners, and gets no answer until one is left: /server/a, /server/c
`

// TestShowOddities prints what a site file cannot bring about.
func TestShowOddities(t *testing.T) {
	t.Parallel()
	odd := oddHost()
	v := oddView(odd.Entity)
	var b strings.Builder
	for _, g := range byEntity([]clusto.Host{
		odd,
		{MAC: clusto.MAC{2, 0, 0, 0, 0, 9}, Ambiguous: []string{"/server/a", "/server/b"}},
		{MAC: clusto.MAC{2, 0, 0, 0, 0, 8}, Ambiguous: []string{"/server/a", "/server/c"}},
	}) {
		v.print(&b, g)
	}
	if b.String() != oddities {
		t.Errorf("got\n%s\nwant\n%s", b.String(), oddities)
	}
}
