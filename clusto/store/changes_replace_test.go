package store

import (
	"slices"
	"strings"
	"testing"
)

// TestFeedOfReplace: on SQLite a row whose place another takes is deleted
// without a trigger, unless recursive_triggers is on. What it held is named all
// the same.
func TestFeedOfReplace(t *testing.T) {
	const five = "00:1e:c9:00:00:05"
	replaceFive := func(table string) string {
		return `REPLACE INTO ` + table + ` (attr_id, entity_id, "key", subkey, number, datatype, string_value, version)
			SELECT attr_id, entity_id, "key", subkey, number, datatype, '00:1e:c9:00:77:77', 1 FROM entity_attrs WHERE "key" = 'port-nic-eth' AND subkey = 'mac' AND string_value = '` + five + `'`
	}
	contained := func(name string) string {
		return `(SELECT a.attr_id FROM entity_attrs a JOIN entities e ON e.entity_id = a.relation_id WHERE a."key" = '_contains' AND e.name = '` + name + `' ORDER BY a.attr_id LIMIT 1)`
	}
	for name, tt := range map[string]struct {
		stmt string
		want []string
	}{
		"a MAC": {replaceFive("entity_attrs"), []string{"/server/s0005", five, "00:1e:c9:00:77:77"}},
		"INSERT OR REPLACE": {
			strings.Replace(replaceFive("entity_attrs"), "REPLACE", "INSERT OR REPLACE", 1),
			[]string{"/server/s0005", five, "00:1e:c9:00:77:77"},
		},
		"what is contained": {
			`REPLACE INTO entity_attrs (attr_id, entity_id, "key", number, datatype, relation_id, version)
				SELECT attr_id, entity_id, "key", number, datatype, (SELECT entity_id FROM entities WHERE name = 's0012'), 1 FROM entity_attrs WHERE attr_id = ` + contained("s0001"),
			[]string{"/server/s0001", "00:1e:c9:00:00:01", "/server/s0012"},
		},
		"a row moved onto it": {
			`UPDATE OR REPLACE entity_attrs SET attr_id = (SELECT attr_id FROM entity_attrs WHERE string_value = '` + five + `') WHERE attr_id = ` + contained("s0001"),
			[]string{"/server/s0005", five, "/server/s0001"},
		},
		"a row moved onto it by rowid": {
			`UPDATE OR REPLACE entity_attrs SET rowid = (SELECT attr_id FROM entity_attrs WHERE string_value = '` + five + `') WHERE attr_id = ` + contained("s0001"),
			[]string{"/server/s0005", five, "/server/s0001"},
		},
		"an entity": {
			`REPLACE INTO entities (entity_id, name, type, driver, version) SELECT entity_id, 'renamed', type, driver, version FROM entities WHERE name = 's0001'`,
			[]string{"/server/s0001", "/server/renamed", "00:1e:c9:00:00:01"},
		},
		"an entity moved onto it": {
			`UPDATE OR REPLACE entities SET entity_id = (SELECT entity_id FROM entities WHERE name = 's0001') WHERE name = 's0012'`,
			[]string{"/server/s0001", "/server/s0012", "00:1e:c9:00:00:01"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := originalFile(t, "clusto.sql")
			s := openTest(t, file)
			at := change_(t, s, "").ID
			runSQLite(t, file, tt.stmt)
			got := change_(t, s, at)
			for _, want := range tt.want {
				if !slices.Contains(strings.Fields(named(got)), want) {
					t.Errorf("%s is not named, but %s", want, named(got))
				}
			}
		})
	}
}
