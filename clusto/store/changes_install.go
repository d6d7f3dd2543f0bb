package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// errNoFeed says that a database tells nobody of changes.
var errNoFeed = errors.New("its changes cannot be followed")

// openFeed makes the change feed ready, or warns that there is none.
func (s *Store) openFeed(ctx context.Context) {
	s.feed.off = errNoFeed
	err := s.ensureFeed(ctx)
	switch {
	case err == nil:
		s.feed.off = nil
		s.startPruning()
	case ctx.Err() == nil:
		s.log.Warn("changes cannot be followed: whoever keeps answers learns of a change when they are too old", "database", s.name, "err", err)
	}
}

// ensureFeed adds what is missing. Who may not can follow all the same, if it is
// all there and may be read.
func (s *Store) ensureFeed(ctx context.Context) error {
	if s.immutable {
		return errReadOnly // and never looked at again
	}
	err := s.feedIntact(ctx, s.read)
	if err != nil && s.readOnly {
		err = fmt.Errorf("%w: %w", errReadOnly, err)
	} else if err != nil {
		err = s.makeFeed(ctx)
	}
	if err != nil {
		return err
	}
	if lock := s.dialect.feed.lock; lock != "" {
		s.lock = lock
	}
	var n int
	return s.read.QueryRowContext(ctx, `SELECT count(*) FROM clusto_changes WHERE seq < 0`).Scan(&n)
}

// feedIntact reports what is missing of the triggers. Where tables were made
// anew, theirs are gone.
func (s *Store) feedIntact(ctx context.Context, q querier) error {
	ddl := s.dialect.feed
	have := map[string]string{}
	var name, text string
	if err := each(ctx, q, ddl.list, []any{&name, &text}, func() { have[name] = text }); err != nil {
		return s.failed("ask", err)
	}
	for _, t := range ddl.triggers {
		if have[t.name] != t.text {
			return fmt.Errorf("the trigger %s is missing or another one", t.name)
		}
	}
	return nil
}

// makeFeed makes tables and triggers. Whoever is in the way at that moment gets
// a few seconds to end.
func (s *Store) makeFeed(ctx context.Context) (err error) {
	for range 10 {
		err = s.tryMakeFeed(ctx)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "55P03" && pg.Code != "40P01" { // lock_not_available, deadlock_detected
			return err
		}
	}
	return err
}

func (s *Store) tryMakeFeed(ctx context.Context) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, as it should
	ddl := s.dialect.feed
	for _, stmt := range ddl.before {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	if s.feedIntact(ctx, tx) == nil {
		return nil // another one was faster
	}
	stmts := append([]string{}, ddl.tables...)
	for _, t := range ddl.triggers {
		stmts = append(stmts, t.make...)
	}
	// Nobody noted what happened without the triggers: no old position is good.
	// The table is never empty, so that every position is that of a row.
	stmts = append(stmts, `DELETE FROM clusto_changes`, `INSERT INTO clusto_changes (entity_id) VALUES (0)`)
	for _, stmt := range stmts {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// keepChanges is how many rows of the change table are kept.
const keepChanges = 1_000_000

// pruneAtOnce bounds what one transaction deletes.
const pruneAtOnce = 50_000

// startPruning bounds the table from now on until the store is closed, whoever
// fills it and whether somebody follows or not.
func (s *Store) startPruning() {
	if s.readOnly {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	s.feed.stopPruning = stop
	s.feed.watchers.Go(func() { s.keepPruned(ctx, pruneEvery, keepChanges) })
}

// keepPruned prunes at once and then again and again.
func (s *Store) keepPruned(ctx context.Context, every time.Duration, keep int64) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s.prune(ctx, keep)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// prune deletes the oldest changes.
func (s *Store) prune(ctx context.Context, keep int64) {
	var first, last sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT (SELECT min(seq) FROM clusto_changes), (SELECT max(seq) FROM clusto_changes)`).Scan(&first, &last)
	for at := first.Int64; err == nil && at <= last.Int64-keep; {
		at = min(at+pruneAtOnce, last.Int64-keep+1)
		_, err = s.write.ExecContext(ctx, s.dialect.q(`DELETE FROM clusto_changes WHERE seq < ?`), at)
	}
	if err != nil && ctx.Err() == nil && s.feed.unpruned.CompareAndSwap(false, true) {
		s.log.Warn("old rows of clusto_changes could not be deleted", "database", s.name, "err", err)
	}
}
