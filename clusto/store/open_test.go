package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// openLogged opens a database and gives what was logged.
func openLogged(t testing.TB, dsn string) (*Store, string) {
	t.Helper()
	var log bytes.Buffer
	s, err := Open(t.Context(), dsn, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, log.String()
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	foreign := filepath.Join(dir, "foreign.db")
	old := originalFile(t, "clusto.sql")
	runSQLite(t, foreign, `CREATE TABLE songs (title TEXT)`)
	runSQLite(t, old, `UPDATE entity_attrs SET int_value = 2 WHERE "key" = 'schemaversion'`)
	older := originalFile(t, "clusto.sql")
	runSQLite(t, older, `DROP INDEX idx_attrs_entity_version`)
	runSQLite(t, older, `ALTER TABLE entity_attrs DROP COLUMN deleted_at_version`)
	for _, tt := range []struct{ name, dsn, says string }{
		{"nothing", "", "no data source given"},
		{"another kind", "mysql://u:secret@h/clusto", `unknown kind "mysql"`},
		{"no slashes enough", "sqlite://clusto.db", "sqlite:///FILE"},
		{"no folder", filepath.Join(dir, "no/clusto.db"), "create it first"},
		{"no database", write("text", "[clusto]\ndsn = x\n"), "no SQLite database"},
		{"someone else's", foreign, "tables (songs) but none of clusto's"},
		{"an old schema", old, "schema version 2, and 3 is needed"},
		{"a lost column", older, `no column "deleted_at_version"`},
		{"nothing to read", "sqlite:///" + filepath.Join(dir, "new.db") + "?mode=ro", "new.db"},
		{"an empty one to read", "sqlite:///" + write("empty", "") + "?mode=ro", "empty and read-only"},
	} {
		s, err := Open(t.Context(), tt.dsn, nil)
		if err == nil {
			s.Close()
			t.Errorf("%s: opened", tt.name)
			continue
		}
		if !errors.Is(err, clusto.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.says)
		}
	}
}

// runSQLite runs a statement on a SQLite file without the store.
func runSQLite(t testing.TB, file, stmt string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), stmt); err != nil {
		t.Fatalf("%s: %v", stmt, err)
	}
}

func TestIndexesAreAdded(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	s, log := openLogged(t, file)
	for _, ix := range indexes {
		if have, err := s.list(t.Context(), s.dialect.indexes); err != nil || !slices.Contains(have, ix.name) {
			t.Errorf("%s is missing: %v, %v", ix.name, have, err)
		}
	}
	if log != "" {
		t.Errorf("logged: %s", log)
	}
}

// TestReadOnlyWarnsOfMissingIndexes was a warning even where the indexes are.
func TestReadOnlyWarnsOfMissingIndexes(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	for _, dsn := range []string{file + "?mode=ro", "sqlite:///" + file + "?mode=ro"} {
		s, log := openLogged(t, dsn)
		if !strings.Contains(log, "read-only") || !strings.Contains(log, "idx_attrs_relation_key") || strings.Contains(log, "idx_attrs_str_value") {
			t.Errorf("%s: logged: %s", dsn, log)
		}
		if n := sameAlone(t, s); n != 27 {
			t.Errorf("%d hosts", n)
		}
		err := s.Apply(t.Context(), []clusto.Op{entity_("x", "pool")})
		if !errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("a change: %v", err)
		}
	}
	openTest(t, file).Close() // adds them
	if _, log := openLogged(t, file+"?mode=ro"); strings.Contains(log, "index") {
		t.Errorf("warned of indexes that are there: %s", log)
	}
}

// TestFileThatWasReplaced was a server that answered from a deleted file, and
// wrote changes into it.
func TestFileThatWasReplaced(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	s := openTest(t, file)
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file, file+".old"); err != nil {
		t.Fatal(err)
	}
	gone := func(what string) {
		t.Helper()
		for _, err := range []error{s.Ping(t.Context()), s.Apply(t.Context(), []clusto.Op{entity_("x", "pool")})} {
			if !errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	gone("moved away")
	openTest(t, file)
	gone("replaced")
}

// TestMemoriesAreApart was one database for two that were opened at once.
func TestMemoriesAreApart(t *testing.T) {
	t.Parallel()
	opened := make(chan *Store)
	for range 8 {
		go func() {
			s, err := Open(t.Context(), ":memory:", nil)
			if err != nil {
				t.Error(err)
			}
			opened <- s
		}()
	}
	for range 8 {
		if s := <-opened; s != nil {
			defer s.Close()
			apply(t, s, entity_("x", "pool"))
			if got := rows(t, s); !slices.Contains(got, "entity 2 x pool pool 1 -") {
				t.Errorf("got %v", got)
			}
		}
	}
}

// TestReadsGoOnDuringAChange reads while a change is open.
func TestReadsGoOnDuringAChange(t *testing.T) {
	kinds := map[string]func(testing.TB) string{"sqlite": kinds["sqlite"], "postgresql": kinds["postgresql"]}
	for name, newDSN := range kinds {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, newDSN(t))
			apply(t, s, example()...)
			tx, err := s.write.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if s.dialect.lock != "" {
				if _, err := tx.ExecContext(t.Context(), s.dialect.lock); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := tx.ExecContext(t.Context(), `UPDATE entity_attrs SET int_value = 0 WHERE subkey = 'enabled'`); err != nil {
				t.Fatal(err)
			}
			if h := host(t, s, "00:11:22:33:44:55"); !h.Enabled {
				t.Errorf("sees what is not committed: %s", asJSON(t, h))
			}
			sameAlone(t, s)
		})
	}
}

// TestPostgresThatGoesAway loses its connections, its rights and its database.
func TestPostgresThatGoesAway(t *testing.T) {
	dsn := pgtest.New(t)
	admin := pgtest.URL("postgres", "clusto")
	s := openTest(t, dsn)
	apply(t, s, example()...)
	host(t, s, "00:11:22:33:44:55")
	name := strings.TrimPrefix(strings.SplitN(dsn, "?", 2)[0], "postgresql:///")
	pgtest.Exec(t, admin, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '`+name+`'`)
	// A connection that was used within the last second is not asked whether it
	// lives, so each may fail once, as unavailable; then the store has new ones.
	answered := false
	for range s.read.Stats().MaxOpenConnections + 1 {
		_, err := s.Host(t.Context(), mac(t, "00:11:22:33:44:55"))
		if answered = err == nil; answered {
			break
		}
		if !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("a lost connection: %v", err)
		}
	}
	if !answered {
		t.Error("lost connections are not made anew")
	}
	pgtest.Exec(t, admin, `DROP DATABASE `+name+` WITH (FORCE)`)
	if err := s.Ping(t.Context()); !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("ping without a database: %v", err)
	}
	_, err := s.Host(t.Context(), clusto.MAC{1})
	if !errors.Is(err, clusto.ErrUnavailable) || errors.Is(err, clusto.ErrNotFound) {
		t.Errorf("host without a database: %v", err)
	}
	if _, err := Open(t.Context(), dsn, nil); !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("open without a database: %v", err)
	}
}

// TestPingWaitedForAnImport, which keeps the tables to itself until its commit:
// nobody was ready meanwhile.
func TestPingWaitedForAnImport(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	s := openTest(t, dsn)
	holds := begun(t, dsn, `LOCK TABLE entities, entity_attrs, counters IN ACCESS EXCLUSIVE MODE`)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Ping(ctx); err != nil {
		t.Error(err)
	}
	must(t, holds.Rollback())
}

// TestPingOfPostgres fails where the table is gone or may not be read, on a
// connection that has asked before too.
func TestPingOfPostgres(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	openTest(t, dsn).Close()
	name := strings.TrimPrefix(strings.SplitN(dsn, "?", 2)[0], "postgresql:///")
	role := "pinger_of_" + name
	pgtest.Exec(t, dsn, `CREATE ROLE `+role+` LOGIN`, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+role)
	s := openTest(t, pgtest.URL(name, role))
	for _, tt := range []struct{ stmt, says string }{
		{`SELECT 1`, ""},
		{`REVOKE SELECT ON entities FROM ` + role, "may not be read"},
		{`GRANT SELECT (name) ON entities TO ` + role, ""},
		{`ALTER TABLE entities RENAME TO lost`, `relation "entities" does not exist`},
		{`ALTER TABLE lost RENAME TO entities`, ""},
		{`DROP TABLE entities CASCADE`, `relation "entities" does not exist`},
	} {
		pgtest.Exec(t, dsn, tt.stmt)
		err := s.Ping(t.Context())
		if answers := tt.says == ""; answers != (err == nil) || !answers && (!errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v, want %q", tt.stmt, err, tt.says)
		}
	}
}

// TestPostgresOfAnotherOwner was a warning of indexes that are there: only a
// table's owner may say CREATE INDEX IF NOT EXISTS.
func TestPostgresOfAnotherOwner(t *testing.T) {
	dsn := pgtest.New(t)
	owner := openTest(t, dsn)
	apply(t, owner, example()...)
	name := strings.TrimPrefix(strings.SplitN(dsn, "?", 2)[0], "postgresql:///")
	role := "guest_of_" + name // roles belong to the server
	pgtest.Exec(t, dsn, `CREATE ROLE `+role+` LOGIN`, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+role)
	guest := pgtest.URL(name, role)
	s, log := openLogged(t, guest)
	if log != "" {
		t.Errorf("logged: %s", log)
	}
	if h := host(t, s, "00:11:22:33:44:55"); !h.Enabled {
		t.Errorf("got %s", asJSON(t, h))
	}
	if err := s.Apply(t.Context(), []clusto.Op{entity_("x", "pool")}); !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("a change without the right to: %v", err)
	}
	pgtest.Exec(t, dsn, `DROP INDEX idx_attrs_relation_key`)
	if _, log := openLogged(t, guest); !strings.Contains(log, "idx_attrs_relation_key") || !strings.Contains(log, "must be owner") {
		t.Errorf("logged: %s", log)
	}
}
