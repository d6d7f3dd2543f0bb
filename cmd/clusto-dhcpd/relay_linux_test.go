package main

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/netlab"
	"github.com/clusto/clusto-engine/engine/storm"
)

const relayIP = "10.8.0.254" // the router's in the network remote

// beyond makes the peer a router between lan and remote, and gives the lab as a
// client sees it that is in remote, on a cli0 of its own.
func (l *lab) beyond() *lab {
	l.t.Helper()
	far := newNet(l.t)
	must(l.t, netlab.Veth(l.peer, "lan0", far, "cli0"))
	must(l.t, l.peer.AddAddr("lan0", netip.MustParsePrefix(relayIP+"/24")))
	must(l.t, l.peer.AddAddr("cli0", netip.MustParsePrefix("10.9.0.254/24")))
	must(l.t, l.peer.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	}))
	must(l.t, l.net.AddRoute(netip.MustParsePrefix("10.8.0.0/24"), netip.MustParseAddr("10.9.0.254")))
	there := *l
	there.peer = far
	return &there
}

// relay runs ISC's relay agent on the router.
func (l *lab) relay(flags ...string) {
	l.t.Helper()
	args := append([]string{"-4", "-d", "--no-pid", "-id", "lan0", "-iu", "cli0"}, append(flags, serverIP)...)
	cmd := exec.Command(need(l.t, "dhcrelay", "isc-dhcp-relay"), args...)
	out := &journal{}
	cmd.Stdout, cmd.Stderr = out, out
	must(l.t, l.peer.Start(cmd))
	l.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // it may have ended by itself
		_ = cmd.Wait()                          // killed
		if l.t.Failed() {
			l.t.Logf("dhcrelay says:\n%s", out)
		}
	})
	l.until("dhcrelay at work", func() bool { return strings.Contains(out.String(), "Sending on   Socket/fallback") })
}

// TestDhcrelay: a client beyond a router gets its lease over a relay agent, and
// renews it without one. With -a -D the agent adds option 82 and takes no reply
// that lacks it.
func TestDhcrelay(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{
		"with option 82":    {"-a", "-D"},
		"without option 82": nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			there := l.beyond()
			g := newUdhcpc(there, 6)
			l.start()
			l.relay(flags...)
			g.start()
			lease := map[string]string{
				"ip": "10.8.0.56", "mask": "24", "router": relayIP, "serverid": serverIP, "hostname": "far",
				"domain": "boot.example.org", "boot_file": "/pxelinux.0", "siaddr": "10.9.0.2",
			}
			g.await("bound").check(t, lease)
			l.checkRelayed(flags != nil)
			there.ping("10.8.0.56")

			g.signal(syscall.SIGUSR1)
			g.await("renew").check(t, lease)
			l.checkRouted("10.8.0.56")
			there.ping("10.8.0.56")
		})
	}
}

// overheard waits for a reply that reaches the router, among those since the last.
func (l *lab) overheard(what string, ok func(*reply) bool) (r *reply) {
	l.t.Helper()
	_, err := l.probe.Await(l.t.Context(), func(p *engine.Packet) bool {
		var u frame.UDP4
		if u.Parse(p.Data, p.CsumPartial) != nil || u.SrcPort != 67 {
			return false
		}
		r = l.parse(*p)
		return ok(r)
	}, patience)
	if err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	return r
}

// checkRelayed looks at an answer on its way to the agent.
func (l *lab) checkRelayed(agentInfo bool) {
	l.t.Helper()
	r := l.overheard("an ACK for the agent", func(r *reply) bool { return r.typ() == dhcp4.Ack })
	if r.msg.GIAddr() != ip(relayIP) || r.udp.Dst != ip(relayIP) || r.udp.DstPort != 67 {
		l.t.Errorf("giaddr %v, sent to %v:%d", r.msg.GIAddr(), r.udp.Dst, r.udp.DstPort)
	}
	if _, has := r.opts.Get(dhcp4.OptAgentInfo); has != agentInfo {
		l.t.Errorf("option 82 %v, want %v", has, agentInfo)
	}
	if agentInfo && (!strings.Contains(r.opt(dhcp4.OptAgentInfo), "lan0") || !lastOption(r, dhcp4.OptAgentInfo)) {
		l.t.Errorf("option 82 is %q, or not the last one", r.opt(dhcp4.OptAgentInfo))
	}
}

// checkRouted looks at an answer on its way to a client that was not relayed.
func (l *lab) checkRouted(to string) {
	l.t.Helper()
	r := l.overheard("an ACK for the client", func(r *reply) bool { return r.msg.CIAddr() == ip(to) })
	router, err := l.peer.MAC("cli0")
	must(l.t, err)
	if r.typ() != dhcp4.Ack || r.msg.GIAddr() != [4]byte{} || r.udp.Dst != ip(to) || r.udp.DstPort != 68 || r.udp.EthDst != router {
		l.t.Errorf("%s with giaddr %v, sent to %x %v:%d", r.typ(), r.msg.GIAddr(), r.udp.EthDst, r.udp.Dst, r.udp.DstPort)
	}
}

// TestDhcrelayNak: an address was changed while the client was down. It asks for
// the old one, and both the NAK and the new one get to it over the agent.
func TestDhcrelayNak(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	there := l.beyond()
	g := newDhclient(there, 6)
	l.start()
	l.relay("-a", "-D")
	g.start()
	g.await("BOUND").check(t, map[string]string{"new_ip_address": "10.8.0.56", "new_routers": relayIP})
	g.says("bound to 10.8.0.56", 1) // the lease is on disk
	g.end(syscall.SIGKILL)
	l.readdress("far", "10.8.0.76")
	l.until("the host's new address", func() bool {
		c := client(6)
		c.Relay = &storm.Relay{Addr: ip(relayIP), MAC: mac(0xfe), Server: ip(serverIP)}
		return l.ask(c, storm.Message{Type: dhcp4.Discover}).msg.YIAddr() == ip("10.8.0.76")
	})
	g.start()
	g.await("BOUND").check(t, map[string]string{"new_ip_address": "10.8.0.76"})
	g.says("DHCPNAK", 1)
	there.ping("10.8.0.76")
}
