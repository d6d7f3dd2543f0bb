package store

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestAdditionsNeedAYoungerSQLiteThanIsSaid looks in all that is added to a
// database for what SQLite learned after 3.7 (its release history): README names
// the release that whoever else opens it needs.
func TestAdditionsNeedAYoungerSQLiteThanIsSaid(t *testing.T) {
	var added []string
	for _, ix := range indexes {
		added = append(added, ix.create())
	}
	added = append(added, sqliteFeed.tables...)
	for _, tr := range sqliteFeed.triggers {
		added = append(added, tr.make...)
	}
	partial := 0
	for _, text := range added {
		if regexp.MustCompile(`(?s)^CREATE INDEX.*\bWHERE\b`).MatchString(text) {
			partial++
		}
	}
	if partial == 0 {
		t.Error("there is no partial index any more: README says that SQLite 3.8 is needed for them")
	}
	for release, feature := range map[string]string{
		"3.8.2": `WITHOUT ROWID`, "3.8.3": `\bWITH\b`, "3.9": `^CREATE INDEX [^(]*\([^)]*\(|json`,
		"3.23": `\b(TRUE|FALSE)\b`, "3.24": `ON CONFLICT`, "3.25": `\bOVER\b`, "3.31": `GENERATED|\bAS \(`, "3.32": `\bIIF\b`,
		"3.35": `RETURNING|MATERIALIZED`, "3.37": `\bSTRICT\b`, "3.38": `->|unixepoch`, "3.39": `DISTINCT FROM`,
	} {
		for _, text := range added {
			if found := regexp.MustCompile("(?is)" + feature).FindString(text); found != "" {
				t.Errorf("%q needs SQLite %s: %s", found, release, text)
			}
		}
	}
	readme, err := os.ReadFile("../../README.md")
	must(t, err)
	if said := strings.Join(strings.Fields(string(readme)), " "); !strings.Contains(said, "Whoever else opens a SQLite file needs SQLite 3.8 (2013) or newer") {
		t.Error("README does not say that SQLite 3.8 is needed")
	}
}
