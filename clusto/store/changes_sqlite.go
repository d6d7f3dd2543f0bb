package store

import (
	"fmt"
	"time"
)

// sqliteFeed uses nothing younger than the partial indexes do, SQLite 3.8: triggers
// run inside the writer's own library. They have no ON CONFLICT, which the writer's statement
// would override, and leave last_insert_rowid() and changes() as they were.
//
// A row whose place another takes, as by REPLACE, is deleted without a trigger
// unless the writer has set recursive_triggers. So triggers before the statement
// look for it.
var sqliteFeed = &feedDDL{
	tables: []string{
		// AUTOINCREMENT: the number of a row that was deleted never comes again.
		`CREATE TABLE IF NOT EXISTS clusto_changes (seq INTEGER PRIMARY KEY AUTOINCREMENT,
			lot INTEGER NOT NULL DEFAULT (random() | 1), entity_id INTEGER, gone TEXT)`,
	},
	triggers: sqliteTriggers(),
	list:     `SELECT name, sql FROM sqlite_master WHERE type = 'trigger'`,
	poll:     100 * time.Millisecond,
}

func sqliteTriggers() []trigger {
	var m sqliteMaker
	for _, event := range []string{"INSERT", "UPDATE"} {
		m.row("entities_"+event+"_new", event, "entities", "", "NEW.entity_id", "NULL")
		m.row("attrs_"+event+"_new", event, "entity_attrs", relevant("NEW"), concerned("NEW"), "NULL")
		m.replaced("entities_"+event+"_over", event, "entities", "entity_id", "o.entity_id", pathOfRow("o"), "")
		m.replaced("attrs_"+event+"_over", event, "entity_attrs", "attr_id", concerned("o"), lostMAC("o"), " AND "+relevant("o"))
	}
	for _, event := range []string{"UPDATE", "DELETE"} {
		m.row("entities_"+event+"_old", event, "entities", "", "OLD.entity_id", pathOfRow("OLD"))
		m.row("attrs_"+event+"_old", event, "entity_attrs", relevant("OLD"), concerned("OLD"), lostMAC("OLD"))
	}
	return m.all
}

func pathOfRow(row string) string { return "'/' || " + row + ".type || '/' || " + row + ".name" }

// sqliteMaker makes triggers.
type sqliteMaker struct{ all []trigger }

// row adds a trigger that notes a row which was written or deleted, when that
// matters.
func (m *sqliteMaker) row(name, event, table, when, who, gone string) {
	if when != "" {
		when = "WHEN " + when
	}
	m.add(name, "AFTER "+event, table, when, fmt.Sprintf("VALUES (%s, %s)", who, gone))
}

// replaced adds a trigger that notes the row o whose place another will take,
// when that matters.
func (m *sqliteMaker) replaced(name, event, table, id, who, gone, when string) {
	moved := ""
	if event == "UPDATE" {
		moved = "WHEN NEW." + id + " <> OLD." + id
	}
	m.add(name, "BEFORE "+event, table, moved, fmt.Sprintf("SELECT %s, %s FROM %s o WHERE o.%s = NEW.%s%s", who, gone, table, id, id, when))
}

func (m *sqliteMaker) add(name, event, table, when, rows string) {
	name = "clusto_feed_" + name
	if when != "" {
		when = "\n" + when
	}
	text := fmt.Sprintf("CREATE TRIGGER %s %s ON %s%s\nBEGIN INSERT INTO clusto_changes (entity_id, gone) %s; END", name, event, table, when, rows)
	m.all = append(m.all, trigger{name: name, text: text, make: []string{"DROP TRIGGER IF EXISTS " + name, text}})
}
