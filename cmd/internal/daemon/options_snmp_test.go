package daemon

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const fullSNMP = `{
  "dhcp": {"nonsense": 1},
  "snmp": {
    "interfaces": ["eth0", "eth1"],
    "api_url": "https://10.0.0.1:9996",
    "api_token_file": "/etc/clusto/snmp.token",
    "api_ca_file": "/etc/clusto/cert.pem",
    "journal": "/etc/clusto/events",
    "journal_size": 5000,
    "communities": ["site", "a,b"],
    "sources": ["10.42.0.0/24", "10.43.0.9"],
    "metrics": "127.0.0.1:9968",
    "name_manager": "names",
    "rack_layouts": "/etc/clusto/rack_layouts",
    "hold_down": 5,
    "max_macs_per_port": 3,
    "mac_prefixes": ["00:1e:c9", "00:1F"],
    "local_macs": true,
    "discover_mac": true,
    "discover_ip": ["net0", "net1"],
    "discover_timeout": "3s",
    "log_format": "json",
    "log_level": "warn"
  }
}`

func TestSNMPDefaults(t *testing.T) {
	var s SNMP
	if _, code, line := load(t, "snmp", &s, "", "--interface", "eth0"); code != -1 {
		t.Fatal(line)
	}
	want := SNMP{
		Interface: []string{"eth0"}, APIURL: "http://127.0.0.1:9996",
		Traps: Traps{
			Journal: "/var/lib/clusto/clusto-snmptrapd.journal", JournalSize: 1_000_000, Community: []string{"public"},
			NameManager: "servernames", HoldDown: 2 * time.Second, MaxMACsPerPort: 2, DiscoverTimeout: 10 * time.Second,
		},
		Common: Common{LogFormat: "auto", LogLevel: "info"},
	}
	if fmt.Sprintf("%+v", s) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

// TestSNMPCheckConfig has every setting, from the file and from flags.
func TestSNMPCheckConfig(t *testing.T) {
	var s SNMP
	t.Chdir(t.TempDir())
	put(t, "snmp.token", "a-token-a-token")
	put(t, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate(t)})))
	put(t, "rack_layouts/README", "none yet")
	out, code, line := load(t, "snmp", &s, strings.ReplaceAll(fullSNMP, "/etc/clusto/", ""), "--check-config", "-i", "eth9", "--no-discover-mac", "--hold-down=0s")
	want := strings.TrimPrefix(`
interfaces         ["eth9"]                    --interface
api_url            "https://10.0.0.1:9996"     services.conf:5
api_token_file     "/etc/clusto/snmp.token"    services.conf:6
api_ca_file        "/etc/clusto/cert.pem"      services.conf:7
journal            "/etc/clusto/events"        services.conf:8
journal_size       5000                        services.conf:9
communities        ["site","a,b"]              services.conf:10
sources            ["10.42.0.0/24","10.43.0.9"]  services.conf:11
name_manager       "names"                     services.conf:13
rack_layouts       "/etc/clusto/rack_layouts"  services.conf:14
hold_down          "0s"                        --hold-down
max_macs_per_port  3                           services.conf:16
mac_prefixes       ["00:1e:c9","00:1F"]        services.conf:17
local_macs         true                        services.conf:18
discover_mac       false                       --discover-mac
discover_ip        ["net0","net1"]             services.conf:20
discover_timeout   "3s"                        services.conf:21
metrics            "127.0.0.1:9968"            services.conf:12
log_format         "json"                      services.conf:22
log_level          "warn"                      services.conf:23
`, "\n")
	want = strings.ReplaceAll(want, "/etc/clusto/", "")
	if squeeze(out) != squeeze(want) || code != 0 {
		t.Errorf("exit %d %s\ngot\n%swant\n%s", code, line, out, want)
	}
	if got := fmt.Sprint(s.prefixes()); got != "[10.42.0.0/24 10.43.0.9/32]" {
		t.Error(got)
	}
}

// TestSNMPCheckConfigLooksAtFiles: what the daemon refuses when it starts,
// --check-config passed.
func TestSNMPCheckConfigLooksAtFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, "broken/a.json", "{")
	put(t, "token", "read a b")
	for _, test := range []struct{ setting, want string }{
		{`"journal": "events", "rack_layouts": "gone"`, "rack_layouts: load rack layouts: open gone: no such file or directory; make the directory, or leave rack_layouts out"},
		{`"journal": "events", "rack_layouts": "broken"`, "rack_layouts: broken/a.json:1: not JSON: unexpected end of JSON input; mend what is in the folder"},
		{`"journal": "broken"`, "journal: broken is no file; name a file"},
		{`"journal": "gone/events"`, "journal: journal file: lstat gone: no such file or directory; give a file in a folder that exists"},
		{`"journal": "token/a/events"`, "journal: journal file: find token/a: not a directory; give a file in a folder that exists"},
		{`"journal": "token"`, "journal: journal file token: it is something else than a journal; give another name"},
		{`"journal": "events", "api_token_file": "gone"`, "api_token_file: stat gone: no such file or directory; name a file with a token"},
		{`"journal": "events", "api_token_file": "token"`, "api_token_file: token:1: this is no token; "},
		{`"journal": "events", "api_ca_file": "token"`, "api_ca_file: read the certificates to trust: token has none in PEM"},
	} {
		var s SNMP
		out, code, line := load(t, "snmp", &s, `{"snmp": {`+test.setting+`}}`, "--check-config", "-i", "eth0")
		if code != 2 || out != "" || !strings.HasPrefix(line, "prog: services.conf:1: snmp."+test.want) || strings.Contains(line, "\n") {
			t.Errorf("%s: exit %d, printed %q\ngot\n%s\nwant\n%s", test.setting, code, out, line, test.want)
		}
	}
}

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// certificate is one in DER.
func certificate(t *testing.T) []byte {
	srv := httptest.NewTLSServer(nil)
	t.Cleanup(srv.Close)
	return srv.Certificate().Raw
}

// squeeze makes one space of several.
func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.Join(strings.Fields(lines[i]), " ")
	}
	return strings.Join(lines, "\n")
}

func TestSNMPErrors(t *testing.T) {
	in := func(settings string) string { return "{\n \"snmp\": {\n  " + settings + "\n }\n}" }
	const at = "prog: services.conf:3: snmp."
	for _, test := range []struct{ conf, args, want string }{
		{"", "", `prog: --interface (snmp.interfaces in services.conf): no interface is named; name one to answer on, as in --interface eth0`},
		{in(`"interfaces": ["eth 0"]`), "", at + `interfaces: "eth 0" is no interface's name; "ip link" lists them`},
		{"", "-i eth0 -i eth0", `prog: --interface: eth0 is named twice; keep one`},
		{"", "-i eth0 --replay x.pcap", `prog: --interface: --replay takes the traps of a file; leave the interfaces out`},
		{in(`"replay": "x.pcap"`), "-i eth0", at + `replay: unknown key; known are interfaces, api_url, api_token_file, api_ca_file, journal, journal_size, communities, sources, name_manager, rack_layouts, hold_down, max_macs_per_port, mac_prefixes, local_macs, discover_mac, discover_ip, discover_timeout, metrics, log_format, log_level`},
		{in(`"community": ["a"]`), "-i eth0", at + `community: unknown key; did you mean "communities"?`},
		{in(`"api_url": "http://a:9996/"`), "-i eth0", at + `api_url: "http://a:9996/" ends in a slash; write "http://a:9996"`},
		{in(`"api_url": "http://a:99999"`), "-i eth0", at + `api_url: "http://a:99999" has a port that is none; write one from 1 to 65535`},
		{in(`"api_url": "http://a:0"`), "-i eth0", at + `api_url: "http://a:0" has a port that is none; write one from 1 to 65535`},
		{in(`"hold_down": "1000000h"`), "-i eth0", at + `hold_down: want 24h at the most, got 1000000h0m0s; a MAC alone on its port waits that long for its server`},
		{in(`"mac_prefixes": ["00:1e:c9", "01:"]`), "-i eth0", at + `mac_prefixes: "01:" is how group addresses begin (multicast), which no server has; write it as in 00:1e:c9`},
		{in(`"journal": ""`), "-i eth0", at + `journal: it is empty; name a file that can be written`},
		{in(`"journal_size": 0`), "-i eth0", at + `journal_size: want 1 event or more, got 0`},
		{in(`"journal_size": "many"`), "-i eth0", at + `journal_size: want a number, got "many"; write a whole number without quotes`},
		{in(`"communities": "public"`), "-i eth0", at + `communities: want a list of texts, got "public"; write ["a", "b"]`},
		{in(`"communities": [""]`), "-i eth0", at + `communities: one is empty, or there is none; write those of the switches`},
		{in(`"communities": []`), "-i eth0", at + `communities: one is empty, or there is none; write those of the switches`},
		{"", "-i eth0 --community=", `prog: --community: one is empty, or there is none; write those of the switches`},
		{in(`"sources": ["10.42.0.0/33"]`), "-i eth0", at + `sources: "10.42.0.0/33" is no IPv4 address or range; write one, as in 10.42.0.0/24`},
		{in(`"sources": ["2001:db8::/64"]`), "-i eth0", at + `sources: "2001:db8::/64" is no IPv4 address or range; write one, as in 10.42.0.0/24`},
		{in(`"sources": ["sw1"]`), "-i eth0", at + `sources: "sw1" is no IPv4 address or range; write one, as in 10.42.0.0/24`},
		{in(`"metrics": "9968"`), "-i eth0", at + `metrics: "9968" is no address to listen on; write HOST:PORT, as in 127.0.0.1:9996`},
		{in(`"name_manager": ""`), "-i eth0", at + `name_manager: it is empty; write the name of a simpleentitynamemanager`},
		{in(`"rack_layouts": ["/etc/x"]`), "-i eth0", at + `rack_layouts: want a text in quotes, got ["/etc/x"]`},
		{in(`"hold_down": "-1s"`), "-i eth0", at + `hold_down: want 0s or more, got -1s`},
		{in(`"hold_down": "soon"`), "-i eth0", at + `hold_down: want a time, got "soon"; write "30s", "5m", "24h", or a whole number of seconds`},
		{in(`"max_macs_per_port": 0`), "-i eth0", at + `max_macs_per_port: want 1 or more, got 0`},
		{in(`"mac_prefixes": ["00:1e:c9:11:22:33:"]`), "-i eth0", at + `mac_prefixes: "00:1e:c9:11:22:33:" is not how a MAC begins; write it as in 00:1e:c9`},
		{in(`"mac_prefixes": ["001e.c9"]`), "-i eth0", at + `mac_prefixes: "001e.c9" is not how a MAC begins; write it as in 00:1e:c9`},
		{in(`"mac_prefixes": [""]`), "-i eth0", at + `mac_prefixes: "" is not how a MAC begins; write it as in 00:1e:c9`},
		{in(`"local_macs": 1`), "-i eth0", at + `local_macs: want true or false, without quotes, got 1`},
		{in(`"discover_mac": "yes"`), "-i eth0", at + `discover_mac: want true or false, without quotes, got "yes"`},
		{in(`"discover_ip": ["net0", ""]`), "-i eth0", at + `discover_ip: one is empty; write names of IP managers, or rack`},
		{in(`"discover_ip": ["rack", "net0"]`), "-i eth0", at + `discover_ip: rack cannot be combined with names of managers`},
		{in(`"discover_timeout": "1ms"`), "-i eth0", at + `discover_timeout: want 100ms or more, got 1ms`},
		{in(`"log_level": "loud"`), "-i eth0", at + `log_level: "loud" is none; write debug, info, warn or error`},
		{in(`"log_format": "xml"`), "-i eth0", at + `log_format: "xml" is none; write auto, text or json`},
		{in(`"max_macs_per_port": -1`), "--check-config", at + `max_macs_per_port: want 1 or more, got -1`},
	} {
		var s SNMP
		out, code, line := load(t, "snmp", &s, test.conf, strings.Fields(test.args)...)
		if code != 2 || out != "" || line != test.want {
			t.Errorf("%s %s: exit %d, printed %q\ngot\n%s\nwant\n%s", test.conf, test.args, code, out, line, test.want)
		}
	}
}

// TestPrefixOfLocalMACs: one that begins only MACs which local_macs keeps out was
// taken, and no server was ever made by it.
func TestPrefixOfLocalMACs(t *testing.T) {
	for _, c := range []struct {
		prefix string
		local  bool
		ok     bool
	}{{"02:", false, false}, {"0A", false, false}, {"fe:00", false, false}, {"02:", true, true}, {"00:02", false, true}, {"04:", false, true}} {
		conf := fmt.Sprintf("{\"snmp\": {\"local_macs\": %v,\n\"mac_prefixes\": [\"00:1e:c9\", %q]}}", c.local, c.prefix)
		want, code := "", -1
		if !c.ok {
			want, code = fmt.Sprintf("prog: services.conf:2: snmp.mac_prefixes: %q is how locally administered MACs begin, which are no servers' while local_macs is off; switch it on, or leave the prefix out", c.prefix), 2
		}
		var s SNMP
		if _, got, line := load(t, "snmp", &s, conf, "-i", "eth0"); got != code || line != want {
			t.Errorf("%s: exit %d\ngot\n%s\nwant\n%s", conf, got, line, want)
		}
	}
}

// TestSNMPReplay needs no interface.
func TestSNMPReplay(t *testing.T) {
	var s SNMP
	if _, code, line := load(t, "snmp", &s, "", "--replay", "x.pcap"); code != -1 || s.Replay != "x.pcap" {
		t.Errorf("exit %d: %s", code, line)
	}
}

// TestSNMPReplayAtASite: a site's own file names interfaces, and was refused.
// They are not those of a capture.
func TestSNMPReplayAtASite(t *testing.T) {
	var s SNMP
	if _, code, line := load(t, "snmp", &s, `{"snmp": {"interfaces": ["eth0"], "journal_size": 7}}`, "--replay", "x.pcap"); code != -1 || len(s.Interface) != 0 || s.JournalSize != 7 {
		t.Errorf("exit %d: %s; interfaces %q, journal_size %d", code, line, s.Interface, s.JournalSize)
	}
}

// TestSections: a program with settings of another section, by another prefix.
func TestSections(t *testing.T) {
	type both struct {
		DHCP `embed:""`
		SNMP struct {
			Traps `embed:""`
		} `embed:"" prefix:"traps-" group:"snmp" set:"discover_mac=true"`
	}
	var b both
	conf := `{"dhcp": {"workers": 3}, "snmp": {"hold_down": "7s", "communities": ["a"]}}`
	out, code, line := load(t, "dhcp", &b, conf, "--check-config", "--traps-community", "b")
	for _, want := range []string{
		"workers 3 services.conf:1", "snmp.hold_down \"7s\" services.conf:1", "snmp.communities [\"b\"] --traps-community", "snmp.discover_mac true default",
	} {
		if code != 0 || !strings.Contains(squeeze(out), want+"\n") {
			t.Errorf("exit %d %s; no %s in\n%s", code, line, want, out)
		}
	}
	if _, code, line := load(t, "dhcp", &b, `{"snmp": {"workers": 1}}`, "-i", "eth0"); code != 2 || !strings.HasPrefix(line, "prog: services.conf:1: snmp.workers: unknown key; known are journal, ") {
		t.Errorf("exit %d: %s", code, line)
	}
}
