package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// claim keeps a second daemon from the file.
func (j *Journal) claim() error {
	if j.cfg.Look {
		return nil
	}
	name := j.cfg.File + ".lock"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("%w: %w; give a file in a folder that exists and may be written", ErrConfig, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return fmt.Errorf("%w %s: another process uses it; each daemon needs one of its own", ErrConfig, j.cfg.File)
	}
	j.lock = f
	return nil
}

const (
	header   = "SQLite format 3\x00"
	pageSize = 4096
)

// inspect looks at the file before it is used. fresh says that there is none.
// One that is damaged is replaced by what is left of it.
func (j *Journal) inspect(ctx context.Context) (fresh bool, err error) {
	st, err := os.Stat(j.cfg.File)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("%w: %w", ErrConfig, err)
	case !st.Mode().IsRegular():
		return false, fmt.Errorf("%w %s: it is no regular file", ErrConfig, j.cfg.File)
	case st.Size() == 0:
		return true, nil
	}
	ours, sqlite, err := j.isOurs()
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: %w", ErrConfig, err)
	case ours && j.sound(ctx):
		return false, nil
	case !ours && (sqlite || st.Size()%pageSize != 0):
		return false, fmt.Errorf("%w %s: it is something else than a journal; give another name", ErrConfig, j.cfg.File)
	case j.cfg.Look:
		return false, fmt.Errorf("%w %s: it is damaged; the daemon saves what can be saved when it starts", ErrConfig, j.cfg.File)
	}
	return false, j.salvage(ctx)
}

// isOurs reads the file's header, and that of its write-ahead log: a young
// journal is all in there.
func (j *Journal) isOurs() (ours, sqlite bool, err error) {
	f, err := os.Open(j.cfg.File)
	if err != nil {
		return false, false, err
	}
	defer f.Close()
	head := make([]byte, len(header))
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, false, err
	}
	if string(head) != header {
		return false, false, nil
	}
	db, err := openFile(j.cfg.File)
	if err != nil {
		return false, true, err
	}
	defer db.Close()
	var id int64
	if err := db.QueryRow(`PRAGMA application_id`).Scan(&id); err != nil {
		return true, true, nil // it is broken further on
	}
	return id == applicationID, true, nil
}

// sound checks the whole file.
func (j *Journal) sound(ctx context.Context) bool {
	db, err := openFile(j.cfg.File)
	if err != nil {
		return false
	}
	defer db.Close()
	var verdict string
	if db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict) != nil || verdict != "ok" {
		return false
	}
	return true
}

// salvage sets a damaged file aside and makes a new one of the rows that can
// still be read, which is reported.
func (j *Journal) salvage(ctx context.Context) error {
	aside := j.cfg.File + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000")
	fresh := j.cfg.File + ".saved"
	for _, name := range []string{fresh, fresh + "-wal", fresh + "-shm"} {
		_ = os.Remove(name) // of an attempt that did not end
	}
	saved, dead, err := copyRows(ctx, j.cfg.File, fresh)
	if err != nil {
		return fmt.Errorf("save what is left of journal %s: %w", j.cfg.File, err)
	}
	for _, ext := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(j.cfg.File+ext, aside+ext); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("set the damaged journal aside: %w", err)
		}
	}
	if err := os.Rename(fresh, j.cfg.File); err != nil {
		return fmt.Errorf("put the saved journal in place: %w", err)
	}
	if dir, err := os.Open(filepath.Dir(j.cfg.File)); err == nil {
		_ = dir.Sync() // the renames are made either way
		_ = dir.Close()
	}
	j.cfg.Log.Error("the journal is damaged: what could be read is saved, the rest is lost",
		"journal", j.cfg.File, "events", saved, "dead_letters", dead, "set_aside", aside)
	return nil
}

// copyRows copies every row that can be read and whose sum is right.
func copyRows(ctx context.Context, from, to string) (events, dead int, err error) {
	dst, err := openFile(to)
	if err != nil {
		return 0, 0, err
	}
	defer dst.Close()
	if _, err := dst.ExecContext(ctx, schema); err != nil {
		return 0, 0, err
	}
	src, err := sql.Open("sqlite", "file:"+escape(from)+"?_pragma=writable_schema(ON)") // a file that is cut short opens no other way
	if err != nil {
		return 0, 0, err
	}
	defer src.Close()
	tx, err := dst.BeginTx(ctx, nil)
	if err != nil {
		return 0, 0, err
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, as it should
	if events, err = copyEvents(ctx, src, tx); err != nil {
		return 0, 0, err
	}
	for _, order := range []string{"ASC", "DESC"} { // what lies behind a damaged page is reached from the other end
		n, err := copyDead(ctx, src, tx, order)
		if err != nil {
			return 0, 0, err
		}
		dead += n
	}
	if err := tx.Commit(); err != nil {
		return 0, 0, err
	}
	_, err = dst.ExecContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`)
	return events, dead, err
}

// copyEvents copies every event that can be reached. Errors are those of tx.
func copyEvents(ctx context.Context, src *sql.DB, tx *sql.Tx) (n int, err error) {
	var first, last sql.NullInt64
	for _, q := range []string{`SELECT min(seq) FROM events`, `SELECT 1`} { // without the first page's rows, from the beginning
		if src.QueryRowContext(ctx, q).Scan(&first) == nil {
			break
		}
	}
	for _, q := range []string{`SELECT seq FROM sqlite_sequence WHERE name = 'events'`, `SELECT max(seq) FROM events`} {
		if src.QueryRowContext(ctx, q).Scan(&last) == nil && last.Valid {
			break
		}
	}
	if !first.Valid || !last.Valid || last.Int64-first.Int64 > reachMost {
		return 0, nil
	}
	err = copyBetween(ctx, src, tx, first.Int64, last.Int64, &n)
	return n, err
}

// copyBetween copies the events from lo to hi. If one of them cannot be read,
// each half is tried by itself, so that a damaged page costs what is on it and
// no more.
func copyBetween(ctx context.Context, src *sql.DB, tx *sql.Tx, lo, hi int64, n *int) error {
	whole, err := copyRun(ctx, src, tx, lo, hi, n)
	if err != nil || whole || lo == hi {
		return err
	}
	mid := lo + (hi-lo)/2
	if err := copyBetween(ctx, src, tx, lo, mid, n); err != nil {
		return err
	}
	return copyBetween(ctx, src, tx, mid+1, hi, n)
}

// copyRun reports whether every row could be read. The error is tx's.
func copyRun(ctx context.Context, src *sql.DB, tx *sql.Tx, lo, hi int64, n *int) (whole bool, err error) {
	rows, err := src.QueryContext(ctx, `SELECT seq, body FROM events NOT INDEXED WHERE seq BETWEEN ? AND ? ORDER BY seq`, lo, hi)
	if err != nil {
		return false, nil
	}
	defer rows.Close()
	var seq int64
	var body []byte
	for rows.Next() {
		if rows.Scan(&seq, &body) != nil {
			return false, nil
		}
		e, ok := parseBody(seq, body)
		if !ok {
			continue
		}
		if err := count(n)(tx.ExecContext(ctx, `INSERT OR IGNORE INTO events (seq, switch, body) VALUES (?, ?, ?)`, seq, word(e.Switch), body)); err != nil {
			return false, err
		}
	}
	return rows.Err() == nil, nil
}

// reachMost bounds the search for rows behind damaged pages.
const reachMost = 1 << 24

func copyDead(ctx context.Context, src *sql.DB, tx *sql.Tx, order string) (n int, err error) {
	rows, err := src.QueryContext(ctx, `SELECT seq, body, outcome, reason, died FROM dead ORDER BY seq `+order)
	if err != nil {
		return 0, nil // nothing can be read
	}
	defer rows.Close()
	var seq, died int64
	var body []byte
	var outcome, reason string
	for rows.Next() {
		if rows.Scan(&seq, &body, &outcome, &reason, &died) != nil {
			break
		}
		if _, ok := parseBody(seq, body); !ok {
			continue
		}
		if err := count(&n)(tx.ExecContext(ctx, `INSERT OR IGNORE INTO dead (seq, body, outcome, reason, died) VALUES (?, ?, ?, ?, ?)`,
			seq, body, outcome, reason, died)); err != nil {
			return n, err
		}
	}
	return n, nil
}
