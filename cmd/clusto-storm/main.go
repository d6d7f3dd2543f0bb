// clusto-storm is a hall of machines and its switches: it asks a DHCP server for
// addresses, or sends SNMP notifications, as fast as it is told, and says what
// came of it. The server may be any.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes, besides 0.
const (
	exitLost        = 1 // it could not be done, or something was not answered
	exitUsage       = 2
	exitInterrupted = 130 // by a signal, as shells have it
)

// errUsage is what flags cause that do not go with the machine or each other.
var errUsage = errors.New("usage")

type flags struct {
	Discover discover `cmd:"" help:"Have clients send DISCOVERs, over and over, and count the OFFERs."`
	Dora     dora     `cmd:"" help:"Have clients go from DISCOVER to ACK, over and over."`
	Storm    hall     `cmd:"" help:"Power all machines on at once: each sends again as a PXE ROM does, until it has its lease or gives up."`
	Flood    flood    `cmd:"" help:"Send DISCOVERs of random MACs, which no server should know."`
	Traps    traps    `cmd:"" help:"Have switches report MACs by SNMPv2c traps."`
	Informs  informs  `cmd:"" help:"Have switches report MACs by SNMPv2c informs, and count what is acknowledged."`
	Mirror   mirror   `cmd:"" help:"Be a server that sends every DHCP request back as it came, until a signal: with discover --mirrored the limit of a machine."`
}

// job is a subcommand with its flags.
type job interface {
	run(ctx context.Context) error
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var f flags
	k, err := kong.New(&f, kong.Name("clusto-storm"), kong.UsageOnError(),
		kong.Description("Loads a DHCP or SNMP server, clusto's or any other, over packet sockets. 0: all was answered; 1: some was not, or it could not be done; 2: a flag is wrong."))
	if err != nil {
		panic(err) // the tags above are wrong
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	chosen, err := k.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "clusto-storm: %v\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err = chosen.Selected().Target.Addr().Interface().(job).run(ctx)
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "clusto-storm: interrupted")
		return exitInterrupted
	}
	fmt.Fprintf(os.Stderr, "clusto-storm %s: %v\n", chosen.Selected().Name, err)
	if errors.Is(err, errUsage) {
		return exitUsage
	}
	return exitLost
}
