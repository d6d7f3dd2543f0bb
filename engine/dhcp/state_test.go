package dhcp

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

const (
	discover = dhcp4.Discover
	request  = dhcp4.Request
)

// stateTable is RFC 2131 section 4.3 line by line, on a network where
// 10.42.0.11 is the host's address and 10.43.0.11 its address elsewhere.
var stateTable = []struct {
	name    string
	ask     ask
	verdict engine.Verdict
	typ     dhcp4.MessageType
	yiaddr  string
}{
	{"discover", ask{typ: discover}, engine.Reply, dhcp4.Offer, "10.42.0.11"},
	{"discover asking for another address", ask{typ: discover, requested: "10.42.0.77"}, engine.Reply, dhcp4.Offer, "10.42.0.11"},
	{"discover with a server id", ask{typ: discover, server: "10.42.0.9"}, engine.Reply, dhcp4.Offer, "10.42.0.11"},

	{"selecting us", ask{typ: request, server: "10.42.0.5", requested: "10.42.0.11"}, engine.Reply, dhcp4.Ack, "10.42.0.11"},
	{"selecting us by another interface's address", ask{typ: request, server: "10.99.0.5", requested: "10.42.0.11"}, engine.Reply, dhcp4.Ack, "10.42.0.11"},
	{"selecting us, address in ciaddr", ask{typ: request, server: "10.42.0.5", ciaddr: "10.42.0.11"}, engine.Reply, dhcp4.Ack, "10.42.0.11"},
	{"selecting us, wrong address", ask{typ: request, server: "10.42.0.5", requested: "10.42.0.12"}, engine.Nak, dhcp4.Nak, ""},
	{"selecting us, the BMC's address", ask{typ: request, server: "10.42.0.5", requested: "10.42.0.200"}, engine.Nak, dhcp4.Nak, ""},
	{"selecting us, no address", ask{typ: request, server: "10.42.0.5"}, engine.Malformed, 0, ""},
	{"selecting another server", ask{typ: request, server: "10.42.0.9", requested: "10.42.0.11"}, engine.OtherServer, 0, ""},
	{"selecting another server, wrong address", ask{typ: request, server: "10.42.0.9", requested: "10.42.0.12"}, engine.OtherServer, 0, ""},

	{"init-reboot", ask{typ: request, requested: "10.42.0.11"}, engine.Reply, dhcp4.Ack, "10.42.0.11"},
	{"init-reboot, wrong address", ask{typ: request, requested: "10.42.0.12"}, engine.Nak, dhcp4.Nak, ""},
	{"init-reboot, moved from another network", ask{typ: request, requested: "10.43.0.11"}, engine.Nak, dhcp4.Nak, ""},

	{"renewing", ask{typ: request, ciaddr: "10.42.0.11", src: "10.42.0.11", dst: "10.42.0.5"}, engine.Reply, dhcp4.Ack, "10.42.0.11"},
	{"rebinding", ask{typ: request, ciaddr: "10.42.0.11", src: "10.42.0.11"}, engine.Reply, dhcp4.Ack, "10.42.0.11"},
	{"renewing the address of another network", ask{typ: request, ciaddr: "10.43.0.11", src: "10.43.0.11", dst: "10.42.0.5"}, engine.Reply, dhcp4.Ack, "10.43.0.11"},
	{"renewing an address that is none", ask{typ: request, ciaddr: "10.42.0.12", src: "10.42.0.12", dst: "10.42.0.5"}, engine.Nak, dhcp4.Nak, ""},
	{"request of nothing", ask{typ: request}, engine.Malformed, 0, ""},

	{"inform", ask{typ: dhcp4.Inform, ciaddr: "10.42.0.11", src: "10.42.0.11"}, engine.Reply, dhcp4.Ack, "0.0.0.0"},
	{"inform without ciaddr", ask{typ: dhcp4.Inform}, engine.Malformed, 0, ""},
	{"decline", ask{typ: dhcp4.Decline, server: "10.42.0.5", requested: "10.42.0.11"}, engine.Declined, 0, ""},
	{"decline to another server", ask{typ: dhcp4.Decline, server: "10.42.0.9", requested: "10.42.0.11"}, engine.OtherServer, 0, ""},
	{"release", ask{typ: dhcp4.Release, server: "10.42.0.5", ciaddr: "10.42.0.11", dst: "10.42.0.5"}, engine.Released, 0, ""},
	{"bootp", ask{}, engine.Reply, 0, "10.42.0.11"},
	{"bootp with an all-zero vend", ask{change: func(m []byte) []byte { clear(m[236:]); return m }}, engine.Reply, 0, "10.42.0.11"},
	{"bootp with no vend at all", ask{change: func(m []byte) []byte { return m[:236] }}, engine.Reply, 0, "10.42.0.11"},
	{"message of a server", ask{typ: dhcp4.Offer}, engine.NotForUs, 0, ""},
	{"message type unknown", ask{typ: 99}, engine.NotForUs, 0, ""},
}

func TestStateTable(t *testing.T) {
	site := Site{Networks: []netip.Prefix{net42.Prefix, net43.Prefix}}
	p := prepared(t, testHost())
	for _, c := range stateTable {
		t.Run(c.name, func(t *testing.T) {
			v, out := answerTo(t, p, site, c.ask)
			if v != c.verdict {
				t.Fatalf("verdict = %v, want %v", v, c.verdict)
			}
			if v != engine.Reply && v != engine.Nak {
				if len(out) != 0 {
					t.Fatalf("%d bytes of reply with verdict %v", len(out), v)
				}
				return
			}
			r := decode(t, out)
			if r.typ() != c.typ {
				t.Errorf("type = %v, want %v", r.typ(), c.typ)
			}
			if want := net.IP(bytesOf(c.yiaddr)); !r.dhcp.YourClientIP.Equal(want) {
				t.Errorf("yiaddr = %v, want %v", r.dhcp.YourClientIP, want)
			}
		})
	}
}

func bytesOf(ip string) []byte { b := ip4(ip); return b[:] }

func TestNakIsBareAndBroadcast(t *testing.T) {
	p := prepared(t, testHost(attr("tftp_server", "10.42.0.5"), attr("tftp_filename", "/pxelinux.0")))
	agent := []byte{82, 6, 1, 4, 'p', 'o', 'r', 't'}
	clientID := []byte{61, 3, 0, 'a', 'b'}
	v, out := answerTo(t, p, Site{}, ask{typ: request, ciaddr: "10.42.0.99", src: "10.42.0.99", dst: "10.42.0.5", opts: append(clientID, agent...)})
	if v != engine.Nak {
		t.Fatalf("verdict = %v, want nak", v)
	}
	r := decode(t, out)
	if got, want := r.codes(), []byte{53, 54, 56, 61, 82}; !bytes.Equal(got, want) {
		t.Errorf("options = %v, want %v", got, want)
	}
	for name, ip := range map[string]net.IP{"yiaddr": r.dhcp.YourClientIP, "siaddr": r.dhcp.NextServerIP, "ciaddr": r.dhcp.ClientIP} {
		if !ip.Equal(net.IPv4zero) {
			t.Errorf("%s = %v, want 0.0.0.0", name, ip)
		}
	}
	if r.dhcp.File[0] != 0 {
		t.Error("a NAK names a boot file")
	}
	if !r.ip.DstIP.Equal(net.IPv4bcast) || !bytes.Equal(r.eth.DstMAC, ethBroadcast[:]) || r.udp.DstPort != 68 {
		t.Errorf("goes to %v %v:%d, want a broadcast to port 68", r.eth.DstMAC, r.ip.DstIP, r.udp.DstPort)
	}
}

func TestNakThroughRelaySetsBroadcastBit(t *testing.T) {
	p := prepared(t, testHost())
	v, out := answerTo(t, p, Site{}, ask{typ: request, requested: "10.42.0.99", giaddr: "10.42.0.1", src: "10.42.0.1", dst: "10.42.0.5", srcPort: 67})
	if v != engine.Nak {
		t.Fatalf("verdict = %v, want nak", v)
	}
	r := decode(t, out)
	if r.dhcp.Flags&0x8000 == 0 {
		t.Error("the broadcast bit is not set")
	}
	if !r.ip.DstIP.Equal(net.IP(bytesOf("10.42.0.1"))) || r.udp.DstPort != 67 {
		t.Errorf("goes to %v:%d, want the relay", r.ip.DstIP, r.udp.DstPort)
	}
}

func TestNakWithheld(t *testing.T) {
	p := prepared(t, testHost())
	wrong := ask{typ: request, requested: "10.42.0.99"}
	stale := NewServer(Config{Hosts: fixedHosts{hostMAC: {p, Stale}}, Lot: smallLot()})
	stale.health.degraded.Store(true)
	if v, out := handle(stale.Handler(), wrong); v != engine.NakWithheld || len(out) != 0 {
		t.Errorf("from stale data: %v, want nak_withheld", v)
	}
	for _, vendor := range []string{"PXEClient:Arch:00000:UNDI:002001", "HTTPClient:Arch:00016"} {
		firmware := wrong
		firmware.vendor = vendor
		if v, _ := answerTo(t, p, Site{}, firmware); v != engine.NakWithheld {
			t.Errorf("%s: %v, want nak_withheld", vendor, v)
		}
		if v, _ := answerTo(t, p, Site{NakPXE: true}, firmware); v != engine.Nak {
			t.Errorf("%s with nak_pxe: %v, want nak", vendor, v)
		}
	}
}

func TestHostsThatAreNotAnswered(t *testing.T) {
	disabled, ambiguous, bare, elsewhere := testHost(), testHost(), testHost(), testHost()
	disabled.Enabled, disabled.Why = false, "dhcp/enabled is \"0\" on /server/s0001"
	ambiguous.Ambiguous = []string{"/server/s0001", "/server/s0002"}
	bare.Addresses = nil
	elsewhere.Addresses = elsewhere.Addresses[:1]
	for name, c := range map[string]struct {
		p    *Prepared
		want engine.Verdict
	}{
		"disabled":       {prepared(t, disabled), engine.Disabled},
		"ambiguous":      {prepared(t, ambiguous), engine.Ambiguous},
		"no address":     {prepared(t, bare), engine.NoAddress},
		"only elsewhere": {prepared(t, elsewhere), engine.NoAddress},
	} {
		for _, a := range []ask{{typ: discover}, {}} {
			if v, out := answerTo(t, c.p, Site{}, a); v != c.want || len(out) != 0 {
				t.Errorf("%s, %v: %v with %d bytes, want %v", name, a.typ, v, len(out), c.want)
			}
		}
	}
	unknown := NewServer(Config{Hosts: fixedHosts{hostMAC: {nil, Absent}}, Lot: smallLot()}).Handler()
	if v, _ := handle(unknown, ask{typ: discover}); v != engine.UnknownHost {
		t.Errorf("unknown: %v", v)
	}
}

// TestNetworkOfTheRequest: link selection (RFC 3527) before subnet selection
// (RFC 3011) before giaddr before ciaddr before the interface or its VLAN.
func TestNetworkOfTheRequest(t *testing.T) {
	site := Site{Networks: []netip.Prefix{net42.Prefix, net43.Prefix}}
	p := prepared(t, testHost())
	subnet43 := []byte{118, 4, 10, 43, 0, 0}
	link42 := []byte{82, 6, 5, 4, 10, 42, 0, 0}
	vlan := func(id uint16) []frame.Tag { return []frame.Tag{{TPID: 0x8100, TCI: id}} }
	for _, c := range []struct {
		name   string
		ask    ask
		yiaddr string // "" for NoAddress
	}{
		{"interface", ask{typ: discover}, "10.42.0.11"},
		{"VLAN sub-interface", ask{typ: discover, tags: vlan(43)}, "10.43.0.11"},
		{"VLAN without a sub-interface", ask{typ: discover, tags: vlan(7)}, "10.42.0.11"},
		{"priority tag", ask{typ: discover, tags: vlan(5 << 13)}, "10.42.0.11"},
		{"giaddr", ask{typ: discover, giaddr: "10.43.0.1", dst: "10.42.0.5"}, "10.43.0.11"},
		{"giaddr of no network of the host", ask{typ: discover, giaddr: "10.44.0.1", dst: "10.42.0.5"}, ""},
		{"subnet selection over giaddr, RFC 3011", ask{typ: discover, giaddr: "10.44.0.1", dst: "10.42.0.5", opts: subnet43}, "10.43.0.11"},
		{"link selection over all, RFC 3527", ask{typ: discover, giaddr: "10.44.0.1", dst: "10.42.0.5", opts: append(bytes.Clone(subnet43), link42...)}, "10.42.0.11"},
	} {
		v, out := answerTo(t, p, site, c.ask)
		if c.yiaddr == "" {
			if v != engine.NoAddress {
				t.Errorf("%s: %v, want no_address", c.name, v)
			}
			continue
		}
		if v != engine.Reply {
			t.Errorf("%s: %v, want reply", c.name, v)
			continue
		}
		if r := decode(t, out); !r.dhcp.YourClientIP.Equal(net.IP(bytesOf(c.yiaddr))) {
			t.Errorf("%s: yiaddr = %v, want %s", c.name, r.dhcp.YourClientIP, c.yiaddr)
		}
	}
}

// TestReplyToAStrayRelay: giaddr has to be an address that a relay can have: the
// reply went to loopback, to groups and to all.
func TestReplyToAStrayRelay(t *testing.T) {
	p := prepared(t, testHost())
	vlan43 := []frame.Tag{{TPID: 0x8100, TCI: 43}}
	for _, c := range []struct {
		giaddr string
		tags   []frame.Tag
		want   engine.Verdict
	}{
		{"0.0.0.1", nil, engine.Malformed},
		{"0.255.255.255", nil, engine.Malformed},
		{"127.0.0.1", nil, engine.Malformed},
		{"127.255.255.254", nil, engine.Malformed},
		{"224.0.0.1", nil, engine.Malformed},
		{"239.255.255.250", nil, engine.Malformed},
		{"255.255.255.255", nil, engine.Malformed},
		{"10.42.0.255", nil, engine.Malformed}, // broadcast of the interface's network
		{"10.43.0.255", vlan43, engine.Malformed},
		{"10.43.0.255", nil, engine.Reply}, // of one that the interface is not in: who knows
		{"10.42.0.1", nil, engine.Reply},
		{"10.42.0.254", nil, engine.Reply},
		{"1.0.0.1", nil, engine.NoAddress},
		{"126.255.255.255", nil, engine.NoAddress},
		{"128.0.0.1", nil, engine.NoAddress},
		{"223.255.255.255", nil, engine.NoAddress},
		{"240.0.0.1", nil, engine.NoAddress}, // reserved, and in use here and there
	} {
		for _, typ := range []dhcp4.MessageType{discover, 0} {
			if v, out := answerTo(t, p, Site{}, ask{typ: typ, giaddr: c.giaddr, dst: "10.42.0.5", tags: c.tags}); v != c.want || (len(out) > 0) != (v == engine.Reply) {
				t.Errorf("giaddr %s, type %d: %v and %d bytes, want %v", c.giaddr, typ, v, len(out), c.want)
			}
		}
	}
}

// TestUnmanagedInterface: on a layer 2 port, or one whose address no IP manager
// knows, the first eligible address serves.
func TestUnmanagedInterface(t *testing.T) {
	h := testHost()
	h.Addresses = h.Addresses[:1] // 10.43.0.11
	p := prepared(t, h)
	managed := Site{Networks: []netip.Prefix{net42.Prefix, net43.Prefix}, ServerID: ip4("10.42.0.5")}
	unmanaged := Site{Networks: []netip.Prefix{net43.Prefix}, ServerID: ip4("10.42.0.5")}
	if v, _ := answerTo(t, p, managed, ask{typ: discover}); v != engine.NoAddress {
		t.Errorf("in a managed network: %v, want no_address", v)
	}
	if v, _ := answerTo(t, p, unmanaged, ask{typ: discover}); v != engine.Reply {
		t.Errorf("in an unmanaged network: %v, want reply", v)
	}
	bare := testLink()
	bare.Addrs, bare.VLANs = nil, nil
	hd := handlerFor(p, Fresh, managed)
	out, v := hd.Handle(nil, &engine.Packet{Data: ask{typ: discover}.frame(), Link: bare})
	if v != engine.Reply {
		t.Fatalf("on a layer 2 port: %v, want reply", v)
	}
	if r := decode(t, out); !r.ip.SrcIP.Equal(net.IP(bytesOf("10.42.0.5"))) {
		t.Errorf("source = %v, want the configured server id", r.ip.SrcIP)
	}
	hd = handlerFor(p, Fresh, Site{Networks: unmanaged.Networks})
	for want, a := range map[engine.Verdict]ask{
		engine.NoServerID:  {typ: discover},
		engine.NoAddress:   {typ: discover, opts: []byte{118, 4, 10, 44, 0, 0}}, // that is the reason, whoever answers
		engine.Declined:    {typ: dhcp4.Decline, requested: "10.43.0.11"},
		engine.OtherServer: {typ: dhcp4.Decline, server: "10.43.0.9", requested: "10.43.0.11"},
	} {
		if _, v := hd.Handle(nil, &engine.Packet{Data: a.frame(), Link: bare}); v != want {
			t.Errorf("without any address: %v, want %v", v, want)
		}
	}
}
