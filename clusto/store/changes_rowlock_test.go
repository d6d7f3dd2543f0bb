package store

import (
	"context"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// TestPostgresWriterWithARowLock: who locks a row before he writes to it, and a
// change that needs the row, wait for each other. The change steps aside.
func TestPostgresWriterWithARowLock(t *testing.T) {
	s := openTest(t, pgtest.New(t))
	apply(t, s, entity_("names", "simpleentitynamemanager"), attrAt("names", "basename/property", str("n")))
	allocate := []clusto.Op{allocateEntity("names", "basicserver")}
	apply(t, s, allocate...)
	tx, err := s.write.BeginTx(t.Context(), nil)
	must(t, err)
	defer tx.Rollback() //nolint:errcheck // it fails after Commit
	var id, value int64
	must(t, tx.QueryRowContext(t.Context(), `SELECT counter_id, value FROM counters ORDER BY counter_id DESC LIMIT 1 FOR UPDATE`).Scan(&id, &value))
	over := make(chan error, 1)
	go func() {
		_, err := s.Change(context.Background(), allocate)
		over <- err
	}()
	for waiting := 0; waiting == 0; { // for the row
		must(t, s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'transactionid' AND NOT granted`).Scan(&waiting))
	}
	_, err = tx.ExecContext(t.Context(), `UPDATE counters SET value = $1 WHERE counter_id = $2`, value+10, id)
	must(t, err)
	must(t, tx.Commit())
	must(t, <-over)
	var last int64
	must(t, s.read.QueryRowContext(t.Context(), `SELECT value FROM counters WHERE counter_id = $1`, id).Scan(&last))
	if last != value+11 {
		t.Errorf("the counter is at %d, want %d: what both have taken", last, value+11)
	}
}
