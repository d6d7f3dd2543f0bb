package journal

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

const perInform = 23

// acknowledged is a journal of a hundred informs of 23 records, as kill -9 leaves
// it.
func acknowledged(t *testing.T) (name string) {
	t.Helper()
	j := open(t, Config{File: file(t)})
	for i := range 100 {
		add(t, j, events(swA, i*perInform, (i+1)*perInform))
	}
	return killed(t, j.cfg.File)
}

// TestDamagedLog: a write-ahead log that was damaged lost events without a word,
// or was "something else than a journal".
func TestDamagedLog(t *testing.T) {
	t.Parallel()
	const n = 100 * perInform
	whole := acknowledged(t)
	flip := func(at func(size int) int) func(main, log []byte) ([]byte, []byte) {
		return func(main, log []byte) ([]byte, []byte) { log[at(len(log))] ^= 4; return main, log }
	}
	for what, c := range map[string]struct {
		hurt func(main, log []byte) ([]byte, []byte)
		left int // events at the least
	}{
		"a bit in the middle":              {flip(func(size int) int { return size / 2 }), n},
		"a bit in the first frame's head":  {flip(func(int) int { return logHeader + 3 }), n},
		"a bit in the first frame's sum":   {flip(func(int) int { return logHeader + 18 }), n},
		"a bit in the first frame's page":  {flip(func(int) int { return logHeader + frameHeader + 4000 }), n},
		"a bit in the header":              {flip(func(int) int { return 2 }), n},
		"a bit in the header's salt":       {flip(func(int) int { return 17 }), n},
		"a bit in the header's sum":        {flip(func(int) int { return 25 }), n},
		"a bit in the last frame":          {flip(func(size int) int { return size - 100 }), n - perInform},
		"a bit in the last frame's head":   {flip(func(size int) int { return size - pageSize - 20 }), n - perInform},
		"the first page erased":            {func(main, log []byte) ([]byte, []byte) { clear(log[:pageSize]); return main, log }, n - 2*perInform},
		"a stretch in the middle erased":   {func(main, log []byte) ([]byte, []byte) { clear(log[len(log)/2:][:3*frameSize]); return main, log }, n - 3*perInform},
		"cut at 90 %":                      {func(main, log []byte) ([]byte, []byte) { return main, log[:len(log)*9/10] }, n*9/10 - 2*perInform},
		"cut between two transactions":     {func(main, log []byte) ([]byte, []byte) { return main, log[:cutAt(log)] }, n / 3},
		"emptied":                          {func(main, log []byte) ([]byte, []byte) { return main, log[:0] }, 0},
		"gone":                             {func(main, log []byte) ([]byte, []byte) { return main, nil }, 0},
		"whole, and the file itself empty": {func(main, log []byte) ([]byte, []byte) { return main[:0], log }, n},
		"whole, and the file itself gone":  {func(main, log []byte) ([]byte, []byte) { return nil, log }, n},
		"whole, and the file is erased":    {func(main, log []byte) ([]byte, []byte) { clear(main); return main, log }, n},
		"nothing":                          {func(main, log []byte) ([]byte, []byte) { return main, log }, n},
	} {
		t.Run(what, func(t *testing.T) {
			name := killed(t, whole)
			main, log := c.hurt(read(t, name), read(t, name+"-wal"))
			replace(t, name, main)
			replace(t, name+"-wal", log)
			reopened(t, name, n, c.left, what != "nothing")
		})
	}
}

// cutAt is where a transaction ends in the middle of a log.
func cutAt(log []byte) int {
	at := logHeader + len(log)/2/frameSize*frameSize
	for bytes.Equal(log[at-frameSize+4:][:4], make([]byte, 4)) {
		at += frameSize
	}
	return at
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// replace writes a file anew; nil removes it.
func replace(t *testing.T, name string, data []byte) {
	t.Helper()
	err := os.Remove(name)
	if data != nil {
		err = os.WriteFile(name, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// reopened opens a journal that had n events and is damaged, and checks that the
// log and the metric say what is lost: once.
func reopened(t *testing.T, name string, n, left int, hurt bool) {
	t.Helper()
	for _, first := range []bool{true, false} {
		var log bytes.Buffer
		j, err := Open(ctx, Config{File: name, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		got, st := all(t, j)[swA], j.Stats()
		lost := 0
		if first {
			lost = n - len(got)
		} else {
			left = len(got)
		}
		if st.Damaged != lost || st.Waiting != len(got) || len(got) < left {
			t.Errorf("%d events are left, %d at least are wanted: %+v", len(got), left, st)
		}
		last := -1
		for _, e := range got {
			i := int(e.At / 1e9)
			if i <= last || e != event(swA, i) {
				t.Fatalf("event %v after %d", e, last)
			}
			last = i
		}
		if said := log.String(); strings.Contains(said, "acknowledged are lost") != (lost > 0) || (said != "") != (hurt && first) {
			t.Errorf("%d events are lost; the log: %s", lost, said)
		}
		next := len(got) == 0 || !first
		if next {
			add(t, j, events(swA, n, n+1))
			if e := all(t, j)[swA]; e[len(e)-1] != event(swA, n) {
				t.Error("a new event is not kept")
			}
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if next {
			break
		}
	}
}

// TestSeenWhileDamaged: to look into a journal that is damaged, without its
// daemon, makes nothing of it: SQLite would cut it off on closing.
func TestSeenWhileDamaged(t *testing.T) {
	name := acknowledged(t)
	log := read(t, name+"-wal")
	log[len(log)/2] ^= 4
	replace(t, name+"-wal", log)
	if _, err := Open(ctx, Config{File: name, Look: true}); err == nil || !strings.Contains(err.Error(), "the daemon saves what can be saved") {
		t.Errorf("%v", err)
	}
	reopened(t, name, 100*perInform, 100*perInform, true)
}

// TestLookCutTheLog: to look into a journal whose last events SQLite does not take,
// without its daemon, cut them off, which the daemon takes in; or cut off what else
// of the log the daemon would.
func TestLookCutTheLog(t *testing.T) {
	t.Parallel()
	const n = 100 * perInform
	whole := acknowledged(t)
	for what, c := range map[string]struct {
		hurt func(log []byte) []byte
		left int // events at the least
	}{
		"a bit in the last frame's sum":  {func(log []byte) []byte { log[len(log)-pageSize-8] ^= 4; return log }, n},
		"a bit in the last frame's page": {func(log []byte) []byte { log[len(log)-3896] ^= 4; return log }, n},
		"a bit of the last frame":        {func(log []byte) []byte { log[len(log)-100] ^= 4; return log }, n - perInform},
		"cut between two transactions":   {func(log []byte) []byte { return log[:cutAt(log)] }, n / 3},
		"emptied":                        {func(log []byte) []byte { return log[:0] }, 0},
	} {
		t.Run(what, func(t *testing.T) {
			name := killed(t, whole)
			main, log := read(t, name), c.hurt(read(t, name+"-wal"))
			replace(t, name+"-wal", log)
			j, err := Open(ctx, Config{File: name, Look: true})
			if err == nil {
				_ = j.Close()
			}
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "left as it is; the daemon saves what can be saved") {
				t.Errorf("%v", err)
			}
			if !bytes.Equal(read(t, name), main) || !bytes.Equal(read(t, name+"-wal"), log) {
				t.Error("looking changed the file, or its log")
			}
			reopened(t, name, n, c.left, true)
		})
	}
	name := killed(t, whole) // kill -9 is no damage
	if j := open(t, Config{File: name, Look: true}); j.Stats().Waiting != n {
		t.Errorf("%+v", j.Stats())
	}
}

// TestSalvageIsCounted: what a damaged file lost was not in the metric.
func TestSalvageIsCounted(t *testing.T) {
	t.Parallel()
	const n = 2000
	for what, hurt := range map[string]func(b []byte) []byte{
		"a page erased":                 func(b []byte) []byte { clear(b[len(b)/4/pageSize*pageSize:][:pageSize]); return b },
		"the end cut off":               func(b []byte) []byte { return b[:len(b)/2] },
		"the header erased, and cut":    func(b []byte) []byte { clear(b[:pageSize]); return b[:len(b)/2+100] },
		"the header erased":             func(b []byte) []byte { clear(b[:pageSize]); return b },
		"a way of writing that is none": func(b []byte) []byte { b[18] = 9; return b },
	} {
		t.Run(what, func(t *testing.T) {
			name := damaged(t, n, hurt)
			j := open(t, Config{File: name})
			got := all(t, j)
			left, st := len(got[swA])+len(got[swB]), j.Stats()
			if st.Waiting != left || st.Damaged != 2*n-1-left {
				t.Errorf("%d of %d left: %+v", left, 2*n-1, st)
			}
			if left < n/2 || !strings.Contains(what, "cut") && left < 2*n-200 {
				t.Errorf("%d of %d are left", left, 2*n-1)
			}
		})
	}
}

// TestSalvageInterrupted: a crash while the saved file is put in place costs
// nothing.
func TestSalvageInterrupted(t *testing.T) {
	name := acknowledged(t)
	log := read(t, name+"-wal")
	log[len(log)/2] ^= 4
	replace(t, name+"-wal", log)
	j := &Journal{cfg: Config{File: name}.withDefaults(), file: name}
	if _, _, err := j.copyRows(ctx, name+filling); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+filling, name+whole); err != nil {
		t.Fatal(err)
	}
	replace(t, name, nil) // as far as it came
	reopened(t, name, 100*perInform, 100*perInform, true)
	replace(t, name+".lock", []byte{}) // of an earlier version
	reopened(t, name, 100*perInform+1, 100*perInform+1, false)
}

// TestRetryFailsOnce: dead letters that could not be tried again at once were
// neither listed nor tried until others were.
func TestRetryFailsOnce(t *testing.T) {
	t.Parallel()
	said := make(chan string, 100)
	j := open(t, Config{File: file(t), Log: slog.New(slog.NewTextHandler(lines(said), nil))})
	add(t, j, events(swA, 0, 1))
	got, _ := j.Next(ctx, swA, 0, 1)
	if err := j.Bury(ctx, &got[0], "refused", "no"); err != nil {
		t.Fatal(err)
	}
	flush(t, j)
	look := open(t, Config{File: j.cfg.File, Look: true})
	obstacle(t, look, "INSERT")
	if n, err := look.Retry(ctx); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if line := <-said; !strings.Contains(line, "not tried again for now") {
		t.Error(line)
	}
	if _, err := look.db.Exec(`DROP TRIGGER obstacle`); err != nil {
		t.Fatal(err)
	}
	select {
	case <-j.Revived():
	case <-time.After(30 * time.Second):
		t.Fatal("they are not tried again")
	}
}

// lines is a writer of log lines.
type lines chan string

func (l lines) Write(b []byte) (int, error) { l <- string(b); return len(b), nil }

// obstacle has changes of events fail.
func obstacle(t *testing.T, j *Journal, change string) {
	t.Helper()
	if _, err := j.db.Exec(`CREATE TRIGGER obstacle BEFORE ` + change + ` ON events BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`); err != nil {
		t.Fatal(err)
	}
}

// TestFailuresAreToldOnce: while the disk was full, the same line came four times
// a second.
func TestFailuresAreToldOnce(t *testing.T) {
	var out bytes.Buffer
	a := again{log: slog.New(slog.NewTextHandler(&out, nil)), text: "failed"}
	now := time.Unix(1000, 0)
	for i := range 61 * 4 {
		a.tell(ctx, errors.New("full"), now.Add(time.Duration(i)*250*time.Millisecond))
	}
	if n := strings.Count(out.String(), "\n"); n != 2 || !strings.Contains(out.String(), "more=239") {
		t.Errorf("%d lines in a minute: %s", n, out.String())
	}
	a.tell(ctx, errors.New("gone"), now)
	a.tell(ctx, nil, now)
	a.tell(ctx, errors.New("gone"), now)
	if n := strings.Count(out.String(), "\n"); n != 4 {
		t.Errorf("%d lines after changes: %s", n, out.String())
	}
}
