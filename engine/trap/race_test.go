//go:build race

package trap

// raceOn: the race detector allocates on its own, so allocation guards count wrong.
const raceOn = true
