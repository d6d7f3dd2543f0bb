package journal

import "golang.org/x/sys/unix"

// mounted reports whether a file is a mount of its own: what "mount --bind" of a
// file makes, or a container's volume that is a file. Kernels before 5.8 do not
// tell.
func mounted(name string) bool {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, name, 0, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
