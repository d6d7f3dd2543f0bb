package corpus

import (
	"os"
	"testing"
)

// Folder makes a folder for as long as a test, in memory where the system has one for
// that (Linux): nothing in it is worth the wait for a disk.
func Folder(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "clusto-fuzz-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
