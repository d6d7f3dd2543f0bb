package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestFeedNamesAllWhoChanged writes at random past all rules, and compares what
// every host is before and after: none may become another one unnamed.
func TestFeedNamesAllWhoChanged(t *testing.T) {
	for _, dump := range []string{"clusto.sql", "clusto-versioned.sql"} {
		eachOriginal(t, dump, func(t *testing.T, s *Store) {
			rnd := rand.New(rand.NewPCG(3, 4))
			before := allHosts(t, s)
			changed := 0
			for range raceScale(80, 30) {
				at := change_(t, s, "").ID
				stmts := scribble(rnd)
				for _, stmt := range stmts {
					execute(t, s, stmt)
				}
				c := change_(t, s, at)
				after := allHosts(t, s)
				for _, m := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
					if before[m] == after[m] {
						continue
					}
					changed++
					if !slices.Contains(c.MACs, m) && !c.Reset {
						t.Fatalf("%s is not named (%s) after\n%s\nbefore %s\nafter  %s", m, named(c), strings.Join(stmts, "\n"), before[m], after[m])
					}
				}
				before = after
			}
			if changed < raceScale(20, 5) {
				t.Errorf("only %d hosts changed", changed)
			}
		})
	}
}

func allHosts(t testing.TB, s *Store) map[clusto.MAC]string {
	t.Helper()
	all := map[clusto.MAC]string{}
	if err := s.Hosts(t.Context(), func(h *clusto.Host) error { all[h.MAC] = asJSON(t, h); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// scribble makes statements that the Python clusto could issue, and some that it
// would not.
func scribble(rnd *rand.Rand) []string {
	some := func(table, id string, where string) string {
		return fmt.Sprintf(`(SELECT %s FROM %s WHERE %s ORDER BY (%s * %d) %% 997 LIMIT 1)`, id, table, where, id, 1+rnd.IntN(990))
	}
	host := `"key" IN ('_contains', 'dhcp', 'ip', 'port-nic-eth', 'hostname', 'baseip', 'netmask', 'gateway')`
	attr, ent := some("entity_attrs", "attr_id", host+" AND deleted_at_version IS NULL"), some("entities", "entity_id", "1 = 1")
	mac := fmt.Sprintf("00:1e:c9:00:00:%02x", 1+rnd.IntN(30))
	add := func(key, sub, datatype, col, value string) string {
		return fmt.Sprintf(`INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, %s, version)
			SELECT %s, '%s', %s, %d, '%s', %s, 1`, col, ent, key, sub, 1+rnd.IntN(3), datatype, value)
	}
	switch rnd.IntN(14) {
	case 12:
		return []string{fmt.Sprintf(`UPDATE entity_attrs SET string_value = '255.255.%d.0' WHERE attr_id = `, 240+rnd.IntN(16)) + some("entity_attrs", "attr_id", `"key" = 'netmask'`)}
	case 13:
		return []string{`DELETE FROM entity_attrs WHERE attr_id = ` + some("entity_attrs", "attr_id", `"key" = 'ip' AND subkey = 'manager'`)}
	case 0:
		return []string{`DELETE FROM entity_attrs WHERE attr_id = ` + attr}
	case 1:
		return []string{`UPDATE entity_attrs SET deleted_at_version = 900 WHERE attr_id = ` + attr}
	case 2: // back again
		return []string{`UPDATE entity_attrs SET deleted_at_version = NULL WHERE attr_id = ` + some("entity_attrs", "attr_id", host+" AND deleted_at_version IS NOT NULL")}
	case 3:
		return []string{`UPDATE entity_attrs SET entity_id = ` + ent + ` WHERE attr_id = ` + attr}
	case 4:
		return []string{`UPDATE entity_attrs SET relation_id = ` + ent + ` WHERE attr_id = ` + some("entity_attrs", "attr_id", host+" AND relation_id IS NOT NULL")}
	case 5:
		return []string{add("port-nic-eth", "'mac'", "string", "string_value", "'"+mac+"'")}
	case 6:
		return []string{`UPDATE entity_attrs SET string_value = '` + mac + `' WHERE attr_id = ` + some("entity_attrs", "attr_id", `subkey = 'mac'`)}
	case 7:
		return []string{add("_contains", "NULL", "relation", "relation_id", some("entities", "entity_id", "type = 'server'"))}
	case 8:
		return []string{add("dhcp", "'domain'", "string", "string_value", fmt.Sprintf("'d%d'", rnd.IntN(99)))}
	case 9:
		return []string{add("dhcp", "'NTP_server'", "relation", "relation_id", some("entities", "entity_id", "type = 'server'"))}
	case 10:
		return []string{`UPDATE entities SET name = '` + fmt.Sprint("n", rnd.IntN(1e6)) + `' WHERE entity_id = ` + ent}
	default:
		gone := some("entities", "entity_id", "type IN ('pool', 'server', 'resourcemanager')")
		return []string{`UPDATE entities SET deleted_at_version = CASE WHEN deleted_at_version IS NULL THEN 901 END WHERE entity_id = ` + gone}
	}
}
