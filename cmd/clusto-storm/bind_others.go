//go:build !linux

package main

import "syscall"

// bindTo binds nothing: there are no packet sockets here to begin with.
func bindTo(string) func(network, address string, c syscall.RawConn) error { return nil }
