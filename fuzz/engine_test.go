package fuzz

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzDHCPEngine: any frame ends in one verdict; only a known host that is
// switched on gets a reply, which gopacket reads, and which gives it its own address.
func FuzzDHCPEngine(f *testing.F) {
	corpus.Add(f, corpus.Frames(f), true)
	corpus.Add(f, InFrames(corpus.DHCP(f), 67), true)
	handler := NewHandler(f)
	slot := make([]byte, 0, engine.FrameSize)
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		p := Received(b, mend)
		kept := bytes.Clone(p.Data)
		handler.Ahead([]engine.Packet{*p, *p})
		out, v := handler.Handle(slot, p)
		if !bytes.Equal(kept, p.Data) {
			t.Fatal("the request was written over")
		}
		if v == engine.None || v >= engine.Verdicts || v == engine.Parked || v == engine.Queued {
			t.Fatalf("verdict %v", v)
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
	q, _ := dhcp4.Parse(req.Payload)
	var x dhcp4.Index
	if err := x.Build(q); err != nil {
		t.Fatalf("an answer to a broken message: %v", err)
	}
	asked, _ := x.Get(dhcp4.OptMessageType)
	checkType(t, v, string(asked), typ)
	gives := d.YourClientIP.String()
	if none := v == engine.Nak || string(asked) == string(rune(dhcp4.Inform)); none && gives != "0.0.0.0" || !none && !slices.Contains(Gives, gives) {
		t.Errorf("%v to type %v gives %s", v, asked, gives)
	}
	if int(ip.Length) > Link.MTU || ip.SrcIP.String() == "0.0.0.0" || udp.SrcPort != 67 || d.Xid != binary.BigEndian.Uint32(req.Payload[4:]) {
		t.Errorf("%v", pkt)
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

// standardTags gives a frame with the tags of IEEE 802.1Q for those of 9100, from
// before it, which gopacket does not know.
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
