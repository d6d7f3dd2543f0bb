//go:build race

package macnotify

const raceEnabled = true
