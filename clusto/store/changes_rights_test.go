package store

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// TestFeedWithoutRights: a database that may not be altered has no feed, and
// says so once. Where the feed is there already, it may be followed by those who
// only read, and is fed by those who have no rights on its tables.
func TestFeedWithoutRights(t *testing.T) {
	file := originalFile(t, "clusto.sql")
	s, log := openLogged(t, file+"?mode=ro")
	if err := s.Follow(t.Context(), "", time.Hour, nil); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, clusto.ErrUnavailable) {
		t.Errorf("a read-only database: %v", err)
	}
	if strings.Count(log, "changes cannot be followed") != 1 {
		t.Errorf("logged: %s", log)
	}
	w := openTest(t, file)
	s, log = openLogged(t, file+"?mode=ro")
	f := follow(t, s, "", time.Hour)
	f.next()
	apply(t, w, attrAt("s0001", "hostname", str("x")))
	if c := f.next(); !slices.Contains(c.Entities, "/server/s0001") || strings.Contains(log, "cannot be followed") {
		t.Errorf("got %+v; logged: %s", c, log)
	}
}

func TestPostgresFeedWithoutRights(t *testing.T) {
	dsn := pgtest.New(t)
	owner := openTest(t, dsn)
	apply(t, owner, example()...)
	name := strings.TrimPrefix(strings.SplitN(dsn, "?", 2)[0], "postgresql:///")
	role := "writer_of_" + name
	pgtest.Exec(t, dsn, `CREATE ROLE `+role+` LOGIN`,
		`GRANT SELECT, INSERT, UPDATE, DELETE ON entities, entity_attrs, counters, clustoversioning TO `+role,
		`GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO `+role, `REVOKE ALL ON SEQUENCE clusto_changes_seq_seq FROM `+role)
	s, log := openLogged(t, pgtest.URL(name, role))
	if err := s.Follow(t.Context(), "", time.Hour, nil); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(log, "changes cannot be followed") {
		t.Errorf("%v; logged: %s", err, log)
	}
	f := follow(t, owner, "", time.Hour)
	f.next()
	apply(t, s, attrAt("ex0000", "hostname", str("x")))
	if c := f.next(); named(c) != "/server/ex0000 00:11:22:33:44:55" {
		t.Errorf("got %+v", c)
	}
	pgtest.Exec(t, dsn, `DROP TRIGGER clusto_feed_entities_delete ON entities`)
	if s, log := openLogged(t, pgtest.URL(name, role)); s.feed.off == nil || !strings.Contains(log, "changes cannot be followed") {
		t.Errorf("it may not mend the triggers; logged: %s", log)
	}
}

// TestPostgresOpenedByManyAtOnce: one of them makes the triggers, and the others
// find them.
func TestPostgresOpenedByManyAtOnce(t *testing.T) {
	dsn := pgtest.New(t)
	openTest(t, dsn).Close()
	pgtest.Exec(t, dsn, `DROP TABLE clusto_changes`, `DROP TRIGGER clusto_feed_entities_lock ON entities`)
	stores := make(chan *Store)
	for range 4 {
		go func() {
			s, err := Open(context.Background(), dsn, nil)
			if err != nil {
				t.Error(err)
			}
			stores <- s
		}()
	}
	for range 4 {
		if s := <-stores; s != nil {
			if c := change_(t, s, ""); s.feed.off != nil || c.Seq != 1 {
				t.Errorf("%v; made %d times", s.feed.off, c.Seq)
			}
			s.Close()
		}
	}
}

// TestChangeOfWhatTakesNone tells that from a database that is down: a standby
// of PostgreSQL, which a role whose transactions begin read-only stands for here
// (each of its connections, also those made later), and a role that may only read.
func TestChangeOfWhatTakesNone(t *testing.T) {
	dsn := pgtest.New(t)
	apply(t, openTest(t, dsn), example()...)
	name := strings.TrimPrefix(strings.SplitN(dsn, "?", 2)[0], "postgresql:///")
	onStandby, role := "standby_of_"+name, "reader_of_"+name
	pgtest.Exec(t, dsn, `CREATE ROLE `+onStandby+` LOGIN SUPERUSER`,
		`ALTER ROLE `+onStandby+` SET default_transaction_read_only = on`,
		`CREATE ROLE `+role+` LOGIN`, `GRANT SELECT ON ALL TABLES IN SCHEMA public TO `+role)
	standby, log := openLogged(t, pgtest.URL(name, onStandby))
	if strings.Count(log, "the database is read-only") != 1 {
		t.Errorf("logged: %s", log)
	}
	reader, _ := openLogged(t, pgtest.URL(name, role))
	for what, s := range map[string]*Store{"a standby": standby, "who may only read": reader} {
		if n := sameAlone(t, s); n == 0 {
			t.Errorf("%s: no hosts", what)
		}
		if err := s.Apply(t.Context(), []clusto.Op{entity_("x", "pool")}); !errors.Is(err, clusto.ErrReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
