//go:build !race

package main

const sampleSize = 1500 // servers
