package journal

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// kept is what files of a journal hold, by what follows their name.
type kept map[string][]byte

var endings = []string{"", "-wal", ".lock"}

func keep(tb testing.TB, name string) kept {
	tb.Helper()
	k := kept{}
	for _, end := range endings {
		b, err := os.ReadFile(name + end)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			tb.Fatal(err)
		}
		k[end] = b
	}
	return k
}

// fuzzed is how many events the journals hold that are corrupted: two pages and a bit. Each is
// written anew where a journal is saved, which takes time.
const fuzzed = 200

// perPage is how many events one page of 4,096 bytes holds at most: beside its body each takes
// its cell's place (2), the lengths of cell and record (1, 1), its number (1), three types (3) and
// its switch (4).
const perPage = 4096 / (bodyLen + 12)

// journals makes one that was closed, and one whose daemon was killed: all of it is
// in the write-ahead log.
func journals(tb testing.TB) [2]kept {
	tb.Helper()
	name := file(tb)
	j := open(tb, Config{File: name})
	add(tb, j, events(swA, 0, fuzzed))
	killed := keep(tb, name)
	if err := j.Close(); err != nil {
		tb.Fatal(err)
	}
	return [2]kept{keep(tb, name), killed}
}

// FuzzFile: with any bytes overwritten, or an end cut off, in any of its files,
// a journal opens or says why it cannot. What it gives then was in it, in
// its order; what is missing it reports; and of a file that was overwritten in
// one place no more is missing than stood there.
func FuzzFile(f *testing.F) {
	all := journals(f)
	for which := range byte(6) {
		if len(all[which%2][endings[which/2%3]]) == 0 {
			continue // a journal that was closed has no log
		}
		for _, at := range []uint32{0, 18, 28, 60, 68, 100, 4100, 20000} {
			f.Add(which, at, []byte{0xff, 0, 0xff}, false)
		}
		f.Add(which, uint32(20000), []byte{}, true)
	}
	f.Fuzz(func(t *testing.T, which byte, at uint32, patch []byte, cut bool) {
		if len(patch) > 4096 {
			return
		}
		from, end := all[which%2], endings[which/2%3]
		name := filepath.Join(corpus.Folder(t), "events.journal")
		for _, other := range endings {
			b := bytes.Clone(from[other])
			if other == end && len(b) > 0 {
				b = corrupt(b, int(at)%len(b), patch, cut)
			}
			if err := os.WriteFile(name+other, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j, err := Open(ctx, Config{File: name})
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("%v", err)
			}
			return // it takes the file for another one's, and leaves it alone
		}
		defer j.Close()
		got := held(t, j)
		lost := fuzzed - len(got)
		if damaged := j.Stats().Damaged; end != ".lock" && damaged < lost {
			t.Errorf("%d events are lost, and %d are reported", lost, damaged)
		}
		if end == "" && !cut && len(from["-wal"]) == 0 {
			first := int(at) % len(from[end])
			if pages := (first+max(len(patch), 1)-1)/4096 - first/4096 + 1; lost > pages*perPage {
				t.Errorf("%d bytes at %d, in %d pages, cost %d events", len(patch), first, pages, lost)
			}
		}
		if end == ".lock" && lost > 0 {
			t.Errorf("a broken mark cost %d events", lost)
		}
	})
}

// held gives the numbers of the events that a journal gives, each of which was put
// into it, once, and in this order.
func held(t *testing.T, j *Journal) (got []int) {
	t.Helper()
	switches, err := j.Switches(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, sw := range switches {
		entries, err := j.Next(ctx, sw, 0, 2*fuzzed)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Event != event(swA, int(e.Seq)-1) {
				t.Fatalf("event %d is %+v, which was never in it", e.Seq, e.Event)
			}
			got = append(got, int(e.Seq))
		}
	}
	if !slices.IsSorted(got) || len(slices.Compact(got)) != len(got) || len(got) > fuzzed {
		t.Errorf("%d events: %v", len(got), got)
	}
	return got
}

func corrupt(b []byte, at int, patch []byte, cut bool) []byte {
	if cut {
		return b[:at]
	}
	copy(b[at:], patch)
	return b
}
