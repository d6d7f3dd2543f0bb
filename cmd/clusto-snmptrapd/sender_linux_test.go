package main

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/codec/frame"
	"github.com/clusto/clusto-engine/codec/snmp"
	"github.com/clusto/clusto-engine/engine"
	"github.com/clusto/clusto-engine/engine/afpacket"
)

// The objects and the notification, encoded.
var (
	oidChanged = snmp.OID("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x02\x00\x01")
	oidHistMsg = snmp.OID("\x2b\x06\x01\x04\x01\x09\x09\x81\x57\x01\x01\x08\x01\x02")
)

// notification is a switch's message with one history message in it.
func notification(inform bool, community string, id int32, history []byte) []byte {
	name := snmp.AppendSub(append([]byte(nil), oidHistMsg...), uint32(id)) // it counts up
	n := &snmp.Notification{
		Community: []byte(community), RequestID: id, UpTime: 100, TrapOID: oidChanged,
		Objects: snmp.AppendVarBind(nil, name, snmp.TagOctetString, history),
	}
	if inform {
		return snmp.AppendInform(nil, n)
	}
	return snmp.AppendTrap(nil, n)
}

// socket is a UDP socket of the switch of a rack, connected to the daemon.
func (l *lab) socket(rack int) *net.UDPConn {
	l.Helper()
	var c *net.UDPConn
	must(l, l.peer.Do(func() (err error) {
		c, err = net.DialUDP("udp4",
			net.UDPAddrFromAddrPort(netip.AddrPortFrom(switchIP(rack), 0)),
			net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(serverIP), 162)))
		return err
	}))
	l.Cleanup(func() { c.Close() })
	return c
}

// informer sends informs as a switch does: several at once, each again until it
// is answered.
type informer struct {
	conn      *net.UDPConn
	again     time.Duration
	histories [][]byte
	may       atomic.Int64 // how many of them, from the first one on
	acked     []atomic.Bool
	ack       chan struct{} // one token when there is one more; may be nil

	out  map[int32]*unanswered
	next int
	buf  [2048]byte
}

type unanswered struct {
	msg  []byte
	next time.Time // when it is sent again
}

func (l *lab) informer(rack int, histories [][]byte, ack chan struct{}) *informer {
	return &informer{
		conn: l.socket(rack), again: 50 * time.Millisecond, histories: histories, acked: make([]atomic.Bool, len(histories)),
		ack: ack, out: map[int32]*unanswered{},
	}
}

// run sends until all are acknowledged, or over is closed.
func (s *informer) run(over <-chan struct{}) {
	for left := len(s.histories); left > 0; {
		select {
		case <-over:
			return
		default:
		}
		for s.next < int(s.may.Load()) {
			id := int32(s.next + 1)
			s.out[id] = &unanswered{msg: notification(true, "public", id, s.histories[s.next])}
			s.next++
		}
		now := time.Now()
		for _, w := range s.out {
			if now.After(w.next) {
				_, _ = s.conn.Write(w.msg) // refused while the daemon is down
				w.next = now.Add(s.again)
			}
		}
		_ = s.conn.SetReadDeadline(now.Add(s.again / 4))
		left -= s.answers()
	}
}

// answers reads what has come, and counts what is acknowledged by it.
func (s *informer) answers() (acked int) {
	for {
		n, err := s.conn.Read(s.buf[:])
		if err != nil {
			return acked
		}
		id, ok := responseTo(s.buf[:n])
		if !ok || s.out[id] == nil {
			continue
		}
		delete(s.out, id)
		s.acked[id-1].Store(true)
		acked++
		select {
		case s.ack <- struct{}{}:
		default:
		}
	}
}

// responseTo reads the request id of a Response.
func responseTo(b []byte) (id int32, ok bool) {
	var m snmp.Message // it knows no Responses: they are ours to send
	if i := responseAt(b); i > 0 {
		b[i] = snmp.TagInform
		if m.Parse(b) == nil {
			return m.RequestID, true
		}
	}
	return 0, false
}

// responseAt finds the PDU's tag behind version and community.
func responseAt(b []byte) int {
	i := 1
	skip := func() {
		if i < len(b) {
			if b[i] >= 0x80 {
				i += int(b[i] & 0x7f)
			}
			i++
		}
	}
	skip() // length of all
	i += 3 // version
	i++    // community
	if i >= len(b) {
		return 0
	}
	i += 1 + int(b[i])
	if i >= len(b) || b[i] != snmp.TagResponse {
		return 0
	}
	return i
}

// cable is the switches' end of the cable, for frames that the kernel would not
// send.
type cable struct {
	group *afpacket.Group
	batch engine.Batch
	head  frame.Header
}

// handmade opens the cable; answers come to port 40000.
func (l *lab) handmade() *cable {
	l.Helper()
	g, err := afpacket.Open(afpacket.Config{Interface: l.far, Ports: []uint16{40000}, In: l.peer.Do})
	must(l, err)
	l.Cleanup(g.Close)
	c := &cable{group: g}
	c.head = frame.Header{Src: switchIP(0).As4(), Dst: netip.MustParseAddr(serverIP).As4(), SrcPort: 40000, DstPort: 162}
	c.head.EthDst, err = l.net.MAC(l.port)
	must(l, err)
	c.head.EthSrc, err = l.peer.MAC(l.far)
	must(l, err)
	return c
}

// frame puts a message into a frame.
func (c *cable) frame(dst, msg []byte) []byte {
	start := len(dst)
	dst = append(c.head.AppendTo(dst), msg...)
	c.head.Finish(dst[start:])
	return dst
}

// part makes a first fragment of a frame without tags: more are to come.
func part(f []byte) []byte {
	f[20] |= 0x20
	f[24], f[25] = 0, 0
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(f[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(f[24:], ^uint16(sum))
	return f
}
