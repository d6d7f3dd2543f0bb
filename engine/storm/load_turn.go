package storm

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/engine"
)

// turn gives up what is lost and sends one batch: REQUESTs for OFFERs, then what
// begins. full says that there may be more to send.
func (l *load) turn() (full bool) {
	l.sending.Lock()
	defer l.sending.Unlock()
	l.mu.Lock()
	now := int64(time.Since(l.begun))
	l.giveUp(now)
	l.tx.Replies = l.tx.Replies[:0]
	l.fill(now)
	l.mu.Unlock()
	n := len(l.tx.Replies)
	if n == 0 {
		return false
	}
	sent := l.cfg.Sender.Send(&l.tx)
	l.mu.Lock()
	l.res.Sent += sent
	l.res.TxDropped += n - sent
	l.mu.Unlock()
	return n == engine.BatchSize
}

func (l *load) giveUp(now int64) {
	for l.oldest >= 0 && l.slots[l.oldest].begun+int64(l.cfg.Timeout) <= now {
		l.res.Lost++
		l.finish(l.oldest)
	}
}

func (l *load) fill(now int64) {
	for len(l.tx.Replies) < engine.BatchSize {
		if s, ok := l.asks.pop(); ok {
			if e := &l.slots[s]; e.wants == dhcp4.Ack { // not given up meanwhile
				l.say(s, &Message{Type: dhcp4.Request, Requested: e.addr, ServerID: e.server})
			}
			continue
		}
		if !l.begin(now) {
			return
		}
	}
}

// begin begins a further exchange if it is time for one.
func (l *load) begin(now int64) bool {
	if len(l.free) == 0 || l.enough(now) {
		return false
	}
	start := now
	if l.cfg.Rate > 0 {
		if start = l.due(l.res.Begun); start > now {
			return false
		}
	}
	s := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	e := &l.slots[s]
	e.client = int32(l.res.Begun % len(l.clients))
	e.mac = l.clients[e.client].MAC
	if l.cfg.RandomMACs {
		e.mac = l.randomMAC()
	}
	e.age, e.wants, e.due, e.begun = e.age+1, dhcp4.Offer, start, now
	l.append(s)
	l.res.Begun++
	l.res.Asking = time.Duration(now)
	l.say(s, &Message{Type: dhcp4.Discover})
	return true
}

// randomMAC makes a locally administered unicast address.
func (l *load) randomMAC() (mac [6]byte) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], l.rnd.Uint64())
	copy(mac[:], b[:])
	mac[0] = mac[0]&^1 | 2
	return mac
}

// say puts a message of a slot's client into the batch.
func (l *load) say(s int32, m *Message) {
	m.XID = l.xid(s)
	i := len(l.tx.Replies)
	l.tx.Replies = append(l.tx.Replies, AppendFrame(l.room[i], l.who(s), m))
}

// who is the client of a slot's exchange, until the next call.
func (l *load) who(s int32) *Client {
	e := &l.slots[s]
	l.scratch = l.clients[e.client]
	l.scratch.MAC = e.mac
	return &l.scratch
}

// xid holds the slot and its age, so that a reply tells whose it is.
func (l *load) xid(s int32) uint32 { return (l.slots[s].age<<slotBits | uint32(s)) ^ l.salt }

// append puts a slot behind all others that are under way, which is the order in
// which they are lost.
func (l *load) append(s int32) {
	l.slots[s].older, l.slots[s].newer = l.newest, -1
	if l.newest >= 0 {
		l.slots[l.newest].newer = s
	} else {
		l.oldest = s
	}
	l.newest = s
	l.underWay++
}

// finish gives a slot free.
func (l *load) finish(s int32) {
	e := &l.slots[s]
	if e.older >= 0 {
		l.slots[e.older].newer = e.newer
	} else {
		l.oldest = e.newer
	}
	if e.newer >= 0 {
		l.slots[e.newer].older = e.older
	} else {
		l.newest = e.older
	}
	e.wants = 0
	l.free = append(l.free, s)
	l.underWay--
}

// receive takes replies until the Conn ends. What they set free it sends at once:
// a closed loop is no faster than its turn.
func (l *load) receive() {
	defer close(l.gone)
	var b engine.Batch
	var r reply
	for {
		err := l.cfg.Conn.Recv(&b)
		l.mu.Lock()
		if err != nil {
			l.err = fmt.Errorf("storm: receive replies: %w", err)
		} else {
			l.takeAll(&b, &r)
		}
		more := l.cfg.Rate == 0 || l.asks.len() > 0
		l.mu.Unlock()
		if err == nil && more && len(b.Packets) > 0 {
			l.turn()
		}
		if l.cfg.Rate == 0 && (err != nil || l.idle()) {
			select {
			case l.wake <- struct{}{}:
			default:
			}
		}
		if err != nil {
			return
		}
	}
}

// idle says whether nothing is under way.
func (l *load) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.underWay == 0
}

func (l *load) takeAll(b *engine.Batch, r *reply) {
	now := int64(time.Since(l.begun))
	l.res.Received += len(b.Packets)
	for i := range b.Packets {
		p := &b.Packets[i]
		s, ok := l.exchangeOf(p, r)
		if !ok {
			l.res.Stray++
			continue
		}
		l.take(s, r, now)
	}
}

// exchangeOf parses a frame and finds the slot whose client it is for.
func (l *load) exchangeOf(p *engine.Packet, r *reply) (s int32, ok bool) {
	if r.parse(p) != nil {
		return 0, false
	}
	s = int32((r.view.XID() ^ l.salt) & (MaxUnderWay - 1))
	if int(s) >= len(l.slots) || l.slots[s].mac != r.view.MAC() {
		return 0, false
	}
	c := l.who(s)
	return s, hears(c, &r.udp) && sameTags(c, p, &r.udp)
}

// take hands a reply to a slot's exchange.
func (l *load) take(s int32, r *reply, now int64) {
	e := &l.slots[s]
	kind := r.kind()
	switch {
	case e.wants == 0 || r.view.XID() != l.xid(s):
		l.res.Late++
		return
	case kind == dhcp4.Nak && e.wants == dhcp4.Ack:
		l.res.Naks++
		l.res.Refused++
		l.finish(s)
		return
	case kind != e.wants:
		l.res.Late++
		return
	}
	verb := Request
	if kind == dhcp4.Offer {
		verb = Discover
	}
	l.scratch.Addr = e.addr // of who, since the frame was parsed
	if !r.learn(&l.scratch, verb) {
		l.res.Invalid++
		return
	}
	if l.cfg.OnReply != nil {
		l.cfg.OnReply(kind, time.Duration(now-e.due))
	}
	l.went(s, verb)
}

// went goes on with an exchange whose reply has come.
func (l *load) went(s int32, verb Verb) {
	e := &l.slots[s]
	if verb == Discover {
		l.res.Offers++
	} else {
		l.res.Acks++
	}
	if verb == Discover && l.verbs == DORA {
		e.addr, e.server, e.wants = l.scratch.Addr, l.scratch.Server, dhcp4.Ack
		l.asks.push(s)
		return
	}
	l.res.Done++
	l.finish(s)
}
