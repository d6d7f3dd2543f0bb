package store

import (
	"fmt"
	"time"
)

const (
	// feedLock is the advisory lock of everybody who writes: "clusto" in ASCII.
	feedLock = 0x636c7573746f

	postgresLock = `LOCK TABLE entities, entity_attrs, counters IN SHARE ROW EXCLUSIVE MODE`
)

// postgresFeed needs PostgreSQL 11 or newer.
//
// A sequence does not count in the order of commits. So each statement that
// writes takes an advisory lock first, which is held until the transaction has
// committed: writers come one after the other, and a reader who has seen a seq
// has seen all below it. The store takes the same lock, and no other, as the
// first thing in its own transactions. It must not lock tables: a statement
// holds its table while it waits for the advisory lock. The lock is taken for
// counters too, lest someone who holds a row of those waits for it. Who has
// locked a row with SELECT FOR UPDATE, of which no trigger tells, waits for it all
// the same when he writes: so the store waits for a row less than
// deadlock_timeout, and then lets go of everything and begins again.
//
// The functions run with the rights of who made them: other writers need none
// on the feed's tables.
var postgresFeed = &feedDDL{
	tables: []string{
		`CREATE TABLE IF NOT EXISTS clusto_changes (seq BIGSERIAL PRIMARY KEY,
			lot BIGINT NOT NULL DEFAULT 1 + floor(random() * 9e15)::bigint, entity_id INTEGER, gone TEXT)`,
	},
	triggers: postgresTriggers(),
	list: `SELECT t.tgname, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
		WHERE t.tgrelid IN ('entities'::regclass, 'entity_attrs'::regclass, 'counters'::regclass)
		AND t.tgenabled IN ('O', 'A') AND NOT t.tgisinternal`,
	before: []string{
		// Less than deadlock_timeout: who is in the way shall not be ended.
		`SET LOCAL lock_timeout = '500ms'`,
		// The functions keep this path. Behind all else: a writer's own temporary
		// tables, whose triggers would run with the rights of the function.
		`SELECT set_config('search_path', (SELECT quote_ident(n.nspname) FROM pg_class c
			JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'entities'::regclass) || ', pg_temp', true)`,
		postgresLock,
	},
	lock:   fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d), set_config('lock_timeout', '100ms', true)`, feedLock),
	listen: `LISTEN clusto_changes`,
	poll:   time.Second, // for where what it tells is lost, as behind some poolers
}

func postgresTriggers() []trigger {
	var m pgMaker
	for _, table := range []string{"entities", "entity_attrs", "counters"} {
		m.add(table, "lock", "BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE", "", fmt.Sprintf("PERFORM pg_advisory_xact_lock(%d);", feedLock))
	}
	added := "SELECT " + concerned("added") + ", NULL FROM added WHERE " + relevant("added")
	removed := "SELECT " + concerned("removed") + ", " + lostMAC("removed") + " FROM removed WHERE " + relevant("removed")
	const (
		news = " REFERENCING NEW TABLE AS added"
		olds = " REFERENCING OLD TABLE AS removed"
		both = olds + " NEW TABLE AS added"
		here = "SELECT entity_id, NULL FROM added"
		was  = "SELECT entity_id, '/' || type || '/' || name FROM removed"
		all  = "SELECT NULL::integer, NULL"
	)
	m.record("entities", "insert", "INSERT", news, here)
	m.record("entities", "update", "UPDATE", both, was+" UNION "+here)
	m.record("entities", "delete", "DELETE", olds, was)
	m.record("entities", "truncate", "TRUNCATE", "", all)
	m.record("entity_attrs", "insert", "INSERT", news, added+" GROUP BY 1, 2")
	m.record("entity_attrs", "update", "UPDATE", both, removed+" UNION "+added)
	m.record("entity_attrs", "delete", "DELETE", olds, removed+" GROUP BY 1, 2")
	m.record("entity_attrs", "truncate", "TRUNCATE", "", all)
	return m.all
}

// pgMaker makes triggers, each with a function of the same name.
type pgMaker struct{ all []trigger }

// record adds a trigger that writes rows into the change table. tables names
// what the statement wrote.
func (m *pgMaker) record(table, suffix, event, tables, rows string) {
	m.add(table, suffix, "AFTER "+event, tables, "INSERT INTO clusto_changes (entity_id, gone) "+rows+
		";\n\tIF FOUND THEN PERFORM pg_notify('clusto_changes', ''); END IF;")
}

func (m *pgMaker) add(table, suffix, when, tables, body string) {
	name := "clusto_feed_" + table + "_" + suffix
	body = "\nBEGIN\n\t" + body + "\n\tRETURN NULL;\nEND\n"
	m.all = append(m.all, trigger{name: name, text: body, make: []string{
		"DROP TRIGGER IF EXISTS " + name + " ON " + table,
		"CREATE OR REPLACE FUNCTION " + name + "() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $feed$" + body + "$feed$",
		"CREATE TRIGGER " + name + " " + when + " ON " + table + tables + " FOR EACH STATEMENT EXECUTE FUNCTION " + name + "()",
	}})
}
