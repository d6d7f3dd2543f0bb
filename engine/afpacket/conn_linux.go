package afpacket

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clusto/clusto-engine/engine"
)

// mmsghdr is struct mmsghdr of recvmmsg(2): a message header, and the bytes
// that were moved.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// auxdata is struct tpacket_auxdata of packet(7).
type auxdata struct {
	status, length, snap uint32
	mac, net             uint16
	tci, tpid            uint16
}

// TP_STATUS_* bits of auxdata.status, from linux/if_packet.h.
const (
	statusCsumNotReady  = 1 << 3
	statusVLANValid     = 1 << 4
	statusVLANTPIDValid = 1 << 6
)

// lastingErrors is how many errors in a row a socket may give: an interface that
// goes away gives one.
const lastingErrors = 16

const controlLen = 40 // CMSG_SPACE(sizeof auxdata) on 64 bits, more than on 32

// conn is one worker's end of a Group: engine.Conn. One goroutine may receive
// while another sends.
type conn struct {
	g       *Group
	sock    atomic.Pointer[socket] // nil while the interface is away
	changed chan struct{}          // one token when sock was set
	stop    chan struct{}          // closed by Stop
	stopped atomic.Bool

	rx     [engine.BatchSize]mmsghdr
	rxIov  [engine.BatchSize]unix.Iovec
	rxAux  [engine.BatchSize][controlLen / 8]uint64 // aligned as cmsghdr wants it
	frames []byte                                   // BatchSize slots of FrameSize
	used   int                                      // slots of rx that the kernel wrote to
	recv   func(fd uintptr) bool
	rxN    int
	rxErr  unix.Errno
	broken int // errors in a row

	tx    [engine.BatchSize]mmsghdr
	txIov [engine.BatchSize]unix.Iovec
	send  func(fd uintptr) bool
	txAt  int // first message not sent yet
	txEnd int
	txN   int
	txErr unix.Errno
}

func newConn(g *Group) *conn {
	c := &conn{
		g: g, changed: make(chan struct{}, 1), stop: make(chan struct{}),
		frames: make([]byte, engine.BatchSize*engine.FrameSize),
	}
	for i := range c.rx {
		c.rxIov[i].Base = &c.frames[i*engine.FrameSize]
		c.rxIov[i].SetLen(engine.FrameSize)
		c.rx[i].hdr.Iov, c.rx[i].hdr.Control = &c.rxIov[i], (*byte)(unsafe.Pointer(&c.rxAux[i]))
		c.rx[i].hdr.SetIovlen(1)
		c.rx[i].hdr.SetControllen(controlLen)
		c.tx[i].hdr.Iov = &c.txIov[i]
		c.tx[i].hdr.SetIovlen(1)
	}
	c.recv, c.send = c.recvmmsg, c.sendmmsg // bound once: a method value allocates
	return c
}

// The two system calls below never wait (MSG_DONTWAIT), so the scheduler is not
// told of them: it would take a call of 20 µs or more, which 64 frames are, for one
// that blocks, and wake another thread to run what may be waiting, for each batch.
// A stop of the world waits for a batch instead, some 100 µs at most.

// recvmmsg reports false when there is nothing to receive, so that RawConn
// waits.
func (c *conn) recvmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&c.rx[0])),
			engine.BatchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		c.rxN, c.rxErr = int(n), errno
		return errno != unix.EAGAIN
	}
}

func (c *conn) sendmmsg(fd uintptr) bool {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&c.tx[c.txAt])),
			uintptr(c.txEnd-c.txAt), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		c.txN, c.txErr = int(n), errno
		return errno != unix.EAGAIN
	}
}

// Recv implements engine.Conn.
func (c *conn) Recv(b *engine.Batch) error {
	b.Packets = b.Packets[:0]
	for !c.stopped.Load() {
		s := c.sock.Load()
		if s == nil {
			select {
			case <-c.stop:
			case <-c.changed:
			}
			continue
		}
		c.rewind()
		if err := s.raw.Read(c.recv); err != nil || c.rxErr != 0 {
			c.trouble(s, err)
			continue
		}
		c.used, c.broken = c.rxN, 0
		c.packets(b)
		return nil
	}
	return engine.ErrStopped
}

// rewind gives the kernel back what it changed in the headers.
func (c *conn) rewind() {
	for i := range c.used {
		c.rx[i].hdr.SetControllen(controlLen)
		c.rx[i].hdr.Flags = 0
	}
	c.used = 0
}

// trouble looks after an error of a read. One of the socket itself (the link
// went down, say) is reported once by the kernel and over; without a socket the
// reader waits for a new one.
func (c *conn) trouble(s *socket, err error) {
	switch {
	case s.closed.Load():
		c.sock.CompareAndSwap(s, nil)
	case err != nil && !c.stopped.Load(): // the socket is of no use any more
		s.broken.Store(true)
		c.sock.CompareAndSwap(s, nil)
		c.g.soon(0)
	default:
		if c.broken++; c.broken > lastingErrors {
			s.broken.Store(true) // the Group opens another
			c.sock.CompareAndSwap(s, nil)
			c.broken = 0
		}
		c.g.soon(0)
	}
}

func (c *conn) packets(b *engine.Batch) {
	link := c.g.link.Load()
	for i := range c.rxN {
		m := &c.rx[i]
		at := i * engine.FrameSize
		p := engine.Packet{
			Data: c.frames[at : at+int(m.n) : at+int(m.n)], Link: link,
			Truncated: m.hdr.Flags&unix.MSG_TRUNC != 0,
		}
		c.auxiliary(i, &p)
		b.Packets = append(b.Packets, p)
	}
}

// auxiliary reads what PACKET_AUXDATA says of frame i.
func (c *conn) auxiliary(i int, p *engine.Packet) {
	head := (*unix.Cmsghdr)(unsafe.Pointer(&c.rxAux[i]))
	if int(c.rx[i].hdr.Controllen) < unix.SizeofCmsghdr+int(unsafe.Sizeof(auxdata{})) ||
		head.Level != unix.SOL_PACKET || head.Type != unix.PACKET_AUXDATA {
		return
	}
	aux := (*auxdata)(unsafe.Add(unsafe.Pointer(head), unix.SizeofCmsghdr))
	p.CsumPartial = aux.status&statusCsumNotReady != 0
	if aux.status&statusVLANValid != 0 {
		p.TPID, p.TCI = unix.ETH_P_8021Q, aux.tci
		if aux.status&statusVLANTPIDValid != 0 {
			p.TPID = aux.tpid
		}
	}
}

// Send implements engine.Conn. sendmmsg reports an error only of the first
// message that it could not send: that one is skipped.
func (c *conn) Send(b *engine.Batch) (sent int) {
	s := c.sock.Load()
	if s == nil {
		c.g.skipped.Add(uint64(len(b.Replies)))
		return 0
	}
	for first := 0; first < len(b.Replies); first += engine.BatchSize {
		sent += c.sendSome(s, b.Replies[first:min(len(b.Replies), first+engine.BatchSize)])
	}
	c.g.skipped.Add(uint64(len(b.Replies) - sent))
	return sent
}

func (c *conn) sendSome(s *socket, frames [][]byte) (sent int) {
	for i, f := range frames {
		c.txIov[i].Base = unsafe.SliceData(f)
		c.txIov[i].SetLen(len(f))
	}
	for c.txAt, c.txEnd = 0, len(frames); c.txAt < c.txEnd; {
		if s.raw.Write(c.send) != nil {
			return sent
		}
		if c.txErr != 0 {
			c.txAt++
			continue
		}
		sent += c.txN
		c.txAt += c.txN
	}
	return sent
}

// Stop implements engine.Conn.
func (c *conn) Stop() {
	if c.stopped.Swap(true) {
		return
	}
	close(c.stop)
	if s := c.sock.Load(); s != nil {
		s.wake()
	}
}

// use hands the conn a new socket.
func (c *conn) use(s *socket) {
	c.sock.Store(s)
	if c.stopped.Load() {
		s.wake()
	}
	select {
	case c.changed <- struct{}{}:
	default:
	}
}
