package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/labtest"
	"github.com/clusto/clusto-engine/engine/trap"
)

var (
	swA, swB = [4]byte{10, 0, 0, 1}, [4]byte{192, 168, 255, 254}
	ctx      = context.Background()
)

// event makes the n-th event of a switch, which says its number everywhere.
func event(sw [4]byte, n int) trap.Event {
	return trap.Event{
		At: int64(n) * 1e9, Switch: sw, MAC: [6]byte{0, 0x1e, 0xc9, byte(n >> 16), byte(n >> 8), byte(n)},
		VLAN: uint16(n), Port: uint16(n + 1), From: uint16(n + 2), Op: trap.Learnt,
	}
}

func events(sw [4]byte, from, to int) (out []trap.Event) {
	for n := from; n < to; n++ {
		out = append(out, event(sw, n))
	}
	return out
}

func open(t testing.TB, cfg Config) *Journal {
	t.Helper()
	j, err := Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "events.journal") }

func add(t testing.TB, j *Journal, ev []trap.Event) {
	t.Helper()
	if n, err := j.Append(ev); err != nil || n != len(ev) {
		t.Fatalf("%d of %d: %v", n, len(ev), err)
	}
}

// all reads everything that waits, by switch.
func all(t testing.TB, j *Journal) map[[4]byte][]trap.Event {
	t.Helper()
	switches, err := j.Switches(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := map[[4]byte][]trap.Event{}
	for _, sw := range switches {
		for after := int64(0); ; {
			got, err := j.Next(ctx, sw, after, 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 {
				break
			}
			for _, e := range got {
				out[sw] = append(out[sw], e.Event)
				after = e.Seq
			}
		}
	}
	return out
}

func TestEventsComeBack(t *testing.T) {
	name := file(t)
	j := open(t, Config{File: name})
	add(t, j, events(swA, 0, 3))
	add(t, j, events(swB, 0, 250)) // more than one INSERT takes
	add(t, j, events(swA, 3, 5))
	add(t, j, nil)
	check := func() {
		t.Helper()
		got := all(t, j)
		if len(got) != 2 || !slices.Equal(got[swA], events(swA, 0, 5)) || !slices.Equal(got[swB], events(swB, 0, 250)) {
			t.Errorf("%v", got)
		}
		if st := j.Stats(); st.Waiting != 255 || st.Dead != 0 || st.Damaged != 0 {
			t.Errorf("%+v", st)
		}
	}
	check()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, Config{File: name})
	check()
}

func TestDoneEventsLeave(t *testing.T) {
	name := file(t)
	j := open(t, Config{File: name})
	add(t, j, events(swA, 0, 10))
	got, err := j.Next(ctx, swA, 0, 4)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d: %v", len(got), err)
	}
	for _, e := range got {
		j.Done(e.Seq)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, Config{File: name})
	if got := all(t, j)[swA]; !slices.Equal(got, events(swA, 4, 10)) || j.Stats().Waiting != 6 {
		t.Errorf("%v", got)
	}
}

// TestSequenceGoesOn: an event never gets the number of one that is gone, or a
// reader behind that number would miss it.
func TestSequenceGoesOn(t *testing.T) {
	j := open(t, Config{File: file(t)})
	add(t, j, events(swA, 0, 2))
	got, _ := j.Next(ctx, swA, 0, 10)
	j.Done(got[0].Seq, got[1].Seq)
	add(t, j, events(swA, 2, 3)) // takes the others out
	next, err := j.Next(ctx, swA, got[1].Seq, 10)
	if err != nil || len(next) != 1 || next[0].Event != event(swA, 2) {
		t.Errorf("%v, %v", next, err)
	}
}

func TestJournalIsBounded(t *testing.T) {
	j := open(t, Config{File: file(t), Max: 5})
	n, err := j.Append(events(swA, 0, 7))
	if n != 5 || !errors.Is(err, trap.ErrFull) {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := j.Append(events(swA, 7, 8)); n != 0 || !errors.Is(err, trap.ErrFull) {
		t.Fatalf("%d, %v", n, err)
	}
	if !j.Full() {
		t.Error("it does not say that it is full")
	}
	got, _ := j.Next(ctx, swA, 0, 2)
	if j.Done(got[0].Seq, got[1].Seq); j.Full() {
		t.Error("it says that it is full")
	}
	if n, err := j.Append(events(swA, 7, 9)); n != 2 || err != nil {
		t.Errorf("after two are done: %d, %v", n, err)
	}
	if got := all(t, j)[swA]; !slices.Equal(got, append(events(swA, 2, 5), events(swA, 7, 9)...)) {
		t.Errorf("%v", got)
	}
}

func TestFilesThatAreNoJournal(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("users: 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "inventory.db")
	db, err := openFile(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE entities (id INTEGER)`); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	used := filepath.Join(dir, "used")
	open(t, Config{File: used})
	for _, c := range []struct {
		cfg  Config
		says string
	}{
		{Config{}, "no name"},
		{Config{File: text}, "something else than a journal"},
		{Config{File: other}, "something else than a journal"},
		{Config{File: dir}, "no regular file"},
		{Config{File: filepath.Join(dir, "missing", "j")}, "folder"},
		{Config{File: used}, "another process uses it"},
		{Config{File: filepath.Join(dir, "none"), Look: true}, "there is no journal"},
	} {
		j, err := Open(ctx, c.cfg)
		if err == nil {
			_ = j.Close()
		}
		if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say %q", c.cfg.File, err, c.says)
		}
	}
	if data, err := os.ReadFile(text); err != nil || string(data) != "users: 5\n" {
		t.Errorf("another's file was touched: %q, %v", data, err)
	}
}

// damaged is a journal of two switches' events and dead letters that is closed,
// and then hurt by fn.
func damaged(t *testing.T, n int, fn func(data []byte) []byte) (name string) {
	t.Helper()
	name = file(t)
	j := open(t, Config{File: name})
	add(t, j, events(swA, 0, n))
	add(t, j, events(swB, 0, n))
	got, _ := j.Next(ctx, swA, 0, 1)
	if err := j.Bury(ctx, &got[0], "refused", "no"); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, fn(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestDamageIsSurvived: whatever happens to the file, the journal opens, says
// what is lost, gives no event that never was, and takes new ones.
func TestDamageIsSurvived(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	const n = 2000
	cases := map[string]func([]byte) []byte{
		"cut in the middle":    func(b []byte) []byte { return b[:len(b)/2/pageSize*pageSize] },
		"cut inside a page":    func(b []byte) []byte { return b[:len(b)/2/pageSize*pageSize+100] },
		"the last page erased": func(b []byte) []byte { clear(b[len(b)-pageSize:]); return b },
		"one page erased":      func(b []byte) []byte { p := len(b) / 2 / pageSize * pageSize; clear(b[p : p+pageSize]); return b },
		"the header erased":    func(b []byte) []byte { clear(b[:pageSize]); return b },
	}
	for i := range 8 {
		cases[fmt.Sprintf("random bytes, %d", i)] = func(b []byte) []byte {
			for range 20 {
				b[pageSize+rnd.IntN(len(b)-pageSize)] ^= byte(1 + rnd.IntN(255))
			}
			return b
		}
	}
	for what, hurt := range cases {
		t.Run(what, func(t *testing.T) {
			var log bytes.Buffer
			name := damaged(t, n, hurt)
			j := open(t, Config{File: name, Log: slog.New(slog.NewTextHandler(&log, nil))})
			got := all(t, j)
			have := 0
			for _, sw := range [][4]byte{swA, swB} {
				last := -1
				for _, e := range got[sw] {
					i := int(e.At / 1e9)
					if i <= last || e != event(sw, i) {
						t.Fatalf("event %v after %d", e, last)
					}
					last = i
				}
				have += len(got[sw])
			}
			if have < 2*n-1 && !strings.Contains(log.String(), "damaged") {
				t.Errorf("%d events are lost and nobody was told: %s", 2*n-1-have, log.String())
			}
			t.Logf("%d of %d events left", have, 2*n-1)
			if strings.HasPrefix(what, "random") || what == "the header erased" {
				t.Logf("%s may hit the root of all", what)
			} else if have < n/2 {
				t.Errorf("%d of %d events left", have, 2*n-1)
			}
			add(t, j, events(swA, n, n+1))
			if e := all(t, j)[swA]; len(e) == 0 || e[len(e)-1] != event(swA, n) {
				t.Error("a new event is not kept")
			}
		})
	}
}

// TestKilledJournal: what Append returned for is there after kill -9.
func TestKilledJournal(t *testing.T) {
	if name := os.Getenv("JOURNAL_TO_FILL"); name != "" {
		fillUntilKilled(t, name)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	name := file(t)
	last := -1
	for range 10 {
		acked := killedFiller(t, name, rnd.IntN(400))
		if acked > last {
			last = acked
		}
		j := open(t, Config{File: name})
		got := all(t, j)[swA]
		if len(got) <= last || !slices.Equal(got, events(swA, 0, len(got))) {
			t.Fatalf("%d events in the journal, %d were acknowledged", len(got), last+1)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d events in ten lives", last+1)
}

// killedFiller runs a process that appends, kills it after so many lines, and
// gives the last event that it said was kept.
func killedFiller(t *testing.T, name string, lines int) (acked int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledJournal$")
	cmd.Env = append(os.Environ(), "JOURNAL_TO_FILL="+name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all bytes.Buffer
	buf := make([]byte, 4096)
	for bytes.Count(all.Bytes(), []byte("\n")) <= lines {
		n, err := out.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			t.Fatalf("the filler ended by itself: %s", all.String())
		}
	}
	_ = cmd.Process.Kill()
	for {
		n, err := out.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
	}
	_ = cmd.Wait()
	acked = -1
	for line := range strings.Lines(all.String()) {
		if n, err := strconv.Atoi(strings.TrimSuffix(line, "\n")); err == nil && strings.HasSuffix(line, "\n") {
			acked = n
		}
	}
	return acked
}

func fillUntilKilled(t *testing.T, name string) {
	j := open(t, Config{File: name})
	for n := len(all(t, j)[swA]); ; n++ {
		add(t, j, events(swA, n, n+1))
		fmt.Println(n)
	}
}

// TestManyAtOnce: appending, reading, burying and ending go on beside each other.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	j := open(t, Config{File: file(t)})
	const groups, size = 30, 50
	var wg sync.WaitGroup
	for _, sw := range [][4]byte{swA, swB} {
		wg.Go(func() {
			seen := 0
			for after := int64(0); seen < groups*size; {
				got, err := j.Next(ctx, sw, after, 20)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range got {
					if got[i].Event != event(sw, seen) {
						t.Errorf("event %d is %v", seen, got[i])
						return
					}
					if seen%10 == 0 {
						if err := j.Bury(ctx, &got[i], "refused", "no"); err != nil {
							t.Error(err)
						}
					} else {
						j.Done(got[i].Seq)
					}
					after = got[i].Seq
					seen++
				}
			}
		})
	}
	for g := range groups {
		for _, sw := range [][4]byte{swA, swB} {
			if n, err := j.Append(events(sw, g*size, (g+1)*size)); n != size || err != nil {
				t.Fatalf("%d, %v", n, err)
			}
		}
	}
	wg.Wait()
	if err := j.flush(ctx); err != nil {
		t.Fatal(err)
	}
	// The journal's own tidying may be at work on some of them still.
	labtest.Until(t, 10*time.Second, "all have ended", func() bool {
		st := j.Stats()
		return st.Waiting == 0 && st.Dead == 2*groups*size/10
	}, func() any { return j.Stats() })
}

func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1, 100, 10_000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			j := open(b, Config{File: file(b), Max: 1 << 30})
			ev := events(swA, 0, size)
			for b.Loop() {
				add(b, j, ev)
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkDamagedLetters: each was looked for among all that had been met.
func BenchmarkDamagedLetters(b *testing.B) {
	for _, n := range []int64{1000, 100_000} {
		b.Run(strconv.FormatInt(n, 10), func(b *testing.B) {
			for b.Loop() {
				j := &Journal{cfg: Config{Log: slog.New(slog.DiscardHandler)}}
				for seq := range 2 * n { // each is met twice
					j.letter(seq%n, nil)
				}
			}
		})
	}
}
