package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// widen gives perfdhcp's socket on port 67 a buffer for all the answers: by itself
// it has the kernel's default, 166 frames, and what it loses there would look like
// the server's loss.
func widen(pid int) error {
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("reach perfdhcp: %w", err)
	}
	defer unix.Close(process)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
		if err != nil {
			return fmt.Errorf("perfdhcp ended before it opened a socket: %w", err)
		}
		for _, f := range files {
			n, err := strconv.Atoi(f.Name())
			if err != nil {
				continue
			}
			if done, err := widenFile(process, n); done || err != nil {
				return err
			}
		}
	}
	return errors.New("perfdhcp opened no socket on port 67")
}

func widenFile(process, n int) (done bool, err error) {
	fd, err := unix.PidfdGetfd(process, n, 0)
	if err != nil {
		return false, nil // closed again
	}
	defer unix.Close(fd)
	addr, err := unix.Getsockname(fd)
	if in, ok := addr.(*unix.SockaddrInet4); err != nil || !ok || in.Port != 67 {
		return false, nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20); err != nil {
		return false, fmt.Errorf("enlarge perfdhcp's receive buffer, for which only root will do: %w", err)
	}
	return true, nil
}
