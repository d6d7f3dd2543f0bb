// clusto-snmptrapd makes servers in clusto of the MAC addresses that switches
// report.
package main

import (
	"os"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

func main() { os.Exit(daemon.SNMPMain(os.Args[1:], readCapture)) }
