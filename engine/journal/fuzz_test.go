package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// journals makes one that was closed, and one whose daemon was killed: all of it is
// in the write-ahead log, in several transactions.
func journals(tb testing.TB) [2]kept {
	tb.Helper()
	name := file(tb)
	j := open(tb, Config{File: name})
	for from := 0; from < fuzzed; from += fuzzed / 10 {
		add(tb, j, events(swA, from, from+fuzzed/10))
	}
	killed := keep(tb, name)
	if err := j.Close(); err != nil {
		tb.Fatal(err)
	}
	return [2]kept{keep(tb, name), killed}
}

// span is a part of a file.
type span struct{ from, to int }

func (s span) meets(o span) bool { return s.from < o.to && o.from < s.to }

// pieces are the pages of a file, or the frames of its log: what SQLite writes, and has
// a sum for, as one.
func pieces(end string, size int) (all []span) {
	first, each := 0, pageSize
	if end == "-wal" {
		first, each = logHeader, frameSize
	}
	for at := first; at < size; at += each {
		all = append(all, span{at, min(at+each, size)})
	}
	return all
}

// copies gives for each event, by its number, where it stands: the pieces of each file
// that are leaves of a table. What else is on a page are remains of rows that moved.
func copies(tb testing.TB, k kept) (all [fuzzed + 1]map[string][]span) {
	tb.Helper()
	for seq := range all {
		all[seq] = map[string][]span{}
	}
	for end, b := range k {
		for _, p := range pieces(end, len(b)) {
			if end == ".lock" {
				continue
			}
			for seq := 1; seq <= fuzzed; seq++ {
				e := event(swA, seq-1)
				if b[p.to-pageSize] == leafOfTable && bytes.Contains(b[p.from:p.to], appendBody(nil, int64(seq), &e)) {
					all[seq][end] = append(all[seq][end], p)
				}
			}
		}
	}
	for seq := 1; seq <= fuzzed; seq++ {
		if len(all[seq]) == 0 {
			tb.Fatalf("event %d is nowhere", seq)
		}
	}
	return all
}

// FuzzFile: with any bytes overwritten, or an end cut off, in any of its files, every
// event is still held of which one copy at least stands where nothing was done to it:
// on a page of the file, or in a frame of the log. An overwritten piece costs no more
// than what only it holds, a cut no more than what lies behind it. What a journal gives
// was in it, in its order, and what is missing is reported, to the number. One that
// cannot be told from another program's file is refused: only if its first page is hit,
// in a sentence, and with nothing changed. One that opens goes on: it takes events, and gives
// them and what it had when it is opened once more, as its lock says.
func FuzzFile(f *testing.F) {
	all := journals(f)
	where := [2][fuzzed + 1]map[string][]span{copies(f, all[0]), copies(f, all[1])}
	for which := range byte(6) {
		if len(all[which%2][endings[which/2%3]]) == 0 {
			continue // a journal that was closed has no log
		}
		// Where SQLite's head has its magic, formats, size, list of free pages, user version and application id
		// (the log its own head); the first tree; and pages behind it.
		for _, at := range []uint32{0, 18, 28, 32, 60, 68, 100, 4100, 4128, 8300, 20000, 40000} {
			f.Add(which, at, []byte{0xff, 0, 0xff}, false)
			f.Add(which, at, []byte{0, 0, 0, 2}, false)
			f.Add(which, at, []byte{}, true)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, at uint32, patch []byte, cut bool) {
		if len(patch) > 4096 {
			return
		}
		from, end := all[which%2], endings[which/2%3]
		name := filepath.Join(corpus.Folder(t), "events.journal")
		put := kept{}
		var hit span
		for _, other := range endings {
			b := bytes.Clone(from[other])
			if other == end && len(b) > 0 {
				first := int(at) % len(b)
				if hit = (span{first, first + len(patch)}); cut {
					hit.to = len(b)
				}
				b = corrupt(b, first, patch, cut)
			}
			put[other] = b
			if err := os.WriteFile(name+other, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		j, err := Open(ctx, Config{File: name})
		if err != nil {
			refusedRightly(t, err, name, from, end, hit)
			if now := keep(t, name); !bytes.Equal(now[""], put[""]) || !bytes.Equal(now["-wal"], put["-wal"]) {
				t.Errorf("it is refused, and changed: %v", err)
			}
			return
		}
		got := held(t, j)
		if lost, damaged := fuzzed-len(got), j.Stats().Damaged; damaged != lost {
			t.Errorf("%d events are lost, and %d are reported", lost, damaged)
		}
		for seq := 1; seq <= fuzzed; seq++ {
			if !slices.Contains(got, seq) && spared(where[which%2][seq], end, hit) {
				t.Errorf("event %d is lost, and stands where nothing was done to it: %v but for %v of %q", seq, where[which%2][seq], hit, end)
				return
			}
		}
		goesOn(t, j, name, got)
	})
}

// goesOn: a journal that was opened takes events, its lock says how many wait with them, and it has
// them and all that it had when it is opened once more, which reports nothing.
func goesOn(t *testing.T, j *Journal, name string, before []int) {
	t.Helper()
	const more = 3
	n, err := j.Append(events(swB, 0, more))
	if err = errors.Join(err, j.Close()); err != nil || n != more {
		t.Fatalf("%d of %d events are taken: %v", n, more, err)
	}
	lock := keep(t, name)[".lock"]
	if j, err = Open(ctx, Config{File: name}); err != nil {
		t.Fatalf("it is refused when it is opened once more: %v", err)
	}
	defer j.Close()
	if got, damaged := held(t, j), j.Stats().Damaged; !slices.Equal(got, before) || damaged != 0 {
		t.Errorf("%d events are there once more, and were %d; %d are reported", len(got), len(before), damaged)
	}
	added, err := j.Next(ctx, swB, 0, 2*more)
	if err != nil || len(added) != more {
		t.Fatalf("%d of %d events that were added: %v", len(added), more, err)
	}
	says := binary.BigEndian.AppendUint64(nil, uint64(added[more-1].Seq))
	says = binary.BigEndian.AppendUint64(says, uint64(len(before)+more))
	says = binary.BigEndian.AppendUint32(says, crc32.Checksum(says, castagnoli))
	if !bytes.HasPrefix(lock, says) {
		t.Errorf("the lock says % x, want % x: that %d wait", lock, says, len(before)+more)
	}
	for i, e := range added {
		if e.Event != event(swB, i) || len(before) > 0 && e.Seq <= int64(before[len(before)-1]) {
			t.Errorf("event %d, added as %d behind %v: %+v", e.Seq, i, before, e.Event)
		}
	}
}

// spared reports whether one copy of an event was not hit.
func spared(copies map[string][]span, end string, hit span) bool {
	for in, all := range copies {
		if slices.ContainsFunc(all, func(s span) bool { return in != end || !s.meets(hit) }) {
			return true
		}
	}
	return false
}

// refusedRightly: what makes a file a journal is on its first page. It is refused in one
// sentence, which names it and says what to do.
func refusedRightly(t *testing.T, err error, name string, from kept, end string, hit span) {
	t.Helper()
	text := err.Error()
	advice := strings.HasSuffix(text, "give another name")
	if !errors.Is(err, ErrConfig) || !strings.Contains(text, "journal file "+name+": ") || !advice || strings.Contains(text, "\n") {
		t.Errorf("%v", err)
	}
	first := pieces(end, len(from[end]))
	first = slices.DeleteFunc(first, func(s span) bool {
		return end == "" && s.from > 0 || end == "-wal" && binary.BigEndian.Uint32(from[end][s.from:]) != 1 || end == ".lock"
	})
	if !slices.ContainsFunc(first, hit.meets) && (end != "-wal" || hit.from >= logHeader) {
		t.Errorf("%v of %q is hit, and the journal is refused: %v", hit, end, err)
	}
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
		if sw == swB {
			continue // goesOn looks at these
		}
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

// TestDamagedListOfFreePagesHidEvents: a damaged header may name any page as one that is
// not in use, and what stood there was left out of what was saved.
func TestDamagedListOfFreePagesHidEvents(t *testing.T) {
	k := journals(t)[0]
	name := file(t)
	for end, b := range k {
		if end == "" {
			copy(b[32:], []byte{0, 0, 0, 2})
		}
		if err := os.WriteFile(name+end, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := held(t, open(t, Config{File: name})); len(got) != fuzzed {
		t.Errorf("%d events of %d", len(got), fuzzed)
	}
}
