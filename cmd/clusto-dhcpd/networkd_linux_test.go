package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/engine"
)

const (
	networkd    = "/lib/systemd/systemd-networkd"
	networkdAck = "DHCPv4 client: ACK"

	// What it reads and keeps is the test's, not the machine's. It takes a /sys
	// that nobody can write to as a sign that no udev is to be waited for.
	networkdRun = `set -e
mount --make-rprivate /
mount -t sysfs -o ro sysfs /sys
mount -t tmpfs run /run
mkdir -p /run/systemd/network /run/systemd/netif
cp "${0%/*}/cli0.network" /run/systemd/network
chown -R systemd-network: "${0%/*}/netif"
mount --bind "${0%/*}/netif" /run/systemd/netif
exec "$@"
`
	// The client-id is an RFC 4361 one, as it is by itself, from a DUID that is
	// not the machine's.
	networkdConf = `[Match]
Name=cli0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
IPv6AcceptRA=no
[DHCPv4]
DUIDType=vendor
DUIDRawData=00:00:ab:11:01:02:03:04:05:06:07:08
IAID=7
UseDomains=yes
`
)

// newNetworkd is systemd's client, without systemd.
func newNetworkd(l *lab, last byte) *guest {
	l.t.Helper()
	needRoot(l.t, "systemd-networkd wants to become the user systemd-network")
	path := need(l.t, networkd, "systemd")
	g := newGuest(l, last, "")
	for _, dir := range []string{"", "/links", "/leases", "/lldp"} {
		must(l.t, os.Mkdir(g.dir+"/netif"+dir, 0o755))
	}
	must(l.t, os.WriteFile(g.dir+"/run", []byte(networkdRun), 0o600))
	must(l.t, os.WriteFile(g.dir+"/cli0.network", []byte(networkdConf), 0o644)) //nolint:gosec // systemd-network reads it
	g.args = []string{
		need(l.t, "sh", "dash"), g.dir + "/run",
		need(l.t, "env", "coreutils"), "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console", path,
	}
	return g
}

// kept is the lease that networkd keeps a file of; its fields have other names
// than a script's, and no event.
func (g *guest) kept() event {
	g.l.t.Helper()
	e := event{}
	g.l.until("a lease in "+g.dir, func() bool {
		files, _ := filepath.Glob(g.dir + "/netif/leases/*")
		for _, file := range files {
			b, _ := os.ReadFile(file) // may be replaced just now
			for line := range strings.Lines(string(b)) {
				name, val, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
				e[name] = val
			}
		}
		return len(e) > 0
	})
	return e
}

// TestNetworkd goes through the life of a lease, and uses it, as TestDhcpcd does.
func TestNetworkd(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newNetworkd(l, 2)
	l.apply(`servers: {s2: {dhcp: {name_server: "10.9.0.3,10.9.0.4", domain_search: "a.example.org,b.example.org", renewal_time: 1, rebinding_time: 4}}}`)
	l.start()
	g.startApart(syscall.CLONE_NEWNS)
	g.says("DHCPv4 address 10.9.0.52/24, gateway 10.9.0.254 acquired from "+serverIP, 1)
	lease := map[string]string{
		"ADDRESS": "10.9.0.52", "NETMASK": "255.255.255.0", "BROADCAST": "10.9.0.255", "ROUTER": "10.9.0.254",
		"DNS": "10.9.0.3 10.9.0.4", "DOMAINNAME": "own.example.org", "DOMAIN_SEARCH_LIST": "a.example.org b.example.org",
		"HOSTNAME": "s2", "NTP": "10.9.0.3", "LIFETIME": "600", "T1": "1", "T2": "4",
		"SERVER_ADDRESS": serverIP, "NEXT_SERVER": "10.9.0.2", "CLIENTID": "ff0000000700020000ab110102030405060708",
	}
	g.kept().check(t, lease)
	l.ping("10.9.0.52")
	g.acked("REQUEST (renewing)", networkdAck)
	l.ping("10.9.0.52")
	l.mislead(serverIP)
	g.acked("REQUEST (rebinding)", networkdAck)
	discovers := strings.Count(g.out.String(), "DISCOVER")
	must(t, l.net.SetDown("srv0"))
	g.says("Lost carrier", 1)
	must(t, l.net.SetUp("srv0"))
	g.acked("REQUEST (init-reboot)", networkdAck)
	if n := strings.Count(g.out.String(), "DISCOVER"); n != discovers {
		t.Errorf("it had to ask with %d DISCOVERs", n-discovers)
	}

	g.end(syscall.SIGKILL) // what it remembers is gone with a reboot, so it begins anew
	must(t, os.RemoveAll(g.dir+"/netif/leases"))
	must(t, os.Mkdir(g.dir+"/netif/leases", 0o755)) //nolint:gosec // as networkd makes it
	g.startApart(syscall.CLONE_NEWNS)
	g.acked("REQUEST (requesting)", networkdAck)
	g.kept().check(t, lease)
	if n := l.verdicts(engine.Nak); n != 0 {
		t.Errorf("%d NAKs", n)
	}
}
