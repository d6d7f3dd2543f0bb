package storm

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// dhcpSpeech is DISCOVERs, or DORAs, of clients in turn. Of the goroutine that
// sends and the one that receives only one is at it at a time.
type dhcpSpeech struct {
	*DHCPLoad
	reply   reply
	scratch Client // the client of the exchange at hand
}

func (d *dhcpSpeech) begin(e *exchange, n int, rnd *rand.Rand) (silent bool) {
	e.who = int32(n % len(d.Clients))
	e.mac = d.Clients[e.who].MAC
	if d.Strangers {
		e.mac = randomMAC(rnd)
	}
	return false
}

// randomMAC makes a locally administered unicast address.
func randomMAC(rnd *rand.Rand) [6]byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], rnd.Uint64())
	b[0] = b[0]&^1 | 2
	return [6]byte(b[:6])
}

func (d *dhcpSpeech) append(dst []byte, e *exchange, id uint32) []byte {
	m := Message{Type: dhcp4.Discover, XID: id}
	if e.step == 2 {
		m.Type, m.Requested, m.ServerID = dhcp4.Request, e.addr, e.server
	}
	return AppendFrame(dst, d.client(e), &m)
}

// client is who an exchange is of, until the next call.
func (d *dhcpSpeech) client(e *exchange) *Client {
	d.scratch = d.Clients[e.who]
	d.scratch.MAC = e.mac
	return &d.scratch
}

func (d *dhcpSpeech) hear(p *engine.Packet) (id uint32, ok bool) {
	var err error
	if d.Mirrored {
		err = d.reply.parseOp(p, dhcp4.OpRequest, dhcp4.ClientPort)
	} else {
		err = d.reply.parse(p)
	}
	if err != nil {
		return 0, false
	}
	return d.reply.view.XID(), true
}

func (d *dhcpSpeech) take(p *engine.Packet, e *exchange, over bool) fate {
	r := &d.reply
	c := d.client(e)
	if d.Mirrored {
		return mirrored(r, c, over)
	}
	if r.view.MAC() != e.mac || !hears(c, &r.udp) || !sameTags(c, p, &r.udp) {
		return stray
	}
	want, verb := dhcp4.Offer, Discover
	if e.step == 2 {
		want, verb = dhcp4.Ack, Request
	}
	c.Addr = e.addr
	switch kind := r.kind(); {
	case over:
		return late
	case kind == dhcp4.Nak && verb == Request:
		return refused
	case kind != want:
		return late
	case !r.learn(c, verb):
		return invalid
	case verb == Discover && d.Verbs == DORA:
		e.addr, e.server = c.Addr, c.Server
		return further
	}
	return done
}

// mirrored judges a DISCOVER that came back to its client.
func mirrored(r *reply, c *Client, over bool) fate {
	switch {
	case r.view.MAC() != c.MAC || r.udp.EthDst != c.MAC:
		return stray
	case over:
		return late
	}
	return done
}
