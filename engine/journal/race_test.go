//go:build race

package journal

// raceOn says that the race detector is in.
const raceOn = true
