// Package fuzz throws random bytes at the codecs, the two engines, the HTTP API
// and the files that the servers and the import read, and holds what they make of it against other
// implementations. Targets that need one package alone are beside it; those that
// join several are here, and those that need other DHCP and SNMP libraries are in
// fuzz/peers, a module of its own. fuzz/corpus is what all of them begin with.
//
// targets.tsv lists all targets; a test fails when one is missing.
//
//	go run ./fuzz/run                # each one for a moment, as .ci/run does
//	go run ./fuzz/run --time 10m     # all of them in turn, or with --jobs 2 two at a time
//	go run ./fuzz/run --only dhcp4
package fuzz

import (
	_ "embed"
	"strings"
)

//go:embed targets.tsv
var targets string

// Target is a Fuzz function.
type Target struct {
	Dir   string // of its package, from the top: "codec/dhcp4"
	Name  string // "FuzzIndex"
	About string // what it holds
}

// Targets lists all targets, those of one package together.
func Targets() (all []Target) {
	for line := range strings.Lines(targets) {
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3); len(f) == 3 && !strings.HasPrefix(line, "#") {
			all = append(all, Target{f[0], f[1], f[2]})
		}
	}
	return all
}

// Module gives the folder of the module that the target is in, and the package
// as that module names it.
func (t Target) Module() (dir, pkg string) {
	const peers = "fuzz/peers"
	if below, ok := strings.CutPrefix(t.Dir, peers); ok {
		return peers, "." + below
	}
	return ".", "./" + t.Dir
}
