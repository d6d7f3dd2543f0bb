// Package netlab builds small networks in network namespaces, as root or as an
// ordinary user in a user namespace: for tests, the demo and benchmarks only.
// It needs Linux; elsewhere everything returns an error.
package netlab

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
)

// Enter makes sure that the process runs in a network namespace of its own,
// with lo up. The first call starts the program once more, with the same
// arguments and environment, and never returns: it hands on standard input,
// output and error, passes SIGINT, SIGTERM, SIGHUP and SIGQUIT on, and ends as
// the copy ends. In the copy Enter returns nil. As root the copy has a network
// namespace, else (and where root lacks CAP_SYS_ADMIN) also a user namespace
// in which it is root. The copy dies with the original, however that dies.
//
// What the copy starts runs in its namespace too and need not call Enter; a
// program that does gets another namespace. The copy is a process group of its
// own, so that Ctrl-C reaches it once; it cannot read from the terminal.
//
// Call Enter before anything else: what ran before it runs twice. The error
// names the setting that refuses namespaces.
func Enter() error { return enter() }

// Main is for a package's TestMain, and does not return: it runs the tests in a
// namespace of their own, as in netlab.Main(m.Run). Where that is refused it
// says so; then the tests count as failed if the environment has CI, else as
// passed.
func Main(run func() int) {
	err := Enter()
	if err == nil {
		os.Exit(run())
	}
	fmt.Fprintf(os.Stderr, "\n*** NO TEST OF THIS PACKAGE RAN ***\n%v\n\n", err)
	if os.Getenv("CI") != "" {
		os.Exit(1)
	}
	os.Exit(0)
}

// Net is a network namespace besides the process's own. A nil *Net is the
// process's own. It is safe for many goroutines.
type Net struct{ space }

// New makes a namespace with nothing in it but lo, up. Close it.
func New() (*Net, error) { return newNet() }

// Do runs f in the namespace, on a goroutine and thread of its own: goroutines
// that f starts run in the process's own namespace, sockets that f opens stay
// in n. f must not call t.FailNow and the like. /proc/net is that of the
// process's own namespace even in f; /proc/thread-self/net is that of n.
func (n *Net) Do(f func() error) error { return n.do(f) }

// Start starts a command inside the namespace. It is killed when n is closed or
// the process ends, unless its SysProcAttr has another Pdeathsig.
func (n *Net) Start(cmd *exec.Cmd) error { return n.start(cmd) }

// Close kills what Start started and lets go of the namespace: it vanishes
// with its last process and socket.
func (n *Net) Close() error { return n.close() }

// Veth makes a pair of links, one end in each namespace, and waits until both
// are up. They speak no IPv6: its solicitations would disturb counts.
func Veth(a *Net, aName string, b *Net, bName string) error { return veth(a, aName, b, bName) }

// Bridge makes a bridge, up, with the given links as its ports. It floods
// multicast, and sends nothing itself.
func (n *Net) Bridge(name string, ports ...string) error { return n.bridge(name, ports) }

// AddAddr gives a link an address.
func (n *Net) AddAddr(link string, p netip.Prefix) error { return n.addAddr(link, p) }

// DelAddr takes an address from a link.
func (n *Net) DelAddr(link string, p netip.Prefix) error { return n.delAddr(link, p) }

// SetUp switches a link on. It does not wait for a carrier.
func (n *Net) SetUp(link string) error { return n.setUp(link) }

// SetDown switches a link off; the other end of a veth pair loses its carrier.
func (n *Net) SetDown(link string) error { return n.setDown(link) }

// Delete deletes a link, and the other end of a veth pair with it.
func (n *Net) Delete(link string) error { return n.delete(link) }

// Rename renames a link; it may be up.
func (n *Net) Rename(link, to string) error { return n.rename(link, to) }

// MAC gives a link's Ethernet address.
func (n *Net) MAC(link string) ([6]byte, error) { return n.mac(link) }

// SetMAC changes a link's Ethernet address; it may be up.
func (n *Net) SetMAC(link string, mac [6]byte) error { return n.setMAC(link, mac) }

// AddRoute adds a route over a gateway that a link's address reaches.
func (n *Net) AddRoute(to netip.Prefix, via netip.Addr) error { return n.addRoute(to, via) }

// AddNeighbour tells a link the Ethernet address of an IP, for good: no ARP.
func (n *Net) AddNeighbour(link string, ip netip.Addr, mac [6]byte) error {
	return n.addNeighbour(link, ip, mac)
}

// Widen gives another program's UDP socket on port a receive buffer of so many
// bytes, as soon as it opens one: what it has no room for itself would look like
// another's loss. Only root may.
func Widen(pid int, port uint16, bytes int) error { return widen(pid, port, bytes) }
