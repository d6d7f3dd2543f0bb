package netlab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// refused explains why no namespace could be entered, from what the kernel
// says in proc, usually /proc.
func refused(err error, proc string) error {
	why := reasons(err, proc)
	if len(why) == 0 {
		why = []string{"no setting known here refuses it; ask the security module of this system (its log may tell)"}
	}
	return fmt.Errorf("enter a network namespace: %w\n  %s\n  or run it as root, as with sudo",
		err, strings.Join(why, "\n  "))
}

func reasons(err error, proc string) (out []string) {
	read := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(proc, name))
		return strings.TrimSpace(string(b))
	}
	if _, err := os.Stat(filepath.Join(proc, "self/ns/user")); err != nil {
		out = append(out, "this kernel has no user namespaces (CONFIG_USER_NS)")
	}
	if read("sys/kernel/unprivileged_userns_clone") == "0" {
		out = append(out, "kernel.unprivileged_userns_clone is 0: sysctl -w kernel.unprivileged_userns_clone=1")
	}
	if read("sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
		out = append(out, "kernel.apparmor_restrict_unprivileged_userns is 1: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
	}
	refusing := read("sys/user/max_user_namespaces") == "0"
	for _, name := range []string{"user.max_user_namespaces", "user.max_net_namespaces"} {
		limit := read("sys/" + strings.ReplaceAll(name, ".", "/"))
		full := limit != "" && !refusing && errors.Is(err, syscall.ENOSPC) // one of the two, unknown which
		if limit == "0" || full {
			out = append(out, fmt.Sprintf("%s is %s: sysctl -w %[1]s=15000", name, limit))
		}
	}
	if strings.Contains(read("self/status"), "\nSeccomp:\t2") {
		out = append(out, "a seccomp filter is on, as in containers: start the container with --security-opt seccomp=unconfined, or with --cap-add SYS_ADMIN --cap-add NET_ADMIN")
	}
	return out
}
