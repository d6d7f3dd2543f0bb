package store

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"

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
