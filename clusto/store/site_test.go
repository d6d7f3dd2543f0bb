package store

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"
)

// original opens a copy of a database that real clusto wrote.
func original(t testing.TB, dump string) *Store {
	t.Helper()
	s, err := Open(t.Context(), originalFile(t, dump), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// originalFile loads a dump into a SQLite file, as it is.
func originalFile(t testing.TB, dump string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", dump))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clusto.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
		t.Fatal(err)
	}
	return file
}
