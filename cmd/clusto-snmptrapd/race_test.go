//go:build race

package main

const raceEnabled = true

// scaled makes a size one that the race detector copes with.
func scaled(n int) int { return max(1, n/20) }
