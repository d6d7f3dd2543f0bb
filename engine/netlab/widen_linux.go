package netlab

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// widenPatience is how long a program may take to open its socket.
const widenPatience = 30 * time.Second

func widen(pid int, port uint16, bytes int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("netlab: reach process %d: %w", pid, err)
	}
	defer unix.Close(process)
	for end := time.Now().Add(widenPatience); time.Now().Before(end); {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return fmt.Errorf("netlab: process %d ended before it opened UDP port %d: %w", pid, port, err)
		}
		for _, f := range files {
			n, err := strconv.Atoi(f.Name())
			if err != nil {
				continue
			}
			if done, err := widenFile(process, n, port, bytes); done || err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("netlab: process %d opened no socket on UDP port %d in %v", pid, port, widenPatience)
}

func widenFile(process, n int, port uint16, bytes int) (done bool, err error) {
	fd, err := unix.PidfdGetfd(process, n, 0)
	if err != nil {
		return false, nil // closed again
	}
	defer unix.Close(fd)
	addr, err := unix.Getsockname(fd)
	if in, ok := addr.(*unix.SockaddrInet4); err != nil || !ok || in.Port != int(port) {
		return false, nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes); err != nil {
		return false, fmt.Errorf("netlab: enlarge the receive buffer of UDP port %d, for which only root will do: %w", port, err)
	}
	return true, nil
}
