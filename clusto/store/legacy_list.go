package store

import (
	"context"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Types lists the types of entity: those that clusto's drivers have, and those
// that entities have beside them. Sorted.
func (s *Store) Types(ctx context.Context) ([]string, error) {
	found, err := s.list(ctx, `SELECT DISTINCT type FROM entities WHERE deleted_at_version IS NULL`)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	for _, d := range clusto.Drivers {
		found = append(found, d.Type)
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}

// Members gives what a container holds, and what is inside that, and so on, by
// entity_id. A cycle ends. It returns ErrNotFound if there is no such entity.
func (s *Store) Members(ctx context.Context, name string) ([]clusto.Entity, error) {
	id, _, err := s.entity(ctx, s.read, name)
	if err != nil {
		return nil, err
	}
	var e clusto.Entity
	out := []clusto.Entity{}
	err = each(ctx, s.read, s.dialect.q(s.dialect.membersSQL()), []any{&e.Name, &e.Type, &e.Driver}, func() { out = append(out, e) }, id)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	return out, nil
}

// membersSQL walks down from a container. UNION drops what is found twice, so a
// cycle ends.
func (d *dialect) membersSQL() string {
	return `WITH RECURSIVE down(id) AS (
		SELECT relation_id FROM entity_attrs
		WHERE entity_id = ? AND "key" = '_contains' AND relation_id IS NOT NULL AND deleted_at_version IS NULL
		UNION SELECT c.relation_id FROM down` +
		d.per("entity_attrs", "c", `c.entity_id = down.id AND c."key" = '_contains' AND c.relation_id IS NOT NULL AND c.deleted_at_version IS NULL`) + `)
	SELECT e.name, e.type, e.driver FROM down` + d.per("entities", "e", `e.entity_id = down.id AND e.deleted_at_version IS NULL`) + `
	ORDER BY e.entity_id`
}

// namesAtOnce is how many names one query of AttrsOf asks for.
const namesAtOnce = 1000

// AttrsOf gives, by the name of the entity, the attributes of the entities named
// that meet any of the matches, in the order written. A match without a key
// leaves hidden attributes out.
func (s *Store) AttrsOf(ctx context.Context, names []string, matches []clusto.AttrMatch) (map[string][]clusto.Attr, error) {
	out := map[string][]clusto.Attr{}
	if len(matches) == 0 {
		return out, nil
	}
	for some := range slices.Chunk(names, namesAtOnce) {
		if err := s.attrsOfSome(ctx, some, matches, out); err != nil {
			return nil, s.failed("ask", err)
		}
	}
	return out, nil
}

func (s *Store) attrsOfSome(ctx context.Context, names []string, matches []clusto.AttrMatch, out map[string][]clusto.Attr) error {
	var either []string
	names = slices.Compact(slices.Sorted(slices.Values(names))) // a row for each name is joined
	args := appendTexts(nil, names)
	for _, m := range matches {
		cond, a := matchWhere(m)
		if m.Key == "" {
			cond += ` AND substr(a."key", 1, 1) <> '_'`
		}
		either = append(either, "("+strings.TrimPrefix(cond, " AND ")+")")
		args = append(args, a...)
	}
	var name string
	var r row
	var to clusto.Entity
	into := append([]any{&name}, append(r.fields(), &to.Name, &to.Type)...)
	return each(ctx, s.read, s.dialect.q(s.dialect.attrsNamedSQL(len(names), strings.Join(either, " OR "))), into, func() {
		out[name] = append(out[name], r.attrTo(to))
	}, args...)
}

// attrsNamedSQL asks for the attributes of n entities by name.
func (d *dialect) attrsNamedSQL(n int, cond string) string {
	return `SELECT o.name, ` + rowColumns + `, COALESCE(r.name, ''), COALESCE(r.type, '') FROM ` + values(n, "TEXT") +
		d.per("entities", "o", `o.name = v.column1 AND o.deleted_at_version IS NULL`) +
		d.per("entity_attrs", "a", `a.entity_id = o.entity_id AND a.deleted_at_version IS NULL`) +
		d.maybe("entities", "r", `r.entity_id = a.relation_id`) + `
		WHERE ` + cond + ` ORDER BY a.attr_id`
}

// attrTo is attr with the entity that a relation points to.
func (r *row) attrTo(to clusto.Entity) clusto.Attr {
	a := r.attr()
	if a.Value.Type == clusto.Relation && to.Name != "" {
		a.Value.Str = to.Path()
	}
	return a
}

// Knows reports whether there is a type of that name, or a driver: one of
// clusto's, or one that some entity has.
func (s *Store) Knows(ctx context.Context, isDriver bool, name string) (bool, error) {
	q := clusto.Query{Types: []string{name}}
	if isDriver {
		q = clusto.Query{Drivers: []string{name}}
	}
	for word, d := range clusto.Drivers {
		if name == d.Type && !isDriver || name == word && isDriver {
			return true, nil
		}
	}
	where, args := entitiesWhere(q)
	var id int64
	found := false
	err := each(ctx, s.read, s.dialect.q(`SELECT e.entity_id FROM entities e WHERE e.deleted_at_version IS NULL`+where+` LIMIT 1`),
		[]any{&id}, func() { found = true }, args...)
	if err != nil {
		return false, s.failed("ask", err)
	}
	return found, nil
}
