// Command run measures clusto-dhcpd beside other DHCP servers, in one run on one
// machine: all have the same hosts, and take turns under the same load over veth,
// between network namespaces of their own. It needs Linux, and the servers that it
// is to measure; what is not installed is left out, and named.
//
//	go run ./bench/run --out bench/results
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"github.com/clusto/clusto-engine/engine/netlab"
)

type flags struct {
	Hosts   int           `default:"10000" help:"Hosts that every server knows, 500000 at most (${default})."`
	Rounds  int           `default:"3" help:"How often each server has its turn; figures are medians (${default})."`
	Time    time.Duration `default:"3s" help:"Time of one load (${default})."`
	Servers []string      `default:"mirror,clusto,kea,isc,coredhcp,dnsmasq" help:"Who takes part (${default})."`
	Loads   []string      `default:"window,window32,open,lone,dora,storm,avalanche" help:"What they are put under (${default})."`
	Cold    []string      `default:"1ms,10ms,100ms,1s" help:"How long the inventory takes for a call in the cold storms of clusto; none: no cold storms (${default})."`
	Traps   int           `default:"100000" help:"A burst of so many SNMP traps, for clusto-snmptrapd; 0: none (${default})."`
	Out     string        `placeholder:"FOLDER" help:"Write results.md and results.json there. Unset: print the table alone."`
}

func (f *flags) check() error {
	if f.Hosts < 1 || f.Hosts > 500_000 || f.Rounds < 1 || f.Time < 100*time.Millisecond {
		return errors.New("--hosts is 1 to 500000, --rounds 1 or more, --time 100ms or more")
	}
	for _, name := range f.Servers {
		if !slices.ContainsFunc(servers, func(s *server) bool { return s.name == name }) {
			return fmt.Errorf("--servers: there is no %q", name)
		}
	}
	for _, name := range f.Loads {
		if !slices.ContainsFunc(loads, func(ld *load) bool { return ld.name == name }) {
			return fmt.Errorf("--loads: there is no %q", name)
		}
	}
	return nil
}

func main() {
	var f flags
	kong.Parse(&f, kong.Description("Measures clusto-dhcpd beside other DHCP servers, over veth in namespaces of its own."))
	if err := netlab.Enter(); err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := newLab(ctx, &f)
	if err == nil {
		err = errors.Join(l.all(), l.close())
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench/run:", err)
	os.Exit(1)
}
