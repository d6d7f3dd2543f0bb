package dhcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// check holds a decision, and the reply that is made of it, against the host as
// the inventory has it and the request as it was sent.
type check struct {
	t     *testing.T
	h     *clusto.Host
	p     *Prepared
	r     *Request
	d     *Decision
	site  *Site
	fresh bool
	asked *[256][]byte // the request's options, as corpus reads them
	raw   []byte       // the reply, its message
}

// request holds what Parse says of the tags and of the type against the frame and its options:
// a decision is held against that.
func (c *check) request(p *engine.Packet) {
	if want := (frame.Tag{TPID: p.TPID, TCI: p.TCI}); c.r.outer != want {
		c.t.Errorf("the kernel's tag is %v, want %v", c.r.outer, want)
	}
	tags, q := tagsOf(p.Data), &c.r.Frame
	if !slices.Equal(q.Tags[:q.NTags], tags) || c.r.vlan() != vlanOf(p) {
		c.t.Errorf("tags %v, VLAN %d, want %v and %d", q.Tags[:q.NTags], c.r.vlan(), tags, vlanOf(p))
	}
	typ := byte(0) // BOOTP
	if b, ok := c.opt(53); ok {
		typ = b[0]
	}
	if byte(c.r.Type) != typ {
		c.t.Errorf("type %v, want %d", c.r.Type, typ)
	}
}

// tagsOf gives the tags of a frame that drawer.packet made.
func tagsOf(b []byte) (tags []frame.Tag) {
	for b = b[12:]; b[0] == 0x81; b = b[4:] {
		tags = append(tags, frame.Tag{TPID: binary.BigEndian.Uint16(b), TCI: binary.BigEndian.Uint16(b[2:])})
	}
	return tags
}

// vlanOf gives the VLAN of a packet: that of the kernel's tag, else of the outer one that is left.
func vlanOf(p *engine.Packet) uint16 {
	if p.TPID != 0 {
		return p.TCI & 0xfff
	}
	if tags := tagsOf(p.Data); len(tags) > 0 {
		return tags[0].TCI & 0xfff
	}
	return 0
}

// opt gives an option of the request.
func (c *check) opt(code byte) ([]byte, bool) { return c.asked[code], c.asked[code] != nil }

// agent gives a sub-option of the request's option 82.
func (c *check) agent(sub byte) ([]byte, bool) { return corpus.SubOption(c.asked[82], sub) }

// agentAddr gives one that is an address; zero if it is none.
func (c *check) agentAddr(sub byte) (ip [4]byte) {
	if b, _ := c.agent(sub); len(b) == 4 {
		ip = [4]byte(b)
	}
	return ip
}

func (c *check) optAddr(code byte) [4]byte {
	if b, ok := c.opt(code); ok && len(b) == 4 {
		return [4]byte(b)
	}
	return [4]byte{}
}

// eligible reports whether the inventory gives the host that address.
func (c *check) eligible(ip [4]byte) bool {
	return slices.ContainsFunc(c.h.Addresses, func(a clusto.Address) bool {
		return a.IP.As4() == ip && (a.OSPort == "ipmi0") == c.h.BMC
	})
}

// wanted is the address that a REQUEST asks for.
func (c *check) wanted() [4]byte {
	ci := c.r.Msg.CIAddr()
	ip, server := c.optAddr(50), c.optAddr(54)
	if server == [4]byte{} && ci != [4]byte{} || ip == [4]byte{} {
		return ci
	}
	return ip
}

// verdict: who is answered at all, and with what.
func (c *check) verdict() {
	t, d := c.t, c.d
	answered := d.Verdict == engine.Reply || d.Verdict == engine.Nak
	if answered && (!c.h.Enabled || len(c.h.Ambiguous) > 0) {
		t.Errorf("%v to a host that may not be answered", d.Verdict)
	}
	if want := c.expected(); d.Verdict != want {
		t.Errorf("%v, want %v: a %v from the network of %v for %v, of a host with %+v, on %v", d.Verdict, want, c.r.Type, c.from(), c.wanted(), c.h.Addresses, c.r.Link.AddrsOn(c.r.vlan()))
	}
	want := map[dhcp4.MessageType][]dhcp4.MessageType{
		0: {0}, dhcp4.Discover: {dhcp4.Offer}, dhcp4.Request: {dhcp4.Ack, dhcp4.Nak}, dhcp4.Inform: {dhcp4.Ack},
	}[c.r.Type]
	if answered && !slices.Contains(want, d.Type) || d.Verdict == engine.Nak != (answered && d.Type == dhcp4.Nak) {
		t.Errorf("%v of type %v to %v", d.Verdict, d.Type, c.r.Type)
	}
	if d.Verdict == engine.Nak && (!c.fresh || c.r.Type != dhcp4.Request || c.firmware() && !c.site.NakPXE) {
		t.Errorf("a NAK to %v: fresh %v, firmware %v", c.r.Type, c.fresh, c.firmware())
	}
	if d.Verdict == engine.Nak && c.eligible(c.wanted()) && (c.optAddr(54) != [4]byte{} || c.r.Msg.CIAddr() != [4]byte{}) {
		t.Errorf("a NAK for %v, which is the host's", c.wanted())
	}
	if server := c.optAddr(54); answered && c.r.Type == dhcp4.Request && server != [4]byte{} {
		_, local := c.r.Link.Local[netip.AddrFrom4(server)]
		if server != d.Server && !local && !slices.ContainsFunc(c.r.Link.AddrsOn(c.r.vlan()), func(p netip.Prefix) bool { return p.Addr().As4() == server }) {
			t.Errorf("%v though the client chose %v, and we are %v", d.Verdict, server, d.Server)
		}
	}
	if answered && (d.Source == [4]byte{} || d.Server == [4]byte{}) {
		t.Errorf("from %v, server id %v", d.Source, d.Server)
	}
}

func (c *check) firmware() bool {
	class, _ := c.opt(60)
	return bytes.HasPrefix(class, []byte("PXEClient")) || bytes.HasPrefix(class, []byte("HTTPClient"))
}

// reply: the frame as others have to read it.
func (c *check) reply(b []byte, dropped int) {
	if dropped < 0 {
		if len(b) != 0 {
			c.t.Errorf("%d bytes of a reply that does not fit", len(b))
		}
		if most := c.most(); c.must()+28 <= most && c.must()+42 <= engine.FrameSize {
			c.t.Errorf("no reply, of %d bytes at most, though %d are what it needs", most, c.must())
		}
		return
	}
	size := len(b)
	if c.r.outer.TPID != 0 { // as the client's kernel takes it out again: behind both addresses
		if got := (frame.Tag{TPID: binary.BigEndian.Uint16(b[12:]), TCI: binary.BigEndian.Uint16(b[14:])}); got != c.r.outer {
			c.t.Errorf("outer tag %v, the request's was %v", got, c.r.outer)
		}
		b = slices.Concat(b[:12], b[16:])
	}
	var u frame.UDP4
	if err := u.Parse(b, false); err != nil {
		c.t.Fatalf("the reply: %v", err)
	}
	if q := &c.r.Frame; u.NTags != q.NTags || !slices.Equal(u.Tags[:u.NTags], q.Tags[:q.NTags]) {
		c.t.Errorf("tags %v, the request's were %v", u.Tags[:u.NTags], q.Tags[:q.NTags])
	}
	c.length(size, u.Payload)
	m, err := dhcp4.Parse(u.Payload)
	if err != nil {
		c.t.Fatal(err)
	}
	var x dhcp4.Index
	if err := x.Build(m); err != nil {
		c.t.Fatalf("the reply's options: %v", err)
	}
	c.raw = u.Payload
	c.content(dropped)
	c.fixed(&m)
	c.order(&m)
	c.options(&x)
	c.destination(&u, &m)
	if c.d.Verdict == engine.Nak {
		c.nak(&m)
	} else {
		c.address(&m)
		c.times(&x)
	}
}

// length: what the client takes, what the interface sends in one piece, and what
// old ones want at least (RFC 1542 section 2.1).
func (c *check) length(frame int, payload []byte) {
	most := c.most()
	if n := len(payload); n < 300 || n+28 > most || frame > engine.FrameSize {
		c.t.Errorf("%d bytes of message in a frame of %d; at most %d with IP and UDP", n, frame, most)
	}
}

func (c *check) most() int {
	most := 576
	if size, ok := c.opt(57); ok {
		most = max(576, int(binary.BigEndian.Uint16(size)))
	}
	if mtu := c.r.Link.MTU; mtu > 0 {
		most = min(most, mtu)
	}
	return most
}

// fixed: RFC 2131 section 4.3.1, table 3.
func (c *check) fixed(m *dhcp4.View) {
	q := c.r.Msg
	if m.Op() != dhcp4.OpReply || m.HType() != 1 || m.HLen() != 6 || m.Hops() != 0 || m.Secs() != 0 ||
		m.XID() != q.XID() || m.GIAddr() != q.GIAddr() || m.CHAddr() != q.CHAddr() {
		c.t.Errorf("a reply of % x to % x", m.Vend(), q.Vend())
	}
	if flags := q.Flags(); m.Flags() != flags && (c.d.Verdict != engine.Nak || m.Flags() != flags|dhcp4.FlagBroadcast) {
		c.t.Errorf("flags %#x, the request's were %#x", m.Flags(), flags)
	}
	if !m.HasCookie() {
		c.t.Error("no magic cookie")
	}
}

// order: 53 first, 82 last, no option twice, not even in another field: parts of a split
// one are side by side in one field. Each field that holds options ends with END
// (RFC 2131 section 4.1).
func (c *check) order(m *dhcp4.View) {
	codes, ok := fieldCodes(m.Vend()[4:])
	if c.d.Type != 0 && (len(codes) == 0 || codes[0] != 53) {
		c.t.Errorf("53 is not the first: %v", codes)
	}
	if _, relayed := c.opt(82); relayed && (len(codes) == 0 || codes[len(codes)-1] != 82) {
		c.t.Errorf("82 is not the last: %v", codes)
	}
	said, _ := corpus.Options(c.raw)
	if which := said[52]; ok && len(which) == 1 {
		for bit, field := range map[byte][]byte{1: m.File(), 2: m.SName()} {
			if which[0]&bit != 0 {
				more, ended := fieldCodes(field)
				codes, ok = append(codes, more...), ok && ended && len(more) > 0
			}
		}
	}
	sorted := slices.Sorted(slices.Values(codes))
	if len(slices.Compact(sorted)) != len(codes) || !ok {
		c.t.Errorf("an option comes twice, or a field has no end: %v", codes)
	}
}

// fieldCodes gives the codes of one field, one for the parts of a split option, and whether
// END closes it and zeros alone follow.
func fieldCodes(field []byte) (codes []byte, ended bool) {
	for len(field) > 1 && field[0] != 255 {
		if len(codes) == 0 || codes[len(codes)-1] != field[0] {
			codes = append(codes, field[0])
		}
		field = field[min(len(field), 2+int(field[1])):]
	}
	return codes, len(field) > 0 && field[0] == 255 && len(bytes.Trim(field[1:], "\x00")) == 0
}

// options: what is echoed (RFC 3046 section 2.2, RFC 6842, RFC 3011), what says
// who answers, and what nobody asked for.
func (c *check) options(x *dhcp4.Index) {
	for _, code := range []byte{82, 61, 118} {
		want, has := c.opt(code)
		got, ok := x.Get(code)
		if code == 118 && c.d.Verdict == engine.Nak {
			has = false
		}
		if ok != has || has && !bytes.Equal(got, want) {
			c.t.Errorf("option %d: % x (%v), the request's was % x (%v)", code, got, ok, want, has)
		}
	}
	typ, hasType := x.Get(53)
	id, hasID := x.Get(54)
	if bootp := c.r.Type == 0; bootp == hasType || bootp == hasID || !bootp && (dhcp4.MessageType(typ[0]) != c.d.Type || [4]byte(id) != c.d.Server) {
		c.t.Errorf("type % x, server % x, want %v and %v", typ, id, c.d.Type, c.d.Server)
	}
	for _, code := range []byte{0, 50, 55, 57, 255} {
		if _, ok := x.Get(code); ok {
			c.t.Errorf("a server does not send option %d", code)
		}
	}
	if c.firmware() && x.Overload() != 0 {
		c.t.Errorf("option 52 is %d for boot firmware", x.Overload())
	}
}

// destination: RFC 2131 section 4.1.
func (c *check) destination(u *frame.UDP4, m *dhcp4.View) {
	gi, ci := m.GIAddr(), c.r.Msg.CIAddr()
	everyone := [4]byte{255, 255, 255, 255}
	want, port, next := m.YIAddr(), uint16(68), [6]byte(m.MAC()) // by unicast, without ARP
	switch {
	case gi != [4]byte{}:
		want, port = gi, 67
		if _, other := c.agent(19); other { // RFC 8357 section 4
			port = c.r.Frame.SrcPort
		}
		next = c.hop(gi)
	case c.d.Verdict == engine.Nak:
		want, next = everyone, ethBroadcast
	case ci != [4]byte{}:
		want, next = ci, c.hop(ci)
	case c.r.Msg.Broadcast():
		want, next = everyone, ethBroadcast
	}
	if u.Dst != want || u.DstPort != port || u.SrcPort != 67 || u.Src != c.d.Source || u.EthSrc != c.r.Link.MAC {
		c.t.Errorf("from %v:%d to %v:%d, want to %v:%d", u.Src, u.SrcPort, u.Dst, u.DstPort, want, port)
	}
	if u.EthDst != next {
		c.t.Errorf("for %v to %v, want %v", want, u.EthDst, next)
	}
}

// hop is who takes a datagram to ip on: himself or the gateway, where the kernel knows
// them, else whoever brought the request. An address of the interface's own network has
// no gateway.
func (c *check) hop(ip [4]byte) [6]byte {
	switch ip {
	case neighbour:
		return neighbourMAC
	case [4]byte{10, 42, 0, 1}:
		return gatewayMAC
	case [4]byte{10, 44, 0, ip[3]}:
		if c.r.Link.Gateways != nil {
			return gatewayMAC
		}
	}
	return c.r.Frame.EthSrc
}

// nak: RFC 2131 section 4.3.1, table 3.
func (c *check) nak(m *dhcp4.View) {
	none := [4]byte{}
	if m.YIAddr() != none || m.CIAddr() != none || m.SIAddr() != none || slices.Max(m.File()) != 0 || slices.Max(m.SName()) != 0 {
		c.t.Errorf("a NAK with yiaddr %v, ciaddr %v, siaddr %v, file %q", m.YIAddr(), m.CIAddr(), m.SIAddr(), m.File())
	}
	for it := m.Options(); ; {
		code, _, ok := it.Next()
		if !ok {
			break
		}
		if !slices.Contains([]byte{53, 54, 56, 61, 82}, code) {
			c.t.Errorf("a NAK with option %d", code)
		}
	}
	if c.r.Msg.GIAddr() != none && !m.Broadcast() {
		c.t.Error("a NAK for a relay without the broadcast bit")
	}
}

// address: one that the inventory binds to the host, in the network of the request.
func (c *check) address(m *dhcp4.View) {
	yi := m.YIAddr()
	if c.r.Type == dhcp4.Inform {
		if yi != [4]byte{} || m.CIAddr() != c.r.Msg.CIAddr() {
			c.t.Errorf("INFORM of %v got %v", c.r.Msg.CIAddr(), yi)
		}
		return
	}
	if !c.eligible(yi) {
		c.t.Fatalf("yiaddr %v is none of %v", yi, c.h.Addresses)
	}
	if want := c.given().IP.As4(); yi != want {
		c.t.Errorf("yiaddr %v, want %v", yi, want)
	}
	if c.r.Type == dhcp4.Request {
		if yi != c.wanted() {
			c.t.Errorf("an ACK of %v to who asked for %v", yi, c.wanted())
		}
		return
	}
	from := c.from()
	if from == [4]byte{} || yi == from {
		return
	}
	if !slices.ContainsFunc(c.h.Addresses, func(a clusto.Address) bool {
		return a.IP.As4() == yi && a.Network != nil && a.Network.Prefix.Contains(netip.AddrFrom4(from))
	}) {
		c.t.Errorf("%v for a client in the network of %v", yi, from)
	}
}

// from is what the request says of its network: RFC 3527, RFC 3011, giaddr, ciaddr.
func (c *check) from() [4]byte {
	if link := c.agentAddr(5); link != [4]byte{} {
		return link
	}
	if subnet := c.optAddr(118); subnet != [4]byte{} {
		return subnet
	}
	if gi := c.r.Msg.GIAddr(); gi != [4]byte{} {
		return gi
	}
	return c.r.Msg.CIAddr()
}

// times: T1 < T2 < lease (RFC 2131 section 4.4.5), and none without a lease.
func (c *check) times(x *dhcp4.Index) {
	seconds := func(code byte) (uint64, bool) {
		b, ok := x.Get(code)
		if !ok {
			return 0, false
		}
		return uint64(binary.BigEndian.Uint32(b)), true
	}
	lease, leased := seconds(51)
	t1, has1 := seconds(58)
	t2, has2 := seconds(59)
	if want := c.r.Type == dhcp4.Discover || c.r.Type == dhcp4.Request; leased != want || !want && (has1 || has2) {
		c.t.Errorf("lease %v, T1 %v, T2 %v to %v", leased, has1, has2, c.r.Type)
	}
	if has1 && (t1 == 0 || t1 >= lease) || has2 && t2 >= lease || has1 && has2 && t1 >= t2 {
		c.t.Errorf("T1 %d, T2 %d, lease %d", t1, t2, lease)
	}
}
