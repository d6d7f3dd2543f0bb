package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// say writes an operation as one line, so that tables stay readable.
func say(op clusto.Op) string {
	switch op.Op {
	case "entity":
		return strings.TrimSpace("entity " + op.Name + " " + op.Driver + " " + op.Type)
	case "attr":
		s := "attr " + op.Name + " " + op.Key
		if op.Subkey != nil {
			s += "/" + *op.Subkey
		}
		if op.Number != nil {
			s += fmt.Sprintf("#%d", *op.Number)
		}
		return s + fmt.Sprintf(" = %s %s", op.Value.Type, op.Value.Text())
	case "insert":
		if op.RU > 0 {
			return fmt.Sprintf("insert %s into %s ru %d", op.Name, op.Into, op.RU)
		}
		return "insert " + op.Name + " into " + op.Into + numberText(op)
	case "connect":
		return fmt.Sprintf("connect %s %s %s to %s %s", op.Name, op.Port, op.Num, op.To, op.ToNum)
	case "counter":
		return "counter " + op.Name + " " + op.Key + numberText(op)
	case "raw":
		s := "raw " + op.Name + " " + op.Key
		if op.Subkey != nil {
			s += "/" + *op.Subkey
		}
		s += numberText(op) + " ="
		for _, v := range op.Values {
			s += fmt.Sprintf(" %s %q", v.Type, v.Text())
		}
		return s
	}
	return "bind " + op.Name + " " + op.IP + " " + op.OSPort + numberText(op)
}

func numberText(op clusto.Op) string {
	if op.Number == nil {
		return ""
	}
	return fmt.Sprintf("#%d", *op.Number)
}

// gives wants files to give operations, each as "line: operation".
func gives(t *testing.T, tests []fileTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			site, err := Parse("site.yaml", []byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, op := range site.Ops() {
				got = append(got, strings.TrimPrefix(site.Where(i), "site.yaml:")+": "+say(op))
				if op.Value != nil && op.Value.Type == clusto.JSON && !json.Valid([]byte(op.Value.Str)) {
					t.Errorf("%s is no JSON", op.Value.Str)
				}
			}
			if g, w := strings.Join(got, "\n"), strings.Join(test.want, "\n"); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
		})
	}
}

func TestParse(t *testing.T) {
	gives(t, []fileTest{
		{"what an export says", `
entities:
  clustometa: {driver: clustometa, counters: {ip: 37}}
  net: {driver: ipmanager, cidr: 10.0.0.0/24, raw: [{key: _lastip, value: -5}]}
  "a b": {driver: own, type: server, in: {name: p, number: 7}, ip: [{ip: 10.0.0.1, number: 3}]}
  sw: {driver: cisco4948}
  p:
    driver: pool
    counters: {_contains: 9}
    raw:
      - {key: _contains, number: 4, value: {relation: /server/gone}}
      - {key: note, subkey: x, values: [1, {int: 5000000000}, {rawjson: "{"}, {relation: ""}, {datetime: ""}]}
      - {key: maxu, subkey: property, values: []}
  s: {driver: basicserver, mac: 02:00:00:00:00:01, ipmi: {ip: 10.0.0.2, number: 9}, ports: {nic-eth: {2: {to: sw/12}}}}
`, []string{
			"3: entity clustometa clustometa", "4: entity net ipmanager", "5: entity a b own server", "6: entity sw cisco4948", "7: entity p pool", "14: entity s basicserver",
			"4: attr net baseip/property = string 10.0.0.0", "4: attr net netmask/property = string 255.255.255.0",
			"14: attr s port-nic-eth/mac#1 = string 02:00:00:00:00:01",
			"5: insert a b into p#7", "5: bind a b 10.0.0.1 eth0#3", "14: bind s 10.0.0.2 ipmi0#9", "14: connect s nic-eth 2 to sw 12",
			"3: counter clustometa ip#37", `4: raw net _lastip = int "-5"`, "9: counter p _contains#9", `11: raw p _contains#4 = relation "/server/gone"`,
			`12: raw p note/x = int "1" int "5000000000" json "{" relation "" datetime ""`, "13: raw p maxu/property =",
		}},
		{"the documentation's example", `
networks:
  lan: {baseip: 192.168.1.0, netmask: 255.255.255.0, gateway: 192.168.1.254}
pools:
  pxeboot-servers:
    dhcp: {enabled: 1, tftp_server: 192.168.1.1, tftp_filename: /pxelinux.0, domain: example.org}
servers:
  ex0000:
    in: [pxeboot-servers]
    mac: 00:11:22:33:44:55
    ip: 192.168.1.50
`, []string{
			"3: entity lan ipmanager", "5: entity pxeboot-servers pool", "8: entity ex0000 basicserver",
			"3: attr lan baseip/property = string 192.168.1.0", "3: attr lan netmask/property = string 255.255.255.0",
			"3: attr lan gateway/property = string 192.168.1.254",
			"6: attr pxeboot-servers dhcp/enabled = int 1", "6: attr pxeboot-servers dhcp/tftp_server = string 192.168.1.1",
			"6: attr pxeboot-servers dhcp/tftp_filename = string /pxelinux.0", "6: attr pxeboot-servers dhcp/domain = string example.org",
			"10: attr ex0000 port-nic-eth/mac#1 = string 00:11:22:33:44:55",
			"9: insert ex0000 into pxeboot-servers", "11: bind ex0000 192.168.1.50 eth0",
		}},
	})
}

func TestParseForwardReferences(t *testing.T) {
	gives(t, []fileTest{
		{"cidr, forward references, racks, ipmi, several addresses and ports", `
servers:
  s1:
    driver: penguinserver2u
    in: [p2, {rack: r1, ru: 3}]
    mac: 00-1E-C9-00-00-01
    ports: {nic-eth: {1: {osportname: eth0, vlan: 7}, 2: {mac: 001e.c900.0002}}, pwr-nema-5: {1: {label: left}}}
    ip: [10.0.0.5, {ip: 10.0.1.5, osport: eth1}]
    ipmi: {mac: 00:1e:c9:00:00:03, ip: 10.0.2.5}
    hostname: one.example.org
devices:
  sw1: {driver: cisco4948, in: {rack: r1, ru: 42}, ip: 10.0.0.9}
pools: {p1: , p2: {in: p1, driver: unique_pool}}
locations: {r1: {driver: apcrack, in: dc}, dc: {driver: equinixdatacenter}}
networks: {n: {cidr: 10.0.0.0/22}}
`, []string{
			"3: entity s1 penguinserver2u", "12: entity sw1 cisco4948", "13: entity p1 pool", "13: entity p2 unique_pool",
			"14: entity r1 apcrack", "14: entity dc equinixdatacenter", "15: entity n ipmanager",
			"6: attr s1 port-nic-eth/mac#1 = string 00:1e:c9:00:00:01", "7: attr s1 port-nic-eth/osportname#1 = string eth0",
			"7: attr s1 port-nic-eth/vlan#1 = int 7", "7: attr s1 port-nic-eth/mac#2 = string 00:1e:c9:00:00:02",
			"7: attr s1 port-pwr-nema-5/label#1 = string left", "9: attr s1 port-nic-eth/ipmi-mac#1 = string 00:1e:c9:00:00:03",
			"10: attr s1 hostname = string one.example.org",
			"15: attr n baseip/property = string 10.0.0.0", "15: attr n netmask/property = string 255.255.252.0",
			"5: insert s1 into p2", "5: insert s1 into r1 ru 3", "12: insert sw1 into r1 ru 42", "13: insert p2 into p1", "14: insert r1 into dc",
			"8: bind s1 10.0.0.5 eth0", "8: bind s1 10.0.1.5 eth1", "9: bind s1 10.0.2.5 ipmi0", "12: bind sw1 10.0.0.9 eth0",
		}},
	})
}

func TestParseValues(t *testing.T) {
	gives(t, []fileTest{
		{"values as they are written", `
pools:
  p:
    dhcp:
      enabled: true
      a: 010
      b: 0x0104
      c: "7"
      d: 4294967295
      e: -5
      f: 1.50
      g: 2010-01-02
      h: 00:11:22:33:44:55
      i: 1:30:00
      j: yes
      k: false
      l: [10.0.0.1, 2, 010, true, null, 1.5]
      m: {x: [1, "1"], y: <&>}
      n: 1_000
      o: ""
      p: !!str 12
      q: |
        two
        lines
      r: {json: 5}
      s: 0
      t: '0'
`, []string{
			"3: entity p pool", "5: attr p dhcp/enabled = int 1", "6: attr p dhcp/a = string 010", "7: attr p dhcp/b = string 0x0104",
			"8: attr p dhcp/c = string 7", "9: attr p dhcp/d = string 4294967295", "10: attr p dhcp/e = int -5",
			"11: attr p dhcp/f = string 1.50", "12: attr p dhcp/g = string 2010-01-02", "13: attr p dhcp/h = string 00:11:22:33:44:55",
			"14: attr p dhcp/i = string 1:30:00", "15: attr p dhcp/j = string yes", "16: attr p dhcp/k = int 0",
			`17: attr p dhcp/l = json ["10.0.0.1", 2, "010", true, null, 1.5]`, `18: attr p dhcp/m = json {"x": [1, "1"], "y": "<&>"}`,
			"19: attr p dhcp/n = string 1_000", "20: attr p dhcp/o = string ", "21: attr p dhcp/p = string 12",
			"22: attr p dhcp/q = string two\nlines\n", "25: attr p dhcp/r = json 5", "26: attr p dhcp/s = int 0", "27: attr p dhcp/t = string 0",
		}},
		{"enabled in words", `
pools: {a: {dhcp: {enabled: yes}}, b: {dhcp: {enabled: Off}}, c: {dhcp: {enabled: "1"}}, d: {dhcp: {enabled: False}}}
`, []string{
			"2: entity a pool", "2: entity b pool", "2: entity c pool", "2: entity d pool", "2: attr a dhcp/enabled = int 1",
			"2: attr b dhcp/enabled = int 0", "2: attr c dhcp/enabled = string 1", "2: attr d dhcp/enabled = int 0",
		}},
	})
}

func TestParseAttributes(t *testing.T) {
	gives(t, []fileTest{
		{"attributes of any key", `
servers:
  s:
    attrs:
      - {key: serial, value: 0042}
      - {key: disk, subkey: size, number: 0, value: 500}
      - {key: disk, subkey: size, number: 1, value: 250}
      - {key: dhcp, subkey: tftp_server, value: {relation: tftp}}
      - {key: owner, value: {relation: /pool/people}}
      - {key: bought, value: {datetime: 2010-01-02 03:04:05}}
      - {key: sold, value: {datetime: "2010-01-02T03:04:05+01:00"}}
      - {key: tags, value: [a, b]}
  tftp:
locations: {r: {driver: basicrack, attrs: [{key: racklayout, value: "201001"}, {key: near, value: {relation: r}}]}}
`, []string{
			"3: entity s basicserver", "13: entity tftp basicserver", "14: entity r basicrack",
			"5: attr s serial = string 0042", "6: attr s disk/size#0 = int 500", "7: attr s disk/size#1 = int 250",
			"8: attr s dhcp/tftp_server = relation /server/tftp", "9: attr s owner = relation /pool/people",
			"10: attr s bought = datetime 2010-01-02 03:04:05", "11: attr s sold = datetime 2010-01-02 02:04:05",
			`12: attr s tags = json ["a", "b"]`, "14: attr r racklayout = string 201001", "14: attr r near = relation /rack/r",
		}},
	})
}

func TestParseAliases(t *testing.T) {
	gives(t, []fileTest{
		{"anchors, aliases and merges; what stands there wins", `
pools:
  a:
    dhcp: &base {enabled: 1, domain: a.example.org}
  b:
    dhcp:
      <<: *base
      domain: b.example.org
  c:
    dhcp: *base
`, []string{
			"3: entity a pool", "5: entity b pool", "9: entity c pool", "4: attr a dhcp/enabled = int 1", "4: attr a dhcp/domain = string a.example.org",
			"8: attr b dhcp/domain = string b.example.org", "4: attr b dhcp/enabled = int 1",
			"4: attr c dhcp/enabled = int 1", "4: attr c dhcp/domain = string a.example.org",
		}},
		{"a driver that is not the original's", "servers: {s: {driver: acmeblade9}}", []string{"1: entity s acmeblade9"}},
	})
}

func TestServersAndNetworks(t *testing.T) {
	site, err := Parse("s.yaml", []byte(`
networks: {n: {cidr: 10.0.0.0/24, gateway: 10.0.0.254}}
servers:
  s: {mac: 02:00:00:00:00:01, ipmi: {mac: 02:00:00:00:00:02, ip: 10.0.0.2, osport: bmc}, ip: [{ip: 10.0.0.4, osport: ipmi0}, 10.0.0.1, 10.0.0.3]}
  bare:
`))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(site.Networks()), "[{n 10.0.0.0/24 10.0.0.254}]"; got != want {
		t.Errorf("networks %s, want %s", got, want)
	}
	s := site.Servers()
	if len(s) != 2 || s[1].Name != "bare" || s[1].IP.IsValid() || s[1].MAC != (clusto.MAC{}) {
		t.Fatalf("servers %+v", s)
	}
	got := fmt.Sprintln(s[0].Name, s[0].Line, s[0].MAC, s[0].IPMI, s[0].IP, len(s[0].Addrs), s[0].Addrs[0].OSPort)
	if want := fmt.Sprintln("s", 4, "02:00:00:00:00:01", "02:00:00:00:00:02", "10.0.0.1", 4, "bmc"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExplain(t *testing.T) {
	site, err := Parse("site.yaml", []byte("servers:\n  ex0000:\n    ip: 10.9.9.9\n"))
	if err != nil {
		t.Fatal(err)
	}
	cause := fmt.Errorf("no IP manager for 10.9.9.9: %w", clusto.ErrNotFound)
	got := site.Explain(fmt.Errorf("import: %w", &clusto.OpError{Index: 1, Err: cause}))
	if want := "site.yaml:3: server ex0000: no IP manager for 10.9.9.9: not found in clusto"; got.Error() != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	if !errors.Is(got, clusto.ErrNotFound) {
		t.Error("the cause is lost")
	}
	for _, err := range []error{clusto.ErrUnavailable, &clusto.OpError{Index: 2, Err: cause}, nil} {
		if got := site.Explain(err); got != err {
			t.Errorf("Explain(%v) = %v", err, got)
		}
	}
	if site.Where(-1) != "site.yaml" || site.Where(2) != "site.yaml" {
		t.Error("Where of no operation is not the file alone")
	}
}
