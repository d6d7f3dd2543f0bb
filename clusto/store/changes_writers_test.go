package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// TestFeedOfPythonsWrites issues what SQLAlchemy would, with and without
// versions, on a connection that knows nothing of the feed: every statement
// gives what it gave without the triggers, and is heard of.
func TestFeedOfPythonsWrites(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	s := openTest(t, file)
	db, err := sql.Open("sqlite", file+"?_pragma=foreign_keys(1)")
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	const mac = "00:1e:c9:00:00:01" // of s0001
	for _, tt := range []struct {
		stmt string
		rows int64
		id   string // of the new row
		want string
	}{
		{`INSERT INTO entities (name, type, driver, version) VALUES ('py', 'server', 'basicserver', 1)`, 1, "SELECT max(entity_id) FROM entities", "/server/py"},
		{`INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
			SELECT entity_id, 'port-nic-eth', 'mac', 1, 'string', '02:00:00:00:00:99', 1 FROM entities WHERE name = 'py'`, 1, "SELECT max(attr_id) FROM entity_attrs", "/server/py 02:00:00:00:00:99"},
		{`INSERT OR REPLACE INTO entity_attrs (attr_id, entity_id, "key", subkey, number, datatype, string_value, version)
			SELECT attr_id, entity_id, "key", subkey, number, datatype, '02:00:00:00:00:98', 1 FROM entity_attrs WHERE string_value = '02:00:00:00:00:99'`, 1, "", "/server/py 02:00:00:00:00:98 02:00:00:00:00:99"},
		{`UPDATE entity_attrs SET string_value = '/x' WHERE "key" = 'ip' AND subkey = 'ipstring' AND entity_id = (SELECT entity_id FROM entities WHERE name = 's0001')`, 1, "", "/server/s0001 " + mac},
		{`UPDATE entity_attrs SET deleted_at_version = 9 WHERE "key" = 'ip' AND subkey = 'ipstring' AND entity_id = (SELECT entity_id FROM entities WHERE name = 's0001')`, 1, "", "/server/s0001 " + mac},
		{`UPDATE counters SET value = value + 1`, 10, "", ""},
		{`DELETE FROM entity_attrs WHERE string_value = '02:00:00:00:00:98'`, 1, "", "/server/py 02:00:00:00:00:98"},
		{`DELETE FROM entities WHERE name = 'py'`, 1, "", "/server/py"},
	} {
		at := change_(t, s, "").ID
		res, err := db.ExecContext(t.Context(), tt.stmt)
		if err != nil {
			t.Fatalf("%s: %v", tt.stmt, err)
		}
		if n, _ := res.RowsAffected(); n != tt.rows && tt.rows != 10 {
			t.Errorf("%s: %d rows, want %d", tt.stmt, n, tt.rows)
		}
		if tt.id != "" {
			var id int64
			must(t, db.QueryRowContext(t.Context(), tt.id).Scan(&id))
			if last, _ := res.LastInsertId(); last != id {
				t.Errorf("%s: last_insert_rowid is %d, want %d", tt.stmt, last, id)
			}
		}
		if c := change_(t, s, at); named(c) != tt.want {
			t.Errorf("%s\nnames %q, want %q", tt.stmt, named(c), tt.want)
		}
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM entities WHERE name = 's0001'`); err == nil {
		t.Error("foreign keys hold no longer")
	}
	at := change_(t, s, "").ID
	for _, stmt := range []string{`DELETE FROM entity_attrs`, `DELETE FROM counters`, `DELETE FROM entities`} {
		if _, err := db.ExecContext(t.Context(), stmt); err != nil {
			t.Errorf("%s: %v", stmt, err)
		}
	}
	if c := change_(t, s, at); len(c.MACs) != 27 || len(c.Entities) < 45 {
		t.Errorf("all is gone: %d MACs, %d entities", len(c.MACs), len(c.Entities))
	}
}

// TestFeedOfTruncate: that is heard by everybody.
func TestFeedOfTruncate(t *testing.T) {
	s := openTest(t, pgtest.New(t))
	apply(t, s, example()...)
	f := follow(t, s, "", time.Hour)
	f.next()
	execute(t, s, `TRUNCATE entities, entity_attrs, counters`)
	if c := f.next(); !c.Reset {
		t.Errorf("got %+v", c)
	}
}

// TestPostgresWritersTakeTurns: who begins to write second commits second, so
// that a reader never has a seq behind him that appears later.
func TestPostgresWritersTakeTurns(t *testing.T) {
	s := openTest(t, pgtest.New(t))
	apply(t, s, example()...)
	f := follow(t, s, "", time.Hour)
	f.next()
	first, err := s.write.BeginTx(t.Context(), nil)
	must(t, err)
	defer first.Rollback() //nolint:errcheck // it fails after Commit
	_, err = first.ExecContext(t.Context(), `UPDATE entity_attrs SET string_value = 'x' WHERE subkey = 'tftp_filename'`)
	must(t, err)
	second := make(chan error, 1)
	go func() {
		_, err := s.write.ExecContext(context.Background(), `INSERT INTO entities (name, type, driver, version) VALUES ('late', 'pool', 'pool', 1)`)
		second <- err
	}()
	for waiting := 0; waiting == 0; {
		must(t, s.read.QueryRowContext(t.Context(), `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`).Scan(&waiting))
	}
	must(t, first.Commit())
	must(t, <-second)
	if c := f.until(s); !strings.HasPrefix(named(c), "/pool/late /pool/pxeboot-servers ") {
		t.Errorf("got %s", named(c))
	}
}

// TestPostgresManyWriters: raw writers that touch the tables in any order, some
// of which give up, and changes through two stores. Nobody is in a deadlock, and
// a follower who is cut off again and again has heard of all that was written.
func TestPostgresManyWriters(t *testing.T) {
	dsn := pgtest.New(t)
	stores := []*Store{openTest(t, dsn), openTest(t, dsn)}
	apply(t, stores[0], example()...)
	begin := change_(t, stores[0], "").ID
	heard := make(chan map[string]bool)
	written := make(chan int64, 1)
	go func() { heard <- hearAll(t, stores, begin, written) }()
	var mu sync.Mutex
	var want []string
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range raceScale(40, 20) {
				name := fmt.Sprintf("w%dn%d", w, i)
				ok, err := writeSomehow(stores[w%2], rnd, name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if ok {
					mu.Lock()
					want = append(want, "/pool/"+name)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	written <- change_(t, stores[0], "").Seq
	got := <-heard
	for _, name := range want {
		if !got[name] {
			t.Errorf("%s was not heard of", name)
		}
	}
	if len(want) < raceScale(100, 50) {
		t.Errorf("%d were written", len(want))
	}
}

// hearAll follows one store and then the other, for a few changes each, until it
// has heard the last one that was written.
func hearAll(t *testing.T, stores []*Store, since string, written <-chan int64) map[string]bool {
	got, enough := map[string]bool{}, errors.New("enough")
	last, seq := int64(0), int64(0)
	for i := 0; last == 0 || seq < last; i++ {
		select {
		case last = <-written:
		default:
		}
		n := 0
		err := stores[i%2].Follow(t.Context(), since, time.Millisecond, func(c *clusto.Change) error {
			for _, e := range c.Entities {
				got[e] = true
			}
			if c.Reset {
				return errors.New("a reset")
			}
			since, seq = c.ID, c.Seq
			if n++; n > 3 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			t.Error(err)
			break
		}
	}
	return got
}

// writeSomehow makes a pool, perhaps, and reports whether it did.
func writeSomehow(s *Store, rnd *rand.Rand, name string) (bool, error) {
	ctx := context.Background()
	if rnd.IntN(4) == 0 {
		return true, s.Apply(ctx, []clusto.Op{entity_(name, "pool"), insert("ex0000", name, 0)})
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit
	stmts := []string{
		`INSERT INTO entities (name, type, driver, version) VALUES ('` + name + `', 'pool', 'pool', 1)`,
		`UPDATE entity_attrs SET string_value = '` + name + `' WHERE subkey = 'tftp_filename'`,
		`UPDATE counters SET value = value + 1`,
		`SELECT count(*) FROM entity_attrs`,
	}
	rnd.Shuffle(len(stmts), func(i, j int) { stmts[i], stmts[j] = stmts[j], stmts[i] })
	for _, stmt := range stmts {
		if _, err := tx.ExecContext(ctx, stmt); err != nil {
			return false, err
		}
	}
	if rnd.IntN(5) == 0 {
		return false, tx.Rollback()
	}
	return true, tx.Commit()
}

// TestPostgresTellsOthers: a follower of one store hears what comes through
// another one, and goes on when the connection that it is told over was lost.
func TestPostgresTellsOthers(t *testing.T) {
	dsn := pgtest.New(t)
	one, two := openTest(t, dsn), openTest(t, dsn)
	two.feed.every = time.Hour
	apply(t, one, example()...)
	f := follow(t, two, "", time.Hour)
	f.next()
	apply(t, one, attrAt("ex0000", "hostname", str("a")))
	if c := f.until(one); named(c) != "/server/ex0000 00:11:22:33:44:55" {
		t.Errorf("got %+v", c)
	}
	ended := 0
	for ended == 0 {
		must(t, one.read.QueryRowContext(t.Context(), `SELECT count(*) FROM (SELECT pg_terminate_backend(pid)
			FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%') ended`).Scan(&ended))
	}
	apply(t, one, attrAt("ex0000", "hostname", str("b")))
	if c := f.until(one); named(c) != "/server/ex0000 00:11:22:33:44:55" {
		t.Errorf("got %+v", c)
	}
}

// TestFeedLostItsTriggers: where the tables were made anew, silence says
// nothing. Whoever follows next makes the triggers anew, and those who followed
// before have to forget everything.
func TestFeedLostItsTriggers(t *testing.T) {
	for name, newDSN := range kinds {
		t.Run(name, func(t *testing.T) {
			dsn := newDSN(t)
			s := openTest(t, dsn)
			apply(t, s, example()...)
			at := change_(t, s, "")
			f := follow(t, s, "", 10*time.Millisecond)
			f.next()
			drop := `DROP TRIGGER clusto_feed_attrs_INSERT_new`
			if name == "postgresql" {
				drop = `ALTER TABLE entity_attrs DISABLE TRIGGER clusto_feed_entity_attrs_insert`
			}
			execute(t, s, drop)
			var err error
			for err == nil {
				select {
				case <-f.got:
				case err = <-f.err:
				case <-time.After(patience):
					t.Fatal("it goes on")
				}
			}
			if !errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), "follow again") {
				t.Errorf("it ends with %v", err)
			}
			f = follow(t, s, at.ID, time.Hour)
			if c := f.next(); !c.Reset {
				t.Errorf("then: %+v", c)
			}
			apply(t, s, attrAt("ex0000", "hostname", str("x")))
			if c := f.next(); named(c) != "/server/ex0000 00:11:22:33:44:55" {
				t.Errorf("and then: %+v", c)
			}
		})
	}
}

// TestCloseEndsFollowers: a store that is closed leaves nobody waiting.
func TestCloseEndsFollowers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		f := follow(t, s, "", time.Hour)
		f.next()
		must(t, s.Close())
		if err := <-f.err; !errors.Is(err, clusto.ErrUnavailable) {
			t.Errorf("it ends with %v", err)
		}
		if err := s.Follow(t.Context(), "", time.Hour, nil); !errors.Is(err, clusto.ErrUnavailable) {
			t.Errorf("and does not begin: %v", err)
		}
	})
}

// TestFeedOfAHugePool: one attribute concerns 100,000 hosts, and all are named;
// where there would be too many, everything is to be forgotten.
func TestFeedOfAHugePool(t *testing.T) {
	s := openTest(t, t.TempDir()+"/clusto.db")
	apply(t, s, entity_("big", "pool"))
	hosts := raceScale(100_000, 3_000)
	const many = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) `
	execute(t, s, many+`INSERT INTO entities (name, type, driver, version) SELECT 'h' || i, 'server', 'basicserver', 1 FROM n`, hosts)
	execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
		SELECT entity_id, 'port-nic-eth', 'mac', 1, 'string', printf('02:00:00:%02x:%02x:%02x', entity_id >> 16, entity_id >> 8 & 255, entity_id & 255), 1
		FROM entities WHERE type = 'server'`)
	execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", number, datatype, relation_id, version)
		SELECT (SELECT entity_id FROM entities WHERE name = 'big'), '_contains', entity_id, 'relation', entity_id, 1
		FROM entities WHERE type = 'server'`)
	at := change_(t, s, "").ID
	apply(t, s, attrAt("big", "dhcp/domain", str("example.org")))
	if c := change_(t, s, at); len(c.MACs) != hosts || len(c.Entities) != hosts+1 || c.Reset {
		t.Errorf("%d MACs, %d entities, want %d", len(c.MACs), len(c.Entities), hosts)
	}
	s.feed.memo, s.feed.many = memo{}, hosts-1
	if c := change_(t, s, at); !c.Reset || len(c.MACs) != 0 || c.Seq != c.Head {
		t.Errorf("too many: %d MACs, reset %v", len(c.MACs), c.Reset)
	}
}
