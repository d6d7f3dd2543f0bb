// Package daemon is the wiring that the daemons share: flags, services.conf,
// logs, signals.
package daemon

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Common is what every daemon has.
type Common struct {
	Config      string           `key:"-" placeholder:"FILE" help:"Read FILE instead of the first services.conf that exists in /etc/clusto, ~/.clusto and the working directory."`
	CheckConfig bool             `key:"-" help:"Print every setting and where it comes from, and end."`
	Version     kong.VersionFlag `key:"-" help:"Print the version, and end."`
	LogFormat   string           `default:"auto" placeholder:"FORMAT" help:"auto (text on a terminal, else json), text or json."`
	LogLevel    string           `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
}

// DHCP is the configuration of clusto-dhcpd: its flags and section "dhcp" of
// services.conf.
type DHCP struct {
	Interface []string `key:"interfaces" short:"i" sep:"none" placeholder:"NAME" help:"Answer on this interface. May be given several times."`
	APIURL    string   `name:"api-url" default:"http://127.0.0.1:9996" placeholder:"URL" help:"Where clusto-httpd is, without a slash at the end (${default})."`
	APIAccess `embed:""`
	ServerID  string `name:"server-id" placeholder:"ADDRESS" help:"Server identifier (option 54), for replicas to share. Unset: the interface's address."`
	Workers   int    `default:"0" placeholder:"N" help:"Workers for each interface, 1 to 64; 0 is one for two CPUs."`
	Metrics   string `placeholder:"HOST:PORT" help:"Serve metrics and health over HTTP here. Unset: do not."`

	LeaseTime    uint32         `default:"3600" placeholder:"SECONDS" help:"Lease time where no attribute sets one (${default})."`
	ExtraOptions map[int]string `placeholder:"CODE=NAME" help:"More names for option codes, for attributes to use."`
	NakPXE       bool           `name:"nak-pxe" negatable:"" help:"Send a NAK to boot firmware too. One NAK ends some firmware's boot."`

	UpdateIPMI        bool     `name:"update-ipmi" negatable:"" help:"Store unknown MACs that bootstrap/mac of one server names, as the mac or ipmi-mac of its port-nic-eth 1."`
	IPMIVendorClasses []string `name:"ipmi-vendor-classes" sep:"none" default:"udhcp 0.9.9-pre" placeholder:"TEXT" help:"Vendor classes (option 60) that mark a BMC. May be given several times."`
	IPMIOSPort        string   `name:"ipmi-osport" default:"ipmi0" placeholder:"NAME" help:"The osportname of addresses that are a BMC's (${default})."`

	CacheSize    int           `default:"200000" placeholder:"HOSTS" help:"Hosts to keep in memory (${default})."`
	CacheFile    string        `default:"/var/lib/clusto/clusto-dhcpd.hosts" placeholder:"FILE" help:"Keep the known hosts in FILE over a restart, for the inventory may be down then; empty: do not (${default})."`
	CacheTTL     time.Duration `name:"cache-ttl" default:"30s" placeholder:"TIME" help:"How long an answer of clusto-httpd counts as fresh where it does not tell of changes (${default})."`
	NegativeTTL  time.Duration `name:"negative-ttl" default:"5s" placeholder:"TIME" help:"How long an unknown MAC stays unknown (${default})."`
	MaxStale     time.Duration `default:"24h" placeholder:"TIME" help:"How long old answers serve while clusto-httpd is down (${default})."`
	WarnInterval time.Duration `default:"1h" placeholder:"TIME" help:"The same warning about one MAC comes once in this time (${default})."`

	// Inside says that clusto-httpd is in this process: files for one elsewhere,
	// or for when it is down, have no meaning.
	Inside bool `kong:"-"`

	Common `embed:""`
}

// HTTPD is the configuration of clusto-httpd: its flags and section "http" of
// services.conf.
type HTTPD struct {
	DB          string `name:"db" from:"clusto.conf" placeholder:"DSN" help:"The database. Unset: $$CLUSTODSN, else [clusto] dsn of $$CLUSTOCONFIG or /etc/clusto/clusto.conf."`
	Listen      string `default:"127.0.0.1:9996" placeholder:"HOST:PORT" help:"Where to serve HTTP (${default})."`
	HTTPAccess  `embed:""`
	ReadOnlyGet bool `negatable:"" help:"Refuse changes by GET, by which the original took them: they come by POST then."`

	MaxConnections int           `default:"1024" placeholder:"N" help:"Connections at once (${default})."`
	MaxRequests    int           `default:"512" placeholder:"N" help:"Requests at once, but for those below (${default})."`
	MaxStreams     int           `default:"8" placeholder:"N" help:"Streams of all hosts at once (${default})."`
	MaxFeeds       int           `default:"256" placeholder:"N" help:"Feeds of changes at once, one for each DHCP server (${default})."`
	MaxBatches     int           `default:"16" placeholder:"N" help:"Batches of changes at once, which are applied one by one (${default})."`
	MaxBody        int           `default:"256" placeholder:"MIB" help:"Size of a batch, in MiB (${default})."`
	RequestTimeout time.Duration `default:"30s" placeholder:"TIME" help:"How long a request may take that is no stream, feed or batch (${default})."`

	Common `embed:""`
}

// HTTPAccess is who may ask clusto-httpd, and what it proves itself with.
type HTTPAccess struct {
	TokenFile string `placeholder:"FILE" help:"Ask for a token. FILE has lines \"read TOKEN NAME\" and \"write TOKEN NAME\". Unset: everybody may do everything."`
	TLSCert   string `name:"tls-cert" placeholder:"FILE" help:"Speak TLS with the certificate in FILE (PEM). Unset: plain HTTP."`
	TLSKey    string `name:"tls-key" placeholder:"FILE" help:"The certificate's key."`
}

// optionName is what an attribute's subkey may be.
var optionName = regexp.MustCompile(`^[A-Za-z_]+[0-9A-Za-z_-]*$`)

func (c *Common) validate() error {
	if !slices.Contains([]string{"auto", "text", "json"}, c.LogFormat) {
		return bad("log_format", "%q is none; write auto, text or json", c.LogFormat)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		return bad("log_level", "%q is none; write debug, info, warn or error", c.LogLevel)
	}
	return nil
}

// Validate checks the settings, each alone and all together, and for
// --check-config the files that they name. The error is a *FieldError.
func (d *DHCP) Validate() error {
	checks := []func() error{d.check}
	if d.CheckConfig && !d.Inside {
		checks = append(checks, d.checkCacheFile, d.checkCacheFolder, d.checkAccess)
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// check is Validate without a look at files.
func (d *DHCP) check() error {
	for _, check := range []func() error{
		d.checkInterfaces, d.checkAPIURL, d.checkServerID, d.checkNumbers, d.checkTimes,
		d.checkExtraOptions, d.checkIPMI, d.validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	if d.Metrics != "" {
		return checkListen("metrics", d.Metrics)
	}
	return nil
}

func (d *DHCP) checkInterfaces() error { return checkInterfaces(d.Interface, d.CheckConfig) }

func checkInterfaces(names []string, none bool) error {
	if len(names) == 0 && !none {
		return bad("interfaces", "no interface is named; name one to answer on, as in --interface eth0")
	}
	for i, name := range names {
		switch {
		case name == "" || len(name) > 15 || strings.ContainsAny(name, " \t\n/"):
			return bad("interfaces", "%q is no interface's name; \"ip link\" lists them", name)
		case slices.Contains(names[:i], name):
			return bad("interfaces", "%s is named twice; keep one", name)
		}
	}
	return nil
}

func (d *DHCP) checkAPIURL() error { return checkURL(d.APIURL) }

func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return bad("api_url", "%q is no URL of a server; write http://HOST:PORT", text)
	case !isPort(u.Port()):
		return bad("api_url", "%q has a port that is none; write one from 1 to 65535", text)
	case strings.HasSuffix(text, "/"):
		return bad("api_url", "%q ends in a slash; write %q", text, strings.TrimRight(text, "/"))
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return bad("api_url", "%q has more than a server and a path; write http://HOST:PORT", text)
	}
	return nil
}

// isPort reports whether text is a port, or none is named.
func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && n > 0
}

func (d *DHCP) checkServerID() error {
	if d.ServerID == "" {
		return nil
	}
	ip, err := netip.ParseAddr(d.ServerID)
	if err != nil || !ip.Is4() || ip.IsUnspecified() || ip.IsMulticast() || ip.As4()[0] == 255 {
		return bad("server_id", "%q is no IPv4 address of a server; write one, as in 192.168.1.1, or leave it out", d.ServerID)
	}
	return nil
}

func (d *DHCP) checkNumbers() error {
	switch {
	case d.Workers < 0 || d.Workers > 64:
		return bad("workers", "want 1 to 64, or 0 for one for two CPUs, got %d", d.Workers)
	case d.CacheSize < 1:
		return bad("cache_size", "want 1 host or more, got %d", d.CacheSize)
	case d.LeaseTime < 60:
		return bad("lease_time", "want 60 to 4294967295 seconds, got %d", d.LeaseTime)
	}
	return nil
}

func (d *DHCP) checkTimes() error {
	for _, t := range []struct {
		key      string
		val, low time.Duration
	}{
		{"cache_ttl", d.CacheTTL, time.Millisecond},
		{"negative_ttl", d.NegativeTTL, time.Millisecond},
		{"max_stale", d.MaxStale, 0},
		{"warn_interval", d.WarnInterval, time.Second},
	} {
		if t.val < t.low {
			return bad(t.key, "want %v or more, got %v", t.low, t.val)
		}
	}
	return nil
}

func (d *DHCP) checkExtraOptions() error {
	codes := map[string]int{}
	for code, name := range d.ExtraOptions {
		other, twice := codes[name]
		codes[name] = code
		switch {
		case code < 1 || code > 254:
			return bad("extra_options", "code %d of %q: want 1 to 254", code, name)
		case !optionName.MatchString(name):
			return bad("extra_options", "name %q of code %d: want letters, digits, _ and -, a letter or _ first", name, code)
		case twice:
			return bad("extra_options", "name %q has two codes, %d and %d; keep one", name, min(code, other), max(code, other))
		}
	}
	return nil
}

func (d *DHCP) checkIPMI() error {
	if d.IPMIOSPort == "" {
		return bad("ipmi_osport", "it is empty; write the osportname of BMC addresses, as in ipmi0")
	}
	if slices.Contains(d.IPMIVendorClasses, "") {
		return bad("ipmi_vendor_classes", "one is empty, and would match clients without a vendor class; take it out")
	}
	return nil
}

// ServerAddr is ServerID as an address; invalid where it is not set.
func (d *DHCP) ServerAddr() netip.Addr {
	ip, _ := netip.ParseAddr(d.ServerID)
	return ip
}

// Extra gives the codes of ExtraOptions by name.
func (d *DHCP) Extra() map[string]byte {
	out := make(map[string]byte, len(d.ExtraOptions))
	for code, name := range d.ExtraOptions {
		out[name] = byte(code)
	}
	return out
}

func checkListen(key, addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return bad(key, "%q is no address to listen on; write HOST:PORT, as in 127.0.0.1:9996", addr)
	}
	return nil
}
