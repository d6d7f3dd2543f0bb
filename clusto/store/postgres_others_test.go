//go:build !linux

package store

import "syscall"

func withParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
