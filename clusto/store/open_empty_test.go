package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// TestEmptyOpenedByManyAtOnce was an error for all but one of them: each saw that
// there were no tables, and made them.
func TestEmptyOpenedByManyAtOnce(t *testing.T) {
	for name, newDSN := range map[string]func() string{
		"sqlite":     func() string { return filepath.Join(t.TempDir(), "clusto.db") },
		"postgresql": func() string { return pgtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			for round := range 5 {
				openEmpty(t, fmt.Sprintf("round %d", round), newDSN(), 4)
			}
		})
	}
}

// TestOpenWaitedLongForWAL: where a try had waited for a lock as long as any
// statement does, others came after it for as long again.
func TestOpenWaitedLongForWAL(t *testing.T) {
	busy := busyError(t)
	synctest.Test(t, func(t *testing.T) {
		left, leave := context.WithCancel(t.Context())
		leave()
		for name, tt := range map[string]struct {
			ctx          context.Context
			takes, whole time.Duration
			tries        int
			errs         []error // of the tries, the last again and again
		}{
			"one that waits":  {t.Context(), 5 * time.Second, 5 * time.Second, 1, []error{busy}},
			"two that wait":   {t.Context(), walPatience - time.Millisecond, 2*walPatience + 3*time.Millisecond, 2, []error{busy}},
			"told at once":    {t.Context(), 0, walPatience, 201, []error{busy}},
			"free after two":  {t.Context(), 0, 10 * time.Millisecond, 3, []error{busy, busy, nil}},
			"another trouble": {t.Context(), 0, 0, 1, []error{sql.ErrConnDone}},
			"nobody waits":    {left, 0, 0, 1, []error{busy}},
		} {
			begun, tries := time.Now(), 0
			last := tt.errs[len(tt.errs)-1]
			err := whileBusy(tt.ctx, func() error {
				time.Sleep(tt.takes)
				tries++
				return tt.errs[min(tries, len(tt.errs))-1]
			})
			if took := time.Since(begun); took != tt.whole || tries != tt.tries || !errors.Is(err, last) {
				t.Errorf("%s: %d tries in %s, %v; want %d in %s, %v", name, tries, took, err, tt.tries, tt.whole, last)
			}
		}
	})
}

// busyError gives what SQLite says of a database that another keeps locked.
func busyError(t *testing.T) error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.db")
	runSQLite(t, file, `CREATE TABLE x (n INTEGER)`)
	const write = `INSERT INTO x VALUES (1)`
	var dbs [2]*sql.DB
	for i := range dbs {
		var err error
		dbs[i], err = sql.Open("sqlite", file)
		must(t, err)
		defer dbs[i].Close()
	}
	tx, err := dbs[0].BeginTx(t.Context(), nil)
	must(t, err)
	defer tx.Rollback()
	_, err = tx.ExecContext(t.Context(), write)
	must(t, err)
	if _, err = dbs[1].ExecContext(t.Context(), write); !isBusy(err) {
		t.Fatal("it is not busy: ", err)
	}
	return err
}

// TestIndexAddedByTwoAtOnce was warned of by the one that came second, as if it
// were missing.
func TestIndexAddedByTwoAtOnce(t *testing.T) {
	dsn := pgtest.New(t)
	openTest(t, dsn).Close()
	pgtest.Exec(t, dsn, `DROP INDEX idx_attrs_int_value`)
	first := begun(t, dsn, indexes[3].create())
	var log bytes.Buffer
	opened := make(chan error, 1)
	go func() {
		s, err := Open(context.Background(), dsn, slog.New(slog.NewTextHandler(&log, nil)))
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	for waiting := 0; waiting == 0 && len(opened) == 0; {
		must(t, first.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX%'
			AND datname = current_database()`).Scan(&waiting))
		_, err := first.ExecContext(t.Context(), `SELECT pg_stat_clear_snapshot()`)
		must(t, err)
	}
	must(t, first.Commit())
	if err := <-opened; err != nil || log.Len() > 0 {
		t.Errorf("%v; logged: %s", err, log.String())
	}
}

// openEmpty has n stores open an empty database at once: one of them makes the
// schema and the feed, and all of them write what the others read.
func openEmpty(t *testing.T, what, dsn string, n int) {
	t.Helper()
	logs := make([]bytes.Buffer, n)
	stores := make([]*Store, n)
	begin, done := make(chan struct{}), make(chan int)
	for i := range n {
		go func() {
			<-begin
			s, err := Open(context.Background(), dsn, slog.New(slog.NewTextHandler(&logs[i], &slog.HandlerOptions{Level: slog.LevelWarn})))
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			stores[i] = s
			done <- i
		}()
	}
	close(begin)
	for range n {
		if i := <-done; logs[i].Len() > 0 {
			t.Errorf("%s: logged: %s", what, logs[i].String())
		}
	}
	defer func() {
		for _, s := range stores {
			if s != nil {
				s.Close()
			}
		}
	}()
	for i, s := range stores {
		if s == nil {
			return
		}
		apply(t, s, entity_(fmt.Sprintf("p%d", i), "pool"))
	}
	for _, s := range stores {
		got := rows(t, s)
		for _, row := range []string{"entity 1 clustometa clustometa clustometa 1 -", fmt.Sprintf("entity %d p%d pool pool 1 -", n+1, n-1)} {
			if !slices.Contains(got, row) {
				t.Fatalf("%s: %q is missing in %q", what, row, got)
			}
		}
	}
}
