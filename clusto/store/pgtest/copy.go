package pgtest

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// Copy replaces the rows of a PostgreSQL database that has clusto's tables by
// those of a SQLite file.
func Copy(t testing.TB, file, dsn string) {
	t.Helper()
	from, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	ids := [][2]string{{"entities", "entity_id"}, {"clustoversioning", "version"}, {"counters", "counter_id"}, {"entity_attrs", "attr_id"}}
	execute(t, to, `DELETE FROM entity_attrs`)
	execute(t, to, `DELETE FROM entities`)
	for _, table := range ids {
		copyTable(t, from, to, table[0])
		execute(t, to, fmt.Sprintf(`SELECT setval('%[1]s_%[2]s_seq', (SELECT COALESCE(max(%[2]s), 0) + 1 FROM %[1]s), false)`, table[0], table[1]))
	}
}

func execute(t testing.TB, db *sql.DB, stmt string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), stmt, args...); err != nil {
		t.Fatalf("%s: %v", stmt, err)
	}
}

func copyTable(t testing.TB, from, to *sql.DB, table string) {
	t.Helper()
	rows, err := from.QueryContext(t.Context(), "SELECT * FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	params := make([]string, len(cols))
	for i := range params {
		params[i] = fmt.Sprintf("$%d", i+1)
	}
	insert := fmt.Sprintf(`INSERT INTO %s ("%s") VALUES (%s)`, table, strings.Join(cols, `", "`), strings.Join(params, ", "))
	for rows.Next() {
		values, into := make([]any, len(cols)), make([]any, len(cols))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		execute(t, to, insert, values...)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
