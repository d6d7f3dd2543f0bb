package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// applicationID marks the file as a journal: "CLJS".
	applicationID = 0x434c4a53
	// schemaVersion is the file's user_version; 0 is that of the same tables
	// before there was one.
	schemaVersion = 1
)

// tables are what a journal consists of: names, and the rest of what makes them.
var tables = []struct{ kind, name, rest string }{
	{"TABLE", "events", " (seq INTEGER PRIMARY KEY AUTOINCREMENT, switch INTEGER NOT NULL, body BLOB NOT NULL)"},
	{"INDEX", "events_by_switch", " ON events (switch, seq)"},
	{"TABLE", "dead", " (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, died INTEGER NOT NULL)"},
}

// errDamaged says that what is in the file is not as it was written.
var errDamaged = errors.New("it is damaged")

// tableOf tells which of the tables a name is.
func tableOf(name string) int {
	for i := range tables {
		if tables[i].name == name {
			return i
		}
	}
	return -1
}

// shape compares the tables in the file with those of a journal: ours says that
// none is another's. The error wraps ErrConfig if one of ours is another one
// than it should be, or errDamaged if SQLite's own is.
func (j *Journal) shape(ctx context.Context, db *sql.DB) (ours bool, err error) {
	rows, err := db.QueryContext(ctx, `SELECT name, COALESCE(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' OR name = 'sqlite_sequence'`)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	ours = true
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			return false, err
		}
		switch i := tableOf(name); {
		case name == "sqlite_sequence": // which SQLite makes, and its integrity_check does not read
			if text != "CREATE TABLE sqlite_sequence(name,seq)" {
				return false, fmt.Errorf("%w: its %s is %q", errDamaged, name, text)
			}
		case i < 0:
			ours = false
		case text != "CREATE "+tables[i].kind+" "+name+tables[i].rest:
			return false, fmt.Errorf("%w %s: another version of this program made it: its %s is %q; take that version, or give another name", ErrConfig, j.cfg.File, name, text)
		}
	}
	return ours, rows.Err()
}

// check reads the whole file. An error that wraps errDamaged says that it has to
// be saved.
func check(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict); err != nil {
		return blame(err)
	}
	if verdict != "ok" {
		return fmt.Errorf("%w: %s", errDamaged, verdict)
	}
	return nil
}

// blame tells an error of the file, to which it adds errDamaged, from one of the
// machine: a full disk, a file that may not be written.
func blame(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_EMPTY, sqlite3.SQLITE_SCHEMA:
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// complete reports whether there is nothing to make.
func (j *Journal) complete(ctx context.Context) (is bool, err error) {
	err = j.db.QueryRowContext(ctx, `SELECT (SELECT application_id FROM pragma_application_id) = ? AND (SELECT user_version FROM pragma_user_version) = ?
		AND (SELECT count(*) FROM sqlite_schema WHERE name IN (?, ?, ?)) = ?`,
		applicationID, schemaVersion, tables[0].name, tables[1].name, tables[2].name, len(tables)).Scan(&is)
	return is, blame(err)
}

// make completes the tables, at once, and brings them into the file itself, so
// that it is a journal without its write-ahead log. A complete journal is left as it
// is: to write would take the place of what may be rescued from its log's end.
func (j *Journal) make(ctx context.Context) error {
	if is, err := j.complete(ctx); is || err != nil {
		return err
	}
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return blame(err)
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, as it should
	for _, t := range tables {
		if _, err := tx.ExecContext(ctx, "CREATE "+t.kind+" IF NOT EXISTS "+t.name+t.rest); err != nil {
			return blame(err)
		}
	}
	for _, text := range []string{fmt.Sprintf(`PRAGMA application_id = %d`, applicationID), fmt.Sprintf(`PRAGMA user_version = %d`, schemaVersion)} {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return blame(err)
		}
	}
	if err := tx.Commit(); err != nil {
		return blame(err)
	}
	_, err = j.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	return blame(err)
}
