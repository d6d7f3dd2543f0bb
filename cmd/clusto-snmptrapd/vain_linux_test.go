package main

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/discovery"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/storm"
)

const (
	dhcpMetrics = "127.0.0.1:9967"
	dhcpIP      = "10.50.255.1" // clusto-dhcpd's, in the machines' network
)

// machines are hosts at the end of the cable that boot by DHCP. At its other end
// clusto-dhcpd answers, beside clusto-snmptrapd and on the same inventory.
type machines struct {
	*lab
	probe *storm.Probe
	log   *labtest.Log // clusto-dhcpd's
	fence []byte       // a DISCOVER that is answered for sure
}

func (l *lab) machines(flags ...string) *machines {
	l.Helper()
	known, one := clusto.MAC{0, 0x1e, 0xc9, 0xff, 0xff, 0xff}, 1
	mac := attr("known", "port-nic-eth", "mac", known.String())
	mac.Number = &one
	l.apply(l, attr("dc", "dhcp", "enabled", 1), clusto.Op{Op: "entity", Name: "known", Driver: "penguinserver"},
		clusto.Op{Op: "insert", Name: "known", Into: "dc"}, mac, clusto.Op{Op: "bind", Name: "known", IP: "10.50.200.1"})
	must(l, l.net.AddAddr(l.port, netip.MustParsePrefix(dhcpIP+"/16")))
	g, err := afpacket.Open(afpacket.Config{Interface: l.far, Ports: []uint16{dhcp4.ClientPort}, OtherHosts: true, In: l.peer.Do})
	must(l, err)
	m := &machines{lab: l, probe: storm.NewProbe(g.Conn(0)), fence: discover(known, 1)}
	l.Cleanup(func() {
		m.probe.Close()
		g.Close()
	})
	m.log = l.serve("clusto-dhcpd", dhcpMetrics, append([]string{
		"--interface", l.port, "--api-url", "http://" + apiAddr, "--metrics", dhcpMetrics, "--cache-file", l.dir + "/hosts", "--workers", "1",
	}, flags...)...)
	return m
}

// discover is a DISCOVER as a boot ROM broadcasts it.
func discover(mac clusto.MAC, xid uint32) []byte {
	c := storm.Client{MAC: mac, VendorClass: "PXEClient:Arch:00000:UNDI:002001", ParameterList: []byte{1, 3, 6, 66, 67}}
	return storm.AppendFrame(nil, &c, &storm.Message{Type: dhcp4.Discover, XID: xid})
}

// metric reads one of clusto-dhcpd's metrics.
func (m *machines) metric(name string) uint64 {
	_, text := labtest.GetIn(m.net, "http://"+dhcpMetrics+"/metrics", patience)
	return uint64(labtest.Metrics(text, "clusto_dhcpd_")[name])
}

// unknown is how many frames came from hosts that clusto did not have.
func (m *machines) unknown() uint64 { return m.metric(verdict(engine.UnknownHost)) }

// inVain has a host ask that clusto does not have: nothing comes, and one more
// frame is counted as that.
func (m *machines) inVain(mac clusto.MAC) {
	m.Helper()
	before := m.unknown()
	if err := m.probe.ExpectSilence(m.Context(), discover(mac, 2), m.fence); err != nil {
		m.Fatalf("%v asks in vain: %v", mac, err)
	}
	m.until("unknown_host counted", func() bool { return m.unknown() == before+1 })
}

// ask sends a DISCOVER, again after each wait of the schedule but the last, and
// gives the address offered.
func (m *machines) ask(mac clusto.MAC, schedule ...time.Duration) (netip.Addr, error) {
	m.Helper()
	req := discover(mac, 3)
	match, err := storm.ReplyTo(req)
	must(m, err)
	pkt, err := m.probe.Exchange(m.Context(), req, match, schedule...)
	if err != nil {
		return netip.Addr{}, err
	}
	var udp frame.UDP4
	must(m, udp.Parse(pkt.Data, pkt.CsumPartial))
	v, err := dhcp4.Parse(udp.Payload)
	must(m, err)
	var opts dhcp4.Index
	must(m, opts.Build(v))
	if typ, _ := opts.Get(dhcp4.OptMessageType); string(typ) != string([]byte{byte(dhcp4.Offer)}) {
		m.Errorf("the answer to %v is of type %v, not an OFFER", mac, typ)
	}
	return netip.AddrFrom4(v.YIAddr()), nil
}

// given checks that clusto has the host by that name, with the address that it
// was offered.
func (m *machines) given(name string, mac clusto.MAC, offered netip.Addr) {
	m.Helper()
	h, err := m.host(mac.String())
	if err != nil || h.Name != name || len(h.Addresses) != 1 || h.Addresses[0].IP != offered {
		m.Errorf("%v was offered %v, and clusto has %+v, %v", mac, offered, h, err)
	}
}

// TestAskedInVainThenDiscovered: a host that nobody wrote down asks in vain; its
// switch reports it; its next DISCOVER, a single one, is answered. What is unknown
// stays so for an hour here, so it is the change feed that does it.
func TestAskedInVainThenDiscovered(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.api.down()
	l.httpd("--db", "sqlite:///"+l.dsn)
	m := l.machines("--negative-ttl", "1h", "--cache-ttl", "1h")
	l.start("--discover-mac", "--discover-ip", "machines")
	m.until("the feed", func() bool { return m.metric("feed_up") == 1 })
	for i, how := range []struct {
		program, version string
		port             int
	}{
		{"snmpinform", "2c", 1}, {"snmptrap", "2c", 9}, {"snmptrap", "1", 24},
	} {
		mac, name := testMAC(i), fmt.Sprintf("s%04d", i+1)
		m.inVain(mac)
		m.inVain(mac) // remembered
		told := m.metric("feed_purged_total")
		if out, code := l.snmp(0, how.program, how.version, "public", learnt(mac, uint16(how.port))); code != 0 {
			t.Fatalf("%s -v %s: %s", how.program, how.version, out)
		}
		l.count(outcome(discovery.Created), uint64(i+1))
		l.complete(name, 0, how.port, mac)
		m.until("word of the change", func() bool { return m.metric("feed_purged_total") > told })
		addr, err := m.ask(mac, patience)
		if err != nil {
			t.Fatalf("%s's next DISCOVER: %v", name, err)
		}
		m.given(name, mac, addr)
	}
	if n := m.unknown(); n != 6 {
		t.Errorf("%d frames of unknown hosts, want 6", n)
	}
}

// TestAskedInVainBehindTheOriginal, which tells of no changes: the host goes on
// asking as PXE ROMs do, and what it sends first when the negative TTL is over is
// answered. The original's API gives no addresses: somebody binds one.
func TestAskedInVainBehindTheOriginal(t *testing.T) {
	t.Parallel()
	const negativeTTL = 5 * time.Second // the default
	l := newLab(t, 1)
	l.old()
	m := l.machines()
	l.start("--discover-mac")
	m.until("all hosts at hand", func() bool { return m.log.Lines("all hosts are at hand") > 0 })
	mac := testMAC(1)
	m.inVain(mac)
	since := time.Now() // at the latest
	l.inform(0, learnt(mac, 9))
	l.count(outcome(discovery.Created), 1)
	l.complete("s0001", 0, 9, mac)
	l.apply(t, clusto.Op{Op: "bind", Name: "s0001", IP: "10.50.0.77"})
	over := negativeTTL - time.Since(since) // this long from now
	schedule := storm.PXE()[:3]
	addr, err := m.ask(mac, schedule...)
	must(t, err)
	m.given("s0001", mac, addr)
	vain := m.unknown() - 1 // DISCOVERs since it is in clusto
	t.Logf("answered %v after it asked in vain first, and %d times more since", time.Since(since), vain)
	for i, wait := range schedule {
		if uint64(i) < vain && over < 0 {
			t.Errorf("DISCOVER %d was in vain, %v after the negative TTL", i+1, -over)
		}
		over -= wait
	}
	if m.metric("feed_up") != 0 {
		t.Error("the original has a feed")
	}
}
