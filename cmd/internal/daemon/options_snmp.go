package daemon

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// SNMP is the configuration of clusto-snmptrapd: its flags and section "snmp"
// of services.conf.
type SNMP struct {
	Interface []string `key:"interfaces" short:"i" unless:"replay" sep:"none" placeholder:"NAME" help:"Listen on this interface. May be given several times."`
	APIURL    string   `name:"api-url" default:"http://127.0.0.1:9996" placeholder:"URL" help:"Where clusto-httpd is, without a slash at the end (${default})."`
	APIAccess `embed:""`
	Traps     `embed:""`
	Metrics   string `placeholder:"HOST:PORT" help:"Serve metrics and health over HTTP here. Unset: do not."`
	Replay    string `key:"-" placeholder:"FILE" help:"Take the traps of a capture (pcap or pcapng) instead of an interface's, work them off, and end."`

	Common `embed:""`
}

// Traps is what is taken from switches and made of it. Who embeds it may set the
// variables journal, journal_is and discover_mac: other defaults.
type Traps struct {
	Journal     string   `default:"${journal=/var/lib/clusto/clusto-snmptrapd.journal}" placeholder:"FILE" help:"Keep events in FILE until something has become of them (${journal_is=/var/lib/clusto/clusto-snmptrapd.journal})."`
	JournalSize int      `default:"1000000" placeholder:"EVENTS" help:"Events that may wait in the journal (${default})."`
	Community   []string `key:"communities" sep:"none" default:"public" placeholder:"NAME" help:"Take traps with this community. May be given several times (${default})."`
	Sources     []string `sep:"none" placeholder:"PREFIX" help:"Take traps from addresses of PREFIX only, as in 10.42.0.0/24. May be given several times."`

	NameManager     string        `default:"servernames" placeholder:"NAME" help:"The simpleentitynamemanager that names new servers (${default})."`
	RackLayouts     string        `placeholder:"DIR" help:"Read rack layouts from DIR, beside those built in."`
	HoldDown        time.Duration `default:"2s" placeholder:"TIME" help:"How long a new MAC on an unconnected port waits, to see whether it is alone (${default})."`
	MaxMACsPerPort  int           `name:"max-macs-per-port" default:"2" placeholder:"N" help:"A port that shows more MACs than this is an uplink (${default})."`
	MACPrefixes     []string      `name:"mac-prefixes" sep:"none" placeholder:"PREFIX" help:"Only MACs that begin so are servers', as in 00:1e:c9. May be given several times."`
	LocalMACs       bool          `name:"local-macs" negatable:"" help:"Locally administered MACs are servers' too."`
	DiscoverMAC     bool          `name:"discover-mac" default:"${discover_mac=false}" negatable:"" help:"The MAC of a new server becomes its port-nic-eth 1 mac, so that DHCP knows it."`
	DiscoverIP      []string      `name:"discover-ip" sep:"none" placeholder:"MANAGER" help:"Bind an address of this IP manager to a new server's eth0. May be given several times: the first that has one. The word rack means the manager that dhcp/ipmanager of its rack names."`
	DiscoverTimeout time.Duration `default:"10s" placeholder:"TIME" help:"How long one call of clusto-httpd may take (${default})."`
}

// longestHoldDown bounds hold_down.
const longestHoldDown = 24 * time.Hour

// macPrefix is how a MAC may begin.
var macPrefix = regexp.MustCompile(`^(?i)(([0-9a-f]{2}:){0,5}[0-9a-f]{2}|([0-9a-f]{2}:){1,5})$`)

// Validate checks the settings. The error is a *FieldError.
func (s *SNMP) Validate() error {
	if s.Replay == "" || len(s.Interface) > 0 {
		if err := checkInterfaces(s.Interface, s.CheckConfig); err != nil {
			return err
		}
	}
	if s.Replay != "" && len(s.Interface) > 0 {
		return bad("interfaces", "--replay takes the traps of a file; leave the interfaces out")
	}
	if s.Journal == "" {
		return bad("journal", "it is empty; name a file that can be written")
	}
	for _, check := range []func() error{s.Check, s.validate} {
		if err := check(); err != nil {
			return err
		}
	}
	if err := checkURL(s.APIURL); err != nil {
		return err
	}
	if s.Metrics != "" {
		if err := checkListen("metrics", s.Metrics); err != nil {
			return err
		}
	}
	if !s.CheckConfig {
		return nil
	}
	if err := s.CheckFiles(); err != nil {
		return err
	}
	return s.checkAccess()
}

// Check judges the settings, but for the journal's name. The error is a
// *FieldError.
func (s *Traps) Check() error {
	if err := s.checkTraps(); err != nil {
		return err
	}
	return s.checkDiscovery()
}

func (s *Traps) checkTraps() error {
	switch {
	case s.JournalSize < 1:
		return bad("journal_size", "want 1 event or more, got %d", s.JournalSize)
	case len(s.Community) == 0 || slices.Contains(s.Community, ""):
		return bad("communities", "one is empty, or there is none; write those of the switches")
	}
	for _, p := range s.Sources {
		if _, err := parsePrefix(p); err != nil {
			return bad("sources", "%q is no IPv4 address or range; write one, as in 10.42.0.0/24", p)
		}
	}
	return nil
}

func (s *Traps) checkDiscovery() error {
	switch {
	case s.NameManager == "":
		return bad("name_manager", "it is empty; write the name of a simpleentitynamemanager")
	case s.HoldDown < 0:
		return bad("hold_down", "want 0s or more, got %v", s.HoldDown)
	case s.HoldDown > longestHoldDown:
		return bad("hold_down", "want 24h at the most, got %v; a MAC alone on its port waits that long for its server", s.HoldDown)
	case s.MaxMACsPerPort < 1:
		return bad("max_macs_per_port", "want 1 or more, got %d", s.MaxMACsPerPort)
	case s.DiscoverTimeout < 100*time.Millisecond:
		return bad("discover_timeout", "want 100ms or more, got %v", s.DiscoverTimeout)
	case slices.Contains(s.DiscoverIP, ""):
		return bad("discover_ip", "one is empty; write names of IP managers, or rack")
	case slices.Contains(s.DiscoverIP, "rack") && len(s.DiscoverIP) > 1:
		return bad("discover_ip", "rack cannot be combined with names of managers")
	}
	for _, p := range s.MACPrefixes {
		if !macPrefix.MatchString(p) {
			return bad("mac_prefixes", "%q is not how a MAC begins; write it as in 00:1e:c9", p)
		}
		if strings.ContainsRune("13579bdfBDF", rune(p[1])) {
			return bad("mac_prefixes", "%q is how group addresses begin (multicast), which no server has; write it as in 00:1e:c9", p)
		}
		if !s.LocalMACs && strings.ContainsRune("26aeAE", rune(p[1])) {
			return bad("mac_prefixes", "%q is how locally administered MACs begin, which are no servers' while local_macs is off; switch it on, or leave the prefix out", p)
		}
	}
	return nil
}

// prefixes gives Sources as ranges.
func (s *Traps) prefixes() (out []netip.Prefix) {
	for _, p := range s.Sources {
		if prefix, err := parsePrefix(p); err == nil {
			out = append(out, prefix)
		}
	}
	return out
}

func parsePrefix(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Is4() {
		return netip.PrefixFrom(ip, 32), nil
	}
	p, err := netip.ParsePrefix(text)
	if err == nil && !p.Addr().Is4() {
		return p, bad("sources", "%q is not IPv4", text)
	}
	return p.Masked(), err
}
