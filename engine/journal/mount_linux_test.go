package journal

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// inMounts is set for the copy of this test that has a mount namespace of its own.
const inMounts = "JOURNAL_MOUNTS"

// TestJournalMountedTwice: two daemons wrote to one file that was mounted by another
// name, each with a lock and a log of its own. A mount of its folder has the same
// ones.
func TestJournalMountedTwice(t *testing.T) {
	if !withMounts(t) {
		return
	}
	name := file(t)
	other, empty, folder := filepath.Join(t.TempDir(), "again"), filepath.Join(t.TempDir(), "empty"), t.TempDir()
	for _, f := range []string{other, empty, name + "-none"} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, Config{File: name})
	add(t, j, events(swA, 0, 3))
	bind(t, name, other)
	bind(t, name+"-none", empty)
	bind(t, filepath.Dir(name), folder)
	const says = "it is a mount of its own, whose lock and log are not those that it has where it is mounted from; mount the folder"
	for _, f := range []string{other, empty} {
		refused(t, Config{File: f}, says)
		refused(t, Config{File: f, Look: true}, says)
		if got := size(f+".lock") + size(f+"-wal"); got != "nonenone" {
			t.Errorf("something is beside the mount: %s", got)
		}
	}
	same := filepath.Join(folder, filepath.Base(name))
	refused(t, Config{File: same}, "another process uses it")
	add(t, j, events(swA, 3, 5)) // the first daemon goes on
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, Config{File: other}, says)
	j = open(t, Config{File: same})
	if got := all(t, j)[swA]; !slices.Equal(got, events(swA, 0, 5)) || j.Stats().Damaged != 0 {
		t.Errorf("%v, %+v", got, j.Stats())
	}
}

func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		t.Fatalf("mount %s on %s: %v", from, to, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(to, syscall.MNT_DETACH) })
}

// withMounts reports whether the test is in a mount namespace of its own. If not, it
// runs the test in one, and ends as it does there.
func withMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inMounts) != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		const lack = "*** NOT TESTED ***: this user can make no mount namespace: %v"
		if os.Getenv("CI") != "" {
			t.Fatalf(lack, err)
		}
		t.Skipf(lack, err)
	}
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// TestCheckOnReadOnlyDisk: it passed, for root too, and no event could be kept.
func TestCheckOnReadOnlyDisk(t *testing.T) {
	if !withMounts(t) {
		return
	}
	from, readOnly := t.TempDir(), t.TempDir()
	j := open(t, Config{File: filepath.Join(from, "there")})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	bind(t, from, readOnly)
	if err := syscall.Mount("", readOnly, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"there", "new"} {
		checked(t, filepath.Join(from, name), "")
		checked(t, filepath.Join(readOnly, name), readOnly+": read-only file system; become the daemon's user, or give a file in a folder that may be written")
		refused(t, Config{File: filepath.Join(readOnly, name)}, "read-only file system") // so does the daemon
	}
}
