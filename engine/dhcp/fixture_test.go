package dhcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

// The site of these tests: a server on 10.42.0.5/24, a host with one address
// in that network and one behind a relay.
var (
	hostMAC   = clusto.MAC{0x00, 0x1e, 0xc9, 0x00, 0x00, 0x01}
	serverMAC = [6]byte{0x02, 0, 0, 0, 0, 0x05}
	relayMAC  = [6]byte{0x02, 0, 0, 0, 0, 0x01}
)

func ip4(s string) [4]byte {
	if s == "" {
		return [4]byte{}
	}
	return netip.MustParseAddr(s).As4()
}

func testLink() *engine.Link {
	return &engine.Link{
		Name: "eth0", Index: 2, MAC: serverMAC, MTU: 1500, Up: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.42.0.5/24")},
		VLANs: map[uint16][]netip.Prefix{43: {netip.MustParsePrefix("10.43.0.5/24")}},
		Local: map[netip.Addr]struct{}{netip.MustParseAddr("10.42.0.5"): {}, netip.MustParseAddr("10.99.0.5"): {}},
	}
}

func network(name, prefix, gateway string) *clusto.Network {
	return &clusto.Network{Name: name, Prefix: netip.MustParsePrefix(prefix), Gateway: netip.MustParseAddr(gateway)}
}

var (
	net42 = network("net-private0", "10.42.0.0/24", "10.42.0.1")
	net43 = network("net-private1", "10.43.0.0/24", "10.43.0.1")
)

// attr is one dhcp attribute of the pool, as Merge leaves it.
func attr(name string, value any) clusto.Attr {
	a := clusto.Attr{Key: "dhcp", Subkey: &name, Origin: "/pool/pxeboot-servers", Distance: 1}
	switch v := value.(type) {
	case int:
		a.Value = clusto.Value{Type: clusto.Int, Int: int64(v)}
	case string:
		a.Value = clusto.Value{Type: clusto.String, Str: v}
	case clusto.Value:
		a.Value = v
	}
	return a
}

func jsonValue(s string) clusto.Value { return clusto.Value{Type: clusto.JSON, Str: s} }

func testHost(attrs ...clusto.Attr) *clusto.Host {
	return &clusto.Host{
		MAC:    hostMAC,
		Entity: clusto.Entity{Name: "s0001", Type: "server", Driver: "penguinserver"},
		Port:   "port-nic-eth", Number: 1, Hostname: "s0001", Enabled: true,
		Addresses: []clusto.Address{
			{IP: netip.MustParseAddr("10.43.0.11"), Network: net43},
			{IP: netip.MustParseAddr("10.42.0.11"), Network: net42},
			{IP: netip.MustParseAddr("10.42.0.200"), OSPort: "ipmi0", Network: net42},
		},
		Attrs: attrs,
	}
}

func prepared(t testing.TB, h *clusto.Host) *Prepared {
	t.Helper()
	p, warnings := Prepare(h, PrepareConfig{})
	for _, w := range warnings {
		t.Errorf("unexpected warning: %s", w)
	}
	return p
}

// ask is a request to be built. Zero fields are those of a plain broadcast
// from hostMAC.
type ask struct {
	typ            dhcp4.MessageType
	ciaddr, giaddr string
	requested      string // option 50
	server         string // option 54
	flags          uint16
	src, dst       string
	srcPort        uint16
	vendor         string // option 60
	opts           []byte // further options, encoded
	tags           []frame.Tag
	mac            clusto.MAC
	change         func(msg []byte) []byte // last word on the message
}

func (a ask) frame() []byte {
	if a.mac == (clusto.MAC{}) {
		a.mac = hostMAC
	}
	if a.dst == "" {
		a.dst = "255.255.255.255"
	}
	if a.srcPort == 0 {
		a.srcPort = 68
	}
	h := frame.Header{
		EthDst: ethBroadcast, EthSrc: a.mac, Src: ip4(a.src), Dst: ip4(a.dst),
		SrcPort: a.srcPort, DstPort: 67, NTags: len(a.tags),
	}
	copy(h.Tags[:], a.tags)
	if a.giaddr != "" {
		h.EthSrc, h.EthDst = relayMAC, serverMAC
	}
	b := h.AppendTo(nil)
	b = append(b, a.message()...)
	h.Finish(b)
	return b
}

func (a ask) message() []byte {
	h := dhcp4.Header{Op: 1, HType: 1, HLen: 6, XID: 0x12345678, Flags: a.flags, CIAddr: ip4(a.ciaddr), GIAddr: ip4(a.giaddr)}
	copy(h.CHAddr[:], a.mac[:])
	msg := dhcp4.AppendHeader(nil, &h)
	if a.typ != 0 {
		msg = dhcp4.AppendByte(msg, dhcp4.OptMessageType, byte(a.typ))
	}
	if a.requested != "" {
		msg = dhcp4.AppendAddr(msg, dhcp4.OptRequestedIP, ip4(a.requested))
	}
	if a.server != "" {
		msg = dhcp4.AppendAddr(msg, dhcp4.OptServerID, ip4(a.server))
	}
	if a.vendor != "" {
		msg = dhcp4.AppendOptionString(msg, dhcp4.OptVendorClass, a.vendor)
	}
	msg = append(msg, a.opts...)
	msg = dhcp4.AppendEnd(msg)
	msg = dhcp4.Pad(msg, 0, 300)
	if a.change != nil {
		msg = a.change(msg)
	}
	return msg
}

// reply is an answer as an independent decoder reads it.
type reply struct {
	eth  *layers.Ethernet
	vlan []*layers.Dot1Q
	ip   *layers.IPv4
	udp  *layers.UDP
	dhcp *layers.DHCPv4
	raw  []byte // the DHCP message
}

func decode(t testing.TB, b []byte) reply {
	t.Helper()
	pkt := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	if e := pkt.ErrorLayer(); e != nil {
		t.Fatalf("gopacket cannot read the reply: %v\n% x", e.Error(), b)
	}
	var r reply
	for _, l := range pkt.Layers() {
		switch l := l.(type) {
		case *layers.Ethernet:
			r.eth = l
		case *layers.Dot1Q:
			r.vlan = append(r.vlan, l)
		case *layers.IPv4:
			r.ip = l
		case *layers.UDP:
			r.udp = l
		case *layers.DHCPv4:
			r.dhcp = l
		}
	}
	if r.dhcp == nil {
		t.Fatalf("no DHCP layer in the reply:\n%v", pkt)
	}
	r.raw = r.udp.Payload
	var u frame.UDP4
	if err := u.Parse(b, false); err != nil {
		t.Fatalf("the reply's lengths or checksums are wrong: %v", err)
	}
	return r
}

func (r reply) opt(code byte) []byte {
	for _, o := range r.dhcp.Options {
		if byte(o.Type) == code {
			return o.Data
		}
	}
	return nil
}

func (r reply) codes() (codes []byte) {
	for _, o := range r.dhcp.Options {
		if o.Type != layers.DHCPOptEnd && o.Type != layers.DHCPOptPad {
			codes = append(codes, byte(o.Type))
		}
	}
	return codes
}

func (r reply) typ() dhcp4.MessageType {
	if b := r.opt(53); len(b) == 1 {
		return dhcp4.MessageType(b[0])
	}
	return 0
}

func (r reply) seconds(code byte) uint32 {
	if b := r.opt(code); len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// fixedHosts is a Hosts whose content the test sets: the policy's tests are
// about what is made of an answer, not about how it is found.
type fixedHosts map[clusto.MAC]struct {
	p *Prepared
	s State
}

func (h fixedHosts) Lookup(mac clusto.MAC, _ int64) (*Prepared, State) { return h[mac].p, h[mac].s }

func (h fixedHosts) PeekAll(to []*Prepared, macs []clusto.MAC) []*Prepared {
	return peekAll(h, to, macs)
}

// peekAll is PeekAll of an inventory in memory.
func peekAll(h Hosts, to []*Prepared, macs []clusto.MAC) []*Prepared {
	for _, mac := range macs {
		if p, state := h.Lookup(mac, 0); state == Fresh || state == Stale {
			to = append(to, p)
		}
	}
	return to
}

func (h fixedHosts) Fetch(_ context.Context, mac clusto.MAC) (*Prepared, State, error) {
	return h[mac].p, h[mac].s, errors.New("nothing to fetch from")
}

func handlerFor(p *Prepared, s State, site Site) *Handler {
	return NewServer(Config{Hosts: fixedHosts{hostMAC: {p, s}}, Lot: smallLot(), Site: site}).Handler()
}

// answerTo runs a request through a handler that has p at hand.
func answerTo(t testing.TB, p *Prepared, site Site, a ask) (engine.Verdict, []byte) {
	t.Helper()
	return handle(handlerFor(p, Fresh, site), a)
}

func handle(h *Handler, a ask) (engine.Verdict, []byte) {
	out, v := h.Handle(make([]byte, 0, engine.FrameSize), &engine.Packet{Data: a.frame(), Link: testLink()})
	return v, out
}

func smallLot() *engine.Lot { return engine.NewLot(engine.LotConfig{Slots: 8}) }
