//go:build !race

package trap

const raceOn = false
