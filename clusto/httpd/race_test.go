//go:build race

package httpd_test

const raceDetector = true
