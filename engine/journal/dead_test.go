package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/trap"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	name := file(t)
	j := open(t, Config{File: name, Dead: 3})
	add(t, j, events(swA, 0, 6))
	got, _ := j.Next(ctx, swA, 0, 10)
	for i := range got[:5] {
		if err := j.Bury(ctx, &got[i], "unmapped", fmt.Sprintf("port %d is not mapped", i)); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, j)
	look := open(t, Config{File: name, Look: true})
	letters, err := look.Letters(ctx, 10)
	if err != nil || len(letters) != 3 || letters[0].Event != event(swA, 2) || letters[2].Reason != "port 4 is not mapped" || letters[0].Outcome != "unmapped" || letters[0].Died.IsZero() {
		t.Fatalf("%+v, %v", letters, err)
	}
	if st := j.Stats(); st.Waiting != 1 || st.Dead != 3 {
		t.Errorf("%+v", st)
	}
	if n, err := look.Retry(ctx, letters[0].Seq, letters[2].Seq, 12345); n != 2 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	<-j.Revived()
	if got := all(t, j)[swA]; !slices.Equal(got, []trap.Event{event(swA, 5), event(swA, 2), event(swA, 4)}) {
		t.Errorf("after a retry: %v", got)
	}
	if n, err := look.Drop(ctx); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if letters, err := look.Letters(ctx, 10); len(letters) != 0 || err != nil {
		t.Errorf("%v, %v", letters, err)
	}
	if st := j.Stats(); st.Waiting != 3 || st.Dead != 0 {
		t.Errorf("%+v", st)
	}
	add(t, j, events(swA, 6, 8))
	got, _ = j.Next(ctx, swA, 0, 10)
	_ = j.Bury(ctx, &got[0], "refused", "x")
	_ = j.Bury(ctx, &got[1], "refused", "y")
	flush(t, j)
	if n, err := look.Retry(ctx); n != 2 || err != nil {
		t.Fatalf("all: %d, %v", n, err)
	}
	<-j.Revived()
}

// flush has everything written that waits for its group.
func flush(t *testing.T, j *Journal) {
	t.Helper()
	if err := j.flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestDeadLettersInGroups: each dead letter was a transaction of its own, and
// looked for those to give way among all there are. A switch whose ports are not
// mapped then kept the disk busy for all others.
func TestDeadLettersInGroups(t *testing.T) {
	t.Parallel()
	j := open(t, Config{File: file(t), Dead: 500})
	const n = 3 * buryAtOnce
	add(t, j, events(swA, 0, n))
	got, err := j.Next(ctx, swA, 0, n)
	if err != nil || len(got) != n {
		t.Fatal(len(got), err)
	}
	db, err := openFile(j.cfg.File)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	busy, err := db.BeginTx(ctx, nil) // nobody else can write
	if err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	for i := range got {
		if i == buryAtOnce/2 {
			_ = busy.Rollback()
			soon = ctx
		}
		if err := j.Bury(soon, &got[i], "unmapped", "no"); err != nil {
			t.Fatalf("dead letter %d: %v", i, err)
		}
	}
	flush(t, j)
	letters, err := j.Letters(ctx, n)
	if err != nil || len(letters) != 500 || letters[499].Event != got[n-1].Event {
		t.Errorf("%d letters, %v", len(letters), err)
	}
	if st := j.Stats(); st.Waiting != 0 || st.Dead != 500 {
		t.Errorf("%+v", st)
	}
	if got, err := j.Append(events(swA, n, n+5)); got != 5 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
}

// TestDamagedLetterVanished: a dead letter whose sum is wrong was neither listed nor
// tried again, but was among those that there are and that are tried; nothing was said.
func TestDamagedLetterVanished(t *testing.T) {
	t.Parallel()
	for _, while := range []string{"runs", "starts", "is retried"} {
		t.Run("while the daemon "+while, func(t *testing.T) {
			name := file(t)
			var log bytes.Buffer
			cfg := Config{File: name, Log: slog.New(slog.NewTextHandler(&log, nil))}
			j := open(t, cfg)
			add(t, j, events(swA, 0, 2))
			got, _ := j.Next(ctx, swA, 0, 2)
			for i := range got {
				if err := j.Bury(ctx, &got[i], "refused", "no"); err != nil {
					t.Fatal(err)
				}
			}
			flush(t, j)
			if _, err := j.db.Exec(`UPDATE dead SET body = zeroblob(length(body)) WHERE seq = ?`, got[0].Seq); err != nil {
				t.Fatal(err)
			}
			if while == "starts" {
				_ = j.Close()
				j = open(t, cfg)
			}
			look := open(t, Config{File: name, Look: true})
			for who, j := range map[string]*Journal{"daemon": j, "look": look} {
				if who == "daemon" && while == "is retried" {
					continue // it meets it later
				}
				letters, err := j.Letters(ctx, 10)
				if err != nil || len(letters) != 1 || letters[0].Seq != got[1].Seq || j.Stats().Dead != 1 {
					t.Errorf("%s: %+v, %+v, %v", who, letters, j.Stats(), err)
				}
			}
			if n, err := look.Retry(ctx); n != 1 || err != nil {
				t.Errorf("%d are tried again, %v", n, err)
			}
			<-j.Revived()
			if _, err := j.Letters(ctx, 10); err != nil {
				t.Error(err)
			}
			again := all(t, j)[swA]
			if st := j.Stats(); st.Damaged != 1 || st.Dead != 0 || st.Waiting != 1 || !slices.Equal(again, events(swA, 1, 2)) {
				t.Errorf("%+v, %v", st, again)
			}
			_ = j.Close()
			_ = open(t, cfg).Close()
			if said := log.String(); strings.Count(said, "a dead letter in the journal is damaged, and lost") != 1 {
				t.Errorf("the log: %s", said)
			}
		})
	}
}
