package journal

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/engine/trap"
)

// rows counts the events in the file.
func rows(t *testing.T, j *Journal) (n int) {
	t.Helper()
	if err := j.db.QueryRow(`SELECT count(*) FROM events`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEndedTwiceCountsOnce: each Done and Bury was taken off the events that wait,
// whether there was such a row or not. Fewer than none waited then, for good, and
// more than Max were let in.
func TestEndedTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	bury := func(j *Journal, e *Entry) {
		if err := j.Bury(ctx, e, "refused", "no"); err != nil {
			t.Error(err)
		}
	}
	for name, end := range map[string]func(j *Journal, e *Entry){
		"done at once":       func(j *Journal, e *Entry) { j.Done(e.Seq, e.Seq); j.Done(e.Seq) },
		"done after a flush": func(j *Journal, e *Entry) { j.Done(e.Seq); flush(t, j); j.Done(e.Seq) },
		"buried":             func(j *Journal, e *Entry) { bury(j, e); bury(j, e); flush(t, j); bury(j, e) },
		"done and buried":    func(j *Journal, e *Entry) { j.Done(e.Seq); bury(j, e) },
	} {
		for _, by := range []string{"a flush", "an append"} {
			t.Run(name+", then "+by, func(t *testing.T) {
				j := open(t, Config{File: file(t), Max: 3})
				add(t, j, events(swA, 0, 3))
				got, err := j.Next(ctx, swA, 0, 1)
				if err != nil || len(got) != 1 {
					t.Fatal(got, err)
				}
				end(j, &got[0])
				if by == "a flush" {
					flush(t, j)
				}
				if n, err := j.Append(events(swA, 3, 6)); n != 1 || !errors.Is(err, trap.ErrFull) {
					t.Errorf("%d were let in: %v", n, err)
				}
				if n := rows(t, j); n != 3 || j.Stats().Waiting != 3 || !j.Full() {
					t.Errorf("%d events in the file, %+v, full: %v", n, j.Stats(), j.Full())
				}
			})
		}
	}
}

// TestDamagedEventIsLostOnce: a damaged event at a switch's end was counted, told
// and ended at each read until it had left the file.
func TestDamagedEventIsLostOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	j := open(t, Config{File: file(t), Log: slog.New(slog.NewTextHandler(&log, nil))})
	add(t, j, events(swA, 0, 3))
	if _, err := j.db.Exec(`UPDATE events SET body = zeroblob(29) WHERE seq = 3`); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if got, err := j.Next(ctx, swA, 0, 10); err != nil || len(got) != 2 {
			t.Fatalf("%v, %v", got, err)
		}
	}
	flush(t, j)
	if n := rows(t, j); n != 2 || j.Stats().Waiting != 2 || j.Stats().Damaged != 1 {
		t.Errorf("%d events in the file, %+v", n, j.Stats())
	}
	if n := strings.Count(log.String(), "is damaged, and lost"); n != 1 {
		t.Errorf("told %d times: %s", n, &log)
	}
}
