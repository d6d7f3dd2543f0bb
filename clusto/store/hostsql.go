package store

import (
	"github.com/clusto/clusto-engine/clusto"
)

// maxOwners is how many attributes that hold a MAC are read with their entities
// and containers. Where there are more, they are ranked first.
const maxOwners = 16

// ownersSQL finds the attributes with one of the texts.
func (d *dialect) ownersSQL() string {
	return `SELECT a.attr_id, a.entity_id, a."key", a.subkey, a.number, e.name, e.type, e.driver FROM ` + d.heldBy(clusto.MACForms)
}

// heldBy joins n texts, all different, the attributes a that are one of them, and their
// entities e. It names no key, lest a planner takes the index on key, which is
// no help.
func (d *dialect) heldBy(n int) string {
	return values(n, "TEXT") + d.per("entity_attrs", "a", `a.string_value = v.column1 AND a.deleted_at_version IS NULL`) +
		d.per("entities", "e", `e.entity_id = a.entity_id AND e.deleted_at_version IS NULL`)
}

// fromMAC and fromEntity begin hostSQL: with the entities that hold a MAC, given
// in all its spellings, or with one entity. The conditions on key and subkey are
// wrapped, lest a planner takes their indexes, which are no help.
func (d *dialect) fromMAC() string {
	return `SELECT o.id, CAST(NULL AS INTEGER) FROM (SELECT a.entity_id AS id FROM ` + values(clusto.MACForms, "TEXT") +
		d.per("entity_attrs", "a", `a.string_value = v.column1 AND a.deleted_at_version IS NULL`) + `
		WHERE COALESCE(a."key", '') = 'port-nic-eth' AND COALESCE(a.subkey, '') IN ('mac', 'ipmi-mac') LIMIT 16) o`
}

const fromEntity = `SELECT CAST(? AS INTEGER), CAST(NULL AS INTEGER)`

// hostSQL finds all that a host needs in one statement, and so in one state of
// the database: the entities that from gives, all their containers, and the
// ranges of the IP managers that their addresses are bound under. Its rows are
// those of hostFields: attributes, of managers with the manager's name as
// subkey; and, with id 0, entities, with name, type and driver for key, subkey
// and text, and for relation the child that led there, if any. UNION drops what
// is found twice, so a cycle of containers ends.
func (d *dialect) hostSQL(from string) string {
	const own = ` WHERE up.child IS NULL`
	return `WITH RECURSIVE up(id, child) AS (
		` + from + `
		UNION
		SELECT c.entity_id, up.id FROM up` + d.per("entity_attrs", "c", `c.relation_id = up.id AND c."key" = '_contains' AND c.deleted_at_version IS NULL`) + `)
	SELECT 0, up.id, e.name, e.type, NULL, '', NULL, e.driver, up.child FROM up` + d.per("entities", "e", `e.entity_id = up.id AND e.deleted_at_version IS NULL`) +
		d.hostAttrs(`'dhcp'`) +
		d.hostAttrs(`'port-nic-eth'`) + own +
		d.hostAttrs(`'hostname'`) + own +
		d.hostAttrs(`'ip' AND COALESCE(a.subkey, '') <> 'cidr'`) + own + `
	UNION ALL SELECT ` + managerColumns + ` FROM up` +
		d.per("entity_attrs", "a", `a.entity_id = up.id AND a.deleted_at_version IS NULL AND a."key" = 'ip' AND a.relation_id IS NOT NULL`) +
		d.per("entities", "m", `m.entity_id = a.relation_id AND m.deleted_at_version IS NULL`) +
		d.per("entity_attrs", "p", `p.entity_id = m.entity_id AND p.deleted_at_version IS NULL
			AND p."key" BETWEEN 'baseip' AND 'netmask' AND COALESCE(p.subkey, '') = 'property'`) + own
}

// hostAttrs finds the attributes of one key of what is in up.
func (d *dialect) hostAttrs(key string) string {
	return `
	UNION ALL SELECT ` + hostColumns + ` FROM up` + d.per("entity_attrs", "a", `a.entity_id = up.id AND a.deleted_at_version IS NULL AND a."key" = `+key)
}

// managerColumns are hostColumns of attribute p of manager m.
const managerColumns = `p.attr_id, p.entity_id, p."key", m.name, p.number, p.datatype, p.int_value,
	CASE WHEN p.datatype = 'datetime' THEN CAST(p.datetime_value AS VARCHAR(32)) ELSE p.string_value END, NULL`

// relatedSQL finds an entity that dhcp attributes point to, and the addresses
// that it stands for there.
func (d *dialect) relatedSQL() string {
	return `SELECT e.name, e.type, e.driver, COALESCE(a.attr_id, 0), a.subkey, a.number, a.int_value, a.string_value, a.relation_id FROM entities e` +
		d.maybe("entity_attrs", "a", `a.entity_id = e.entity_id AND a.deleted_at_version IS NULL AND a."key" = 'ip'`) + `
		WHERE e.entity_id = ? AND e.deleted_at_version IS NULL`
}

// The statements of a chunk. The conditions on keys are wrapped, lest a planner
// takes their index and reads all that have the key for each chunk; the order
// leads SQLite to the index on entity_id and key.
const (
	entitiesAfterSQL = `SELECT entity_id, name, type, driver FROM entities
		WHERE entity_id > ? AND deleted_at_version IS NULL ORDER BY entity_id LIMIT ?`
	attrsWithinSQL = `SELECT ` + hostColumns + ` FROM entity_attrs a
		WHERE a.entity_id > ? AND a.entity_id <= ? AND a.deleted_at_version IS NULL
		AND CASE a."key" WHEN 'ip' THEN TRUE WHEN 'port-nic-eth' THEN TRUE WHEN 'dhcp' THEN TRUE WHEN 'hostname' THEN TRUE ELSE FALSE END
		AND (COALESCE(a.subkey, '') <> 'cidr' OR a."key" = 'dhcp')
		ORDER BY a.entity_id, a."key"`
	parentsWithinSQL = `SELECT a.entity_id, a.relation_id FROM entity_attrs a
		WHERE a.relation_id > ? AND a.relation_id <= ? AND COALESCE(a."key", '') = '_contains' AND a.deleted_at_version IS NULL
		ORDER BY a.relation_id`
	macsSQL = `SELECT a.entity_id, a.string_value FROM entity_attrs a
		WHERE a."key" = 'port-nic-eth' AND a.subkey IN ('mac', 'ipmi-mac') AND a.string_value IS NOT NULL AND a.deleted_at_version IS NULL`
)

// The statements of containers, each for idsAtOnce of them.
func (d *dialect) entitiesOfSQL() string {
	return `SELECT e.entity_id, e.name, e.type, e.driver FROM ` + values(idsAtOnce, "INTEGER") +
		d.per("entities", "e", `e.entity_id = v.column1 AND e.deleted_at_version IS NULL`)
}

func (d *dialect) attrsOfSQL() string {
	return `SELECT ` + hostColumns + ` FROM ` + values(idsAtOnce, "INTEGER") +
		d.per("entity_attrs", "a", `a.entity_id = v.column1 AND a."key" = 'dhcp' AND a.deleted_at_version IS NULL`)
}

func (d *dialect) parentsOfSQL() string {
	return `SELECT a.entity_id, a.relation_id FROM ` + values(idsAtOnce, "INTEGER") +
		d.per("entity_attrs", "a", `a.relation_id = v.column1 AND a."key" = '_contains' AND a.deleted_at_version IS NULL`)
}
