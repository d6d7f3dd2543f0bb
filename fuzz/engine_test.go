package fuzz

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzDHCPEngine: any frame ends in the one verdict that it has to (see settled): what is
// broken is refused and nothing else is, only a known host that is switched on gets a reply,
// and it gets one. gopacket reads it; it gives the host its own address, and goes where
// RFC 2131 section 4.1 sends it.
func FuzzDHCPEngine(f *testing.F) {
	for i, in := range append(corpus.Frames(f), InFrames(corpus.DHCP(f), 67)...) {
		f.Add(in.Bytes, true, uint8(0), uint16(0))
		f.Add(in.Bytes, false, uint8(i), uint16(5<<13|43))
	}
	handler := NewHandler(f)
	slot := make([]byte, 0, engine.FrameSize)
	f.Fuzz(func(t *testing.T, b []byte, mend bool, tag uint8, tci uint16) {
		p := Received(b, mend, Tag(tag, tci))
		kept := bytes.Clone(p.Data)
		handler.Ahead([]engine.Packet{*p, *p})
		out, v := handler.Handle(slot, p)
		if !bytes.Equal(kept, p.Data) {
			t.Fatal("the request was written over")
		}
		if v == engine.None || v >= engine.Verdicts || v == engine.Parked || v == engine.Queued {
			t.Fatalf("verdict %v", v)
		}
		if want := settled(p); v != want {
			t.Fatalf("verdict %v, want %v", v, want)
		}
		if answered := v == engine.Reply || v == engine.Nak; answered != (len(out) > 0) {
			t.Fatalf("%v with a frame of %d bytes", v, len(out))
		}
		if len(out) > 0 {
			readReply(t, v, out, p)
		}
	})
}

// readReply has gopacket read a reply.
func readReply(t *testing.T, v engine.Verdict, out []byte, p *engine.Packet) {
	t.Helper()
	if &out[0] != &out[:cap(out)][0] || len(out) > engine.FrameSize {
		t.Fatalf("a frame of %d bytes outgrew its slot", len(out))
	}
	if got, asked := dissect(withoutOuter(t, out, p)), dissect(p.Data); !slices.Equal(got.tags, asked.tags) {
		t.Errorf("tags %v to %v", got.tags, asked.tags)
	}
	pkt := gopacket.NewPacket(standardTags(out), layers.LayerTypeEthernet, gopacket.Default)
	if e := pkt.ErrorLayer(); e != nil {
		t.Fatalf("gopacket: %v", e.Error())
	}
	d, ok := pkt.Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	ip, _ := pkt.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	udp, _ := pkt.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if ip == nil || udp == nil {
		t.Fatalf("gopacket: %v", pkt)
	}
	if !ok { // it goes by the port, which a relay may choose (RFC 8357)
		d = new(layers.DHCPv4)
		if err := d.DecodeFromBytes(udp.Payload, gopacket.NilDecodeFeedback); err != nil {
			t.Fatalf("gopacket: %v", err)
		}
	}
	var req frame.UDP4
	if err := req.Parse(p.Data, true); err != nil || !bytes.Equal(d.ClientHWAddr, Known[:]) || !bytes.Equal(d.ClientHWAddr, req.Payload[28:34]) {
		t.Fatalf("%v to %v, who asked for %x (%v)", v, d.ClientHWAddr, req.Payload[28:34], err)
	}
	typ := byte(0)
	for _, o := range d.Options {
		if o.Type == layers.DHCPOptMessageType {
			typ = o.Data[0]
		}
		if o.Type == layers.DHCPOptEnd || o.Type == layers.DHCPOptPad {
			t.Errorf("gopacket: an option %v among the others", o)
		}
	}
	opts, ok := corpus.Options(req.Payload)
	if !ok {
		t.Fatalf("an answer to a broken message: % x", req.Payload)
	}
	asked := opts[53]
	checkType(t, v, string(asked), typ)
	gives := d.YourClientIP.String()
	if none := v == engine.Nak || string(asked) == string(rune(dhcp4.Inform)); none && gives != "0.0.0.0" || !none && !slices.Contains(Gives, gives) {
		t.Errorf("%v to type %v gives %s", v, asked, gives)
	}
	checkWay(t, v, pkt, d, p)
	if int(ip.Length) > Link.MTU || ip.SrcIP.String() == "0.0.0.0" || udp.SrcPort != 67 || d.Xid != binary.BigEndian.Uint32(req.Payload[4:]) {
		t.Errorf("%v", pkt)
	}
}

// request is a request in plain words.
type request struct {
	opts   *[256][]byte
	ci, gi [4]byte
	vlan   uint16
}

// settled gives the verdict of a frame, from its bytes alone: what gopacket and fault say
// of the frame, corpus of the message, and RFC 2131 section 4.3 of the request.
func settled(p *engine.Packet) engine.Verdict {
	d := dissect(p.Data)
	fault := d.fault()
	switch {
	case p.Truncated:
		return engine.Malformed
	case fault == frame.ErrUDPChecksum && p.CsumPartial, fault == nil:
	case fault == frame.ErrNotIPv4, fault == frame.ErrNotUDP:
		return engine.NotForUs
	case fault == frame.ErrIPChecksum, fault == frame.ErrUDPChecksum:
		return engine.BadChecksum
	default:
		return engine.Malformed
	}
	var q request
	switch {
	case p.TPID != 0:
		q.vlan = p.TCI & 0xfff
	case len(d.tags) > 0:
		q.vlan = d.tags[0].TCI & 0xfff
	}
	ours := []string{"255.255.255.255", "10.42.0.5", "10.42.0.255"}
	if q.vlan == 43 {
		ours = []string{"255.255.255.255", "10.42.0.5", "10.43.0.5", "10.43.0.255"}
	}
	if d.udp.DstPort != 67 || !slices.Contains(ours, d.ip.DstIP.String()) {
		return engine.NotForUs
	}
	msg, broadcast := d.udp.Payload, [4]byte{10, 42, 0, 255}
	if q.vlan == 43 {
		broadcast[1] = 43
	}
	switch corpus.Fault(msg, broadcast) {
	case corpus.Malformed:
		return engine.Malformed
	case corpus.NotForUs:
		return engine.NotForUs
	}
	switch [6]byte(msg[28:34]) {
	case off:
		return engine.Disabled
	case Known:
		q.opts, _ = corpus.Options(msg)
		q.ci, q.gi = [4]byte(msg[12:16]), [4]byte(msg[24:28])
		return q.answer()
	}
	return engine.UnknownHost
}

// answer is what the known host gets: RFC 2131 section 4.3, RFC 951 where there is no type.
func (q *request) answer() engine.Verdict {
	v := engine.Reply
	server := q.addr(54)
	switch typ := string(q.opts[53]); typ {
	case "\x03", "\x04", "\x07":
		override, _ := corpus.SubOption(q.opts[82], 11) // RFC 5107
		mine := server == [4]byte{10, 42, 0, 5} || server == [4]byte{10, 43, 0, 5} && q.vlan == 43 || string(override) == string(server[:])
		switch {
		case server != [4]byte{} && !mine:
			return engine.OtherServer
		case typ == "\x04":
			return engine.Declined
		case typ == "\x07":
			return engine.Released
		}
		v = q.confirm(server)
	case "\x08":
		if q.ci == [4]byte{} {
			return engine.Malformed
		}
		fallthrough
	default:
		if net := q.network(); net != 42 && net != 43 {
			return engine.NoAddress
		}
	}
	least := 240 + 3 + 6 + 6 + 6 + 1 // 53, 54, 51, 1, END, and what is echoed in pieces of 255
	switch {
	case len(q.opts[53]) == 0:
		least = 240 + 6 + 1
	case v == engine.Nak:
		least = 240 + 3 + 6 + 1
	case q.opts[53][0] == 8:
		least -= 6
	}
	for _, code := range []byte{61, 82, 97, 118} {
		if val := q.opts[code]; val != nil && (v != engine.Nak || code == 61 || code == 82) {
			least += len(val) + 2*max(1, (len(val)+254)/255)
		}
	}
	if q.class("HTTPClient") && v != engine.Nak {
		least += 2 + len("HTTPClient")
	}
	most := 576 // RFC 2132 section 9.10
	if b := q.opts[57]; b != nil {
		most = min(max(most, int(binary.BigEndian.Uint16(b))), Link.MTU, engine.FrameSize-64)
	}
	if (v == engine.Reply || v == engine.Nak) && least > most-28 {
		return engine.Oversize
	}
	return v
}

// confirm: section 4.3.2.
func (q *request) confirm(server [4]byte) engine.Verdict {
	none := [4]byte{}
	ip := q.addr(50)
	if server == none && q.ci != none || ip == none {
		ip = q.ci
	}
	boots := server == none && q.ci == none // INIT-REBOOT: in the network of the address alone
	switch his := slices.Contains(Gives, netip.AddrFrom4(ip).String()); {
	case ip == none:
		return engine.Malformed
	case his && (!boots || q.network() == ip[1]):
		return engine.Reply
	case q.class("PXEClient"), q.class("HTTPClient"):
		return engine.NakWithheld
	}
	return engine.Nak
}

func (q *request) class(prefix string) bool { return bytes.HasPrefix(q.opts[60], []byte(prefix)) }

func (q *request) addr(code byte) (ip [4]byte) {
	copy(ip[:], q.opts[code])
	return ip
}

// network is 42 or 43 for a request from 10.42.0.0/24 or 10.43.0.0/24, 0 from elsewhere:
// what the relay says (RFC 3527), the client (RFC 3011), giaddr, ciaddr, else the interface.
func (q *request) network() byte {
	var link [4]byte
	if sub, _ := corpus.SubOption(q.opts[82], 5); len(sub) == 4 {
		link = [4]byte(sub)
	}
	for _, ip := range [][4]byte{link, q.addr(118), q.gi, q.ci} {
		switch {
		case ip == [4]byte{}:
		case ip[0] == 10 && (ip[1] == 42 || ip[1] == 43) && ip[2] == 0:
			return ip[1]
		default:
			return 0
		}
	}
	if q.vlan == 43 {
		return 43
	}
	return 42
}

// checkWay: to whom a reply goes on each layer (RFC 2131 section 4.1): to the relay, to the
// address that the client has, to all, or without ARP to the address that he gets. A relay
// may choose its port (RFC 8357 section 4). On the way are who the kernel knows, else who
// brought the request.
func checkWay(t *testing.T, v engine.Verdict, pkt gopacket.Packet, d *layers.DHCPv4, p *engine.Packet) {
	t.Helper()
	req := dissect(p.Data)
	msg, port := req.udp.Payload, layers.UDPPort(68)
	opts, _ := corpus.Options(msg)
	ci, gi := [4]byte(msg[12:16]), [4]byte(msg[24:28])
	to, mac := [4]byte(d.YourClientIP.To4()), [6]byte(msg[28:34])
	hop := func(ip [4]byte) [6]byte {
		switch {
		case ip == [4]byte{10, 42, 0, 11}:
			return [6]byte{2, 0, 0, 0, 1, 11}
		case ip == [4]byte{10, 42, 0, 1}, ip[0] == 10 && ip[1] == 44:
			return gateway
		}
		return [6]byte(req.eth.SrcMAC)
	}
	switch {
	case gi != [4]byte{}:
		to, mac, port = gi, hop(gi), 67
		if _, own := corpus.SubOption(opts[82], 19); own {
			port = req.udp.SrcPort
		}
	case v != engine.Nak && ci != [4]byte{}:
		to, mac = ci, hop(ci)
	case v == engine.Nak, msg[10]&0x80 != 0:
		to, mac = [4]byte{255, 255, 255, 255}, [6]byte{255, 255, 255, 255, 255, 255}
	}
	eth, ip, udp := pkt.Layer(layers.LayerTypeEthernet).(*layers.Ethernet), pkt.Layer(layers.LayerTypeIPv4).(*layers.IPv4), pkt.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if [6]byte(eth.DstMAC) != mac || [4]byte(ip.DstIP.To4()) != to || udp.DstPort != port || [6]byte(eth.SrcMAC) != Link.MAC {
		t.Errorf("to %v, %v:%d, want %x, %v:%d", eth.DstMAC, ip.DstIP, udp.DstPort, mac, to, port)
	}
}

// checkType: an answer's type is the one that the request's asks for (RFC 2131 section 4.3), none for
// BOOTP's (RFC 1534 section 2).
func checkType(t *testing.T, v engine.Verdict, asked string, typ byte) {
	t.Helper()
	want := map[string]dhcp4.MessageType{"": 0, string(rune(dhcp4.Discover)): dhcp4.Offer, string(rune(dhcp4.Request)): dhcp4.Ack, string(rune(dhcp4.Inform)): dhcp4.Ack}
	answer, ok := want[asked]
	if v == engine.Nak {
		ok, answer = asked == string(rune(dhcp4.Request)), dhcp4.Nak
	}
	if !ok || typ != byte(answer) {
		t.Errorf("%v of type %d to type % x", v, typ, asked)
	}
}

// standardTags gives a frame with the tags of IEEE 802.1Q for those of 9100, which gopacket
// does not know. We are laxer: the VLAN tags of IEEE 802.1Q-2018 table 9-1 are 8100 and 88a8,
// and 9100 is of switches from before IEEE 802.1ad.
func standardTags(b []byte) []byte {
	b = bytes.Clone(b)
	for at := 12; at+2 <= len(b); at += 4 {
		switch binary.BigEndian.Uint16(b[at:]) {
		case 0x9100:
			binary.BigEndian.PutUint16(b[at:], 0x8100)
		case 0x8100, 0x88a8:
		default:
			return b
		}
	}
	return b
}
