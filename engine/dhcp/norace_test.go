//go:build !race

package dhcp

const raceOn = false
