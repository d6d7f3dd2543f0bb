//go:build !race

package clusto

const raceDetector = false
