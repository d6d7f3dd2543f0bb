//go:build race

package dhcp

// raceOn: the race detector allocates on its own, so allocation guards count wrong.
const raceOn = true
