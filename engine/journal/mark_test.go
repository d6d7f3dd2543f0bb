package journal

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// onLine calls a function when a line with a word is logged.
type onLine struct {
	word string
	then func()
}

func (l onLine) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(l.word)) {
		l.then()
	}
	return len(b), nil
}

// TestKilledBeforeTheLossWasTold: the mark was lowered before what was lost had been
// told, so that a daemon that was killed between never told it.
func TestKilledBeforeTheLossWasTold(t *testing.T) {
	for what, name := range map[string]string{
		"a damaged dead letter":    endsEarly(t),
		"events at the log's end":  lastFrameHurt(t),
		"both, and the log is cut": endsEarly(t, 50),
		"a page in the middle":     pageErased(t),
	} {
		t.Run(what, func(t *testing.T) {
			again := ""
			said := onLine{"acknowledged are lost", func() { again = killed(t, name) }}
			j := open(t, Config{File: name, Log: slog.New(slog.NewTextHandler(said, nil))})
			lost := j.Stats().Damaged
			if again == "" || lost == 0 {
				t.Fatalf("%d are lost, and nothing is told", lost)
			}
			if st := open(t, Config{File: again}).Stats(); st.Damaged != lost || st.Waiting != j.Stats().Waiting {
				t.Errorf("killed meanwhile: %+v, want %+v", st, j.Stats())
			}
			if st := open(t, Config{File: killed(t, name)}).Stats(); st.Damaged != 0 {
				t.Errorf("told once more: %+v", st)
			}
		})
	}
}

// endsEarly is a journal that lost a hundred events, but for the parts of its log
// that are kept, in percent, and that has a damaged dead letter.
func endsEarly(t *testing.T, kept ...int) (name string) {
	t.Helper()
	j := open(t, Config{File: file(t)})
	add(t, j, events(swA, 0, 3))
	got, err := j.Next(ctx, swA, 0, 1)
	if err == nil {
		err = j.Bury(ctx, &got[0], "refused", "no")
	}
	if err != nil {
		t.Fatal(err)
	}
	flush(t, j)
	for _, text := range []string{`UPDATE dead SET outcome = 'hurt', body = zeroblob(29)`, `PRAGMA wal_checkpoint(TRUNCATE)`} {
		if _, err := j.db.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		add(t, j, events(swA, 10*i, 10*i+10))
	}
	name = killed(t, j.cfg.File)
	log := read(t, name+"-wal")
	size := 0
	for _, percent := range kept {
		size += len(log) * percent / 100
	}
	replace(t, name+"-wal", log[:size])
	return name
}

// pageErased is a journal that lost a page in its middle: its last event is there.
func pageErased(t *testing.T) (name string) {
	t.Helper()
	return damaged(t, 2000, func(b []byte) []byte {
		at := len(b) / 2 / pageSize * pageSize
		for b[at] != leafOfTable {
			at += pageSize
		}
		clear(b[at:][:pageSize])
		return b
	})
}

// TestDoneEventsHidALoss: where the list of free pages is damaged, events that were done
// are found again, and made up for others that were lost.
func TestDoneEventsHidALoss(t *testing.T) {
	name := file(t)
	j := open(t, Config{File: name})
	add(t, j, events(swA, 0, 4000))
	got, err := j.Next(ctx, swA, 0, 2000)
	if err != nil || len(got) != 2000 {
		t.Fatal(len(got), err)
	}
	for _, e := range got {
		j.Done(e.Seq)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b, hurt := read(t, name), event(swA, 2999)
	copy(b[32:], []byte{0, 0, 0, 2})
	for at := 0; at < len(b); at += pageSize {
		if page := b[at:][:pageSize]; page[0] == leafOfTable && bytes.Contains(page, appendBody(nil, 3000, &hurt)) {
			clear(page)
		}
	}
	replace(t, name, b)
	var log bytes.Buffer
	j = open(t, Config{File: name, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if st := j.Stats(); st.Waiting <= 2000 || st.Damaged != 1 || !strings.Contains(log.String(), "whether others are lost is not known") {
		t.Errorf("%+v: %s", st, log.String())
	}
}

// lastFrameHurt is a journal whose last events SQLite does not take, and some of
// which nobody can.
func lastFrameHurt(t *testing.T) (name string) {
	t.Helper()
	name = acknowledged(t)
	log := read(t, name+"-wal")
	clear(log[len(log)-2*frameSize:])
	replace(t, name+"-wal", log)
	return name
}

// TestForeignToWhoLooksOnly: a journal of which nothing can be read was something
// else than a journal to one that looks and to the check of a configuration; the
// daemon, which reads the mark first, takes it.
func TestForeignToWhoLooksOnly(t *testing.T) {
	name := acknowledged(t)
	replace(t, name, bytes.Repeat([]byte("no journal "), 1000))
	replace(t, name+"-wal", nil)
	if !checked(t, name, "") {
		t.Error("it is not damaged")
	}
	if _, err := Open(ctx, Config{File: name, Look: true}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "the daemon saves what can be saved") {
		t.Errorf("%v", err)
	}
	if st := open(t, Config{File: name}).Stats(); st.Damaged != 100*perInform {
		t.Errorf("%+v", st)
	}
}
