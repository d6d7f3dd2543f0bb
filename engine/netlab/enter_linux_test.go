package netlab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// role names what a copy of the test binary is to do instead of testing.
const role = "NETLAB_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		Main(m.Run)
	case "main":
		Main(func() int { return 5 })
	default:
		if err := Enter(); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		os.Exit(play(os.Getenv(role)))
	}
}

// play is what a copy does once it has entered.
func play(as string) int {
	switch as {
	case "tell":
		lo, err := net.InterfaceByName("lo")
		all, _ := net.Interfaces()
		fmt.Println(namespace(), os.Getuid(), os.Getgid(), len(all), err == nil && lo.Flags&net.FlagUp != 0, os.Getenv(marker) == "")
		return 7
	case "nest":
		cmd := &exec.Cmd{Path: "/proc/self/exe", Args: os.Args, Env: append(os.Environ(), role+"=tell"), Stdout: os.Stdout}
		_ = cmd.Run()
		fmt.Println(namespace())
		return cmd.ProcessState.ExitCode()
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs)
	fmt.Println("ready", os.Getppid())
	fmt.Println(<-sigs)
	return 9
}

func namespace() string {
	s, _ := os.Readlink("/proc/thread-self/ns/net")
	return s
}

func again(as string, env ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{"netlab.test"}, Dir: "/", Stderr: os.Stderr,
		Env: append(append(os.Environ(), role+"="+as), env...),
	}
}

// asNobody makes a command an ordinary user's; a test that is none's root
// already needs no other.
func asNobody(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	ids, _ := os.ReadFile("/proc/self/uid_map")
	if os.Getuid() != 0 || len(bytes.Fields(ids)) != 3 || !strings.Contains(string(ids), "4294967295") {
		t.Log("the tests run as an ordinary user already")
		return cmd
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

func need(t *testing.T, err error, out []byte) {
	t.Helper()
	if err == nil {
		return
	}
	loud := fmt.Sprintf("*** ordinary users cannot enter a namespace here: NOT TESTED ***\n%v\n%s", err, out)
	if os.Getenv("CI") != "" {
		t.Fatal(loud)
	}
	fmt.Fprintln(os.Stderr, loud)
	t.Skip(loud)
}

// output runs a copy and gives its words; a code of 3 is a refusal.
func output(t *testing.T, cmd *exec.Cmd, want int) []string {
	t.Helper()
	out, err := cmd.Output()
	code := cmd.ProcessState.ExitCode()
	if code == 3 {
		need(t, err, out)
	}
	if code != want {
		t.Errorf("exit code = %d (%v), want %d; output %q", code, err, want, out)
	}
	return strings.Fields(string(out))
}

func TestEnterTells(t *testing.T) {
	for _, c := range []struct {
		name string
		cmd  *exec.Cmd
	}{
		{"as we are", again("tell")},
		{"a marker from elsewhere", again("tell", marker+"=1 "+namespace())},
		{"a marker that is none", again("tell", marker+"=yes")},
		{"ordinary user", asNobody(t, again("tell"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := output(t, c.cmd, 7)
			if len(got) != 6 || got[0] == namespace() {
				t.Fatalf("namespace, uid, gid, links, lo up, no marker = %v; want a namespace besides %s", got, namespace())
			}
			if got[1] != "0" || got[2] != "0" || got[4] != "true" || got[5] != "true" {
				t.Errorf("uid, gid, links, lo up, no marker = %v, want 0 0 ... true true", got[1:])
			}
		})
	}
}

func TestEnterWithoutSysAdmin(t *testing.T) {
	var got []string
	apart(func() bool {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
			t.Errorf("drop CAP_SYS_ADMIN: %v", err)
			return false
		}
		out, err := again("tell").Output() // Start forks from this thread
		if err == nil || !strings.Contains(err.Error(), "exit status 7") {
			t.Errorf("root without CAP_SYS_ADMIN: %v, %s", err, out)
		}
		got = strings.Fields(string(out))
		return false
	})
	if len(got) != 6 || got[0] == namespace() {
		t.Errorf("entered %v", got)
	}
}

func TestGrandchildDecidesForItself(t *testing.T) {
	got := output(t, again("nest"), 7)
	if len(got) != 7 || got[0] == got[6] || got[6] == namespace() {
		t.Errorf("grandchild and child = %v, want two namespaces besides %s", got, namespace())
	}
}

func TestMainGivesTheCodeOn(t *testing.T) {
	output(t, again("main"), 5)
	output(t, again("die"), 128+9)
}

// waiting starts a copy that waits for a signal. The reader ends when both the
// copy's original and the copy are gone: they hold its other end.
func waiting(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if want := fmt.Sprintf("ready %d\n", cmd.Process.Pid); line != want {
		need(t, errors.New(line), nil)
		t.Fatalf("first line %q, %v; want %q", line, err, want)
	}
	return r
}

func TestSignalsReachTheCopy(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT} {
		cmd := again("wait")
		r := waiting(t, cmd)
		_ = cmd.Process.Signal(sig)
		if line, _ := r.ReadString('\n'); line != sig.String()+"\n" {
			t.Errorf("after %v the copy says %q", sig, line)
		}
		_ = cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 9 {
			t.Errorf("after %v: exit code %d, want 9", sig, code)
		}
	}
}

func TestTheCopyDiesToo(t *testing.T) {
	for _, cmd := range []*exec.Cmd{again("wait"), asNobody(t, again("wait"))} {
		r := waiting(t, cmd)
		_ = cmd.Process.Kill()
		if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
			t.Errorf("after SIGKILL the copy says %q, %v; want the end", rest, err)
		}
	}
}

func TestRefusedSaysWhatRefuses(t *testing.T) {
	for _, c := range []struct {
		file, text string
		err        error
		want       string
	}{
		{"sys/kernel/unprivileged_userns_clone", "0\n", syscall.EPERM, "kernel.unprivileged_userns_clone is 0"},
		{"sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", syscall.EPERM, "kernel.apparmor_restrict_unprivileged_userns is 1"},
		{"sys/user/max_user_namespaces", "0\n", syscall.ENOSPC, "user.max_user_namespaces is 0"},
		{"sys/user/max_net_namespaces", "12\n", syscall.ENOSPC, "user.max_net_namespaces is 12: sysctl -w user.max_net_namespaces="},
		{"self/status", "Name:\tx\nSeccomp:\t2\n", syscall.EPERM, "seccomp"},
		{"sys/user/max_user_namespaces", "12\n", syscall.EPERM, "no setting known"},
	} {
		proc := t.TempDir()
		for name, text := range map[string]string{"self/ns/user": "", c.file: c.text} {
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(proc, name)), 0o755), os.WriteFile(filepath.Join(proc, name), []byte(text), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		err := refused(c.err, proc)
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "sudo") {
			t.Errorf("%s %q: %v; want %q and sudo in it", c.file, c.text, err, c.want)
		}
		if strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("%s %q: more than one reason: %v", c.file, c.text, err)
		}
	}
	if err := refused(syscall.EINVAL, t.TempDir()); !strings.Contains(err.Error(), "CONFIG_USER_NS") {
		t.Errorf("without /proc/self/ns/user: %v", err)
	}
}
