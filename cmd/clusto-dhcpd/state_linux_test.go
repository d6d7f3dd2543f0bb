package main

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/storm"
)

// TestDORA is the whole acquisition, and what the client gets.
func TestDORA(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	c := client(2)
	offer := l.ask(c, storm.Message{Type: dhcp4.Discover})
	l.check(offer, dhcp4.Offer, "10.9.0.52")
	ack := l.ask(c, storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.52"), ServerID: ip(serverIP)})
	l.check(ack, dhcp4.Ack, "10.9.0.52")
	for code, want := range map[byte]string{
		dhcp4.OptServerID: "\x0a\x09\x00\x01", dhcp4.OptLeaseTime: "\x00\x00\x02\x58", // 600
		dhcp4.OptRenewal: "\x00\x00\x01\x2c", dhcp4.OptSubnetMask: "\xff\xff\xff\x00",
		dhcp4.OptRouter: "\x0a\x09\x00\xfe", dhcp4.OptBroadcast: "\x0a\x09\x00\xff",
		dhcp4.OptHostname: "s2", dhcp4.OptDomainName: "own.example.org", // the server's over both pools'
		dhcp4.OptNTP: "\x0a\x09\x00\x03", dhcp4.OptTFTPServer: "10.9.0.2", dhcp4.OptBootFile: "/pxelinux.0",
	} {
		if got := ack.opt(code); got != want {
			t.Errorf("option %d is %q, want %q", code, got, want)
		}
	}
	if file, _, _ := strings.Cut(string(ack.msg.File()), "\x00"); file != "/pxelinux.0" || ack.msg.SIAddr() != ip("10.9.0.2") {
		t.Errorf("file %q siaddr %v", file, ack.msg.SIAddr())
	}
	// Unicast to an address that nobody has yet, without ARP.
	if ack.udp.EthDst != c.MAC || ack.udp.Dst != ip("10.9.0.52") || ack.udp.DstPort != 68 || ack.udp.Src != ip(serverIP) {
		t.Errorf("sent to %x %v:%d from %v", ack.udp.EthDst, ack.udp.Dst, ack.udp.DstPort, ack.udp.Src)
	}
	if len(ack.udp.Payload) < 300 || len(ack.Data) < 60 {
		t.Errorf("%d bytes of payload", len(ack.udp.Payload))
	}
}

func (l *lab) check(r *reply, typ dhcp4.MessageType, yiaddr string) {
	l.t.Helper()
	if r.typ() != typ || r.msg.YIAddr() != ip(yiaddr) {
		l.t.Errorf("got %s with yiaddr %v, want %s with %s", r.typ(), r.msg.YIAddr(), typ, yiaddr)
	}
}

// TestStateTable goes through RFC 2131 section 4.3 with a known host.
func TestStateTable(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	own, another, zero := ip("10.9.0.51"), ip("10.9.0.99"), ip("0.0.0.0")
	for _, tc := range []struct {
		name    string
		m       storm.Message
		typ     dhcp4.MessageType // 0: no answer
		verdict engine.Verdict
		yiaddr  [4]byte
	}{
		{"DISCOVER", storm.Message{Type: dhcp4.Discover}, dhcp4.Offer, engine.Reply, own},
		{"DISCOVER that wishes another address", storm.Message{Type: dhcp4.Discover, Requested: another}, dhcp4.Offer, engine.Reply, own},
		{"selecting", storm.Message{Type: dhcp4.Request, Requested: own, ServerID: ip(serverIP)}, dhcp4.Ack, engine.Reply, own},
		{"selecting, another address", storm.Message{Type: dhcp4.Request, Requested: another, ServerID: ip(serverIP)}, dhcp4.Nak, engine.Nak, zero},
		{"selecting, another server", storm.Message{Type: dhcp4.Request, Requested: own, ServerID: another}, 0, engine.OtherServer, zero},
		{"init-reboot", storm.Message{Type: dhcp4.Request, Requested: own}, dhcp4.Ack, engine.Reply, own},
		{"init-reboot, another address", storm.Message{Type: dhcp4.Request, Requested: another}, dhcp4.Nak, engine.Nak, zero},
		{"renewing", storm.Message{Type: dhcp4.Request, CIAddr: own, Unicast: true}, dhcp4.Ack, engine.Reply, own},
		{"renewing, another address", storm.Message{Type: dhcp4.Request, CIAddr: another, Unicast: true}, dhcp4.Nak, engine.Nak, zero},
		{"rebinding", storm.Message{Type: dhcp4.Request, CIAddr: own}, dhcp4.Ack, engine.Reply, own},
		{"INFORM", storm.Message{Type: dhcp4.Inform, CIAddr: own}, dhcp4.Ack, engine.Reply, zero},
		{"DECLINE", storm.Message{Type: dhcp4.Decline, Requested: own, ServerID: ip(serverIP)}, 0, engine.Declined, zero},
		{"RELEASE", storm.Message{Type: dhcp4.Release, CIAddr: own, ServerID: ip(serverIP), Unicast: true}, 0, engine.Released, zero},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l.t = t
			if tc.typ == 0 {
				l.silent(l.frame(client(1), tc.m), tc.verdict)
				return
			}
			before := l.verdicts(tc.verdict)
			r := l.ask(client(1), tc.m)
			if r.typ() != tc.typ || r.msg.YIAddr() != tc.yiaddr {
				t.Errorf("%s with yiaddr %v, want %s with %v", r.typ(), r.msg.YIAddr(), tc.typ, tc.yiaddr)
			}
			l.until("the verdict", func() bool { return l.verdicts(tc.verdict) == before+1 })
			leased := tc.typ != dhcp4.Nak && tc.m.Type != dhcp4.Inform
			if _, has := r.opts.Get(dhcp4.OptLeaseTime); has != leased {
				t.Errorf("lease time %v, want %v", has, leased)
			}
			if tc.typ == dhcp4.Nak && r.udp.Dst != ip("255.255.255.255") {
				t.Errorf("the NAK goes to %v, not to all", r.udp.Dst)
			}
		})
	}
	l.t = t
}

// TestBOOTP: a request without options gets the address and no lease.
func TestBOOTP(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	r := l.ask(client(1), storm.Message{})
	if _, has := r.opts.Get(dhcp4.OptMessageType); has || r.msg.YIAddr() != ip("10.9.0.51") {
		t.Errorf("message type %v, yiaddr %v", has, r.msg.YIAddr())
	}
	if _, has := r.opts.Get(dhcp4.OptLeaseTime); has || r.opt(dhcp4.OptSubnetMask) != "\xff\xff\xff\x00" {
		t.Errorf("lease %v, netmask %x", has, r.opt(dhcp4.OptSubnetMask))
	}
}

// TestBroadcastFlag: a client that cannot take unicasts yet is broadcast to.
func TestBroadcastFlag(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	c := client(1)
	c.Broadcast = true
	r := l.ask(c, storm.Message{Type: dhcp4.Discover})
	if r.udp.Dst != ip("255.255.255.255") || r.udp.EthDst != [6]byte{255, 255, 255, 255, 255, 255} {
		t.Errorf("sent to %x %v", r.udp.EthDst, r.udp.Dst)
	}
}

// TestNotAnswered goes through the hosts that get no reply, each for its reason.
func TestNotAnswered(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, err := l.sql(`INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
		SELECT entity_id, 'port-nic-eth', 'mac', 1, 'string', '02:00:00:00:00:08', 1 FROM entities WHERE name = 'twin2'`)
	must(t, err)
	l.start()
	for _, tc := range []struct {
		name string
		mac  byte
		want engine.Verdict
		log  string // in the warning
	}{
		{"unknown MAC", 0xee, engine.UnknownHost, "02:00:00:00:00:ee"},
		{"disabled at the server, though its pool enables", 3, engine.Disabled, "/server/off"},
		{"no address", 4, engine.NoAddress, "/server/noip"},
		{"address of another network", 5, engine.NoAddress, "10.7.0.55"},
		{"two servers with one MAC", 8, engine.Ambiguous, "/server/twin2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l.t = t
			l.silent(l.frame(client(tc.mac), storm.Message{Type: dhcp4.Discover}), tc.want)
			if tc.mac != 5 { // it has an address, which this one contradicts: that is a NAK
				l.silent(l.frame(client(tc.mac), storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.99")}), tc.want)
			}
			l.until("a warning with "+tc.log, func() bool { return strings.Contains(l.log.String(), tc.log) })
		})
	}
	l.t = t
	if n := strings.Count(l.log.String(), "02:00:00:00:00:ee"); n != 1 {
		t.Errorf("%d warnings about one MAC, want 1", n)
	}
}

// TestRelay: the network is the relay's, and so is the way back.
func TestRelay(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	relay := &storm.Relay{
		Addr: ip("10.8.0.254"), MAC: [6]byte{2, 0xaa, 0, 0, 0, 1}, Server: ip(serverIP),
		AgentInfo: []byte{1, 4, 'p', '4', '/', '7', 2, 2, 9, 9},
	}
	for mac, want := range map[byte]string{6: "10.8.0.56", 7: "10.8.0.57"} {
		c := client(mac)
		c.Relay = relay
		c.ClientID = []byte{1, 2, 0, 0, 0, 0, mac}
		r := l.ask(c, storm.Message{Type: dhcp4.Discover})
		l.check(r, dhcp4.Offer, want)
		if r.udp.Dst != relay.Addr || r.udp.DstPort != 67 || r.udp.EthDst != relay.MAC || r.msg.GIAddr() != relay.Addr {
			t.Errorf("sent to %x %v:%d giaddr %v", r.udp.EthDst, r.udp.Dst, r.udp.DstPort, r.msg.GIAddr())
		}
		if r.opt(dhcp4.OptAgentInfo) != string(relay.AgentInfo) || r.opt(dhcp4.OptClientID) != string(c.ClientID) {
			t.Errorf("option 82 %x, 61 %x", r.opt(dhcp4.OptAgentInfo), r.opt(dhcp4.OptClientID))
		}
		if !lastOption(r, dhcp4.OptAgentInfo) {
			t.Error("option 82 is not the last one")
		}
		nak := l.ask(c, storm.Message{Type: dhcp4.Request, Requested: ip("10.9.0.57")})
		if nak.typ() != dhcp4.Nak || nak.udp.Dst != relay.Addr || !nak.msg.Broadcast() || nak.opt(dhcp4.OptAgentInfo) != string(relay.AgentInfo) {
			t.Errorf("%s to %v, broadcast %v, option 82 %x", nak.typ(), nak.udp.Dst, nak.msg.Broadcast(), nak.opt(dhcp4.OptAgentInfo))
		}
	}
	c := client(1) // has no address over there
	c.Relay = relay
	l.silent(l.frame(c, storm.Message{Type: dhcp4.Discover}), engine.NoAddress)
	direct := l.ask(client(7), storm.Message{Type: dhcp4.Discover})
	l.check(direct, dhcp4.Offer, "10.9.0.57")
}

func lastOption(r *reply, code byte) bool {
	var last byte
	it := r.msg.Options()
	for c, _, ok := it.Next(); ok; c, _, ok = it.Next() {
		last = c
	}
	return last == code && it.Err() == nil
}

// TestBMC: the MAC of a management controller gets the controller's address.
func TestBMC(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	l.check(l.ask(client(0x0a), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.60")
	l.check(l.ask(client(0x0b), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.61")
}

// TestVLAN: replies leave under the tags that the request came under.
func TestVLAN(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.start()
	for name, tags := range map[string][]frame.Tag{
		"802.1Q": {{TPID: 0x8100, TCI: 0x6064}},
		"QinQ":   {{TPID: 0x88a8, TCI: 9}, {TPID: 0x8100, TCI: 100}},
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			c := client(1)
			c.NTags = copy(c.Tags[:], tags)
			r := l.ask(c, storm.Message{Type: dhcp4.Discover})
			l.check(r, dhcp4.Offer, "10.9.0.51")
			got := []frame.Tag{{TPID: r.TPID, TCI: r.TCI}}
			got = append(got, r.udp.Tags[:r.udp.NTags]...)
			if len(got) != len(tags) {
				t.Fatalf("tags %+v, want %+v", got, tags)
			}
			for i := range tags {
				if got[i].VLAN() != tags[i].VLAN() || got[i].TPID != tags[i].TPID {
					t.Errorf("tag %d is %+v, want %+v", i, got[i], tags[i])
				}
			}
		})
	}
	l.t = t
}

// TestSeveralInterfaces: each host is answered on the interface that it is on.
func TestSeveralInterfaces(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	second := newLabPort(t, l, "srv1", "cli1", netip.MustParsePrefix("10.8.0.1/24"))
	l.start("--interface", "srv1", "--workers", "2")
	l.check(l.ask(client(1), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.51")
	l.check(l.ask(client(7), storm.Message{Type: dhcp4.Discover}), dhcp4.Offer, "10.9.0.57")
	l.probe = second
	r := l.ask(client(7), storm.Message{Type: dhcp4.Discover})
	l.check(r, dhcp4.Offer, "10.8.0.57")
	if r.opt(dhcp4.OptServerID) != "\x0a\x08\x00\x01" {
		t.Errorf("server id %x on the second interface", r.opt(dhcp4.OptServerID))
	}
}

// TestMetricsFormat reads the metrics as Prometheus does: a family is in one
// piece, behind its type, and every line is a name, labels and a number.
func TestMetricsFormat(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	newLabPort(t, l, "srv1", "cli1", netip.MustParsePrefix("10.8.0.1/24"))
	l.start("--interface", "srv1")
	line := regexp.MustCompile(`^([a-z_]+)(\{[A-Za-z_]+="[^"]*"(, ?[A-Za-z_]+="[^"]*")*\})? [0-9.e+-]+$`)
	types, done, family, own := map[string]string{}, map[string]bool{}, "", 0
	for text := range strings.Lines(l.get("/metrics")) {
		text = strings.TrimSuffix(text, "\n")
		if f := strings.Fields(text); strings.HasPrefix(text, "# TYPE ") && len(f) == 4 {
			types[f[2]] = f[3]
			continue
		} else if strings.HasPrefix(text, "#") {
			continue
		}
		m := line.FindStringSubmatch(text)
		if m == nil {
			t.Errorf("no metric: %q", text)
			continue
		}
		if m[1] != family {
			if done[m[1]] {
				t.Errorf("family %s is in two pieces", m[1])
			}
			family, done[m[1]] = m[1], true
		}
		if !strings.HasPrefix(m[1], "clusto_dhcpd_") {
			continue
		}
		own++
		want := "gauge"
		if strings.HasSuffix(m[1], "_total") {
			want = "counter"
		}
		if types[m[1]] != want {
			t.Errorf("%s has type %q, want %q", m[1], types[m[1]], want)
		}
	}
	if own < 40 {
		t.Errorf("%d metrics", own)
	}
}
