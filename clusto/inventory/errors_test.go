package inventory

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// fileTest is a file and what it has to give, line by line.
type fileTest struct {
	name, in string
	want     []string
}

// refused wants files refused, for these reasons.
func refused(t *testing.T, file string, parse func(string, []byte) (*Site, error), tests []fileTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			site, err := parse(file, []byte(test.in))
			if err == nil {
				t.Fatalf("no error, but %d operations", len(site.Ops()))
			}
			if got, want := err.Error(), strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if !errors.Is(err, clusto.ErrInvalid) {
				t.Error("the error is not clusto.ErrInvalid")
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"empty", "", []string{
			`site.yaml: there is nothing in it; a site begins with a section, such as "servers:"`,
		}},
		{"only a comment", "# soon\n", []string{
			`site.yaml: there is nothing in it; a site begins with a section, such as "servers:"`,
		}},
		{"no mapping", "- a\n", []string{
			`site.yaml:1: want a mapping (key: value), got a list`,
		}},
		{"not YAML", "servers:\n  a: {mac: 1\n  b: 2\n", []string{
			`site.yaml:2: not YAML: in what begins on this line: did not find expected ',' or '}'`,
		}},
		{"a tab", "servers:\n\ta:\n", []string{
			"site.yaml:2: not YAML: found character that cannot start any token; YAML indents with spaces, never with tabs, and text that begins with @, ` or % needs quotes",
		}},
		{"no such anchor", "pools:\n  a: {dhcp: *base}\n", []string{
			`site.yaml:2: not YAML: alias *base has no anchor &base before it`,
		}},
		{"two documents", "pools: {a: }\n---\npools: {b: }\n", []string{
			`site.yaml:2: a second YAML document begins here; write one file for each, or take the --- out`,
		}},
	})
}

func TestKeyErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"unknown section", "severs: {}\nracks: {}\n", []string{
			`site.yaml:1: unknown key "severs": did you mean "servers"?`,
			`site.yaml:2: unknown key "racks": known here are networks, locations, pools, servers, devices, entities`,
		}},
		{"unknown keys", "servers:\n  a: {macs: 1, dchp: {}, colour: red}\nnetworks:\n  n: {cidr: 10.0.0.0/8, driver: x, gatway: 10.0.0.1}\n", []string{
			`site.yaml:2: server a: unknown key "macs": did you mean "mac"?`,
			`site.yaml:2: server a: unknown key "dchp": did you mean "dhcp"?`,
			`site.yaml:2: server a: unknown key "colour": known here are driver, in, mac, ip, ports, ipmi, dhcp, hostname, attrs, raw, counters`,
			`site.yaml:4: network n: unknown key "driver": known here are cidr, baseip, netmask, gateway, attrs, raw, counters`,
			`site.yaml:4: network n: unknown key "gatway": did you mean "gateway"?`,
		}},
		{"names", "servers:\n  a b: \n  _a: \n  /a: \npools:\n  p: \nlocations:\n  p: {driver: basicrack}\n", []string{
			`site.yaml:2: servers: name "a b": want letters, digits and . _ : @ + -, a letter or digit first, 128 at most`,
			`site.yaml:3: servers: name "_a": want letters, digits and . _ : @ + -, a letter or digit first, 128 at most`,
			`site.yaml:4: servers: name "/a": want letters, digits and . _ : @ + -, a letter or digit first, 128 at most`,
			`site.yaml:8: locations: name "p" is taken by the pool on line 6; names are unique in clusto`,
		}},
		{"the same name twice", "servers:\n  a: \n  b: \n  a: \n", []string{
			`site.yaml:4: servers: "a" is there twice, first on line 2; keep one of them`,
		}},
		{"the same key twice", "servers:\n  a:\n    ip: 10.0.0.1\n    ip: 10.0.0.2\n", []string{
			`site.yaml:4: server a: "ip" is there twice, first on line 3; keep one of them`,
		}},
	})
}

func TestBodyErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"drivers", "locations:\n  a: \n  b: {driver: Basic Rack}\n  c: {driver: basicserver}\nservers:\n  d: {driver: basicrack}\n  e: {driver: [x]}\n  f: {driver: clustometa}\n", []string{
			`site.yaml:2: location a: has no driver; name one that makes a datacenter, rack, cage, zone, location, such as "driver: basicdatacenter"`,
			`site.yaml:3: location b: driver "Basic Rack": want lower-case letters, digits and _, such as basicdatacenter`,
			`site.yaml:4: location c: driver basicserver makes a server, which does not belong under locations; put it under servers`,
			`site.yaml:6: server d: driver basicrack makes a rack, which does not belong under servers; put it under locations`,
			`site.yaml:7: server e: driver: want a text, got a list`,
			`site.yaml:8: server f: driver clustometa makes a clustometa, which does not belong under servers`,
		}},
		{"bodies that are none", "servers:\n  a: basicserver\n  b: [x]\n  c: {dhcp: 1, attrs: 2, ports: 3, ipmi: 4}\n", []string{
			`site.yaml:2: server a: want a mapping (key: value), got "basicserver"`,
			`site.yaml:3: server b: want a mapping (key: value), got a list`,
			`site.yaml:4: server c: want a mapping (key: value), got "1"`,
			`site.yaml:4: server c: attrs: want a list, as in [{key: serial, value: "0042"}], got "2"`,
			`site.yaml:4: server c: want a mapping (key: value), got "3"`,
			`site.yaml:4: server c: want a mapping (key: value), got "4"`,
		}},
	})
}

func TestPortErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"MACs", "servers:\n  a: {mac: 00:11:22:33:44}\n  b: {mac: 01:00:5e:00:00:01}\n  c: {mac: }\n  d: {mac: 02:00:00:00:00:01}\n" +
			"  e: {ports: {nic-eth: {2: {mac: 0200.0000.0001}}}}\n  f: {ipmi: {mac: 02-00-00-00-00-01}}\n  g: {mac: 02:00:00:00:00:02, ports: {nic-eth: {1: {mac: 02:00:00:00:00:03}}}}\n", []string{
			`site.yaml:2: server a: port-nic-eth/mac number 1: "00:11:22:33:44" is no MAC; want six bytes in hex, as in 00:11:22:33:44:55`,
			`site.yaml:3: server b: port-nic-eth/mac number 1: 01:00:5e:00:00:01 is a group or empty address, which no network card has`,
			`site.yaml:4: server c: port-nic-eth/mac number 1: want a text, got nothing`,
			`site.yaml:6: server e: MAC 02:00:00:00:00:01 is taken by server d on line 5; correct one of them`,
			`site.yaml:7: server f: MAC 02:00:00:00:00:01 is taken by server d on line 5; correct one of them`,
			`site.yaml:8: server g: port-nic-eth/mac number 1 is set twice, first on line 8; keep one, or give them numbers under attrs`,
		}},
		{"ports", "servers:\n  a:\n    ports:\n      nic-eth:\n        0: {mac: 02:00:00:00:00:01}\n        one: {mac: 02:00:00:00:00:01}\n        1: {connection: sw1, 0x: 1}\n      1x: {}\n", []string{
			`site.yaml:5: server a: ports: nic-eth: want a port number from 1 on, got "0"`,
			`site.yaml:6: server a: ports: nic-eth: want a port number from 1 on, got "one"`,
			`site.yaml:7: server a: port-nic-eth/connection number 1: a connection has two ends, which clusto keeps itself; write "to: sw1/12" at one of them`,
			`site.yaml:7: server a: port attribute "0x": want letters, digits, _ and -, a letter or _ first`,
			`site.yaml:8: server a: port type "1x": want letters, digits, _ and -, a letter or _ first`,
		}},
	})
}

func TestAddressErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"addresses", "servers:\n  a: {ip: 10.0.0.300}\n  b: {ip: 10.1}\n  c: {ip: 10.0.0.1/24}\n  d: {ip: \"::1\"}\n  e: {ip: 224.0.0.1}\n  f: {ip: 10.0.0.1}\n  g: {ip: [10.0.0.1, {osport: eth0}, {ip: 10.0.0.2, port: 1}]}\n  h: {ip: 010.0.0.1}\n", []string{
			`site.yaml:2: server a: ip: "10.0.0.300" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50`,
			`site.yaml:3: server b: ip: "10.1" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50`,
			`site.yaml:4: server c: ip: "10.0.0.1/24": write 10.0.0.1; the mask is the network's`,
			`site.yaml:5: server d: ip: "::1" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50`,
			`site.yaml:6: server e: ip: 224.0.0.1 is no address of a host`,
			`site.yaml:8: server g: address 10.0.0.1 is taken by server f on line 7; correct one of them`,
			`site.yaml:8: server g: ip: want an address, as in {ip: 192.168.1.50, osport: eth0}`,
			`site.yaml:8: server g: unknown key "port": did you mean "osport"?`,
			`site.yaml:9: server h: ip: "010.0.0.1" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50`,
		}},
		{"networks", "networks:\n  a: {cidr: 10.0.0.0/8, baseip: 10.0.0.0, netmask: 255.0.0.0}\n  b: \n  c: {baseip: 10.0.0.0}\n  d: {cidr: 10.0.0.5/24}\n  e: {cidr: 10.0.0.0/33}\n" +
			"  f: {baseip: 10.0.0.0, netmask: 255.0.255.0}\n  g: {cidr: 10.9.0.0/24, gateway: 10.9.1.1}\n  h: {cidr: 10.8.0.0/16}\n  i: {cidr: 10.8.4.0/24}\n", []string{
			`site.yaml:2: network a: want its range, either as "cidr: 192.168.1.0/24" or as baseip and netmask`,
			`site.yaml:3: network b: want its range, either as "cidr: 192.168.1.0/24" or as baseip and netmask`,
			`site.yaml:4: network c: want its range, either as "cidr: 192.168.1.0/24" or as baseip and netmask`,
			`site.yaml:5: network d: 10.0.0.5 is not the first address of its network; write 10.0.0.0`,
			`site.yaml:6: network e: cidr: "10.0.0.0/33" is no IPv4 network; want 192.168.1.0/24`,
			`site.yaml:7: network f: netmask: "255.0.255.0" is no mask; want ones and then zeros, as in 255.255.255.0`,
			`site.yaml:8: network g: gateway 10.9.1.1 is outside the network 10.9.0.0/24`,
			`site.yaml:10: network i: 10.8.4.0/24 overlaps 10.8.0.0/16 of network h on line 9; an address needs one manager`,
		}},
	})
}

func TestPlaceErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"places", "locations:\n  r: {driver: basicrack}\n  dc: {driver: basicdatacenter}\nnetworks: {n: {cidr: 10.0.0.0/8}}\nservers:\n  a: {in: r}\n  b: {in: {rack: r}}\n  c: {in: {rack: dc, ru: 1}}\n" +
			"  d: {in: {rack: r, ru: 1}}\n  e: {in: {rack: r, ru: 1}}\n  f: {in: [n, a, elsewhere, elsewhere, \"\"]}\n  g: {in: {rack: r, unit: 1}}\n  h: {in: {rack: r, ru: 0x1}}\n", []string{
			`site.yaml:6: server a: in r: it is a rack; write {rack: r, ru: N}, N being the unit counted from 1`,
			`site.yaml:7: server b: in: a place in a rack takes both, as in {rack: sv2-r01, ru: 3}; units count from 1`,
			`site.yaml:8: server c: in dc: it is a datacenter (line 3), not a rack; write "in: dc"`,
			`site.yaml:10: server e: unit 1 of rack r is taken by server d on line 9`,
			`site.yaml:11: server f: in n: it is a network; an address is what puts a server into one (ip: ...)`,
			`site.yaml:11: server f: in a: it is a server and holds nothing; only pools and locations do`,
			`site.yaml:11: server f: in elsewhere is there twice; keep one of them`,
			`site.yaml:11: server f: in "": that is no name of a pool or location`,
			`site.yaml:12: server g: unknown key "unit": known here are rack, ru`,
			`site.yaml:13: server h: ru: want a number, got "0x1"`,
			`site.yaml:13: server h: in: a place in a rack takes both, as in {rack: sv2-r01, ru: 3}; units count from 1`,
		}},
		{"circles", "pools:\n  a: {in: b}\n  b: {in: c}\n  c: {in: a}\n  d: {in: d}\n  e: {in: a}\n", []string{
			`site.yaml:4: pool a is inside itself: a in b in c in a; take one of them out`,
			`site.yaml:5: pool d is inside itself: d in d; take one of them out`,
		}},
	})
}

func TestValueErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"values", "pools:\n  p:\n    dhcp:\n      a: \n      b: !!binary aGk=\n      c: !mine x\n      d: {relation: nowhere}\n      e: {datetime: soon}\n      1f: x\n      enabled: maybe\n  q: {dhcp: {enabled: [1]}}\n", []string{
			`site.yaml:4: pool p: dhcp/a: has no value; write "" for an empty text, or take the line out`,
			`site.yaml:5: pool p: dhcp/b: the tag !!binary is not known here; leave it out`,
			`site.yaml:6: pool p: dhcp/c: the tag !mine is not known here; leave it out`,
			`site.yaml:7: pool p: dhcp/d: relation to "nowhere", which this file does not declare; write its path, as in /server/nowhere`,
			`site.yaml:8: pool p: dhcp/e: datetime "soon": want "2010-01-02 03:04:05"`,
			`site.yaml:9: pool p: dhcp option "1f": want letters, digits, _ and -, a letter or _ first`,
			`site.yaml:10: pool p: dhcp/enabled: want 1 or 0, got "maybe"`,
			`site.yaml:11: pool q: dhcp/enabled: want 1 or 0, got a list`,
		}},
		{"attributes", "pools:\n  p:\n    attrs:\n      - {key: a}\n      - {key: _contains, value: 1}\n      - {key: ip, value: 1}\n      - {key: port-nic-eth, value: 1}\n      - {key: a b, value: 1}\n      - {key: a, number: -1, value: 1}\n" +
			"      - {kye: a, value: 1}\n      - {key: a, value: 1}\n      - {key: a, value: 2}\n      - {key: a, subkey: \"\", value: 2}\n    dhcp: {domain: a}\n  q:\n    dhcp: {domain: a}\n    attrs: [{key: dhcp, subkey: domain, value: b}]\n", []string{
			`site.yaml:4: pool p: attrs: an attribute takes a key and a value, as in {key: serial, value: "0042"}`,
			`site.yaml:5: pool p: attrs: key "_contains": keys that begin with _ are clusto's own; use "in" to put things into others`,
			`site.yaml:6: pool p: attrs: key "ip": addresses are written as "ip: 192.168.1.50" on the server`,
			`site.yaml:7: pool p: attrs: key "port-nic-eth": ports are written as "ports: {nic-eth: {1: {mac: ...}}}"`,
			`site.yaml:8: pool p: attrs: key "a b": want letters, digits, _ and -, a letter or _ first`,
			`site.yaml:9: pool p: attrs: number: want a number, got "-1"`,
			`site.yaml:10: pool p: unknown key "kye": known here are key, subkey, number, value`,
			`site.yaml:12: pool p: a is set twice, first on line 11; keep one, or give them numbers under attrs`,
			`site.yaml:13: pool p: attrs: subkey "": want letters, digits, _ and -, a letter or _ first`,
			`site.yaml:17: pool q: dhcp/domain is set twice, first on line 16; keep one, or give them numbers under attrs`,
		}},
	})
}

func TestEntityErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"what an export says", "entities:\n  a: {}\n  b: {driver: basicservr}\n  c: {driver: own}\n  d: {driver: own, type: Server}\n  e/f: {driver: pool}\n  g: {driver: pool, cidr: 10.0.0.0/8}\n" +
			"  h: {driver: pool, raw: {a: 1}}\n  i: {driver: pool, raw: [{key: a}, {key: a, value: {relation: x}}, {key: a, number: x, value: 1}, {keys: a}]}\n  j: {driver: pool, counters: {a: b, c: 5000000000}}\n" +
			"  k: {driver: pool, in: [{number: 3}, {name: l, number: -1}, {name: l, rack: r}]}\n  l: {driver: pool, attrs: [{key: a, value: {int: many}}]}\n  m: {driver: basicserver, ports: {nic-eth: {1: {to: sw1}, 2: {to: k/1}}}}\npools:\n  n: {type: pool, mac: 02:00:00:00:00:01}\n  o: {in: m}\n", []string{
			`site.yaml:2: entity a: has no driver; name one, such as "driver: basicserver"`,
			`site.yaml:3: entity b: unknown driver "basicservr": did you mean "basicserver"? One of your own takes its type too, as in "type: server"`,
			`site.yaml:4: entity c: unknown driver "own": one of your own takes its type too, as in "type: server"`,
			`site.yaml:5: entity d: type "Server": want lower-case letters, digits and _, such as server`,
			`site.yaml:6: entities: name "e/f": want letters, digits and . _ : @ + -, a letter or digit first, 128 at most`,
			`site.yaml:7: entity g: cidr: only an ipmanager has a range of addresses`,
			`site.yaml:8: entity h: raw: want a list, as in [{key: _contains, number: 0, value: {relation: /server/s0001}}], got a mapping`,
			`site.yaml:9: entity i: raw: an attribute takes a key and a value`,
			`site.yaml:9: entity i: raw: a: relation to "x", which this file does not declare; write its path, as in /server/x`,
			`site.yaml:9: entity i: raw: number: want a number, got "x"`,
			`site.yaml:9: entity i: unknown key "keys": did you mean "key"?`,
			`site.yaml:10: entity j: counters: a: want a number, got "b"`,
			`site.yaml:10: entity j: counters: c: want a number, got "5000000000"`,
			`site.yaml:11: entity k: in: a number takes the name too, as in {name: pxeboot-servers, number: 3}`,
			`site.yaml:11: entity k: in: number: want a number, got "-1"`,
			`site.yaml:11: entity k: unknown key "rack": known here are name, number`,
			`site.yaml:12: entity l: a: int "many": want a number from -9223372036854775808 to 9223372036854775807`,
			`site.yaml:13: entity m: port nic-eth 1: to "sw1": want a name and its port, as in sw1/12 or pwr1/bb1`,
			`site.yaml:15: pool n: unknown key "type": known here are driver, in, dhcp, attrs, raw, counters`,
			`site.yaml:15: pool n: unknown key "mac": known here are driver, in, dhcp, attrs, raw, counters`,
			`site.yaml: and 1 more errors`,
		}},
	})
}

func TestAliasErrors(t *testing.T) {
	refused(t, "site.yaml", Parse, []fileTest{
		{"an alias inside itself", "pools:\n  p: {dhcp: {a: &a [*a]}}\n  q: {dhcp: &d {<<: *d}}\n", []string{
			`site.yaml:2: pool p: dhcp/a: nested deeper than 20 levels, or an alias inside itself`,
			`site.yaml:3: pool q: merges (<<) go deeper than 20 levels, or around in a circle`,
		}},
	})
}

func TestErrorsAreBounded(t *testing.T) {
	var in strings.Builder
	in.WriteString("servers:\n")
	for i := range 50 {
		fmt.Fprintf(&in, "  s%d: {ip: nowhere}\n", i)
	}
	_, err := Parse("s.yaml", []byte(in.String()))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "s.yaml: and 30 more errors" {
		t.Errorf("%d lines, the last is %q", len(lines), lines[len(lines)-1])
	}
}

// Each of these would be gigabytes if its aliases were written out.
func TestAliasBombs(t *testing.T) {
	var lists, wide strings.Builder
	lists.WriteString("pools:\n  p:\n    dhcp:\n      a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&lists, "      a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9))
	}
	wide.WriteString("pools:\n  p:\n    dhcp: &d\n")
	for i := range 2000 {
		fmt.Fprintf(&wide, "      o%d: 1\n", i)
	}
	for i := range 2000 {
		fmt.Fprintf(&wide, "  q%d: {dhcp: *d}\n", i)
	}
	for name, test := range map[string]struct{ in, want string }{
		"lists in lists":         {lists.String(), "more than 65536 bytes of JSON"},
		"one mapping everywhere": {wide.String(), "aliases (*name) make the file too large"},
	} {
		if _, err := Parse("s.yaml", []byte(test.in)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}
