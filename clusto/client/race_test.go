//go:build race

package client_test

const raceDetector = true

// slower is how many times fewer things are tried under the race detector.
const slower = 5
