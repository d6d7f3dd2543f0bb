package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

// The clients' scripts do with a lease what a machine does, and then write down
// what they were told: one block of lines for each event.
const (
	udhcpcScript = `#!/bin/sh
case $1 in
deconfig) ip addr flush dev "$interface" ;;
bound | renew)
	ip addr replace "$ip/$mask" dev "$interface"
	ip route replace default via "$router" dev "$interface" ;;
esac
{ echo "event=$1"; env; echo; } >>"${0%/*}/events"
`
	dhclientScript = `#!/bin/sh
case $reason in
PREINIT | EXPIRE | FAIL | STOP | RELEASE) ip addr flush dev "$interface" ;;
BOUND | RENEW | REBIND | REBOOT)
	[ "$old_ip_address" = "$new_ip_address" ] || ip addr flush dev "$interface"
	ip addr replace "$new_ip_address/$new_subnet_mask" dev "$interface"
	ip route replace default via "$new_routers" dev "$interface" ;;
esac
{ echo "event=$reason"; env; echo; } >>"${0%/*}/events"
[ ! -e "${0%/*}/refuse" ]
`
	dhclientConf = "initial-delay 0;\ninitial-interval 2;\nbackoff-cutoff 2;\nretry 2;\n"
)

// need finds a program, and skips the test where it is not installed.
func need(t *testing.T, name, pkg string) string {
	t.Helper()
	for _, file := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} { // users have no sbin in PATH
		if path, err := exec.LookPath(file); err == nil {
			return path
		}
	}
	lack(t, name, pkg)
	return ""
}

// lack skips a test for which something is not installed.
func lack(t *testing.T, name, pkg string) {
	t.Helper()
	const lack = "*** NOT TESTED *** %s is not there, or not for this user to run: apt-get install %s"
	if os.Getenv("CI") != "" {
		t.Fatalf(lack, name, pkg)
	}
	t.Skipf(lack, name, pkg)
}

// guest is a DHCP client of somebody else's on cli0.
type guest struct {
	l     *lab
	dir   string
	args  []string
	cmd   *exec.Cmd // nil: it does not run
	out   journal
	heard int // bytes of out that were looked at
	seen  int // events that were looked at
}

func newGuest(l *lab, last byte, script string, args ...string) *guest {
	l.t.Helper()
	g := &guest{l: l, dir: l.t.TempDir(), args: args}
	need(l.t, "ip", "iproute2")
	must(l.t, l.peer.SetMAC("cli0", mac(last)))
	must(l.t, os.WriteFile(g.dir+"/script", []byte(script), 0o700))
	l.t.Cleanup(func() {
		g.end(syscall.SIGKILL)
		if l.t.Failed() {
			l.t.Logf("%s says:\n%s", filepath.Base(g.args[0]), &g.out)
		}
	})
	return g
}

// newUdhcpc is busybox' client, as it is found in initramfs and BMCs.
func newUdhcpc(l *lab, last byte, args ...string) *guest {
	l.t.Helper()
	path := need(l.t, "udhcpc", "udhcpc")
	g := newGuest(l, last, udhcpcScript, path, "-f", "-i", "cli0", "-t", "8", "-T", "2")
	g.args = append(g.args, append(args, "-s", g.dir+"/script")...)
	return g
}

// newDhclient is ISC's client. It runs from a copy: AppArmor, where it is on,
// confines the original to the files of the machine itself.
func newDhclient(l *lab, last byte) *guest {
	l.t.Helper()
	program, err := os.ReadFile(need(l.t, "dhclient", "isc-dhcp-client"))
	must(l.t, err)
	g := newGuest(l, last, dhclientScript)
	must(l.t, os.WriteFile(g.dir+"/dhclient", program, 0o700))
	must(l.t, os.WriteFile(g.dir+"/conf", []byte(dhclientConf), 0o600))
	g.args = []string{
		g.dir + "/dhclient", "-4", "-d", "-v", "-cf", g.dir + "/conf", "-lf", g.dir + "/leases",
		"-pf", g.dir + "/pid", "-sf", g.dir + "/script", "cli0",
	}
	return g
}

func (g *guest) command(extra ...string) *exec.Cmd {
	cmd := exec.Command(g.args[0], append(extra, g.args[1:]...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdout, cmd.Stderr = &g.out, &g.out
	return cmd
}

func (g *guest) start() {
	g.l.t.Helper()
	g.cmd = g.command()
	must(g.l.t, g.l.peer.Start(g.cmd))
}

// says waits until the client has written something n times.
func (g *guest) says(text string, n int) {
	g.l.t.Helper()
	g.l.until("the client's words "+text, func() bool { return strings.Count(g.out.String(), text) >= n })
}

func (g *guest) signal(s syscall.Signal) {
	g.l.t.Helper()
	must(g.l.t, g.cmd.Process.Signal(s))
}

// end ends the client, if it runs.
func (g *guest) end(s syscall.Signal) {
	if g.cmd == nil {
		return
	}
	_ = g.cmd.Process.Signal(s) // it may have ended by itself
	_ = g.cmd.Wait()            // killed by the signal
	g.cmd = nil
}

// event is the environment of a script.
type event map[string]string

// events are those that are written down in full.
func (g *guest) events() (all []event) {
	b, _ := os.ReadFile(g.dir + "/events") // none yet
	blocks := strings.Split(string(b), "\n\n")
	for _, block := range blocks[:len(blocks)-1] {
		e := event{}
		for line := range strings.Lines(block) {
			name, val, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			e[name] = val
		}
		all = append(all, e)
	}
	return all
}

// await waits for an event, past those that were looked at before.
func (g *guest) await(name string) (found event) {
	g.l.t.Helper()
	g.l.until("the client's event "+name, func() bool {
		all := g.events()
		for found == nil && g.seen < len(all) {
			if all[g.seen]["event"] == name {
				found = all[g.seen]
			}
			g.seen++
		}
		return found != nil
	})
	return found
}

func (e event) check(t *testing.T, want map[string]string) {
	t.Helper()
	for name, val := range want {
		if e[name] != val {
			t.Errorf("%s: the client has %s=%q, want %q", e["event"], name, e[name], val)
		}
	}
}

// ping goes both ways over the client's address.
func (l *lab) ping(addr string) {
	l.t.Helper()
	ping := need(l.t, "ping", "iputils-ping")
	for _, way := range []struct {
		name string
		in   *netlab.Net
		args []string
	}{{"from", l.peer, []string{"-I", addr, serverIP}}, {"to", l.net, []string{addr}}} {
		var out journal
		cmd := exec.Command(ping, append([]string{"-n", "-c", "1", "-w", "15"}, way.args...)...)
		cmd.Stdout, cmd.Stderr = &out, &out
		must(l.t, way.in.Start(cmd))
		if err := cmd.Wait(); err != nil {
			l.t.Errorf("ping %s %s: %v\n%s", way.name, addr, err, &out)
		}
	}
}

// readdress gives a host another address, and tells the daemon to look.
func (l *lab) readdress(name, addr string) {
	l.t.Helper()
	_, err := l.sql(`DELETE FROM entity_attrs WHERE "key" = 'ip' AND entity_id = (SELECT entity_id FROM entities WHERE name = '` + name + `')`)
	must(l.t, err)
	l.apply("servers: {" + name + ": {ip: " + addr + "}}")
	must(l.t, l.daemon.Process.Signal(syscall.SIGHUP))
}

// move gives a host another address, and waits until the daemon knows.
func (l *lab) move(name string, last byte, addr string) {
	l.t.Helper()
	l.readdress(name, addr)
	l.until("the host's new address", func() bool {
		return l.ask(client(last), storm.Message{Type: dhcp4.Discover}).msg.YIAddr() == ip(addr)
	})
}

// TestUdhcpc goes through the life of a lease, and uses it.
func TestUdhcpc(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newUdhcpc(l, 2, "-R", "-O", "search", "-O", "ntpsrv", "-O", "staticroutes")
	l.apply(`servers: {s2: {dhcp: {name_server: "10.9.0.3,10.9.0.4", domain_search: "a.example.org,b.example.org"}}}`)
	l.start()
	g.start()
	lease := map[string]string{
		"ip": "10.9.0.52", "mask": "24", "subnet": "255.255.255.0", "broadcast": "10.9.0.255",
		"router": "10.9.0.254", "dns": "10.9.0.3 10.9.0.4", "domain": "own.example.org", "hostname": "s2",
		"search": "a.example.org b.example.org", "ntpsrv": "10.9.0.3", "lease": "600", "serverid": serverIP,
		"siaddr": "10.9.0.2", "boot_file": "/pxelinux.0",
	}
	g.await("bound").check(t, lease)
	l.ping("10.9.0.52")

	// By unicast, from the leased address. An answer that comes before udhcpc has
	// closed the socket that it asked with is lost in there, and it asks again.
	g.signal(syscall.SIGUSR1)
	g.await("renew").check(t, lease)
	l.ping("10.9.0.52")

	g.signal(syscall.SIGUSR2)
	g.await("deconfig")
	l.until("the RELEASE", func() bool { return l.verdicts(engine.Released) == 1 })
	g.signal(syscall.SIGUSR1)
	g.await("bound").check(t, lease)
	g.end(syscall.SIGTERM) // -R: it releases what it has
	l.until("the RELEASE at the end", func() bool { return l.verdicts(engine.Released) == 2 })
	if n := l.verdicts(engine.Nak); n != 0 {
		t.Errorf("%d NAKs", n)
	}
}

// declined waits for a DECLINE, and for the warning of it.
func (l *lab) declined(host, addr string) {
	l.t.Helper()
	l.until("the DECLINE", func() bool { return l.verdicts(engine.Declined) > 0 })
	l.until("a warning that names host and address", func() bool {
		for line := range strings.Lines(l.log.String()) {
			if strings.Contains(line, "declined") && strings.Contains(line, host) && strings.Contains(line, addr) {
				return true
			}
		}
		return false
	})
}

// TestUdhcpcDeclines: the address that is offered answers ARP already.
func TestUdhcpcDeclines(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newUdhcpc(l, 2, "-a")
	l.start()
	must(t, l.net.AddAddr("srv0", netip.MustParsePrefix("10.9.0.52/32")))
	g.start()
	l.declined("/server/s2", "10.9.0.52")
}

// TestUdhcpcMoves: its address changes in clusto, and the next renewal brings a
// NAK and the new one.
func TestUdhcpcMoves(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newUdhcpc(l, 1)
	l.start()
	g.start()
	g.await("bound").check(t, map[string]string{"ip": "10.9.0.51"})
	l.move("s1", 1, "10.9.0.71")
	g.signal(syscall.SIGUSR1)
	g.await("nak")
	g.await("bound").check(t, map[string]string{"ip": "10.9.0.71"})
	l.ping("10.9.0.71")
}

// TestDhclient goes through the life of a short lease, and uses it.
func TestDhclient(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newDhclient(l, 2)
	l.apply(`servers: {s2: {dhcp: {name_server: "10.9.0.3,10.9.0.4", renewal_time: 1, rebinding_time: 300}}}`)
	l.start()
	g.start()
	lease := map[string]string{
		"new_ip_address": "10.9.0.52", "new_subnet_mask": "255.255.255.0", "new_broadcast_address": "10.9.0.255",
		"new_routers": "10.9.0.254", "new_domain_name_servers": "10.9.0.3 10.9.0.4", "new_domain_name": "own.example.org",
		"new_host_name": "s2", "new_ntp_servers": "10.9.0.3", "new_dhcp_lease_time": "600", "new_dhcp_renewal_time": "1",
		"new_dhcp_rebinding_time": "300", "new_dhcp_server_identifier": serverIP, "new_filename": "/pxelinux.0",
		"new_next_server": "10.9.0.2",
	}
	g.await("BOUND").check(t, lease)
	l.ping("10.9.0.52")
	g.await("RENEW").check(t, lease)
	l.ping("10.9.0.52")

	release := g.command("-r")
	must(t, l.peer.Start(release))
	if err := release.Wait(); err != nil {
		t.Errorf("dhclient -r: %v", err)
	}
	g.await("RELEASE")
	l.until("the RELEASE", func() bool { return l.verdicts(engine.Released) == 1 })
}

// TestDhclientReboots: it asks for the address that it had, without a DISCOVER.
func TestDhclientReboots(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newDhclient(l, 1)
	l.start()
	g.start()
	g.await("BOUND").check(t, map[string]string{"new_ip_address": "10.9.0.51"})
	g.says("bound to 10.9.0.51", 1) // the lease is on disk
	g.end(syscall.SIGKILL)          // the power goes
	discovers := strings.Count(g.out.String(), "DHCPDISCOVER")
	g.start()
	g.await("REBOOT").check(t, map[string]string{"new_ip_address": "10.9.0.51", "new_domain_name": "boot.example.org"})
	g.says("bound to 10.9.0.51", 2)
	if n := strings.Count(g.out.String(), "DHCPDISCOVER"); n != discovers {
		t.Errorf("it had to ask with %d DISCOVERs", n-discovers)
	}
	l.ping("10.9.0.51")
	g.end(syscall.SIGKILL)

	l.move("s1", 1, "10.9.0.71")
	g.start()
	g.await("BOUND").check(t, map[string]string{"new_ip_address": "10.9.0.71"})
	g.says("DHCPNAK", 1)
	l.ping("10.9.0.71")
}

// TestDhclientDeclines: the machine's own check finds the address in use.
func TestDhclientDeclines(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	g := newDhclient(l, 1)
	must(t, os.WriteFile(g.dir+"/refuse", nil, 0o600))
	l.start()
	g.start()
	g.await("BOUND")
	l.declined("/server/s1", "10.9.0.51")
}
