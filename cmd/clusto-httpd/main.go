// Clusto-httpd serves the inventory over HTTP, from a database that the original
// clusto wrote or from one of its own.
package main

import (
	"os"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
)

func main() { os.Exit(daemon.HTTPDMain(os.Args[1:])) }
