package storm

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/codec/dhcp4"
	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/engine"
)

// end is one end of a wire between two Conns in memory.
type end struct {
	peer *end
	// fate gives the delays after which a frame sent from here arrives: none
	// loses it, two duplicate it. Nil is {0} for each.
	fate func(f []byte) []time.Duration

	mu      sync.Mutex
	more    sync.Cond
	ring    [1024][]byte
	head, n int
	stopped bool

	packets [engine.BatchSize]engine.Packet
	link    engine.Link
}

var _ engine.Conn = (*end)(nil)

func newWire() (a, b *end) {
	a, b = &end{}, &end{}
	a.peer, b.peer = b, a
	for _, e := range []*end{a, b} {
		e.more.L = &e.mu
		for i := range e.ring {
			e.ring[i] = make([]byte, 0, 640)
		}
		for i := range e.packets {
			e.packets[i] = engine.Packet{Data: make([]byte, 0, 640), Link: &e.link}
		}
	}
	return a, b
}

func (e *end) Recv(b *engine.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.n == 0 && !e.stopped {
		e.more.Wait()
	}
	if e.stopped {
		return engine.ErrStopped
	}
	n := min(e.n, engine.BatchSize)
	for i := range n {
		p := &e.packets[i]
		p.Data = append(p.Data[:0], e.ring[e.head]...)
		e.head = (e.head + 1) % len(e.ring)
	}
	e.n -= n
	b.Packets = e.packets[:n]
	return nil
}

func (e *end) Send(b *engine.Batch) (sent int) {
	for _, f := range b.Replies {
		if e.fate == nil {
			if e.peer.arrive(f) {
				sent++
			}
			continue
		}
		sent++
		for _, d := range e.fate(f) {
			f := bytes.Clone(f)
			time.AfterFunc(d, func() { e.peer.arrive(f) })
		}
	}
	return sent
}

func (e *end) arrive(f []byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.n == len(e.ring) {
		return false
	}
	i := (e.head + e.n) % len(e.ring)
	e.ring[i] = append(e.ring[i][:0], f...)
	e.n++
	e.more.Signal()
	return true
}

func (e *end) Stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	e.more.Broadcast()
}

// heard is one request as the server saw it.
type heard struct {
	kind      dhcp4.MessageType
	mac       [6]byte
	xid       uint32
	secs      uint16
	requested [4]byte
	server    [4]byte
	ciaddr    [4]byte
	giaddr    [4]byte
	unicast   bool
	broadcast bool // flag
	at        time.Time
}

// answer is one reply that the server is to send.
type answer struct {
	kind   dhcp4.MessageType
	xid    uint32
	yiaddr [4]byte
	ethDst [6]byte
	noID   bool // without option 54
}

// server answers each DISCOVER with an OFFER, and each REQUEST and INFORM with
// an ACK, unless policy says otherwise.
type server struct {
	conn   engine.Conn
	policy func(h *heard, out []answer) []answer
	record bool

	mu     sync.Mutex
	heards []heard
	bad    []error
	done   chan struct{}
}

var (
	serverMAC  = [6]byte{0x02, 0xee, 0, 0, 0, 1}
	serverAddr = [4]byte{10, 255, 255, 254}
)

// addrOf is the address that the server has for a MAC.
func addrOf(mac [6]byte) [4]byte { return [4]byte{10, mac[3], mac[4], mac[5]} }

func macOf(i int) [6]byte { return [6]byte{0x02, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)} }

func fleet(n int) []Client {
	c := make([]Client, n)
	for i := range c {
		c[i].MAC = macOf(i + 1)
	}
	return c
}

// serve starts a server that ends with the test.
func serve(t testing.TB, s *server) *server {
	t.Helper()
	s.done = make(chan struct{})
	go s.run()
	t.Cleanup(func() {
		s.conn.Stop()
		<-s.done
		for _, err := range s.bad {
			t.Errorf("the server got a frame that it cannot read: %v", err)
		}
	})
	return s
}

func (s *server) run() {
	defer close(s.done)
	var rx, tx engine.Batch
	var u frame.UDP4
	var x dhcp4.Index
	var h heard
	var err error
	room := make([]byte, 4*engine.BatchSize*640)
	var out []answer
	for s.conn.Recv(&rx) == nil {
		tx.Replies = tx.Replies[:0]
		for i := range rx.Packets {
			h, err = hear(rx.Packets[i].Data, &u, &x)
			s.note(h, err)
			if err != nil {
				continue
			}
			out = s.answers(&h, out[:0])
			for j := range out {
				k := len(tx.Replies) * 640
				tx.Replies = append(tx.Replies, out[j].appendFrame(room[k:k:k+640], &h, &u))
			}
		}
		s.conn.Send(&tx)
	}
}

func (s *server) note(h heard, err error) {
	if err == nil && !s.record {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bad = append(s.bad, err)
		return
	}
	s.heards = append(s.heards, h)
}

// all gives what was heard so far.
func (s *server) all() []heard {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heards[:len(s.heards):len(s.heards)]
}

func (s *server) answers(h *heard, out []answer) []answer {
	if s.policy != nil {
		return s.policy(h, out)
	}
	return usual(h, out)
}

func usual(h *heard, out []answer) []answer {
	a := answer{xid: h.xid, yiaddr: addrOf(h.mac), ethDst: h.mac}
	if h.broadcast {
		a.ethDst = broadcastMAC
	}
	switch h.kind {
	case dhcp4.Discover:
		a.kind = dhcp4.Offer
	case dhcp4.Request:
		a.kind = dhcp4.Ack
	case dhcp4.Inform:
		a.kind, a.yiaddr = dhcp4.Ack, [4]byte{}
	default:
		return out
	}
	return append(out, a)
}

func hear(b []byte, u *frame.UDP4, x *dhcp4.Index) (h heard, err error) {
	if err = u.Parse(b, false); err != nil {
		return h, err
	}
	v, err := dhcp4.Parse(u.Payload)
	if err != nil {
		return h, err
	}
	if err = x.Build(v); err != nil {
		return h, err
	}
	h = heard{
		mac: v.MAC(), xid: v.XID(), secs: v.Secs(), ciaddr: v.CIAddr(), giaddr: v.GIAddr(),
		unicast: u.Dst != broadcastIP, broadcast: v.Broadcast(), at: time.Now(),
	}
	if k, _ := x.Get(dhcp4.OptMessageType); len(k) == 1 {
		h.kind = dhcp4.MessageType(k[0])
	}
	if a, _ := x.Get(dhcp4.OptRequestedIP); len(a) == 4 {
		h.requested = [4]byte(a)
	}
	if a, _ := x.Get(dhcp4.OptServerID); len(a) == 4 {
		h.server = [4]byte(a)
	}
	return h, nil
}

func (a *answer) appendFrame(dst []byte, h *heard, u *frame.UDP4) []byte {
	f := frame.Header{
		EthDst: a.ethDst, EthSrc: serverMAC, Tags: u.Tags, NTags: u.NTags,
		Src: serverAddr, Dst: a.yiaddr, SrcPort: dhcp4.ServerPort, DstPort: dhcp4.ClientPort,
	}
	if h.giaddr != ([4]byte{}) {
		f.EthDst, f.Dst, f.DstPort = u.EthSrc, h.giaddr, dhcp4.ServerPort
	}
	dst = f.AppendTo(dst)
	msg := dhcp4.Header{
		Op: dhcp4.OpReply, HType: 1, HLen: 6, XID: a.xid, YIAddr: a.yiaddr, GIAddr: h.giaddr,
	}
	copy(msg.CHAddr[:], h.mac[:])
	dst = dhcp4.AppendHeader(dst, &msg)
	dst = dhcp4.AppendByte(dst, dhcp4.OptMessageType, byte(a.kind))
	if !a.noID {
		dst = dhcp4.AppendAddr(dst, dhcp4.OptServerID, serverAddr)
	}
	dst = dhcp4.AppendUint32(dst, dhcp4.OptLeaseTime, 3600)
	dst = dhcp4.Pad(dhcp4.AppendEnd(dst), f.Len(), 300)
	f.Finish(dst)
	return dst
}

func be32(a [4]byte) uint32 { return binary.BigEndian.Uint32(a[:]) }

// NewWire is newWire for the tests outside of the package; frames that arrive
// at far bear link.
func NewWire(link *engine.Link) (near, far engine.Conn) {
	a, b := newWire()
	for i := range b.packets {
		b.packets[i].Link = link
	}
	return a, b
}
