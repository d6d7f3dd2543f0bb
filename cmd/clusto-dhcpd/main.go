// clusto-dhcpd answers DHCP and BOOTP requests of the hosts that clusto knows,
// and of no others.
package main

import (
	"os"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

func main() { os.Exit(daemon.DHCPMain(os.Args[1:])) }
