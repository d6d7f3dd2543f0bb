package store

import (
	"errors"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// TestFeedDoesNotBeginWithoutTriggers: who may not make lost triggers anew is
// told at once, and not that a feed begins.
func TestFeedDoesNotBeginWithoutTriggers(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	openTest(t, file).Close()
	s := openTest(t, file+"?mode=ro")
	runSQLite(t, file, `DROP TRIGGER clusto_feed_attrs_UPDATE_new`)
	err := s.Follow(t.Context(), "", time.Hour, func(c *clusto.Change) error { t.Errorf("it begins: %+v", c); return errors.New("enough") })
	if !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// TestChangesOfOthersArePruned: where only others write and nobody follows, the
// table is bounded too, at the start and later.
func TestChangesOfOthersArePruned(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	openTest(t, file).Close()
	runSQLite(t, file, `INSERT INTO clusto_changes (seq, entity_id) VALUES (3000000, 0)`)
	s := openTest(t, file)
	waitForRows := func(want int64) {
		t.Helper()
		end := time.Now().Add(patience)
		for rows := int64(0); rows != want; {
			must(t, s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM clusto_changes`).Scan(&rows))
			if time.Now().After(end) {
				t.Fatalf("%d rows are kept, want %d", rows, want)
			}
		}
	}
	waitForRows(1)
	s.feed.watchers.Go(func() { s.keepPruned(t.Context(), time.Millisecond, 2) })
	for range 2 {
		runSQLite(t, file+"?_pragma=busy_timeout(20000)", `INSERT INTO clusto_changes (entity_id) VALUES (0), (0), (0), (0)`)
		waitForRows(2)
	}
}
