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
