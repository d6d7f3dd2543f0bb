package afpacket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// socket is one packet socket on one interface, until that goes away.
type socket struct {
	conn   *packet.Conn
	raw    syscall.RawConn
	index  int // of the interface
	buffer int // bytes granted

	closed atomic.Bool // by the Group
	broken atomic.Bool // a reader cannot read from it
	mu     sync.Mutex  // Stats resets what it reads
	gone   bool        // conn may not be asked any more; guarded by mu
}

// openSocket opens a socket that takes every frame to the filter's liking. A
// member of a fanout group has its id; 0 makes a new group, whose id is
// returned. Frames that come before everything is set never reach it.
func openSocket(cfg *Config, ifi *net.Interface, fanout uint16) (s *socket, id uint16, err error) {
	none, err := dropAll()
	if err != nil {
		return nil, 0, err
	}
	conn, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: none})
	if err != nil {
		return nil, 0, openError(ifi.Name, err)
	}
	s = &socket{conn: conn, index: ifi.Index}
	if id, err = s.setUp(cfg, fanout); err != nil {
		_ = conn.Close()
		return nil, 0, fmt.Errorf("set up packet socket on %s: %w", ifi.Name, err)
	}
	return s, id, nil
}

func (s *socket) setUp(cfg *Config, fanout uint16) (id uint16, err error) {
	if s.raw, err = s.conn.SyscallConn(); err != nil {
		return 0, err
	}
	filter, err := udpFilter(cfg.Ports, cfg.OtherHosts)
	if err != nil {
		return 0, err
	}
	if cfg.OtherHosts {
		if err := s.conn.SetPromiscuous(true); err != nil {
			return 0, fmt.Errorf("promiscuous mode: %w", err)
		}
	}
	err = s.control(func(fd int) error {
		if err := setOptions(fd, cfg.Workers == 1); err != nil {
			return err
		}
		s.buffer = setBuffer(fd, cfg.Buffer)
		if cfg.Workers > 1 {
			id, err = joinFanout(fd, fanout)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return id, s.conn.SetBPF(filter)
}

func setOptions(fd int, alone bool) error {
	opts := []struct {
		opt  int
		name string
		set  bool
	}{
		{unix.PACKET_AUXDATA, "PACKET_AUXDATA", true},
		{unix.PACKET_QDISC_BYPASS, "PACKET_QDISC_BYPASS", true},
		{unix.PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING", alone}, // lost when a socket joins a fanout
	}
	for _, o := range opts {
		if !o.set {
			continue
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o.opt, 1); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
	}
	return nil
}

// setBuffer asks for a receive buffer and returns what was granted: the kernel
// doubles what is asked for, for its own bookkeeping.
func setBuffer(fd, bytes int) (granted int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
	}
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		return 0
	}
	return n / 2
}

// joinFanout joins a group, or makes one if id is 0.
func joinFanout(fd int, id uint16) (uint16, error) {
	kind := unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	if id != 0 {
		return id, fanoutError(unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, int(id)|kind<<16))
	}
	kind |= unix.PACKET_FANOUT_FLAG_UNIQUEID
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, kind<<16); err != nil {
		return 0, fanoutError(err)
	}
	v, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return 0, fanoutError(err)
	}
	prog, err := fanoutProgram()
	if err != nil {
		return 0, err
	}
	return uint16(v), fanoutError(setFanoutProgram(fd, prog))
}

func fanoutError(err error) error {
	if err != nil {
		return fmt.Errorf("PACKET_FANOUT: %w", err)
	}
	return nil
}

func setFanoutProgram(fd int, prog []bpf.RawInstruction) error {
	filter := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	fprog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_PACKET, unix.PACKET_FANOUT_DATA,
		uintptr(unsafe.Pointer(&fprog)), unsafe.Sizeof(fprog), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// openSender opens a socket that receives nothing.
func openSender(ifi *net.Interface) (*socket, error) {
	conn, err := packet.Listen(ifi, packet.Raw, 0, nil)
	if err != nil {
		return nil, openError(ifi.Name, err)
	}
	s := &socket{conn: conn, index: ifi.Index}
	if s.raw, err = conn.SyscallConn(); err == nil {
		err = s.control(func(fd int) error { return setOptions(fd, true) })
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("set up packet socket on %s: %w", ifi.Name, err)
	}
	return s, nil
}

// openError says what to do where the kernel refuses a packet socket.
func openError(name string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("open packet socket on %s: %w; run as root, or give the program the capabilities cap_net_raw and cap_net_bind_service (setcap)", name, err)
	}
	return fmt.Errorf("open packet socket on %s: %w", name, err)
}

func (s *socket) control(f func(fd int) error) error {
	var err error
	if cerr := s.raw.Control(func(fd uintptr) { err = f(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}

// lost reports whether the interface that the socket was bound to is gone, or
// the socket itself is.
func (s *socket) lost() bool {
	gone := false
	err := s.control(func(fd int) error {
		sa, err := unix.Getsockname(fd)
		if ll, ok := sa.(*unix.SockaddrLinklayer); ok {
			gone = ll.Ifindex != s.index
		}
		return err
	})
	return gone || err != nil || s.broken.Load()
}

// wake makes a reader return, for good.
func (s *socket) wake() { _ = s.conn.SetReadDeadline(time.Unix(1, 0)) }

// stats gives what the kernel counted since the last call.
func (s *socket) stats() (received, dropped uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return 0, 0
	}
	st, err := s.conn.Stats()
	if err != nil {
		return 0, 0
	}
	return uint64(st.Packets - st.Drops), uint64(st.Drops)
}

// close gives the last of the stats.
func (s *socket) close() (received, dropped uint64) {
	received, dropped = s.stats()
	s.closed.Store(true)
	s.mu.Lock()
	s.gone = true
	s.mu.Unlock()
	_ = s.conn.Close()
	return received, dropped
}
