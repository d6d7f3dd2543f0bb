package journal

import (
	"os"
	"slices"
	"testing"
)

// quiet is a journal that does nothing by itself.
func quiet(t *testing.T, name string) *Journal {
	t.Helper()
	j := open(t, Config{File: name})
	j.stop()
	j.over.Wait()
	return j
}

func pragma(t *testing.T, j *Journal, text string) {
	t.Helper()
	if _, err := j.db.Exec(`PRAGMA ` + text); err != nil {
		t.Fatal(err)
	}
}

// TestTryPassedWhereNothingCouldBeKept: it wrote one page, for which there may be room
// where an event's three have none.
func TestTryPassedWhereNothingCouldBeKept(t *testing.T) {
	j := quiet(t, file(t))
	j.db.SetMaxOpenConns(1) // which has the bound
	pragma(t, j, `max_page_count = 1`)
	if n, err := j.Append(events(swA, 0, perInsert)); err == nil {
		t.Fatalf("%d events had room", n)
	}
	if j.Try(ctx) == nil {
		t.Error("it says that there is room")
	}
	pragma(t, j, `max_page_count = 1000`)
	if err := j.Try(ctx); err != nil {
		t.Error(err)
	}
	add(t, j, events(swA, 0, perInsert))
	if got := all(t, j); len(got) != 1 || !slices.Equal(got[swA], events(swA, 0, perInsert)) {
		t.Errorf("%v", got)
	}
}

// TestTryTakesTheRoomOfAGroup of as many events as one statement writes, in the
// write-ahead log, where a full disk shows.
func TestTryTakesTheRoomOfAGroup(t *testing.T) {
	written := func(what func(*Journal)) int64 {
		j := quiet(t, file(t))
		add(t, j, events(swA, 0, 3))
		pragma(t, j, `wal_checkpoint(TRUNCATE)`)
		what(j)
		st, err := os.Stat(j.cfg.File + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return st.Size()
	}
	group := written(func(j *Journal) { add(t, j, events(swA, 3, 3+perInsert)) })
	tried := written(func(j *Journal) {
		if err := j.Try(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if tried < group {
		t.Errorf("%d bytes are tried, and a group needs %d", tried, group)
	}
}

// TestTryLeavesNothing that anybody reads, and nothing that is saved from a damaged file;
// what comes behind it is numbered on, and needs no more room.
func TestTryLeavesNothing(t *testing.T) {
	name := file(t)
	j := quiet(t, name)
	for i := range 3 {
		add(t, j, events(swA, i, i+1))
		if err := j.Try(ctx); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(name + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	add(t, j, events(swA, 3, 5))
	if after, err := os.Stat(name + "-wal"); err != nil || after.Size() > before.Size() {
		t.Errorf("the log grows from %d bytes to %d: %v", before.Size(), after.Size(), err)
	}
	check := func() {
		t.Helper()
		got, err := j.Next(ctx, swA, 0, 10)
		for i, e := range got {
			if e.Seq != int64(i+1) || e.Event != event(swA, i) {
				t.Errorf("event %d is %+v", i+1, e)
			}
		}
		if st := j.Stats(); err != nil || len(got) != 5 || len(all(t, j)) != 1 || st.Waiting != 5 || st.Damaged != 0 {
			t.Errorf("%d events, %v: %+v", len(got), err, st)
		}
	}
	check()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b := read(t, name)
	copy(b[32:], []byte{0, 0, 0, 2}) // a list of free pages that is none
	replace(t, name, b)
	j = open(t, Config{File: name})
	check()
}
