//go:build !race

package main

const raceEnabled = false

// scaled makes a size one that the race detector copes with, where it runs.
func scaled(n int) int { return n }
