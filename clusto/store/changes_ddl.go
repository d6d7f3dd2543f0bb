package store

import (
	"strings"
	"time"
)

// The change feed's part of the schema. Triggers write a row into
// clusto_changes for all that a host may depend on, whoever changes it: this
// program, the Python clusto or a hand at an SQL shell.
//
//	seq        counts in the order of commits
//	lot        drawn by lot, not 0: tells the row from one of the same seq, in
//	           another database or after an old copy was put back
//	entity_id  whose host, or the hosts of whose contents, may have changed;
//	           0 for nobody, NULL for everybody
//	gone       what the entity has no longer: the text of a MAC, or its own
//	           "/type/name"

// trigger is one of the triggers.
type trigger struct {
	name string
	make []string // statements; one of that name may be there already
	text string   // what the database says that it does
}

// feedDDL is how a dialect makes the feed.
type feedDDL struct {
	tables   []string
	triggers []trigger
	list     string   // the names and texts of the triggers that are there and switched on
	before   []string // statements of the transaction that makes all this

	// lock is the first statement of a writing transaction where the triggers
	// are there, "" for the dialect's own.
	lock string
	// poll is how often others' changes are looked for while somebody follows.
	poll time.Duration
	// listen has PostgreSQL tell of changes, "" for none.
	listen string
}

// relevant tells the attributes that hosts are made from. It has no IN, whose
// list SQLite would build anew for every row.
func relevant(row string) string {
	return strings.NewReplacer("@", row).Replace(`(@."key" = 'ip' AND (@.subkey IS NULL OR @.subkey <> 'cidr') OR @."key" = '_contains'
	OR @."key" = 'port-nic-eth' AND (@.subkey = 'mac' OR @.subkey = 'osportname' OR @.subkey = 'ipmi-mac')
	OR @."key" = 'dhcp' OR @."key" = 'hostname' OR @."key" = 'baseip' OR @."key" = 'netmask' OR @."key" = 'gateway')`)
}

// concerned tells whom an attribute is about: what a container holds depends on
// the container, and not the other way about.
func concerned(row string) string {
	return strings.NewReplacer("@", row).Replace(`CASE WHEN @."key" = '_contains' THEN COALESCE(@.relation_id, @.entity_id) ELSE @.entity_id END`)
}

// lostMAC gives the MAC that goes with an attribute, else NULL.
func lostMAC(row string) string {
	return strings.NewReplacer("@", row).Replace(`CASE WHEN @."key" = 'port-nic-eth' AND (@.subkey = 'mac' OR @.subkey = 'ipmi-mac') THEN @.string_value END`)
}
