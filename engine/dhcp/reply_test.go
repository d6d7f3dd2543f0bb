package dhcp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

// TestDestination is RFC 2131 section 4.1, and who stands in the header.
func TestDestination(t *testing.T) {
	p := prepared(t, testHost())
	relayed := ask{typ: discover, giaddr: "10.42.0.1", src: "10.42.0.1", dst: "10.42.0.5", srcPort: 67}
	sourcePort := relayed
	sourcePort.srcPort, sourcePort.opts = 40067, []byte{82, 4, 19, 2, 0, 0}
	odd := relayed
	odd.srcPort = 40067
	for _, c := range []struct {
		name string
		ask  ask
		mac  [6]byte
		dst  string
		port int
		src  string
	}{
		{"unicast to yiaddr, no ARP", ask{typ: discover}, hostMAC, "10.42.0.11", 68, "10.42.0.5"},
		{"broadcast flag", ask{typ: discover, flags: 0x8000}, ethBroadcast, "255.255.255.255", 68, "10.42.0.5"},
		{"ciaddr", ask{typ: request, ciaddr: "10.42.0.11", src: "10.42.0.11", dst: "10.99.0.5"}, hostMAC, "10.42.0.11", 68, "10.99.0.5"},
		{"inform", ask{typ: dhcp4.Inform, ciaddr: "10.42.0.11", src: "10.42.0.11", flags: 0x8000}, hostMAC, "10.42.0.11", 68, "10.42.0.5"},
		{"bootp", ask{}, hostMAC, "10.42.0.11", 68, "10.42.0.5"},
		{"relay", relayed, relayMAC, "10.42.0.1", 67, "10.42.0.5"},
		{"relay that sends from another port", odd, relayMAC, "10.42.0.1", 67, "10.42.0.5"},
		{"relay source port, RFC 8357", sourcePort, relayMAC, "10.42.0.1", 40067, "10.42.0.5"},
	} {
		v, out := answerTo(t, p, Site{}, c.ask)
		if v != engine.Reply {
			t.Errorf("%s: %v, want reply", c.name, v)
			continue
		}
		r := decode(t, out)
		got := fmt.Sprintf("%v %v:%d from %v %v:%d", r.eth.DstMAC, r.ip.DstIP, r.udp.DstPort, r.eth.SrcMAC, r.ip.SrcIP, r.udp.SrcPort)
		want := fmt.Sprintf("%v %s:%d from %v %s:67", net.HardwareAddr(c.mac[:]), c.dst, c.port, net.HardwareAddr(serverMAC[:]), c.src)
		if got != want {
			t.Errorf("%s: to %s\nwant %s", c.name, got, want)
		}
	}
}

// TestNextHopFromKernel: the neighbour table knows better than the frame.
func TestNextHopFromKernel(t *testing.T) {
	gw := [6]byte{2, 0, 0, 0, 0, 0xfe}
	l := testLink()
	l.Neighbours = map[netip.Addr][6]byte{netip.MustParseAddr("10.42.0.254"): gw}
	l.Gateways = []engine.Gateway{{To: netip.MustParsePrefix("10.50.0.0/16"), Via: netip.MustParseAddr("10.42.0.254")}}
	a := ask{typ: discover, giaddr: "10.50.0.1", dst: "10.42.0.5", opts: []byte{118, 4, 10, 42, 0, 0}}
	out, v := handlerFor(prepared(t, testHost()), Fresh, Site{}).Handle(nil, &engine.Packet{Data: a.frame(), Link: l})
	if v != engine.Reply {
		t.Fatalf("verdict = %v", v)
	}
	if r := decode(t, out); !bytes.Equal(r.eth.DstMAC, gw[:]) {
		t.Errorf("goes to %v, want the gateway %v", r.eth.DstMAC, net.HardwareAddr(gw[:]))
	}
}

// TestRequestsThatPassBy: a unicast request to an address that is not ours is
// another server's, on its way.
func TestRequestsThatPassBy(t *testing.T) {
	p := prepared(t, testHost())
	for dst, want := range map[string]engine.Verdict{
		"10.42.0.5": engine.Reply, "10.99.0.5": engine.Reply, "10.42.0.255": engine.Reply,
		"10.42.0.9": engine.NotForUs, "192.0.2.1": engine.NotForUs,
	} {
		if v, _ := answerTo(t, p, Site{}, ask{typ: discover, dst: dst}); v != want {
			t.Errorf("to %s: %v, want %v", dst, v, want)
		}
	}
}

func TestReplyHeader(t *testing.T) {
	p := prepared(t, testHost(attr("tftp_server", "10.42.0.7"), attr("tftp_filename", "/pxelinux.0")))
	v, out := answerTo(t, p, Site{}, ask{typ: request, server: "10.42.0.5", requested: "10.42.0.11", flags: 0x8000})
	if v != engine.Reply {
		t.Fatalf("verdict = %v", v)
	}
	r := decode(t, out)
	d := r.dhcp
	if d.Operation != 2 || d.HardwareType != 1 || d.HardwareLen != 6 || d.HardwareOpts != 0 || d.Xid != 0x12345678 || d.Flags != 0x8000 {
		t.Errorf("header = %+v", d)
	}
	if !d.NextServerIP.Equal(net.IP(bytesOf("10.42.0.7"))) {
		t.Errorf("siaddr = %v, want the TFTP server", d.NextServerIP)
	}
	if got := strings.TrimRight(string(d.File), "\x00"); got != "/pxelinux.0" {
		t.Errorf("file = %q", got)
	}
	if len(r.raw) < 300 {
		t.Errorf("%d bytes, want 300 at least", len(r.raw))
	}
	i := bytes.LastIndexByte(r.raw, 255)
	if i < 0 || len(bytes.Trim(r.raw[i+1:], "\x00")) != 0 {
		t.Error("no END, or something other than zeros after it")
	}
}

// TestOptionOrder: 53 first, what the client sent at the end, the relay's last.
func TestOptionOrder(t *testing.T) {
	p := prepared(t, testHost(attr("domain", "example.org"), attr("NTP_server", "10.42.0.4")))
	agent := []byte{82, 6, 1, 4, 'p', 'o', 'r', 't'}
	opts := slices.Concat(agent, []byte{61, 3, 0, 'a', 'b'}, []byte{118, 4, 10, 42, 0, 0}, append([]byte{97, 17, 0}, make([]byte, 16)...))
	v, out := answerTo(t, p, Site{}, ask{typ: discover, opts: opts})
	if v != engine.Reply {
		t.Fatalf("verdict = %v", v)
	}
	r := decode(t, out)
	want := []byte{53, 54, 51, 58, 59, 1, 3, 28, 12, 15, 42, 97, 61, 118, 82}
	if !bytes.Equal(r.codes(), want) {
		t.Errorf("options = %v\nwant      %v", r.codes(), want)
	}
	if !bytes.Equal(r.opt(82), agent[2:]) {
		t.Errorf("option 82 = % x, want % x", r.opt(82), agent[2:])
	}
}

// TestClientIDOnlyEchoed: RFC 6842 echoes 61, it does not invent one.
func TestClientIDOnlyEchoed(t *testing.T) {
	_, out := answerTo(t, prepared(t, testHost()), Site{}, ask{typ: discover})
	if r := decode(t, out); r.opt(61) != nil || r.opt(82) != nil || r.opt(118) != nil {
		t.Errorf("options = %v, want no echo of what was not sent", r.codes())
	}
}

func TestInformAndBootpGetNoLease(t *testing.T) {
	p := prepared(t, testHost())
	for name, a := range map[string]ask{"inform": {typ: dhcp4.Inform, ciaddr: "10.42.0.11"}, "bootp": {}} {
		_, out := answerTo(t, p, Site{}, a)
		r := decode(t, out)
		for _, code := range []byte{51, 58, 59} {
			if r.opt(code) != nil {
				t.Errorf("%s: option %d is there", name, code)
			}
		}
		if name == "bootp" && (r.opt(53) != nil || r.opt(54) != nil) {
			t.Error("bootp: DHCP options in the reply")
		}
		if r.opt(1) == nil || r.opt(3) == nil {
			t.Errorf("%s: no netmask or router", name)
		}
	}
}

func TestServerID(t *testing.T) {
	own := prepared(t, testHost(attr("server_id", "10.42.0.8")))
	plain := prepared(t, testHost())
	override := []byte{82, 6, 11, 4, 10, 43, 0, 1}
	for _, c := range []struct {
		name string
		p    *Prepared
		site Site
		opts []byte
		want string
	}{
		{"interface", plain, Site{}, nil, "10.42.0.5"},
		{"configured", plain, Site{ServerID: ip4("10.42.0.6")}, nil, "10.42.0.6"},
		{"attribute over configured", own, Site{ServerID: ip4("10.42.0.6")}, nil, "10.42.0.8"},
		{"relay over attribute, RFC 5107", own, Site{ServerID: ip4("10.42.0.6")}, override, "10.43.0.1"},
	} {
		_, out := answerTo(t, c.p, c.site, ask{typ: discover, opts: c.opts})
		r := decode(t, out)
		if !bytes.Equal(r.opt(54), bytesOf(c.want)) {
			t.Errorf("%s: server id = %v, want %s", c.name, net.IP(r.opt(54)), c.want)
		}
		if !r.ip.SrcIP.Equal(net.IP(bytesOf("10.42.0.5"))) {
			t.Errorf("%s: source = %v, want the interface's address", c.name, r.ip.SrcIP)
		}
		again := ask{typ: request, server: c.want, requested: "10.42.0.11", opts: c.opts}
		if v, _ := answerTo(t, c.p, c.site, again); v != engine.Reply {
			t.Errorf("%s: the REQUEST with that server id: %v, want reply", c.name, v)
		}
	}
}

func TestReplyKeepsItsTags(t *testing.T) {
	p := prepared(t, testHost())
	inner := []frame.Tag{{TPID: 0x8100, TCI: 43}}
	for _, c := range []struct {
		name string
		pkt  engine.Packet
		want []uint16
	}{
		{"in the frame", engine.Packet{Data: ask{typ: discover, tags: inner}.frame()}, []uint16{43}},
		{"taken out by the kernel", engine.Packet{Data: ask{typ: discover}.frame(), TPID: 0x8100, TCI: 43}, []uint16{43}},
		{"QinQ, outer taken out", engine.Packet{Data: ask{typ: discover, tags: inner}.frame(), TPID: 0x88a8, TCI: 43}, []uint16{43, 43}},
	} {
		c.pkt.Link = testLink()
		out, v := handlerFor(p, Fresh, Site{}).Handle(nil, &c.pkt)
		if v != engine.Reply {
			t.Errorf("%s: %v", c.name, v)
			continue
		}
		var u frame.UDP4
		if err := u.Parse(out, false); err != nil || u.NTags != len(c.want) {
			t.Errorf("%s: %d tags (%v), want %d", c.name, u.NTags, err, len(c.want))
			continue
		}
		for i, id := range c.want {
			if u.Tags[i].TCI != id {
				t.Errorf("%s: tag %d = %+v, want %d", c.name, i, u.Tags[i], id)
			}
		}
		if got := u.Src; got != ip4("10.43.0.5") {
			t.Errorf("%s: source = %v, want the VLAN interface's", c.name, got)
		}
	}
}

func TestHTTPBootGetsItsClassBack(t *testing.T) {
	_, out := answerTo(t, prepared(t, testHost()), Site{}, ask{typ: discover, vendor: "HTTPClient:Arch:00016:UNDI:003001"})
	if r := decode(t, out); string(r.opt(60)) != "HTTPClient" {
		t.Errorf("option 60 = %q", r.opt(60))
	}
}

// longHost has more options than 576 bytes hold.
func longHost() *clusto.Host {
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprintf("10.42.1.%d", i+1)
	}
	list := strings.Join(many, ",") // 120 bytes encoded
	return testHost(attr("NTP_server", list), attr("domain", "example.org"), attr("log_server", list),
		attr("name_server", list), attr("time_server", list), attr("pxelinux-configfile", strings.Repeat("c", 100)))
}

func TestLongReplyFollowsTheParameterList(t *testing.T) {
	p := prepared(t, longHost())
	h := handlerFor(p, Fresh, Site{})
	v, out := handle(h, ask{typ: discover, vendor: "PXEClient", opts: []byte{55, 3, 42, 15, 7}})
	if v != engine.Reply {
		t.Fatalf("verdict = %v", v)
	}
	r := decode(t, out)
	if n := int(r.ip.Length); n > 576 {
		t.Errorf("IP length = %d, want 576 at most", n)
	}
	for _, code := range []byte{53, 54, 51, 1, 42, 15} {
		if r.opt(code) == nil {
			t.Errorf("option %d was dropped", code)
		}
	}
	if r.opt(52) != nil {
		t.Error("file and sname are overloaded for boot firmware")
	}
	if all, kept := 16, len(r.codes()); h.s.DroppedOptions.Load() != uint64(all-kept) {
		t.Errorf("%d dropped options counted, %d of %d are there", h.s.DroppedOptions.Load(), kept, all)
	}
}

func TestLongReplyOverloads(t *testing.T) {
	p := prepared(t, longHost())
	h := handlerFor(p, Fresh, Site{})
	_, out := handle(h, ask{typ: discover})
	r := decode(t, out)
	var x dhcp4.Index
	msg, err := dhcp4.Parse(r.raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Build(msg); err != nil {
		t.Fatal(err)
	}
	if x.Overload() == 0 {
		t.Fatal("nothing was put into file and sname")
	}
	var n int
	for code := range 255 {
		if _, ok := x.Get(byte(code)); ok && code != 52 {
			n++
		}
	}
	if n <= len(r.codes())-1 {
		t.Errorf("%d options with the overloaded fields, %d without: none came from them", n, len(r.codes())-1)
	}
	if len(r.raw) > 548 {
		t.Errorf("%d bytes of message, want 548 at most", len(r.raw))
	}
}

// TestLongReplyOverloadsSNameBesideAFile: a boot file takes the file field, and
// leaves sname free.
func TestLongReplyOverloadsSNameBesideAFile(t *testing.T) {
	h := longHost()
	h.Attrs = append(h.Attrs, attr("tftp_filename", "/pxelinux.0"), attr("dump_path", strings.Repeat("p", 40)))
	for _, c := range []struct {
		vendor string
		want   byte
	}{{"", 2}, {"PXEClient", 0}, {"HTTPClient", 0}} {
		_, out := answerTo(t, prepared(t, h), Site{}, ask{typ: discover, vendor: c.vendor})
		r := decode(t, out)
		if got := strings.TrimRight(string(r.dhcp.File), "\x00"); got != "/pxelinux.0" {
			t.Errorf("%q: file = %q", c.vendor, got)
		}
		if got := r.opt(52); len(got) != 0 != (c.want != 0) || c.want != 0 && got[0] != c.want {
			t.Errorf("%q: option 52 = %v, want %d", c.vendor, got, c.want)
		}
		if (r.dhcp.ServerName[0] != 0) != (c.want != 0) {
			t.Errorf("%q: sname begins with %d", c.vendor, r.dhcp.ServerName[0])
		}
	}
}

func TestLongerMessageWhereAllowed(t *testing.T) {
	p := prepared(t, longHost())
	h := handlerFor(p, Fresh, Site{})
	_, out := handle(h, ask{typ: discover, opts: []byte{57, 2, 5, 220}}) // 1500
	r := decode(t, out)
	if len(r.codes()) != 16 || h.s.DroppedOptions.Load() != 0 {
		t.Errorf("options = %v, dropped %d; want all 16", r.codes(), h.s.DroppedOptions.Load())
	}
	short := testLink()
	short.MTU = 600
	out, _ = h.Handle(nil, &engine.Packet{Data: ask{typ: discover, opts: []byte{57, 2, 5, 220}}.frame(), Link: short})
	if r := decode(t, out); int(r.ip.Length) > 600 {
		t.Errorf("IP length = %d over an MTU of 600", r.ip.Length)
	}
}

// TestMandatoryAlone: a client-id and a relay option that leave no room for
// anything else still get what never drops; if that is too long, no reply.
func TestMandatoryAlone(t *testing.T) {
	p := prepared(t, longHost())
	agent := append([]byte{82, 202, 1, 200}, make([]byte, 200)...)
	id := append([]byte{61, 60}, make([]byte, 60)...)
	v, out := answerTo(t, p, Site{}, ask{typ: discover, vendor: "PXEClient", opts: slices.Concat(id, agent)})
	if v != engine.Reply {
		t.Fatalf("verdict = %v", v)
	}
	r := decode(t, out)
	if r.opt(61) == nil || r.opt(82) == nil || r.opt(1) == nil || r.opt(51) == nil || int(r.ip.Length) > 576 {
		t.Errorf("options = %v in %d bytes", r.codes(), r.ip.Length)
	}
	id = append([]byte{61, 250}, make([]byte, 250)...)
	if v, out := answerTo(t, p, Site{}, ask{typ: discover, opts: slices.Concat(id, agent)}); v != engine.Oversize || len(out) != 0 {
		t.Errorf("indispensable options beyond 576 bytes: %v, want oversize", v)
	}
}

func TestBroadcastAddressAndMask(t *testing.T) {
	p := prepared(t, testHost())
	_, out := answerTo(t, p, Site{}, ask{typ: discover})
	r := decode(t, out)
	for code, want := range map[byte]string{1: "255.255.255.0", 3: "10.42.0.1", 28: "10.42.0.255"} {
		if !bytes.Equal(r.opt(code), bytesOf(want)) {
			t.Errorf("option %d = % d, want %s", code, r.opt(code), want)
		}
	}
	if binary.BigEndian.Uint32(r.opt(51)) != 3600 || r.seconds(58) != 1600 || r.seconds(59) != 3150 {
		t.Errorf("times = %d %d %d", r.seconds(51), r.seconds(58), r.seconds(59))
	}
}
