package store

import (
	"strconv"
	"strings"
)

// dialect is all that differs between the databases. Statements are written
// with ? for parameters and "double quotes" around key and user.
type dialect struct {
	name     string
	numbered bool   // parameters are $1, $2 ... instead of ?
	lateral  bool   // a join is held to its order by LATERAL instead of CROSS JOIN
	keeps    bool   // the driver keeps prepared statements from one transaction to the next
	arrays   bool   // rows are written from an array for each column
	batch    int    // so many attributes are written with one statement
	serial   string // type of a primary key that counts by itself
	bigint   string // 64-bit integer
	datetime string
	lock     string // first statement of a writing transaction, "" for none
	ping     string // asks whether entities may be read, one row, or none where there are no rows; fails without the table
	tables   string // lists the names of tables, one column
	columns  string // lists the columns of table ?, one column
	indexes  string // lists the names of indexes, one column
	feed     *feedDDL
	load     *loadDDL // nil where a first import is spared nothing

	known   string // tells how many attributes the planner knows of, one row; "" where no plan depends on that
	analyze string // has it look again
}

var sqlite = &dialect{
	name:     "sqlite",
	batch:    200,
	serial:   "INTEGER NOT NULL",
	bigint:   "INTEGER",
	datetime: "DATETIME",
	ping:     `SELECT 1 FROM entities LIMIT 1`,
	tables:   `SELECT name FROM sqlite_master WHERE type IN ('table', 'view')`,
	columns:  `SELECT name FROM pragma_table_info(?)`,
	indexes:  `SELECT name FROM sqlite_master WHERE type = 'index'`,
	feed:     sqliteFeed,
}

var postgres = &dialect{
	name:     "postgresql",
	numbered: true,
	lateral:  true,
	keeps:    true,
	arrays:   true,
	batch:    1000, // there are checks and triggers to each statement
	serial:   "SERIAL NOT NULL",
	bigint:   "BIGINT",
	datetime: "TIMESTAMP",
	// What BEGIN IMMEDIATE is to SQLite: writers wait for each other, since
	// neither names nor counters are guarded by a constraint; readers go on.
	lock: postgresLock,
	// The catalogue alone is asked: whoever reads the table waits for an import.
	ping: `SELECT has_any_column_privilege('entities', 'SELECT')`,
	tables: `SELECT table_name FROM information_schema.tables
		WHERE table_schema = ANY (current_schemas(false))`,
	columns: `SELECT column_name FROM information_schema.columns
		WHERE table_schema = ANY (current_schemas(false)) AND table_name = ?`,
	indexes: `SELECT indexname FROM pg_indexes WHERE schemaname = ANY (current_schemas(false))`,
	feed:    postgresFeed,
	load:    postgresLoad,
	known:   `SELECT CAST(greatest(reltuples, 0) AS BIGINT) FROM pg_class WHERE oid = 'entity_attrs'::regclass`,
	analyze: `ANALYZE entities, entity_attrs`,
}

// q gives a statement its parameters' spelling. No statement of this package
// has a ? inside a literal.
func (d *dialect) q(stmt string) string {
	if !d.numbered {
		return stmt
	}
	var b strings.Builder
	n := 0
	for part := range strings.SplitSeq(stmt, "?") {
		if n > 0 {
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteString(part)
		n++
	}
	return b.String()
}

// per joins a table to what stands before it, row by row: cond finds the rows of
// each by an index, and no planner starts from the other end, or scans, because
// it expects more rows than there are. SQLite keeps the order of a CROSS JOIN;
// PostgreSQL does not look into a subquery with an OFFSET.
func (d *dialect) per(table, alias, cond string) string {
	if d.lateral {
		return " CROSS JOIN LATERAL (SELECT * FROM " + table + " " + alias + " WHERE " + cond + " OFFSET 0) " + alias
	}
	return " CROSS JOIN " + table + " " + alias + " ON " + cond
}

// maybe is per that keeps rows for which there is nothing.
func (d *dialect) maybe(table, alias, cond string) string {
	if d.lateral {
		return " LEFT JOIN LATERAL (SELECT * FROM " + table + " " + alias + " WHERE " + cond + " OFFSET 0) " + alias + " ON TRUE"
	}
	return " LEFT JOIN " + table + " " + alias + " ON " + cond
}

// wide is the parameter of an integer that the column may be too narrow for:
// the driver would not send what nothing can be equal to.
const wide = `CAST(? AS BIGINT)`

// values gives a table of n parameters, one to a row, in column1. The database
// cannot know what they are, and so plans but once.
func values(n int, kind string) string {
	return "(VALUES (CAST(? AS " + kind + "))" + strings.Repeat(", (?)", n-1) + ") v"
}

// params gives n question marks for an IN list.
func params(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
