package discovery

import (
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// virtual are the beginnings of MACs that routers share: no server has them.
// HSRP: RFC 2281 section 5.3 and its version 2; VRRP: RFC 5798 section 7.3;
// GLBP: Cisco's.
var virtual = []struct{ prefix, name string }{
	{"00:00:0c:07:ac:", "HSRP"},
	{"00:00:0c:9f:f", "HSRP version 2"},
	{"00:05:73:a0:0", "HSRP for IPv6"},
	{"00:00:5e:00:01:", "VRRP"},
	{"00:00:5e:00:02:", "VRRP for IPv6"},
	{"00:07:b4:00:", "GLBP"},
}

// notAServers says why a MAC is no server's, "" if it may be one.
func (d *Discovery) notAServers(mac clusto.MAC) string {
	text := mac.String()
	switch {
	case mac == clusto.MAC{}:
		return "the MAC is zero"
	case mac[0]&1 != 0:
		return "a multicast MAC"
	case mac[0]&2 != 0 && !d.cfg.Local:
		return "a locally administered MAC; switch local_macs on to take them"
	}
	for _, v := range virtual {
		if strings.HasPrefix(text, v.prefix) {
			return "a virtual MAC of " + v.name
		}
	}
	if len(d.cfg.Prefixes) == 0 {
		return ""
	}
	for _, p := range d.cfg.Prefixes {
		if strings.HasPrefix(text, strings.ToLower(p)) {
			return ""
		}
	}
	return "none of mac_prefixes"
}
