package store

// changedSQL is what the rows say. Every use has two parameters.
const changedSQL = `changed(id) AS (SELECT DISTINCT entity_id FROM clusto_changes WHERE seq > ? AND seq <= ?)`

// concernedSQL finds whom they concern: the changed ones, those whose dhcp
// attributes point to them, all that one of these contains, and what is bound
// under them. UNION drops what is found twice, so a cycle ends.
func (d *dialect) concernedSQL() string {
	return `WITH RECURSIVE ` + changedSQL + `,
	concerned(id) AS (
		SELECT id FROM changed
		UNION SELECT r.entity_id FROM changed` +
		d.per("entity_attrs", "r", `r.relation_id = changed.id AND r."key" = 'dhcp' AND r.deleted_at_version IS NULL`) + `
		UNION SELECT c.relation_id FROM concerned` +
		d.per("entity_attrs", "c", `c.entity_id = concerned.id AND c."key" = '_contains' AND c.relation_id IS NOT NULL AND c.deleted_at_version IS NULL`) + `),
	named(id) AS (
		SELECT id FROM concerned
		UNION SELECT b.entity_id FROM changed` +
		d.per("entity_attrs", "b", `b.relation_id = changed.id AND b."key" = 'ip' AND b.deleted_at_version IS NULL`) + `)
	` + d.rowsOfNamed()
}

// rowsOfNamed gives the type and name of each entity that is named, and in rows
// of their own the MACs. The condition on subkeys is wrapped, lest a planner
// takes their index.
func (d *dialect) rowsOfNamed() string {
	return `SELECT e.type, e.name, '' FROM named` + d.per("entities", "e", `e.entity_id = named.id`) + `
	UNION ALL SELECT '', '', p.string_value FROM named` +
		d.per("entity_attrs", "p", `p.entity_id = named.id AND p."key" = 'port-nic-eth' AND COALESCE(p.subkey, '') IN ('mac', 'ipmi-mac')
			AND p.string_value IS NOT NULL AND p.deleted_at_version IS NULL`)
}

// hostsOfSQL gives the same of idsAtOnce entities.
func (d *dialect) hostsOfSQL() string {
	return `WITH named(id) AS (SELECT v.column1 FROM ` + values(idsAtOnce, "INTEGER") + `) ` + d.rowsOfNamed()
}

// managersSQL tells whether an IP manager is among the changed.
func (d *dialect) managersSQL() string {
	return `WITH ` + changedSQL + ` SELECT count(*) > 0 FROM changed` +
		d.per("entities", "e", `e.entity_id = changed.id`) + ` WHERE e.type = 'resourcemanager' OR e.driver = 'ipmanager'`
}

// addressesSQL finds the addresses, each with the managers that it is bound
// under.
const addressesSQL = `SELECT a.entity_id, a.number, a.subkey, a.relation_id FROM entity_attrs a
	WHERE a."key" = 'ip' AND (a.subkey IS NULL OR a.subkey IN ('ipstring', 'manager')) AND a.deleted_at_version IS NULL
	ORDER BY a.entity_id, a.number`
