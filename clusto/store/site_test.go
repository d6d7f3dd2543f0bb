package store

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// eachDatabase runs a test on each kind of database. open makes a new, empty one
// at every call.
func eachDatabase(t *testing.T, test func(t *testing.T, open func() *Store)) {
	for name, newDSN := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func() *Store { return openTest(t, newDSN(t)) })
		})
	}
}

// kinds makes the data source name of a new database of each kind.
var kinds = map[string]func(t testing.TB) string{
	"sqlite":     func(t testing.TB) string { return filepath.Join(t.TempDir(), "clusto.db") },
	"memory":     func(testing.TB) string { return ":memory:" },
	"postgresql": originalPostgres,
}

// originalPostgres makes a database with the columns that the original gives its
// own: int_value has 32 bits there.
func originalPostgres(t testing.TB) string {
	t.Helper()
	return pgtest.Like(t, "new", func(dsn string) {
		d := *postgres
		d.bigint = "INTEGER"
		pgtest.Exec(t, dsn, append(d.create(),
			`INSERT INTO entities (name, type, driver, version) VALUES ('clustometa', 'clustometa', 'clustometa', 1)`,
			`INSERT INTO entity_attrs (entity_id, "key", subkey, datatype, int_value, version) VALUES (1, 'schemaversion', 'property', 'int', 3, 1)`)...)
	})
}

// eachOriginal runs a test on a site that real clusto wrote: its own file, and
// the same rows on PostgreSQL.
func eachOriginal(t *testing.T, dump string, test func(t *testing.T, s *Store)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, original(t, dump))
	})
	t.Run("postgresql", func(t *testing.T) {
		t.Parallel()
		test(t, openTest(t, pgtest.Like(t, dump, func(dsn string) {
			d := *postgres
			d.bigint = "INTEGER"
			pgtest.Exec(t, dsn, d.create()...)
			pgtest.Copy(t, originalFile(t, dump), dsn)
		})))
	})
}

func openTest(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func apply(t testing.TB, s *Store, ops ...clusto.Op) {
	t.Helper()
	if err := s.Apply(context.Background(), ops); err != nil {
		t.Fatal(err)
	}
}

// execute runs a statement past all of the store's rules.
func execute(t testing.TB, s *Store, stmt string, args ...any) {
	t.Helper()
	if _, err := s.write.ExecContext(context.Background(), s.dialect.q(stmt), args...); err != nil {
		t.Fatalf("%s: %v", stmt, err)
	}
}

// original opens a copy of a database that real clusto wrote.
func original(t testing.TB, dump string) *Store {
	t.Helper()
	return openTest(t, originalFile(t, dump))
}

// originalFile loads a dump into a SQLite file, as it is.
func originalFile(t testing.TB, dump string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "clusto.db")
	loaded.Lock()
	defer loaded.Unlock()
	b, ok := loaded.files[dump]
	if ok {
		must(t, os.WriteFile(file, b, 0o600))
		return file
	}
	text, err := os.ReadFile(filepath.Join("testdata", dump))
	must(t, err)
	runSQLite(t, file, string(text))
	b, err = os.ReadFile(file)
	must(t, err)
	loaded.files[dump] = b
	return file
}

// loaded has the files of dumps that were loaded once.
var loaded = struct {
	sync.Mutex
	files map[string][]byte
}{files: map[string][]byte{}}
