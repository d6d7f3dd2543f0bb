package store

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// unfit says why PostgreSQL does not take what it was given, "" if the fault
// is not with that: a text that its encoding does not have, a number that its
// column does not hold (class 22), or a value that is longer than an index row
// (54000). SQLite takes all of these.
func unfit(err error) string {
	var pg *pgconn.PgError
	switch {
	case !errors.As(err, &pg):
		return ""
	case pg.Code == "54000":
		return "a value is too long for the database's index on values, which has room for 2,700 bytes"
	case strings.HasPrefix(pg.Code, "22"):
		return "the database does not take a value: " + pg.Message
	}
	return ""
}
