package main

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// bindTo makes a Dialer's Control that has a socket use an interface and no other,
// wherever the kernel's routes lead.
func bindTo(name string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) (err error) {
		if cerr := c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), name) }); cerr != nil {
			return cerr
		}
		return err
	}
}
