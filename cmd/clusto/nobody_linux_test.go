package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// asNobody makes a command an ordinary user's; a test that is none's root
// already needs no other.
func asNobody(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	ids, _ := os.ReadFile("/proc/self/uid_map")
	if os.Getuid() != 0 || !strings.Contains(string(ids), "4294967295") {
		t.Log("the tests run as an ordinary user already")
		return
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
