package fuzz

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
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
	yours := d.YourClientIP.String()
	typ := byte(0)
	for _, o := range d.Options {
		if o.Type == layers.DHCPOptMessageType {
			typ = o.Data[0]
		}
		if o.Type == layers.DHCPOptEnd || o.Type == layers.DHCPOptPad {
			t.Errorf("gopacket: an option %v among the others", o)
		}
	}
	nothing := yours == "0.0.0.0"
	if nak := v == engine.Nak; nak != (typ == byte(layers.DHCPMsgTypeNak)) || nak && !nothing || !nothing && !slices.Contains(Gives, yours) || nothing && !nak && typ != byte(layers.DHCPMsgTypeAck) {
		t.Errorf("%v of type %d gives %s", v, typ, yours)
	}
	if int(ip.Length) > Link.MTU || ip.SrcIP.String() == "0.0.0.0" || udp.SrcPort != 67 || d.Xid != binary.BigEndian.Uint32(req.Payload[4:]) {
		t.Errorf("%v", pkt)
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

// memory is a journal in memory, and a sender.
type memory struct {
	events []trap.Event
	sent   [][]byte
}

func (m *memory) Append(events []trap.Event) (int, error) {
	m.events = append(m.events, events...)
	return len(events), nil
}

func (m *memory) SendOn(_ *engine.Link, b []byte) error {
	m.sent = append(m.sent, bytes.Clone(b))
	return nil
}

// FuzzTrapEngine: any frame ends in one verdict; one with events has them all in
// the journal, and an inform is answered once, to who sent it, after that.
func FuzzTrapEngine(f *testing.F) {
	corpus.Add(f, corpus.Frames(f), true)
	corpus.Add(f, InFrames(corpus.SNMP(f), trap.Port), true)
	over, cancel := context.WithCancel(f.Context())
	cancel()
	f.Fuzz(func(t *testing.T, b []byte, mend bool) {
		var m memory
		var problems []trap.Problem
		stats := engine.NewStats(1)
		s := trap.NewServer(trap.Config{
			Journal: &m, Communities: []string{"public"}, Counter: stats.Counter(0), Events: 256, Replies: 8192,
			Report: func(p trap.Problem) { problems = append(problems, p) },
		})
		p := Received(b, mend)
		out, v := s.Handler().Handle(nil, p)
		if len(m.sent) > 0 || len(m.events) > 0 {
			t.Fatal("something was sent or kept before its time")
		}
		s.Run(over, &m)
		records := 0
		for i := range s.Records {
			records += int(s.Records[i].Load())
		}
		if len(m.events) != records || records > 0 && v != engine.Queued {
			t.Errorf("%v: %d records, %d events in the journal", v, records, len(m.events))
		}
		var u frame.UDP4
		var msg snmp.Message
		readable := u.Parse(p.Data, p.CsumPartial) == nil && msg.Parse(u.Payload) == nil
		inform := readable && msg.PDU == snmp.TagInform
		switch v {
		case engine.Queued:
			if want := map[bool]int{true: 1}[inform]; len(m.sent) != want || len(out) > 0 || !readable {
				t.Errorf("%d responses to PDU %#x", len(m.sent), msg.PDU)
			}
		case engine.Reply:
			m.sent = append(m.sent, out)
			if !inform {
				t.Errorf("a response to PDU %#x", msg.PDU)
			}
		case engine.Malformed, engine.BadChecksum, engine.NotForUs, engine.Fragment, engine.WrongCommunity, engine.OtherTrap:
		default:
			t.Errorf("verdict %v", v)
		}
		for _, answer := range m.sent {
			var back frame.UDP4
			if err := back.Parse(answer, false); err != nil || back.Dst != u.Src || back.DstPort != u.SrcPort || back.Src != u.Dst || back.SrcPort != trap.Port || back.EthDst != u.EthSrc {
				t.Errorf("the response (%v): %+v to %+v", err, back, u)
			}
			if want := snmp.AppendResponse(nil, &msg); !bytes.Equal(back.Payload, want) {
				t.Errorf("a response of % x, want % x", back.Payload, want)
			}
		}
	})
}
