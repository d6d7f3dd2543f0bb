package netlab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newTestNet(t *testing.T) *Net {
	t.Helper()
	n, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// where gives the namespace that f runs in.
func where(t *testing.T, n *Net) (s string) {
	t.Helper()
	must(t, n.Do(func() error { s = namespace(); return nil }))
	return s
}

func TestDoIsThereAndNowhereElse(t *testing.T) {
	n, own := newTestNet(t), namespace()
	there := where(t, n)
	if there == own || there == "" || where(t, nil) != own {
		t.Fatalf("own namespace %s, n %s, nil %s", own, there, where(t, nil))
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			err := n.Do(func() error {
				inner := make(chan string)
				go func() { inner <- namespace() }()
				if got := namespace(); got != there {
					return fmt.Errorf("inside: %s, want %s", got, there)
				}
				if got := <-inner; got != own {
					return fmt.Errorf("a goroutine started inside: %s, want %s", got, own)
				}
				return (*Net)(nil).Do(func() error {
					if got := namespace(); got != own {
						return fmt.Errorf("nil inside: %s, want %s", got, own)
					}
					return nil
				})
			})
			if err != nil || namespace() != own {
				t.Errorf("%v; afterwards in %s, want %s", err, namespace(), own)
			}
		})
	}
	wg.Wait()
	everyThreadIs(t, own, there)
}

// everyThreadIs checks that no thread stayed behind, but for n's own.
func everyThreadIs(t *testing.T, own, there string) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	must(t, err)
	n := 0
	for _, task := range tasks {
		switch s, _ := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); s {
		case own, "": // "": it ended meanwhile
		case there:
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d threads are in the other namespace, want 1", n)
	}
	if s, _ := os.Readlink("/proc/self/ns/net"); s != own {
		t.Errorf("the process's first thread is in %s, want %s", s, own)
	}
}

func TestDoAfterDamage(t *testing.T) {
	n, own := newTestNet(t), namespace()
	want := errors.New("mine")
	if err := n.Do(func() error { return want }); err != want {
		t.Errorf("Do = %v, want the function's own error", err)
	}
	err := n.Do(func() error { // cannot come back from here
		return errors.Join(unix.Unshare(unix.CLONE_NEWNET), unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0), dropCaps())
	})
	must(t, err)
	for range 50 {
		if got := where(t, nil); got != own {
			t.Fatalf("a thread that could not return is used again: in %s, want %s", got, own)
		}
	}
}

// dropCaps takes all capabilities from the calling thread.
func dropCaps() error {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&hdr, &none[0])
}

func TestVethEndsReachEachOther(t *testing.T) {
	a, b := newTestNet(t), newTestNet(t)
	for _, c := range []struct{ a, b *Net }{{a, b}, {nil, a}, {b, nil}, {nil, nil}} {
		names := []string{"eth0", "eth0"} // the same name on both sides, no clash
		if c.a == c.b {
			names[1] = "eth1"
		}
		began := time.Now()
		must(t, Veth(c.a, names[0], c.b, names[1]))
		t.Logf("veth: %v", time.Since(began))
		if c.a != c.b {
			must(t, c.a.AddAddr(names[0], netip.MustParsePrefix("10.9.0.1/24")), c.b.AddAddr(names[1], netip.MustParsePrefix("10.9.0.2/24")))
			echo(t, c.a, c.b, "10.9.0.2")
		}
		must(t, c.a.Delete(names[0]))
		if _, err := c.b.MAC(names[1]); err == nil {
			t.Error("the other end is still there")
		}
	}
}

// echo sends a datagram from a to addr in b and back.
func echo(t *testing.T, a, b *Net, addr string) {
	t.Helper()
	server, client := listen(t, b, addr+":0"), listen(t, a, ":0")
	if _, err := client.WriteTo([]byte("hello"), server.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	n, from, err := server.ReadFrom(buf)
	must(t, err)
	if _, err := server.WriteTo(buf[:n], from); err != nil {
		t.Fatal(err)
	}
	if n, _, err = client.ReadFrom(buf); err != nil || string(buf[:n]) != "hello" {
		t.Errorf("echo = %q, %v", buf[:n], err)
	}
}

func listen(t *testing.T, n *Net, addr string) (c net.PacketConn) {
	t.Helper()
	must(t, n.Do(func() (err error) {
		c, err = net.ListenPacket("udp4", addr)
		return err
	}))
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return c
}

func TestVethSpeaksNoIPv6(t *testing.T) {
	a, b := newTestNet(t), newTestNet(t)
	must(t, Veth(a, "x", b, "y"))
	for n, name := range map[*Net]string{a: "x", b: "y"} {
		must(t, n.Do(func() error {
			dev, err := net.InterfaceByName(name)
			if err != nil {
				return err
			}
			if addrs, err := dev.Addrs(); err != nil || len(addrs) != 0 {
				return fmt.Errorf("addresses of %s = %v, %v, want none", name, addrs, err)
			}
			return nil
		}))
	}
}

func TestLinks(t *testing.T) {
	a, b := newTestNet(t), newTestNet(t)
	must(t, Veth(a, "x", b, "y"))
	net1, net2 := netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("10.9.0.2/24")
	mac := [6]byte{2, 0, 0, 0, 0, 9}
	must(t, a.AddAddr("x", net1), b.AddAddr("y", net2), b.SetMAC("y", mac), a.AddNeighbour("x", net2.Addr(), mac))
	if got, err := b.MAC("y"); err != nil || got != mac {
		t.Errorf("MAC = %x, %v, want %x", got, err, mac)
	}
	echo(t, a, b, "10.9.0.2")

	must(t, b.AddAddr("lo", netip.MustParsePrefix("10.8.0.1/32")), a.AddRoute(netip.MustParsePrefix("10.8.0.0/16"), net2.Addr()))
	echo(t, a, b, "10.8.0.1")

	must(t, b.Rename("y", "z"), b.SetDown("z"), b.SetUp("z"), a.await("x"), b.await("z"))
	echo(t, a, b, "10.9.0.2")

	must(t, b.DelAddr("z", net2))
	if err := b.DelAddr("z", net2); err == nil || !strings.Contains(err.Error(), `take 10.9.0.2/24 from link "z"`) {
		t.Errorf("take away an address twice: %v", err)
	}
	if err := a.SetUp("nowhere"); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("switch on a link that is none: %v", err)
	}
	if err := Veth(a, "x", b, "new"); err == nil || !strings.Contains(err.Error(), `"x"`) {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := b.MAC("new"); err == nil {
		t.Error("half a pair stayed")
	}
}

func TestBridge(t *testing.T) {
	hub, a, b := newTestNet(t), newTestNet(t), newTestNet(t)
	must(t, Veth(a, "eth0", hub, "p1"), Veth(b, "eth0", hub, "p2"))
	err := hub.Bridge("br0", "p1", "p2")
	if errors.Is(err, unix.EOPNOTSUPP) && os.Getenv("CI") == "" {
		fmt.Fprintln(os.Stderr, "*** this kernel has no bridge: NOT TESTED ***")
		t.Skip(err)
	}
	must(t, err, a.AddAddr("eth0", netip.MustParsePrefix("10.9.0.1/24")), b.AddAddr("eth0", netip.MustParsePrefix("10.9.0.2/24")))
	echo(t, a, b, "10.9.0.2")
}

func TestStartIsThereAndEndsWithTheNet(t *testing.T) {
	n, err := New()
	must(t, err)
	for _, at := range []*Net{n, nil} {
		cmd := exec.Command("readlink", "/proc/self/ns/net")
		out, err := cmd.StdoutPipe()
		must(t, err, at.Start(cmd))
		got, _ := io.ReadAll(out)
		must(t, cmd.Wait())
		if want := where(t, at); strings.TrimSpace(string(got)) != want {
			t.Errorf("the command ran in %s, want %s", got, want)
		}
	}
	cat := exec.Command("cat")
	in, err := cat.StdinPipe()
	must(t, err, n.Start(cat))
	defer in.Close()
	must(t, n.Close())
	if err := cat.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("cat ended with %v, want it killed", err)
	}
}

func TestClosed(t *testing.T) {
	n, err := New()
	must(t, err, n.Close())
	for what, err := range map[string]error{
		"Do": n.Do(func() error { return nil }), "Start": n.Start(exec.Command("true")),
		"Close": n.Close(), "SetUp": n.SetUp("lo"), "Veth": Veth(nil, "x", n, "y"),
	} {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s of a closed Net = %v, want os.ErrClosed", what, err)
		}
	}
	if err := (*Net)(nil).Close(); err == nil {
		t.Error("the process's own namespace was closed")
	}
}
