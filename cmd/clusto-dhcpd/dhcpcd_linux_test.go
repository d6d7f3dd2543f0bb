package main

import (
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/engine"
)

const (
	// dhcpcd sets the address itself.
	dhcpcdScript = `#!/bin/sh
{ echo "event=$reason"; env; echo; } >>"${0%/*}/events"
`
	// What it keeps is the test's, not the machine's.
	dhcpcdRun = `set -e
mount --make-rprivate /
mount --bind "${0%/*}/db" /var/lib/dhcpcd
mount -t tmpfs run /run
exec "$@"
`
	dhcpcdConf = `ipv4only
nodelay
clientid
vendorclassid
option domain_name_servers, domain_name, domain_search, ntp_servers
require dhcp_server_identifier
timeout 20
`
)

// newDhcpcd is the client of small machines and of some distributions, in a mount
// namespace of its own.
func newDhcpcd(l *lab, last byte, settings ...string) *guest {
	l.t.Helper()
	path := need(l.t, "dhcpcd", "dhcpcd-base")
	g := newGuest(l, last, dhcpcdScript)
	must(l.t, os.Mkdir(g.dir+"/db", 0o700))
	must(l.t, os.WriteFile(g.dir+"/run", []byte(dhcpcdRun), 0o600))
	must(l.t, os.WriteFile(g.dir+"/conf", []byte(dhcpcdConf+strings.Join(settings, "\n")+"\n"), 0o600))
	g.args = []string{
		need(l.t, "sh", "dash"), g.dir + "/run",
		path, "-B", "-4", "-d", "-f", g.dir + "/conf", "-c", g.dir + "/script", "cli0",
	}
	return g
}

// startApart starts the client with new namespaces.
func (g *guest) startApart(namespaces uintptr) {
	g.l.t.Helper()
	g.cmd = g.command()
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	must(g.l.t, g.l.peer.Start(g.cmd))
}

// power starts dhcpcd where all its processes end with the first.
func (g *guest) power() {
	g.l.t.Helper()
	g.startApart(syscall.CLONE_NEWNS | syscall.CLONE_NEWPID)
}

// TestDhcpcd goes through the life of a lease, and uses it: it is got and
// renewed, rebound when the server does not hear what is sent to it alone, and
// asked for again after a reboot.
func TestDhcpcd(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newDhcpcd(l, 2, "noarp")
	l.apply(`servers: {s2: {dhcp: {name_server: "10.9.0.3,10.9.0.4", domain_search: "a.example.org,b.example.org", renewal_time: 1, rebinding_time: 4}}}`)
	l.start()
	g.power()
	lease := map[string]string{
		"new_ip_address": "10.9.0.52", "new_subnet_mask": "255.255.255.0", "new_broadcast_address": "10.9.0.255",
		"new_routers": "10.9.0.254", "new_domain_name_servers": "10.9.0.3 10.9.0.4", "new_domain_name": "own.example.org",
		"new_domain_search": "a.example.org b.example.org", "new_host_name": "s2", "new_ntp_servers": "10.9.0.3",
		"new_dhcp_lease_time": "600", "new_dhcp_renewal_time": "1", "new_dhcp_rebinding_time": "4",
		"new_dhcp_server_identifier": serverIP, "new_filename": "/pxelinux.0", "new_tftp_server_name": "10.9.0.2",
		"new_dhcp_client_identifier": "01020000000002",
	}
	g.await("BOUND").check(t, lease)
	l.ping("10.9.0.52")
	g.await("RENEW").check(t, lease)
	l.ping("10.9.0.52")
	l.mislead(serverIP)
	g.await("REBIND").check(t, lease)

	g.end(syscall.SIGKILL)
	solicited := strings.Count(g.out.String(), "soliciting")
	g.power()
	g.await("REBOOT").check(t, lease)
	if n := strings.Count(g.out.String(), "soliciting"); n != solicited {
		t.Errorf("it had to ask with %d DISCOVERs", n-solicited)
	}
	l.lead(serverIP)
	g.signal(syscall.SIGALRM)
	l.until("the RELEASE", func() bool { return l.verdicts(engine.Released) == 1 })
	if n := l.verdicts(engine.Nak); n != 0 {
		t.Errorf("%d NAKs", n)
	}
}

// mislead has what the client sends to the address alone go to nobody.
func (l *lab) mislead(addr string) {
	l.t.Helper()
	must(l.t, l.peer.AddNeighbour("cli0", netip.MustParseAddr(addr), mac(0xee)))
}

// lead ends what mislead did.
func (l *lab) lead(addr string) {
	l.t.Helper()
	server, err := l.net.MAC("srv0")
	must(l.t, err)
	must(l.t, l.peer.AddNeighbour("cli0", netip.MustParseAddr(addr), server))
}

// TestDhcpcdMoves: its address changes in clusto while it is down, and it hears so.
func TestDhcpcdMoves(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newDhcpcd(l, 1, "noarp")
	l.start()
	g.power()
	g.await("BOUND").check(t, map[string]string{"new_ip_address": "10.9.0.51"})
	g.end(syscall.SIGKILL)
	l.move("s1", 1, "10.9.0.71")
	g.power()
	g.await("BOUND").check(t, map[string]string{"new_ip_address": "10.9.0.71"})
	g.says("NAK", 1)
	l.ping("10.9.0.71")
}

// TestDhcpcdDeclines: the address that it gets answers ARP already.
func TestDhcpcdDeclines(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newDhcpcd(l, 2)
	l.start()
	must(t, l.net.AddAddr("srv0", netip.MustParsePrefix("10.9.0.52/32")))
	g.power()
	l.declined("/server/s2", "10.9.0.52")
}
