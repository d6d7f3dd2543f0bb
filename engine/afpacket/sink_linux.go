package afpacket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Sink holds a UDP port open and reads nothing, so that the kernel does not
// answer the requests that packet sockets take with "port unreachable".
type Sink struct{ conn net.PacketConn }

// OpenSink binds the port on all addresses. If it is taken, the error says by
// whom, as far as that can be seen.
func OpenSink(port uint16) (*Sink, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) { err = attachDropAll(int(fd)) }); cerr != nil {
			return cerr
		}
		return err
	}}
	conn, err := lc.ListenPacket(context.Background(), "udp4", fmt.Sprintf("0.0.0.0:%d", port))
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, fmt.Errorf("UDP port %d is taken by %s: %w", port, ownerOf(port), err)
	case err != nil:
		return nil, fmt.Errorf("hold UDP port %d: %w", port, err)
	}
	return &Sink{conn}, nil
}

// Close gives the port back.
func (s *Sink) Close() { _ = s.conn.Close() }

func attachDropAll(fd int) error {
	raw, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return err
	}
	f := unix.SockFilter{Code: raw[0].Op, K: raw[0].K}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &f})
}

// ownerOf names the process that holds a UDP port, from what /proc shows.
func ownerOf(port uint16) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		data, _ := os.ReadFile(table) // no table, no entries
		for inode := range udpInodes(string(data), port) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		to, err := os.Readlink(fd)
		if err != nil || !inodes[to] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return "another process, which only root can see"
}

// udpInodes yields the inodes of the sockets bound to port, out of a table in
// the form of /proc/net/udp.
func udpInodes(table string, port uint16) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		if n, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(n) == port {
			found[f[9]] = true
		}
	}
	return found
}
