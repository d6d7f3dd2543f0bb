//go:build race

package clusto

const raceDetector = true
