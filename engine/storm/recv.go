package storm

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

// reply is a received message, parsed; reused from frame to frame.
type reply struct {
	udp  frame.UDP4
	view dhcp4.View
	opts dhcp4.Index
}

// receive hands replies to the clients until the Conn ends.
func (s *Storm) receive() {
	defer close(s.gone)
	var b engine.Batch
	var r reply
	for {
		err := s.cfg.Conn.Recv(&b)
		s.mu.Lock()
		if err != nil {
			s.err = fmt.Errorf("storm: receive replies: %w", err)
		} else if s.running {
			s.takeAll(&b, &r)
		}
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (s *Storm) takeAll(b *engine.Batch, r *reply) {
	now := int64(time.Since(s.begun))
	s.res.Received += len(b.Packets)
	for i := range b.Packets {
		p := &b.Packets[i]
		c, ok := s.addressee(p, r)
		if !ok {
			s.res.Stray++
			continue
		}
		if s.take(c, r, now) && s.cfg.OnReply != nil {
			s.cfg.OnReply(int(c), p)
		}
	}
}

// addressee parses a frame and finds the client that it is for.
func (s *Storm) addressee(p *engine.Packet, r *reply) (c int32, ok bool) {
	if r.parse(p) != nil {
		return 0, false
	}
	if c, ok = s.number[r.view.MAC()]; !ok {
		return 0, false
	}
	cl := &s.clients[c]
	return c, hears(cl, &r.udp) && sameTags(cl, p, &r.udp)
}

// parse reads a frame that holds a reply to Ethernet clients.
func (r *reply) parse(p *engine.Packet) error { return r.parseOp(p, dhcp4.OpReply, dhcp4.ServerPort) }

func (r *reply) parseOp(p *engine.Packet, op byte, from uint16) (err error) {
	if err = r.udp.Parse(p.Data, p.CsumPartial); err != nil {
		return err
	}
	if r.view, err = dhcp4.Parse(r.udp.Payload); err != nil {
		return err
	}
	if r.udp.SrcPort != from || r.view.Op() != op ||
		r.view.HType() != dhcp4.HTypeEthernet || r.view.HLen() != 6 {
		return errNoReply
	}
	return r.opts.Build(r.view)
}

// hears says whether the client's network card, or its relay's, would take the
// frame: a server that answers to the wrong MAC has not answered.
func hears(c *Client, u *frame.UDP4) bool {
	if u.DstPort == dhcp4.ClientPort {
		return u.EthDst == c.MAC || u.EthDst == broadcastMAC
	}
	return u.DstPort == dhcp4.ServerPort && c.Relay != nil &&
		(u.EthDst == c.Relay.mac(c) || u.EthDst == broadcastMAC)
}

// sameTags says whether the frame came in on the client's VLAN, one of whose
// tags the kernel may have taken out.
func sameTags(c *Client, p *engine.Packet, u *frame.UDP4) bool {
	var got [3]frame.Tag
	n := 0
	if p.TPID != 0 {
		got[0] = frame.Tag{TPID: p.TPID, TCI: p.TCI}
		n = 1
	}
	n += copy(got[n:], u.Tags[:u.NTags])
	if n != c.NTags {
		return false
	}
	for i := range n {
		if got[i].VLAN() != c.Tags[i].VLAN() {
			return false
		}
	}
	return true
}

// take hands the reply to a client and says whether it took it.
func (s *Storm) take(c int32, r *reply, now int64) bool {
	m, cl := &s.minds[c], &s.clients[c]
	// A client that speaks for the first time is waiting for nothing yet.
	if m.todo == 0 || m.try == 0 || r.view.XID() != cl.XID {
		s.res.Late++
		return false
	}
	verb := m.todo.first()
	st := verb.step()
	switch kind := r.kind(); {
	case kind == dhcp4.Nak && st.nak:
		s.res.Naks++
		s.refuse(c)
		return true
	case kind != st.want:
		s.res.Late++
		return false
	}
	if !r.learn(cl, verb) {
		s.res.Invalid++
		return false
	}
	if verb == Discover {
		s.res.Offers++
		cl.OfferLatency = time.Duration(now - m.first)
	} else {
		s.res.Acks++
	}
	s.advance(c, now)
	return true
}

// refuse notes a NAK: the client begins anew, or gives up.
func (s *Storm) refuse(c int32) {
	cl := &s.clients[c]
	cl.Naks++
	if cl.Naks > s.cfg.MaxNaks || s.verbs&Discover == 0 {
		s.fail(c, Refused)
		return
	}
	s.restart(c)
}

// kind is the message type; 0 if the reply has none.
func (r *reply) kind() dhcp4.MessageType {
	if v, _ := r.opts.Get(dhcp4.OptMessageType); len(v) == 1 {
		return dhcp4.MessageType(v[0])
	}
	return 0
}

// learn copies what the reply says into the client; false if the reply is not
// one that a client could use.
func (r *reply) learn(c *Client, verb Verb) bool {
	server, _ := r.opts.Get(dhcp4.OptServerID)
	addr := r.view.YIAddr()
	switch {
	case len(server) != 4:
		return false
	case verb == Inform: // its ACK has no yiaddr (RFC 2131 section 4.3.5)
		addr = c.Addr
	case addr == ([4]byte{}), verb != Discover && addr != c.Addr:
		return false
	}
	c.Addr, c.Server, c.ServerMAC, c.Lease = addr, [4]byte(server), r.udp.EthSrc, 0
	if v, _ := r.opts.Get(dhcp4.OptLeaseTime); len(v) == 4 {
		c.Lease = binary.BigEndian.Uint32(v)
	}
	return true
}
