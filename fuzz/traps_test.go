package fuzz

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/trap"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// FuzzTrapEngine: any frame, one to three times, ends in the one verdict that it has to (see
// refusedAs and wanted), counted each time; what the journal has room for is there as a whole,
// and an inform is answered once, to who sent it, after that. gopacket reads the Response's frame
// here, and gosnmp the Response in fuzz/peers. What cannot be read is a history message of an
// inform that can.
func FuzzTrapEngine(f *testing.F) {
	for i, in := range append(corpus.Frames(f), InFrames(corpus.SNMP(f), trap.Port)...) {
		f.Add(in.Bytes, true, uint8(i), uint8(255), false, uint8(0), uint16(0))
		f.Add(in.Bytes, true, uint8(i), uint8(i%4), i%8 == 7, uint8(i), uint16(43))
		f.Add(in.Bytes, false, uint8(0), uint8(255), false, uint8(0), uint16(0))
	}
	f.Add(InFrames(corpus.SNMP(f), 67)[0].Bytes, true, uint8(0), uint8(255), false, uint8(0), uint16(0)) // another port
	long := snmp.Notification{Community: []byte("public"), TrapOID: snmp.OID("\x2b"), Objects: make([]byte, engine.FrameSize)}
	f.Add(InFrames([]corpus.Input{{Bytes: snmp.AppendTrap(nil, &long)}}, trap.Port)[0].Bytes, true, uint8(0), uint8(255), false, uint8(0), uint16(0))
	f.Fuzz(func(t *testing.T, b []byte, mend bool, more, room uint8, deaf bool, tag uint8, tci uint16) {
		outer := Tag(tag, tci)
		if taken(t, Received(b, mend, outer), more, room, deaf) {
			return
		}
		name := snmp.OID("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x01\x01\x08\x01\x02\x01") // cmnHistMacChangedMsg.1
		inform := snmp.AppendInform(nil, &snmp.Notification{
			Community: []byte("public"), TrapOID: snmp.OID("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x02\x00\x01"),
			Objects: snmp.AppendVarBind(nil, name, snmp.TagOctetString, b[:min(len(b), 254)]),
		})
		if whole := InFrames([]corpus.Input{{Bytes: inform}}, trap.Port)[0].Bytes; !taken(t, Received(whole, false, outer), more, room, deaf) {
			t.Errorf("an inform is not read: % x", whole)
		}
	})
}

// taken has an engine take a frame one to three times, and reports whether it can be read.
func taken(t *testing.T, p *engine.Packet, more, room uint8, deaf bool) (readable bool) {
	t.Helper()
	n := 1 + int(more%3)
	s := Traps{Room: int(room), Deaf: deaf}
	s.Take(t, slices.Repeat([]engine.Packet{*p}, n)...)
	addUp(t, &s, n)
	d := dissect(p.Data)
	var msg snmp.Message
	refusal := refusedAs(p, &d, &msg)
	first, last := refusal, refusal
	if refusal == engine.None {
		first, last = wanted(&msg)
	}
	for v, times := range s.Counted.Verdicts {
		v := engine.Verdict(v)
		full := v == engine.JournalFull && first == engine.Queued // how often is in addUp
		if v == first && times != uint64(n) || v != first && v != last && times > 0 && !full {
			t.Errorf("PDU %#x: %v %d times of %d, want %v and %v", msg.PDU, v, times, n, first, last)
		}
	}
	var kept []trap.Event
	if first == engine.Queued {
		kept = slices.Repeat(eventsOf([4]byte(d.ip.SrcIP), &msg), n)
		kept = kept[:min(len(kept), s.Room)]
	}
	for i := range s.Events {
		s.Events[i].At = 0
	}
	if !slices.Equal(s.Events, kept) {
		t.Errorf("%+v in the journal, want %+v", s.Events, kept)
	}
	for _, answer := range s.Sent {
		readResponse(t, withoutOuter(t, answer, p), d)
		if want := snmp.AppendResponse(nil, &msg); !bytes.HasSuffix(answer, want) {
			t.Errorf("a response of % x, want % x", answer, want)
		}
	}
	return refusal == engine.None || refusal == engine.WrongCommunity
}

// refusedAs gives the verdict of a frame that is not taken, from its bytes alone: what gopacket and
// fault say of the frame, and of the message our reader, which fuzz/peers holds against gosnmp.
// msg is what it read. None is of what is taken.
func refusedAs(p *engine.Packet, d *dissected, msg *snmp.Message) engine.Verdict {
	fault := d.fault()
	switch {
	case p.Truncated:
		return engine.Malformed
	case fault == frame.ErrNotIPv4, fault == frame.ErrNotUDP:
		return engine.NotForUs
	case fault == frame.ErrIPChecksum, fault == frame.ErrUDPChecksum && !p.CsumPartial:
		return engine.BadChecksum
	case fault == frame.ErrFragment:
		return engine.Fragment
	case fault != nil && fault != frame.ErrUDPChecksum:
		return engine.Malformed
	case [4]byte(d.ip.DstIP) != Link.Addrs[0].Addr().As4(), d.udp.DstPort != trap.Port:
		return engine.NotForUs
	case msg.Parse(d.udp.Payload) != nil:
		return engine.Malformed
	case string(msg.Community) != "public":
		return engine.WrongCommunity
	}
	return engine.None
}

// wanted gives the verdict of a message of ours, and what becomes of it on disk.
func wanted(m *snmp.Message) (first, last engine.Verdict) {
	inform, other := m.PDU == snmp.TagInform, macnotify.KindOf(m) == macnotify.Other
	switch {
	case inform && other:
		return engine.Reply, engine.Reply
	case other:
		return engine.OtherTrap, engine.OtherTrap
	case inform:
		return engine.Queued, engine.Acknowledged
	}
	return engine.Queued, engine.Journaled
}

// eventsOf gives what a message of a switch says, at no time. An operation that the MIB does
// not know has none.
func eventsOf(sw [4]byte, m *snmp.Message) (all []trap.Event) {
	if macnotify.KindOf(m) == macnotify.Moved {
		mv, err := macnotify.ReadMove(m)
		if err != nil {
			return nil
		}
		return []trap.Event{{Switch: sw, MAC: mv.MAC, VLAN: mv.VLAN, Port: mv.To, From: mv.From, Op: trap.Moved}}
	}
	it := macnotify.Records(m)
	for r, ok := it.Next(); ok; r, ok = it.Next() {
		e := trap.Event{Switch: sw, MAC: r.MAC, VLAN: r.VLAN, Port: r.Port}
		if r.Op == macnotify.Learnt || r.Op == macnotify.Removed {
			e.Op = trap.Op(r.Op)
		}
		all = append(all, e)
	}
	return all
}

// addUp: each of n frames, which are the same, has one end, and one in the journal before it if it
// waited for that; the frames and events that went out are those that are counted.
func addUp(t *testing.T, s *Traps, n int) {
	t.Helper()
	c, ends := &s.Counted.Verdicts, uint64(0)
	for v, times := range c {
		switch engine.Verdict(v) {
		case engine.Queued:
		case engine.Malformed, engine.BadChecksum, engine.NotForUs, engine.Fragment, engine.WrongCommunity, engine.OtherTrap, engine.Reply:
			if ends += times; times != 0 && times != uint64(n) {
				t.Errorf("%v %d times, of %d frames that are the same", engine.Verdict(v), times, n)
			}
		case engine.Journaled, engine.Acknowledged, engine.JournalFull:
			ends += times
		default:
			if times > 0 {
				t.Errorf("verdict %v", engine.Verdict(v))
			}
		}
	}
	kept := n
	if s.Records > 0 {
		kept = min(n, s.Room*n/s.Records)
	}
	queued, full := c[engine.Queued], c[engine.JournalFull]
	if s.Counted.Received != uint64(n) || ends != uint64(n) || queued != c[engine.Journaled]+c[engine.Acknowledged]+full || full > 0 && full != uint64(n-kept) {
		t.Errorf("%d frames of %d, %d ends, room for %d: %v", s.Counted.Received, n, ends, kept, c)
	}
	if s.Records%n != 0 || len(s.Events) != min(s.Records, s.Room) || s.Records > 0 && (queued != uint64(n) || full != uint64(n-kept)) {
		t.Errorf("%d records, %d events in the journal, which has room for %d: %v", s.Records, len(s.Events), s.Room, c)
	}
	answers := c[engine.Reply] + c[engine.Acknowledged]
	if s.Counted.Sent+s.Counted.TxDropped != answers || s.Deaf != (s.Counted.TxDropped > 0) && answers > 0 || s.Counted.Sent != uint64(len(s.Sent)) {
		t.Errorf("%d answers, %d sent and %d dropped (deaf: %v), %d went out", answers, s.Counted.Sent, s.Counted.TxDropped, s.Deaf, len(s.Sent))
	}
}

// withoutOuter gives a reply without the tag that the kernel took out of its request, which is in
// its frame again, as the kernel of who gets it takes it out: behind both addresses.
func withoutOuter(t *testing.T, reply []byte, p *engine.Packet) []byte {
	t.Helper()
	if p.TPID == 0 {
		return reply
	}
	want := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, p.TPID), p.TCI)
	if !bytes.Equal(reply[12:16], want) {
		t.Fatalf("behind the addresses is % x, want the tag % x of the request", reply[12:16], want)
	}
	return slices.Concat(reply[:12], reply[16:])
}

// readResponse has gopacket read the frame of a Response: back the way the inform came.
func readResponse(t *testing.T, answer []byte, q dissected) {
	t.Helper()
	d := dissect(answer)
	if d.fault() != nil || !slices.Equal(d.tags, q.tags) ||
		!bytes.Equal(d.eth.DstMAC, q.eth.SrcMAC) || !bytes.Equal(d.eth.SrcMAC, Link.MAC[:]) ||
		!d.ip.DstIP.Equal(q.ip.SrcIP) || !d.ip.SrcIP.Equal(q.ip.DstIP) || d.udp.DstPort != q.udp.SrcPort || d.udp.SrcPort != trap.Port {
		t.Errorf("gopacket: the response %+v to %+v", d, q)
	}
}
