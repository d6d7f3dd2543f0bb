package inventory

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// lineless gives a site's operations and servers without their lines.
func lineless(t *testing.T, s *Site, err error) (ops []string, servers []ServerInfo) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range s.Ops() {
		ops = append(ops, say(op))
	}
	for _, i := range s.Servers() {
		i.Line = 0
		servers = append(servers, i)
	}
	return ops, servers
}

// TestCSVIsTheSameAsYAML: in every column, and however the file is written.
func TestCSVIsTheSameAsYAML(t *testing.T) {
	const yaml = `
servers:
  web1: {in: [pxe, debian, {rack: r1, ru: 3}], driver: penguinserver, hostname: www.example.org, mac: 02:00:00:00:00:01, ip: 10.0.0.1, ipmi: {mac: 02:00:00:00:00:02, ip: 10.0.9.1}}
  web2: {in: pxe, mac: 02:00:00:00:00:03, ip: [{ip: 10.0.0.2, osport: eth0}, {ip: 10.1.0.2, osport: eth1}]}
  spare: {in: pxe}
`
	const csv = `name,mac,ip,pool,driver,hostname,osport,rack,ru,ipmi_mac,ipmi_ip
# the first hall
web1,02:00:00:00:00:01,10.0.0.1,pxe;debian,penguinserver,www.example.org,,r1,3,02:00:00:00:00:02,10.0.9.1

web2,0200.0000.0003,10.0.0.2;10.1.0.2,pxe,,,eth0;eth1,,,,
spare,,,pxe,,,,,,,
`
	site, err := Parse("site.yaml", []byte(yaml))
	ops, servers := lineless(t, site, err)
	for name, text := range map[string]string{
		"plain": csv, "CRLF": strings.ReplaceAll(csv, "\n", "\r\n"), "BOM": utf8BOM + csv, "BOM and comment": utf8BOM + "# made by hand\n" + csv,
		"no newline at the end": strings.TrimSuffix(csv, "\n"), "spaces": strings.ReplaceAll(csv, ",", " , "),
		"capitals":   strings.Replace(csv, "name,mac,ip", "Name,MAC,IP", 1),
		"quotes":     strings.NewReplacer("pxe;debian", `"pxe; debian;"`, "web1", `"web1"`, "name,mac", `"name","mac"`).Replace(csv),
		"long quote": strings.Replace(csv, "pxe;debian", "\"pxe;\ndebian\"", 1),
	} {
		site, err := ParseCSV("hosts.csv", []byte(text))
		gotOps, gotServers := lineless(t, site, err)
		if !reflect.DeepEqual(gotOps, ops) || !reflect.DeepEqual(gotServers, servers) {
			t.Errorf("%s: got\n%s\n%+v\nwant\n%s\n%+v", name, strings.Join(gotOps, "\n"), gotServers, strings.Join(ops, "\n"), servers)
		}
	}
	other := "pool,ip,name,mac\npxe,10.0.0.1,web1,02:00:00:00:00:01\n"
	site, err = ParseCSV("hosts.csv", []byte(other))
	if err != nil || len(site.Ops()) != 4 || site.Where(3) != "hosts.csv:2" {
		t.Errorf("in another order: %v, %d operations", err, len(site.Ops()))
	}
	refused := &clusto.OpError{Index: 2, Err: clusto.ErrNotFound}
	if got := site.Explain(refused).Error(); !strings.HasPrefix(got, "hosts.csv:2: server web1: ") {
		t.Errorf("a refused operation is explained as %q", got)
	}
}

const head = "name,mac,ip,pool\n"

func TestCSVErrors(t *testing.T) {
	refused(t, "hosts.csv", ParseCSV, []fileTest{
		{"empty", "", []string{`hosts.csv: there is nothing in it; the first line names the columns: name,mac,ip,pool`}},
		{"Latin-1", "name,mac,ip,pool,osport\nh,,10.0.0.2,,eth0\na,00:11:22:33:44:55,10.0.0.1,,eth\xe4\n", []string{`hosts.csv:3: "\xe4" is no UTF-8; have the spreadsheet save CSV in UTF-8`}},
		{"only a comment", utf8BOM + "# soon\n\n", []string{`hosts.csv: there is nothing in it; the first line names the columns: name,mac,ip,pool`}},
		{"no header", "web1,02:00:00:00:00:01,10.0.0.1,pxe\n", []string{`hosts.csv:1: this line is no header; the first line names the columns: name,mac,ip,pool`}},
		{"semicolons", "# of a spreadsheet\nname;mac;ip;pool\n", []string{`hosts.csv:2: columns are parted by commas here, not by semicolons or tabs`}},
		{"unknown columns", "name,mac,ips,pol,colour,mac\nweb1,zz,,,red,\n", []string{
			`hosts.csv:1: unknown column "ips": did you mean "ip"?`,
			`hosts.csv:1: unknown column "pol": did you mean "pool"?`,
			`hosts.csv:1: unknown column "colour": known here are name, mac, ip, pool, driver, hostname, osport, rack, ru, ipmi_mac, ipmi_ip`,
			`hosts.csv:1: column "mac" is there twice; keep one of them`,
		}},
		{"missing columns", "mac,ip\n02:00:00:00:00:01,10.0.0.1\n", []string{
			`hosts.csv:1: no column "name"; its fields may be empty, but for the names`,
			`hosts.csv:1: no column "pool"; its fields may be empty, but for the names`,
		}},
	})
}

func TestCSVFieldErrors(t *testing.T) {
	refused(t, "hosts.csv", ParseCSV, []fileTest{
		{"fields", head + "web1,,\nweb2,,,,\n,,,\nweb4,,,\n", []string{
			`hosts.csv:2: 3 fields, and the header has 4; an empty field takes its comma too`,
			`hosts.csv:3: 5 fields, and the header has 4; an empty field takes its comma too`,
			`hosts.csv:4: no name; every server has one`,
		}},
		{"quotes", head + "web\"1,,,\nweb2,,,\n\"web3\"x,,,\nweb4,zz,,\n\"web5,,,\n", []string{
			`hosts.csv:2: not CSV: a " inside a field; put the field into quotes and write the one in it twice`,
			`hosts.csv:4: not CSV: a field that begins with a " has no end, or text behind it`,
			`hosts.csv:5: server web4: port-nic-eth/mac number 1: "zz" is no MAC; want six bytes in hex, as in 00:11:22:33:44:55`,
			`hosts.csv:6: not CSV: a field that begins with a " has no end, or text behind it`,
		}},
		{"values", head + "web 1,,,\nweb2,01:00:5e:00:00:01,10.0.0.1/24,a b\nweb3,,10.0.0.300,pxe;pxe\n", []string{
			`hosts.csv:2: servers: name "web 1": want letters, digits and . _ : @ + -, a letter or digit first, 128 at most`,
			`hosts.csv:3: server web2: port-nic-eth/mac number 1: 01:00:5e:00:00:01 is a group or empty address, which no network card has`,
			`hosts.csv:3: server web2: in "a b": that is no name of a pool or location`,
			`hosts.csv:3: server web2: ip: "10.0.0.1/24": write 10.0.0.1; the mask is the network's`,
			`hosts.csv:4: server web3: in pxe is there twice; keep one of them`,
			`hosts.csv:4: server web3: ip: "10.0.0.300" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50`,
		}},
	})
}

func TestCSVErrorsBetweenLines(t *testing.T) {
	refused(t, "hosts.csv", ParseCSV, []fileTest{
		{"twice", head + "web1,02:00:00:00:00:01,10.0.0.1,pxe\nweb1,,,\nweb3,02-00-00-00-00-01,,\nweb4,,10.0.0.1,web1\n", []string{
			`hosts.csv:3: servers: name "web1" is taken by the server on line 2; names are unique in clusto`,
			`hosts.csv:4: server web3: MAC 02:00:00:00:00:01 is taken by server web1 on line 2; correct one of them`,
			`hosts.csv:5: server web4: in web1: it is a server and holds nothing; only pools and locations do`,
			`hosts.csv:5: server web4: address 10.0.0.1 is taken by server web1 on line 2; correct one of them`,
		}},
		{"further columns", "name,mac,ip,pool,rack,ru,osport,driver,ipmi_mac,ipmi_ip\na,,,,r1,,,,,\nb,,,,r1,0,,,,\nc,,,,r1,7,,,,\nd,,,,r1,7,,,,\ne,,10.0.0.1,,,,eth0;eth1,basicrack,x,y\n", []string{
			`hosts.csv:2: server a: a place in a rack takes both columns, rack and ru; units count from 1`,
			`hosts.csv:3: server b: in: a place in a rack takes both, as in {rack: sv2-r01, ru: 3}; units count from 1`,
			`hosts.csv:5: server d: unit 7 of rack r1 is taken by server c on line 4`,
			`hosts.csv:6: server e: osport has 2 values, and ip 1; each address takes one interface`,
			`hosts.csv:6: server e: driver basicrack makes a rack, which does not belong under servers; put it under locations`,
			`hosts.csv:6: server e: port-nic-eth/ipmi-mac number 1: "x" is no MAC; want six bytes in hex, as in 00:11:22:33:44:55`,
			`hosts.csv:6: server e: ip: "y" is no IPv4 address; want four numbers from 0 to 255, as in 192.168.1.50`,
		}},
	})
}

// hall is a CSV file of n servers.
func hall(n int) string {
	var b strings.Builder
	b.WriteString("name,mac,ip,pool\n")
	for i := range n {
		fmt.Fprintf(&b, "s%06d,02:00:00:%02x:%02x:%02x,10.%d.%d.%d,pxe;p%d\n", i, i>>16, i>>8&255, i&255, 1+i>>16, i>>8&255, i&255, i%7)
	}
	return b.String()
}

func TestCSVOfAHundredThousandServers(t *testing.T) {
	const n = 100_000
	start := time.Now()
	site, err := ParseCSV("hosts.csv", []byte(hall(n)))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lines in %v", n, time.Since(start))
	if len(site.Servers()) != n || len(site.Ops()) != 5*n || site.Where(5*n-1) != "hosts.csv:100001" {
		t.Errorf("%d servers, %d operations, the last from %s", len(site.Servers()), len(site.Ops()), site.Where(5*n-1))
	}
	_, err = ParseCSV("hosts.csv", []byte(strings.ReplaceAll(hall(2000), ",02:", ",zz:")))
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != maxErrors+1 || lines[maxErrors] != "hosts.csv: and 1980 more errors" {
		t.Errorf("%d lines of errors, the last is %q", len(lines), lines[len(lines)-1])
	}
}
