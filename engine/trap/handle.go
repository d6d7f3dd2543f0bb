package trap

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/macnotify"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
)

// errLong is what is wrong with a frame that is not there as a whole.
var errLong = fmt.Errorf("only its beginning is there: it has more than %d bytes, so set the switch to send fewer records at once, or the capture holds no more, so make it with tcpdump -s 0", engine.FrameSize)

// Handler takes the frames of one worker. It implements engine.Handler.
type Handler struct {
	s      *Server
	frame  frame.UDP4
	msg    snmp.Message
	kind   macnotify.Kind
	events []Event
	reply  []byte
	packet *engine.Packet
}

// Handle is the hot path: parse, check who it is from, read the records, hand
// them to the journal. It returns a frame only for an inform that has nothing
// to keep: the Response to any other is sent once its events are on disk.
func (h *Handler) Handle(dst []byte, p *engine.Packet) ([]byte, engine.Verdict) {
	h.packet = p
	if v := h.parse(p); v != engine.None {
		return dst, v
	}
	inform := h.msg.PDU == snmp.TagInform
	if h.kind == macnotify.Other {
		h.problem(NotOurs, nil)
		if inform {
			return h.respond(dst), engine.Reply
		}
		return dst, engine.OtherTrap
	}
	h.record(&h.msg, h.s.cfg.Now().UnixNano())
	if h.reply = h.reply[:0]; inform {
		h.reply = h.respond(h.reply)
	}
	if !h.s.put(h.events, h.reply, p.Link) {
		h.problem(NoRoom, nil)
		return dst, engine.JournalFull
	}
	return dst, engine.Queued
}

// parse reads the frame and checks who sent it. None means go on.
func (h *Handler) parse(p *engine.Packet) engine.Verdict {
	h.frame.Src = [4]byte{}
	if p.Truncated {
		h.frame.Src = sender(p.Data)
		h.problem(Broken, errLong)
		return engine.Malformed
	}
	if err := h.frame.Parse(p.Data, p.CsumPartial); err != nil {
		return h.refuse(err)
	}
	if h.frame.DstPort != Port || !isUs(p.Link, h.frame.Dst) {
		return engine.NotForUs
	}
	if !h.s.allowed(h.frame.Src) {
		h.problem(Stranger, nil)
		return engine.UnknownSource
	}
	if err := h.msg.Parse(h.frame.Payload); err != nil {
		h.problem(Broken, err)
		return engine.Malformed
	}
	if _, ok := h.s.communities[string(h.msg.Community)]; !ok {
		h.problem(BadCommunity, nil)
		return engine.WrongCommunity
	}
	h.kind = macnotify.KindOf(&h.msg)
	return engine.None
}

// sender gives the IPv4 source address of a frame whose end is missing, 0.0.0.0
// if there is none.
func sender(b []byte) (src [4]byte) {
	const mac, ip = 12, 20 // both MAC addresses; an IPv4 header
	if len(b) < mac {
		return src
	}
	for b = b[mac:]; len(b) >= 4+ip && (b[0] == 0x81 && b[1] == 0 || b[0] == 0x88 && b[1] == 0xa8); { // tags
		b = b[4:]
	}
	if len(b) >= 2+ip && b[0] == 0x08 && b[1] == 0 {
		copy(src[:], b[2+12:])
	}
	return src
}

func (h *Handler) refuse(err error) engine.Verdict {
	switch {
	case errors.Is(err, frame.ErrNotIPv4), errors.Is(err, frame.ErrNotUDP):
		return engine.NotForUs
	case errors.Is(err, frame.ErrIPChecksum), errors.Is(err, frame.ErrUDPChecksum):
		return engine.BadChecksum
	case errors.Is(err, frame.ErrFragment):
		h.problem(Fragmented, nil)
		return engine.Fragment
	}
	h.problem(Broken, err)
	return engine.Malformed
}

// respond appends the frame of the Response to the inform at hand. It goes back
// the way the inform came: the same tags, the sender's own layer 2 address.
func (h *Handler) respond(dst []byte) []byte {
	hd := frame.Header{
		EthDst: h.frame.EthSrc, EthSrc: h.packet.Link.MAC,
		Outer: frame.Tag{TPID: h.packet.TPID, TCI: h.packet.TCI}, Tags: h.frame.Tags, NTags: h.frame.NTags,
		Src: h.frame.Dst, Dst: h.frame.Src, SrcPort: Port, DstPort: h.frame.SrcPort,
	}
	start := len(dst)
	dst = hd.AppendTo(dst)
	dst = snmp.AppendResponse(dst, &h.msg)
	hd.Finish(dst[start:])
	return dst
}

// first reads the first record of a message that is turned away.
func (h *Handler) first() (e Event) {
	switch macnotify.KindOf(&h.msg) {
	case macnotify.Changed:
		it := macnotify.Records(&h.msg)
		if r, ok := it.Next(); ok {
			e.MAC, e.VLAN, e.Port = r.MAC, r.VLAN, r.Port
		}
	case macnotify.Moved:
		if mv, err := macnotify.ReadMove(&h.msg); err == nil {
			e.MAC, e.VLAN, e.Port, e.From = mv.MAC, mv.VLAN, mv.To, mv.From
		}
	}
	return e
}

// problem tells the reporter, from whom and what.
func (h *Handler) problem(kind Kind, err error) {
	if h.s.problems.quiet(kind, h.frame.Src, h.s.cfg.Now().UnixNano()) {
		return
	}
	p := Problem{Kind: kind, Source: netip.AddrFrom4(h.frame.Src), Err: err}
	if h.packet.Link != nil {
		p.Interface = h.packet.Link.Name
	}
	switch kind {
	case BadCommunity:
		p.Community = string(h.msg.Community)
		p.First = h.first()
	case NoRoom, BadRecord:
		if p.Frames = 1; kind == BadRecord {
			p.Frames = 0
		}
		if len(h.events) > 0 {
			p.First = h.events[0]
		}
	case NotOurs:
		p.Trap = string(h.msg.AppendTrapOID(nil))
	}
	h.s.problems.tell(p)
}
