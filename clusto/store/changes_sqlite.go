package store

import (
	"fmt"
	"time"
)

// sqliteFeed uses nothing younger than SQLite 3.7: triggers run inside the
// writer's own library. They have no ON CONFLICT, which the writer's statement
// would override, and leave last_insert_rowid() and changes() as they were.
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
	var all []trigger
	add := func(name, event, table, when, who, gone string) {
		if when != "" {
			when = "\nWHEN " + when
		}
		text := fmt.Sprintf("CREATE TRIGGER clusto_feed_%s AFTER %s ON %s%s\nBEGIN INSERT INTO clusto_changes (entity_id, gone) VALUES (%s, %s); END",
			name, event, table, when, who, gone)
		all = append(all, trigger{
			name: "clusto_feed_" + name, text: text,
			make: []string{"DROP TRIGGER IF EXISTS clusto_feed_" + name, text},
		})
	}
	for _, event := range []string{"INSERT", "UPDATE"} {
		add("entities_"+event+"_new", event, "entities", "", "NEW.entity_id", "NULL")
		add("attrs_"+event+"_new", event, "entity_attrs", relevant("NEW"), concerned("NEW"), "NULL")
	}
	for _, event := range []string{"UPDATE", "DELETE"} {
		add("entities_"+event+"_old", event, "entities", "", "OLD.entity_id", "'/' || OLD.type || '/' || OLD.name")
		add("attrs_"+event+"_old", event, "entity_attrs", relevant("OLD"), concerned("OLD"), lostMAC("OLD"))
	}
	return all
}
