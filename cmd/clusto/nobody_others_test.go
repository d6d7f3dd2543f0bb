//go:build !linux

package main

import (
	"os/exec"
	"testing"
)

func asNobody(t *testing.T, _ *exec.Cmd) { t.Skip("namespaces are Linux's") }
