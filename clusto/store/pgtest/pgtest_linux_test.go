package pgtest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
)

// without makes a copy of the test program find no PostgreSQL, given an empty PATH.
const without = "CLUSTO_PGTEST_WITHOUT"

func TestMain(m *testing.M) {
	if os.Getenv(without) != "" {
		debians = ""
	}
	Main(m)
}

// TestEachDatabaseIsNew: what one has the next one has not.
func TestEachDatabaseIsNew(t *testing.T) {
	for _, name := range []string{"first", "second"} {
		t.Run(name, func(t *testing.T) { Exec(t, New(t), `CREATE TABLE mine (n INTEGER)`) })
	}
}

// TestNoPostgresPassedInSilence runs that test where there is no PostgreSQL: it
// passes, and one line says so on stderr and one on the terminal. On CI it fails.
func TestNoPostgresPassedInSilence(t *testing.T) {
	const lack = "*** NOT TESTED *** on PostgreSQL: PostgreSQL is not installed (Debian: apt-get install postgresql)"
	for _, tt := range []struct {
		ci   string
		code int
		told int // lines
	}{{"", 0, 1}, {"true", 1, 0}} {
		code, stderr, screen := onTerminal(t, "CI="+tt.ci)
		if code != tt.code {
			t.Errorf("CI=%q: it ended with %d, want %d", tt.ci, code, tt.code)
		}
		for where, text := range map[string]string{"stderr": stderr, "the terminal": screen} {
			if n := strings.Count(text, lack); n != tt.told {
				t.Errorf("CI=%q: %d lines on %s, want %d: %q", tt.ci, n, where, tt.told, text)
			}
		}
	}
}

// onTerminal runs TestEachDatabaseIsNew without PostgreSQL in a session whose
// terminal is none of the program's files, and gives what came of it.
func onTerminal(t *testing.T, env string) (code int, stderr, screen string) {
	t.Helper()
	own, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	need(t, err)
	defer own.Close()
	need(t, unix.IoctlSetPointerInt(int(own.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(own.Fd()), unix.TIOCGPTN)
	need(t, err)
	its, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	need(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestEachDatabaseIsNew$")
	cmd.Env = []string{without + "=1", env}
	cmd.Stdin = its // Setctty takes the terminal from there
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	need(t, cmd.Start())
	_ = its.Close()
	all, _ := io.ReadAll(own) // EIO once nobody holds the other end
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode(), errs.String(), string(all)
}

func need(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
