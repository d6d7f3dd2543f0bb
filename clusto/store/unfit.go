package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// unfit says why PostgreSQL does not take what it was given, "" if the fault
// is not with that: a text that its encoding does not have, a number that its
// column does not hold (class 22), or a value that is longer than an index row
// (54000). SQLite takes all of these.
func unfit(err error) string {
	var pg *pgconn.PgError
	var long tooLong
	switch {
	case errors.As(err, &long):
		return long.Error()
	case strings.Contains(fmt.Sprint(err), "value for int4"): // says the driver, which knows the columns
		return tooLarge
	case !errors.As(err, &pg):
		return ""
	case pg.Code == "22003": // numeric_value_out_of_range
		return tooLarge
	case strings.HasPrefix(pg.Code, "22"):
		return "the database does not take a value: " + pg.Message
	}
	return ""
}

// tooLarge is said of a number beyond the original's columns of integers.
const tooLarge = "a number is out of range: the database's columns hold -2147483648 to 2147483647"

// isReadOnly tells a database that does not take a change: a standby of
// PostgreSQL or a role without the right, a file of SQLite's that was made
// read-only.
func isReadOnly(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "25006" || pg.Code == "42501" // read_only_sql_transaction, insufficient_privilege
	}
	var lite *driver.Error
	return errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_READONLY
}

// isBusy tells a database of SQLite's that another keeps locked.
func isBusy(err error) bool {
	var lite *driver.Error
	return errors.As(err, &lite) && lite.Code()&0xff == sqlite3.SQLITE_BUSY
}

// isTooLong tells a value that is longer than a row of PostgreSQL's indexes may
// be. The index on values is the original's, which has the same limit there.
func isTooLong(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "54000"
}

// tooLong is an attribute whose value is too long.
type tooLong struct {
	*attr
	err error
}

func (t tooLong) Error() string {
	return fmt.Sprintf("the value of attribute %s of %s is too long: it has %d bytes, and the database's index on values has room for 2,700",
		strings.TrimSuffix(t.key+"/"+t.sub.String, "/"), pathOf(t.of), len(t.text.String))
}

func (t tooLong) Unwrap() error { return t.err }
