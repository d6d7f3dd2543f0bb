// Package pcaptest reads the recordings that the codecs' tests begin with.
package pcaptest

import (
	"encoding/binary"
	"os"
	"testing"
)

// Frames gives the frames of a pcap file of an Ethernet interface, in their
// order: a header of 24 bytes, and 16 in front of each frame, whose third word
// is its length.
func Frames(tb testing.TB, file string) (frames [][]byte) {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if len(b) < 24 || binary.LittleEndian.Uint32(b) != 0xa1b2c3d4 {
		tb.Fatalf("%s is no pcap file of a little-endian machine", file)
	}
	for b = b[24:]; len(b) > 0; {
		end := 16 + binary.LittleEndian.Uint32(b[8:])
		frames = append(frames, b[16:end:end])
		b = b[end:]
	}
	return frames
}

// Traps gives the UDP payloads of codec/snmp's recording, in their order: what
// net-snmp's tools and a raw socket sent to the original. No frame has tags or
// is padded. dir is that of codec/snmp.
func Traps(tb testing.TB, dir string) (payloads [][]byte) {
	tb.Helper()
	for _, f := range Frames(tb, dir+"/testdata/traps.pcap") {
		ip := f[14:]
		payloads = append(payloads, ip[int(ip[0]&15)*4+8:])
	}
	return payloads
}
