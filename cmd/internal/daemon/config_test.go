package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// load runs ParseFlags over a services.conf with the given text ("" for none)
// and gives what it printed, its exit code (-1: the program goes on) and its
// line with the folder's name cut out.
func load(t *testing.T, section string, into any, conf string, args ...string) (out string, code int, line string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "services.conf")
	if conf != "" {
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	err := ParseFlags(Program{Name: "prog", Section: section, Files: []string{file}, Stdout: &b}, args, into)
	code = -1
	if exit := (*Exit)(nil); errors.As(err, &exit) {
		code, line = exit.Code, strings.ReplaceAll(exit.Line, filepath.Dir(file)+"/", "")
	} else if err != nil {
		t.Fatalf("error %v is no *Exit", err)
	}
	return strings.ReplaceAll(b.String(), filepath.Dir(file)+"/", ""), code, line
}

const full = `{
  "barker": {"whatever": 1},
  "dhcp": {
    "api_url": "http://10.0.0.1:9996",
    "update_ipmi": true,
    "extra_options": {"66": "tftp_server", "150": "tftp_server_address"},
    "interfaces": ["eth0", "eth1"],
    "server_id": "10.0.0.2",
    "workers": 4,
    "cache_ttl": 10,
    "max_stale": "12h",
    "lease_time": 4294967295,
    "ipmi_vendor_classes": ["udhcp 0.9.9-pre", "a,b"],
    "nak_pxe": true
  }
}`

func TestDefaults(t *testing.T) {
	var d DHCP
	if _, code, line := load(t, "dhcp", &d, "", "--interface", "eth0"); code != -1 {
		t.Fatal(line)
	}
	want := DHCP{
		Interface: []string{"eth0"}, APIURL: "http://127.0.0.1:9996", LeaseTime: 3600, IPMIVendorClasses: []string{"udhcp 0.9.9-pre"},
		IPMIOSPort: "ipmi0", CacheSize: 200000, CacheFile: defaultCacheFile, CacheTTL: 30 * time.Second, NegativeTTL: 5 * time.Second, MaxStale: 24 * time.Hour,
		WarnInterval: time.Hour, Common: Common{LogFormat: "auto", LogLevel: "info"}, ExtraOptions: d.ExtraOptions,
	}
	if fmt.Sprintf("%+v", d) != fmt.Sprintf("%+v", want) || len(d.ExtraOptions) != 0 || d.ServerAddr().IsValid() {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
}

func TestFileAndFlags(t *testing.T) {
	var d DHCP
	if _, code, line := load(t, "dhcp", &d, full, "-i", "eth9", "--workers=2", "--no-nak-pxe", "--extra-options", "67=boot", "--log-level", "debug"); code != -1 {
		t.Fatal(line)
	}
	want := DHCP{
		Interface: []string{"eth9"}, APIURL: "http://10.0.0.1:9996", ServerID: "10.0.0.2", Workers: 2, LeaseTime: 4294967295,
		ExtraOptions: map[int]string{67: "boot"}, UpdateIPMI: true, IPMIVendorClasses: []string{"udhcp 0.9.9-pre", "a,b"},
		IPMIOSPort: "ipmi0", CacheSize: 200000, CacheFile: "/var/lib/clusto/clusto-dhcpd.hosts", CacheTTL: 10 * time.Second, NegativeTTL: 5 * time.Second, MaxStale: 12 * time.Hour,
		WarnInterval: time.Hour, Common: Common{LogFormat: "auto", LogLevel: "debug"},
	}
	if fmt.Sprintf("%+v", d) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", d, want)
	}
	if d.ServerAddr().String() != "10.0.0.2" || d.Extra()["boot"] != 67 {
		t.Errorf("server %v, extra %v", d.ServerAddr(), d.Extra())
	}
}

func TestCheckConfig(t *testing.T) {
	var d DHCP
	out, code, line := load(t, "dhcp", &d, full, "--workers=2", "--check-config", "-ieth9")
	want := strings.TrimPrefix(`
interfaces           ["eth9"]                                          --interface
api_url              "http://10.0.0.1:9996"                            services.conf:4
api_token_file       ""                                                default
api_ca_file          ""                                                default
server_id            "10.0.0.2"                                        services.conf:8
workers              2                                                 --workers
metrics              ""                                                default
lease_time           4294967295                                        services.conf:12
extra_options        {"150":"tftp_server_address","66":"tftp_server"}  services.conf:6
nak_pxe              true                                              services.conf:14
update_ipmi          true                                              services.conf:5
ipmi_vendor_classes  ["udhcp 0.9.9-pre","a,b"]                         services.conf:13
ipmi_osport          "ipmi0"                                           default
cache_size           200000                                            default
cache_file           "/var/lib/clusto/clusto-dhcpd.hosts"              default
cache_ttl            "10s"                                             services.conf:10
negative_ttl         "5s"                                              default
max_stale            "12h0m0s"                                         services.conf:11
warn_interval        "1h0m0s"                                          default
log_format           "auto"                                            default
log_level            "info"                                            default
`, "\n")
	if code != 0 || out != want {
		t.Errorf("exit %d %s\ngot\n%swant\n%s", code, line, out, want)
	}
}

func TestHelpAndVersion(t *testing.T) {
	for arg, want := range map[string]string{"--help": "--api-url=URL", "-h": "Usage: prog", "--version": "prog "} {
		var d DHCP
		// A file that is wrong must not keep anyone from reading the help.
		if out, code, line := load(t, "dhcp", &d, "{", arg); code != 0 || line != "" || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d %q, printed %q", arg, code, line, out)
		}
	}
}

func inDHCP(settings string) string { return "{\n \"dhcp\": {\n  " + settings + "\n }\n}" }

var errorCases = []struct {
	name, conf, args string
	want             string
}{
	{"no interface", "", "", `prog: --interface (dhcp.interfaces in services.conf): no interface is named; name one to answer on, as in --interface eth0`},
	{"unknown flag", "", "-i eth0 --worker 3", `prog: unknown flag --worker, did you mean "--workers"?; --help lists the flags`},
	{"an argument", "", "-i eth0 eth1", `prog: unexpected argument eth1; --help lists the flags`},
	{"a flag's type", "", "-i eth0 --workers many", `prog: --workers: expected a valid 64 bit int but got "many"; --help lists the flags`},
	{"a flag's value", inDHCP(`"workers": 3`), "-i eth0 --workers 65", `prog: --workers: want 1 to 64, or 0 for one for two CPUs, got 65`},
	{"no such file", "", "--config /nowhere/services.conf", `prog: read the configuration: open /nowhere/services.conf: no such file or directory`},
	{"not JSON", "{\n \"dhcp\": {\n  \"workers\": 1,\n }\n}", "", `prog: services.conf:4: not JSON: invalid character '}' looking for beginning of object key string; keys are quoted, and no comma stands before a }`},
	{"cut off", "{\n \"dhcp\": {\n", "", `prog: services.conf:3: not JSON: unexpected end of JSON input`},
	{"two documents", "{}\n{}", "", `prog: services.conf:2: not JSON: invalid character '{' after top-level value`},
	{"no object", "[]", "", `prog: services.conf:1: want an object of sections, as in {"dhcp": {...}}`},
	{"section is no object", "{\n\"dhcp\": true}", "", `prog: services.conf:2: dhcp: want an object of settings, as in {"api_url": "http://127.0.0.1:9996"}`},
	{"section twice", "{\"dhcp\": {},\n\"dhcp\": {}}", "", `prog: services.conf:2: section "dhcp" is there twice; make them one`},
	{"section misspelt", "{\n\"dchp\": {}}", "", `prog: services.conf:2: section "dchp": did you mean "dhcp"? There is no such section`},
	{"unknown key", inDHCP(`"api_rul": "http://a"`), "", `prog: services.conf:3: dhcp.api_rul: unknown key; did you mean "api_url"?`},
	{"unknown key like none", inDHCP(`"colour": "http://a"`), "", `prog: services.conf:3: dhcp.colour: unknown key; known are interfaces, api_url, api_token_file, api_ca_file, server_id, workers, metrics, lease_time, extra_options, nak_pxe, update_ipmi, ipmi_vendor_classes, ipmi_osport, cache_size, cache_file, cache_ttl, negative_ttl, max_stale, warn_interval, log_format, log_level`},
	{"key twice", inDHCP("\"workers\": 1,\n\"workers\": 2"), "", `prog: services.conf:4: dhcp.workers is there twice, first on line 3; keep one of them`},
	{"key of two lines", inDHCP(`"a\nb": 1`), "", `prog: services.conf:3: dhcp.a\nb: unknown key; known are interfaces, api_url, api_token_file, api_ca_file, server_id, workers, metrics, lease_time, extra_options, nak_pxe, update_ipmi, ipmi_vendor_classes, ipmi_osport, cache_size, cache_file, cache_ttl, negative_ttl, max_stale, warn_interval, log_format, log_level`},
	{"key of two lines twice", inDHCP("\"a\\nb\": 1,\n\"a\\nb\": 2"), "", `prog: services.conf:4: dhcp.a\nb is there twice, first on line 3; keep one of them`},
	{"flag only", inDHCP(`"check_config": true`), "", `prog: services.conf:3: dhcp.check_config: unknown key; known are interfaces, api_url, api_token_file, api_ca_file, server_id, workers, metrics, lease_time, extra_options, nak_pxe, update_ipmi, ipmi_vendor_classes, ipmi_osport, cache_size, cache_file, cache_ttl, negative_ttl, max_stale, warn_interval, log_format, log_level`},
	{"number", inDHCP(`"workers": "x"`), "", `prog: services.conf:3: dhcp.workers: want a number, got "x"; write a whole number without quotes`},
	{"whole number", inDHCP(`"workers": 1.5`), "", `prog: services.conf:3: dhcp.workers: want a number, got 1.5; write a whole number without quotes`},
	{"negative lease", inDHCP(`"lease_time": -1`), "", `prog: services.conf:3: dhcp.lease_time: want a number from 0 to 4294967295, got -1`},
	{"huge lease", inDHCP(`"lease_time": 4294967296`), "", `prog: services.conf:3: dhcp.lease_time: want a number from 0 to 4294967295, got 4294967296`},
	{"bool", inDHCP(`"update_ipmi": "yes"`), "", `prog: services.conf:3: dhcp.update_ipmi: want true or false, without quotes, got "yes"`},
	{"text", inDHCP(`"api_url": ["http://a"]`), "", `prog: services.conf:3: dhcp.api_url: want a text in quotes, got ["http://a"]`},
	{"null", inDHCP(`"api_url": null`), "", `prog: services.conf:3: dhcp.api_url: want a text in quotes, got null`},
	{"list", inDHCP(`"interfaces": "eth0"`), "", `prog: services.conf:3: dhcp.interfaces: want a list of texts, got "eth0"; write ["a", "b"]`},
	{"list of numbers", inDHCP(`"interfaces": ["eth0", 1]`), "", `prog: services.conf:3: dhcp.interfaces: want a list of texts, got ["eth0",1]; write ["a", "b"]`},
	{"codes", inDHCP(`"extra_options": ["tftp_server"]`), "", `prog: services.conf:3: dhcp.extra_options: want codes and names, got ["tftp_server"]; write {"66": "tftp_server"}`},
	{"codes turned round", inDHCP(`"extra_options": {"tftp_server": "66"}`), "", `prog: services.conf:3: dhcp.extra_options: want codes and names, got {"tftp_server":"66"}; write {"66": "tftp_server"}`},
	{"time", inDHCP(`"cache_ttl": "soon"`), "", `prog: services.conf:3: dhcp.cache_ttl: want a time, got "soon"; write "30s", "5m", "24h", or a whole number of seconds`},
	{"time with a fraction", inDHCP(`"cache_ttl": 0.5`), "", `prog: services.conf:3: dhcp.cache_ttl: want a time, got 0.5; write "30s", "5m", "24h", or a whole number of seconds`},
	{"api_url with a slash", inDHCP(`"api_url": "http://a:9996/"`), "-i eth0", `prog: services.conf:3: dhcp.api_url: "http://a:9996/" ends in a slash; write "http://a:9996"`},
	{"api_url without scheme", inDHCP(`"api_url": "localhost:9996"`), "-i eth0", `prog: services.conf:3: dhcp.api_url: "localhost:9996" is no URL of a server; write http://HOST:PORT`},
	{"api_url of ftp", "", "-i eth0 --api-url ftp://a", `prog: --api-url: "ftp://a" is no URL of a server; write http://HOST:PORT`},
	{"api_url without host", inDHCP(`"api_url": "http://"`), "-i eth0", `prog: services.conf:3: dhcp.api_url: "http://" is no URL of a server; write http://HOST:PORT`},
	{"api_url with a query", inDHCP(`"api_url": "http://a?b"`), "-i eth0", `prog: services.conf:3: dhcp.api_url: "http://a?b" has more than a server and a path; write http://HOST:PORT`},
	{"server_id", inDHCP(`"server_id": "::1"`), "-i eth0", `prog: services.conf:3: dhcp.server_id: "::1" is no IPv4 address of a server; write one, as in 192.168.1.1, or leave it out`},
	{"workers", inDHCP(`"workers": -1`), "-i eth0", `prog: services.conf:3: dhcp.workers: want 1 to 64, or 0 for one for two CPUs, got -1`},
	{"cache_size", inDHCP(`"cache_size": 0`), "-i eth0", `prog: services.conf:3: dhcp.cache_size: want 1 host or more, got 0`},
	{"lease_time", inDHCP(`"lease_time": 10`), "-i eth0", `prog: services.conf:3: dhcp.lease_time: want 60 to 4294967295 seconds, got 10`},
	{"cache_ttl", inDHCP(`"cache_ttl": 0`), "-i eth0", `prog: services.conf:3: dhcp.cache_ttl: want 1ms or more, got 0s`},
	{"max_stale", inDHCP(`"max_stale": "-1s"`), "-i eth0", `prog: services.conf:3: dhcp.max_stale: want 0s or more, got -1s`},
	{"code 255", inDHCP(`"extra_options": {"255": "end"}`), "-i eth0", `prog: services.conf:3: dhcp.extra_options: code 255 of "end": want 1 to 254`},
	{"code's name", inDHCP(`"extra_options": {"66": "6 6"}`), "-i eth0", `prog: services.conf:3: dhcp.extra_options: name "6 6" of code 66: want letters, digits, _ and -, a letter or _ first`},
	{"one name, two codes", inDHCP(`"extra_options": {"66": "a", "67": "a"}`), "-i eth0", `prog: services.conf:3: dhcp.extra_options: name "a" has two codes, 66 and 67; keep one`},
	{"interface's name", inDHCP(`"interfaces": ["eth 0"]`), "", `prog: services.conf:3: dhcp.interfaces: "eth 0" is no interface's name; "ip link" lists them`},
	{"interface twice", "", "-i eth0 -i eth0", `prog: --interface: eth0 is named twice; keep one`},
	{"empty vendor class", inDHCP(`"ipmi_vendor_classes": [""]`), "-i eth0", `prog: services.conf:3: dhcp.ipmi_vendor_classes: one is empty, and would match clients without a vendor class; take it out`},
	{"empty ipmi_osport", inDHCP(`"ipmi_osport": ""`), "-i eth0", `prog: services.conf:3: dhcp.ipmi_osport: it is empty; write the osportname of BMC addresses, as in ipmi0`},
	{"metrics", inDHCP(`"metrics": "9997"`), "-i eth0", `prog: services.conf:3: dhcp.metrics: "9997" is no address to listen on; write HOST:PORT, as in 127.0.0.1:9996`},
	{"log_format", inDHCP(`"log_format": "xml"`), "-i eth0", `prog: services.conf:3: dhcp.log_format: "xml" is none; write auto, text or json`},
	{"log_level", "", "-i eth0 --log-level loud", `prog: --log-level: "loud" is none; write debug, info, warn or error`},
	{"check-config finds errors too", inDHCP(`"workers": 99`), "--check-config", `prog: services.conf:3: dhcp.workers: want 1 to 64, or 0 for one for two CPUs, got 99`},
}

func TestErrors(t *testing.T) {
	for _, test := range errorCases {
		t.Run(test.name, func(t *testing.T) {
			var d DHCP
			out, code, line := load(t, "dhcp", &d, test.conf, strings.Fields(test.args)...)
			if code != 2 || out != "" || strings.Contains(line, "\n") {
				t.Errorf("exit %d, printed %q", code, out)
			}
			if line != test.want {
				t.Errorf("got\n%s\nwant\n%s", line, test.want)
			}
		})
	}
}

// The first file that exists counts, even if it is wrong or empty.
func TestFirstFile(t *testing.T) {
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	for i, conf := range []string{"", `{"dhcp": {"workers": 1}}`, `{"dhcp": {"workers": 2}}`} {
		if conf != "" {
			if err := os.WriteFile(files[i], []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for want, args := range map[int][]string{1: {"-ieth0"}, 2: {"-ieth0", "--config", files[2]}} {
		var d DHCP
		if err := ParseFlags(Program{Name: "prog", Section: "dhcp", Files: files}, args, &d); err != nil || d.Workers != want {
			t.Errorf("%v: %d workers, %v; want %d", args, d.Workers, err, want)
		}
	}
}

func TestConfigFiles(t *testing.T) {
	t.Setenv("HOME", "/home/op")
	if got := fmt.Sprint(ConfigFiles()); got != "[/etc/clusto/services.conf /home/op/.clusto/services.conf services.conf]" {
		t.Error(got)
	}
}
