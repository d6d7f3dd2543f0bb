package journal

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// clone makes a row that outlives its page.
func (r row) clone() row {
	r.body = bytes.Clone(r.body)
	return r
}

// insert adds the row, unless there is one of its number.
func (r *row) insert(ctx context.Context, tx *sql.Tx) (sql.Result, error) {
	if r.dead {
		return tx.ExecContext(ctx, `INSERT OR IGNORE INTO dead (seq, body, outcome, reason, died) VALUES (?, ?, ?, ?, ?)`,
			r.seq, r.body, r.outcome, r.reason, r.died)
	}
	return tx.ExecContext(ctx, `INSERT OR IGNORE INTO events (seq, switch, body) VALUES (?, ?, ?)`, r.seq, word(r.sw), r.body)
}

// The names of the new file while it is filled, and once it is whole: then it is
// put in the damaged one's place, by the next start if not by this one.
const filling, whole = ".saving", ".saved"

// salvage sets a damaged file aside and makes a new one of the rows that can
// still be read, which is reported. What was done, and is still found, comes
// again.
func (j *Journal) salvage(ctx context.Context) error {
	for _, ext := range []string{"", "-wal", "-shm", "-journal"} {
		_ = os.Remove(j.file + filling + ext) // of an attempt that did not end
	}
	events, dead, err := j.copyRows(ctx, j.file+filling)
	if err == nil {
		err = os.Rename(j.file+filling, j.file+whole)
	}
	if err != nil {
		return fmt.Errorf("save what is left of journal %s: %w", j.cfg.File, err)
	}
	j.cfg.Log.Error("the journal is damaged: what can be read of it is saved",
		"journal", j.cfg.File, "events", events, "dead_letters", dead)
	return j.swap()
}

// swap puts a saved file in place, if there is one, and the damaged one aside.
func (j *Journal) swap() error {
	if _, err := os.Stat(j.file + whole); err != nil {
		return nil
	}
	j.syncFolder()
	aside := j.file + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	for _, ext := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(j.file+ext, aside+ext); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set the damaged journal aside: %w", err)
		}
	}
	if err := os.Rename(j.file+whole, j.file); err != nil {
		return fmt.Errorf("put the saved journal in place: %w", err)
	}
	j.syncFolder()
	j.cfg.Log.Warn("the damaged journal is set aside; it can be deleted", "journal", j.cfg.File, "set_aside", aside)
	return nil
}

func (j *Journal) syncFolder() {
	if dir, err := os.Open(filepath.Dir(j.file)); err == nil {
		_ = dir.Sync() // the names are changed either way
		_ = dir.Close()
	}
}

// copyRows makes a new journal of every row that can be read and whose sum is
// right. A row beside the last number says that it was saved, until what is lost has
// been told.
func (j *Journal) copyRows(ctx context.Context, to string) (events, dead int, err error) {
	im, err := openImage(j.file)
	if err != nil {
		return 0, 0, err
	}
	defer im.Close()
	dst := &Journal{cfg: j.cfg, file: to}
	if dst.db, err = openFile(to); err != nil {
		return 0, 0, err
	}
	if err = dst.make(ctx); err == nil {
		err = dst.write(ctx, func(tx *sql.Tx) (int, error) {
			if events, dead, err = im.copyTo(ctx, tx); err != nil {
				return 0, err
			}
			_, err = tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES ('saved', 1)`)
			return 0, err
		})
	}
	if err == nil {
		_, err = dst.db.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return events, dead, errors.Join(err, dst.shut())
}

// copyTo copies all rows. A dead letter is no event any more.
func (im *image) copyTo(ctx context.Context, tx *sql.Tx) (events, dead int, err error) {
	err = im.rows(func(r row) error {
		n := &events
		if r.dead {
			n = &dead
		}
		return count(n)(r.insert(ctx, tx))
	})
	if err != nil {
		return 0, 0, err
	}
	twice := 0
	err = count(&twice)(tx.ExecContext(ctx, `DELETE FROM events WHERE seq IN (SELECT seq FROM dead)`))
	return events - twice, dead, err
}
