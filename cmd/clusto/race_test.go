//go:build race

package main

// sampleSize is small here: the race detector slows SQLite down 27 times.
const sampleSize = 100
