package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/cmd/internal/daemon"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// captures are files of --replay, two whole ones of three packets and damaged ones, that have been of interest.
func captures(tb testing.TB) [][]byte {
	tb.Helper()
	pcap, ng := contents(tb, recording), pcapng(tb)
	first := bytes.Index(ng, []byte{6, 0, 0, 0}) // an enhanced packet
	block := int(binary.LittleEndian.Uint32(ng[first+4:]))
	cut, ngCut := pcap[:24+3*200], ng[:first+3*block+100]
	pcap, ng = pcap[:24+3*(16+174)], ng[:first+3*block]
	all := [][]byte{pcap, ng, cut, ngCut, pcap[:24], ng[:20], nil, {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}}
	// The version, the longest packet and the link type of a pcap; the two lengths of its first packet, one of
	// its second.
	for _, at := range []int{4, 16, 20, 24 + 8, 24 + 12, 24 + 16 + 174 + 8} {
		all = append(all, patched(pcap, at, 0xff, 0xff, 0xff, 0x7f))
	}
	// Each word of the first enhanced packet; and it as a simple and as an obsolete packet, of other lengths.
	for at := 4; at < 28; at += 4 {
		all = append(all, patched(ng, first+at, 0xff, 0xff, 0xff, 0x7f), patched(ng, first, 3, 0, 0, 0, byte(8+at)), patched(ng, first, 2, 0, 0, 0, byte(8+at)))
	}
	// A packet of 256 MB, in a file that allows for it.
	long := patched(pcap, 16, 0xff, 0xff, 0xff, 0xff)
	return append(all, patched(long, 24+8, 0, 0, 0, 0x10, 0, 0, 0, 0x10))
}

func patched(b []byte, at int, with ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], with)
	return b
}

// FuzzCapture: whatever is in a file for --replay, it is refused in one line, or its
// frames come, as they stand in the file and in that order; the end of the file is that
// of the capture only behind a whole packet, and anything else is an error. A length
// that the file claims takes no memory. Whole captures are taken.
func FuzzCapture(f *testing.F) {
	seeds := captures(f)
	for _, b := range seeds[:2] {
		threeFrames(f, b)
	}
	for _, b := range seeds {
		f.Add(b)
	}
	name := filepath.Join(corpus.Folder(f), "capture")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		before := allocated()
		next, err := readCapture(file)
		if err != nil {
			oneSentence(t, err)
			return
		}
		frames, err := all(t, next, len(b))
		zipped := bytes.HasPrefix(b, []byte{0x1f, 0x8b})
		if most := uint64(1<<20 + 16*len(b)); allocated()-before > most && !zipped {
			t.Errorf("%d bytes of memory for a file of %d", allocated()-before, len(b))
		}
		if zipped {
			return
		}
		rest := b
		for i, data := range frames {
			at := bytes.Index(rest, data)
			if at < 0 {
				t.Fatalf("frame %d is not in the file: % x", i, data)
			}
			rest = rest[at+len(data):]
		}
		if n, whole := packets(b); err == nil && (!whole || n != len(frames)) {
			t.Errorf("%d frames, and no error, of %d packets; the file ends behind one: %v", len(frames), n, whole)
		}
	})
}

// threeFrames: a whole capture gives its packets.
func threeFrames(tb testing.TB, b []byte) {
	tb.Helper()
	file, err := os.Open(write(tb, b))
	must(tb, err)
	defer file.Close()
	next, err := readCapture(file)
	must(tb, err)
	frames, err := all(tb, next, len(b))
	if err != nil || len(frames) != 3 || slices.ContainsFunc(frames, func(b []byte) bool { return len(b) != 174 }) {
		tb.Fatalf("%d frames, and %v", len(frames), err)
	}
}

// all reads a capture to its end.
func all(t testing.TB, next daemon.Frames, size int) (frames [][]byte, err error) {
	t.Helper()
	for {
		data, _, _, err := next()
		if errors.Is(err, io.EOF) {
			return frames, nil
		} else if err != nil {
			oneSentence(t, err)
			return frames, err
		}
		if frames = append(frames, data); len(frames) > 1100*size {
			t.Fatalf("%d frames of a file of %d bytes", len(frames), size)
		}
	}
}

func oneSentence(t testing.TB, err error) {
	t.Helper()
	if text := err.Error(); text == "" || strings.ContainsAny(text, "\n\r") {
		t.Errorf("%q", text)
	}
}

// allocated is how many bytes of memory this program has asked for.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// packets counts the packets of a file in the plainest words; whole says that it ends
// behind one.
func packets(b []byte) (n int, whole bool) {
	if binary.BigEndian.Uint32(b) == 0x0a0d0d0a {
		return packetsOfBlocks(b)
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if b[0] == 0xa1 {
		order = binary.BigEndian
	}
	for b = b[24:]; len(b) >= 16; n++ {
		size := 16 + int(order.Uint32(b[8:]))
		if size > len(b) {
			return n, false
		}
		b = b[size:]
	}
	return n, len(b) == 0
}

func packetsOfBlocks(b []byte) (n int, whole bool) {
	order := binary.ByteOrder(binary.LittleEndian)
	for len(b) >= 12 {
		if binary.BigEndian.Uint32(b) == 0x0a0d0d0a {
			order = binary.LittleEndian
			if binary.BigEndian.Uint32(b[8:]) == 0x1a2b3c4d {
				order = binary.BigEndian
			}
		}
		size := int(order.Uint32(b[4:]))
		if size < 12 || size > len(b) {
			return n, false
		}
		switch order.Uint32(b) {
		case 2, 3, 6:
			n++
		}
		b = b[size:]
	}
	return n, len(b) == 0
}

// TestLengthInACaptureTookMemory: a packet's length that a file claims was made room
// for before anything of it was read, up to 4 GB.
func TestLengthInACaptureTookMemory(t *testing.T) {
	pcap, ng := contents(t, recording), pcapng(t)
	first := bytes.Index(ng, []byte{6, 0, 0, 0})
	huge := []byte{0, 0, 0, 0x10}
	for name, b := range map[string][]byte{
		"pcap":            patched(patched(pcap, 16, 0xff, 0xff, 0xff, 0xff), 24+8, append(huge, huge...)...),
		"enhanced packet": patched(ng, first+20, huge...),
		"obsolete packet": patched(patched(ng, first, 2), first+20, huge...),
		"simple packet":   patched(patched(ng, first, 3), first+8, huge...),
	} {
		file, err := os.Open(write(t, b))
		must(t, err)
		before := allocated()
		next, err := readCapture(file)
		if err == nil {
			_, _, _, err = next()
		}
		if n := allocated() - before; err == nil || errors.Is(err, io.EOF) || n > 1<<20 {
			t.Errorf("%s: %v, with %d bytes of memory", name, err, n)
		}
		file.Close()
	}
}
