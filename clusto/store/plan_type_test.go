package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

const typeIndex = "idx_entities_type_name"

// TestTypeIsFoundByIndex: two pools were looked for among 100,000 servers, from
// end to end. Servers themselves are most of what there is.
func TestTypeIsFoundByIndex(t *testing.T) {
	asked := func(kind string) question {
		from, args := sqlite.entitiesOf(clusto.Query{Types: []string{kind}})
		return question{kind, `SELECT e.name FROM ` + from + ` ORDER BY e.entity_id`, args}
	}
	pools, servers := asked("pool"), asked("server")
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, fleet(400)...)
		if s.dialect == postgres {
			execute(t, s, `ANALYZE`)
			var by []string
			root := planOfPostgres(t, s.read, pools)
			root.walk(func(n *planNode) { by = append(by, n.Index) })
			if !slices.Contains(by, typeIndex) {
				t.Errorf("pools: %q", by)
			}
			return
		}
		if steps := planWith(t, s, pools.text, pools.args...); !strings.Contains(steps[0], typeIndex) {
			t.Errorf("pools: %q", steps)
		}
		if steps := planWith(t, s, servers.text, servers.args...); steps[0] != "SCAN e" {
			t.Errorf("servers: %q", steps)
		}
	})
}

// TestTypeIndexChangesNoOtherPlan asks SQLite with the index on types and without
// it: queries as the Python clusto makes them, of what lives at a version, and
// those of a hand, are planned alike.
func TestTypeIndexChangesNoOtherPlan(t *testing.T) {
	const (
		lives = ` AND e.version <= 5 AND (e.deleted_at_version IS NULL OR e.deleted_at_version > 5)`
		held  = ` FROM entities e JOIN entity_attrs a ON a.entity_id = e.entity_id WHERE a."key" = 'port-nic-eth' AND a.subkey = 'mac'
			AND a.string_value = '02:00:00:00:00:01' AND a.version <= 5 AND (a.deleted_at_version IS NULL OR a.deleted_at_version > 5) AND e.type IN ('server')`
		inside = ` FROM entities e JOIN entity_attrs a ON a.relation_id = e.entity_id WHERE a.entity_id = 7 AND a."key" = '_contains' AND e.type = 'server'`
	)
	queries := []string{
		`SELECT * FROM entities e WHERE e.name = 's000001'` + lives,
		`SELECT * FROM entities e WHERE e.name = 's000001' AND e.type = 'server'`,
		`SELECT * FROM entities e WHERE e.name = 's000001' AND e.type = 'server'` + lives,
		`SELECT * FROM entities e WHERE e.name IN ('s000001', 's000002') AND e.type IN ('server', 'pool') AND e.driver IN ('pool')` + lives,
		`SELECT * FROM entities e WHERE e.type IN ('pool')` + lives + ` ORDER BY e.name`,
		`SELECT * FROM entities e WHERE e.type = 'pool' ORDER BY e.entity_id LIMIT 1`,
		`SELECT * FROM entities e WHERE e.driver = 'pool' AND e.type = 'pool'` + lives,
		`SELECT * FROM entities e WHERE e.entity_id = 7 AND e.type = 'server'` + lives,
		`SELECT DISTINCT e.*` + held + lives,
		`SELECT e.*` + held,
		`SELECT e.*` + inside + lives,
		`SELECT e.*` + inside,
	}
	for _, analyzed := range []bool{false, true} {
		s := original(t, "clusto.sql")
		if analyzed {
			apply(t, s, fleet(400)...)
			execute(t, s, `ANALYZE`)
		}
		with := map[string]string{}
		for _, q := range queries {
			with[q] = strings.Join(plan(t, s, q, 0), "; ")
			if strings.Contains(with[q], typeIndex) {
				t.Errorf("%s: %s", q, with[q])
			}
		}
		execute(t, s, `DROP INDEX `+typeIndex)
		for _, q := range queries {
			if without := strings.Join(plan(t, s, q, 0), "; "); with[q] != without {
				t.Errorf("%s:\nwith the index %s\nwithout it     %s", q, with[q], without)
			}
		}
		// And one that says what lives as this package does finds one entity by it.
		execute(t, s, indexes[len(indexes)-1].create())
		steps := plan(t, s, `SELECT * FROM entities e WHERE e.name = 's000001' AND e.type = 'server' AND e.deleted_at_version IS NULL`, 0)
		if !strings.Contains(steps[0], "name=?") {
			t.Errorf("analyzed %v: %q", analyzed, steps)
		}
	}
}
