package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Entity gives the entity of that name, or ErrNotFound.
func (s *Store) Entity(ctx context.Context, name string) (clusto.Entity, error) {
	_, e, err := s.entity(ctx, s.read, name)
	return e, err
}

func (s *Store) entity(ctx context.Context, in querier, name string) (id int64, e clusto.Entity, err error) {
	found := false
	err = each(ctx, in, s.dialect.q(entitySQL), []any{&id, &e.Name, &e.Type, &e.Driver}, func() { found = true }, name)
	if err != nil {
		return 0, e, s.failed("ask", err)
	} else if !found {
		return 0, e, fmt.Errorf("there is no entity %.128q: %w", name, clusto.ErrNotFound)
	}
	return id, e, nil
}

const entitySQL = `SELECT entity_id, name, type, driver FROM entities
	WHERE name = ? AND deleted_at_version IS NULL ORDER BY entity_id LIMIT 1`

// Entities gives the entities that meet every condition of q, by entity_id.
func (s *Store) Entities(ctx context.Context, q clusto.Query) ([]clusto.Entity, error) {
	from, args := s.dialect.entitiesOf(q)
	var e clusto.Entity
	out := []clusto.Entity{}
	err := each(ctx, s.read, s.dialect.q(`SELECT e.name, e.type, e.driver FROM `+from+` ORDER BY e.entity_id`),
		[]any{&e.Name, &e.Type, &e.Driver}, func() { out = append(out, e) }, args...)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	return out, nil
}

// entitiesOf joins what leads to the entities e that meet a query. Attributes
// lead to few of them, as far as they have a value.
func (d *dialect) entitiesOf(q clusto.Query) (from string, args []any) {
	where, args := entitiesWhere(q)
	if len(q.Attrs) == 0 {
		return `entities e WHERE e.deleted_at_version IS NULL` + where, args
	}
	var holders []string
	var first []any
	for _, m := range q.Attrs {
		text, a := d.holdersOf(m)
		holders = append(holders, text)
		first = append(first, a...)
	}
	return `(SELECT DISTINCT h.entity_id FROM (` + strings.Join(holders, " UNION ALL ") + `) h) m` +
		d.per("entities", "e", `e.entity_id = m.entity_id AND e.deleted_at_version IS NULL`) + ` WHERE TRUE` + where, append(first, args...)
}

// holdersOf finds the entities with an attribute that matches. Several texts are
// looked for one by one, lest a planner thinks that they are in half the table.
func (d *dialect) holdersOf(m clusto.AttrMatch) (text string, args []any) {
	cond, args := matchWhere(m)
	if v := m.Value; v != nil && v.Int == nil && len(v.Texts) > 1 {
		return `SELECT a.entity_id FROM ` + values(len(v.Texts), "TEXT") +
			d.per("entity_attrs", "a", `a.string_value = v.column1 AND a.deleted_at_version IS NULL`) + ` WHERE TRUE` + cond, append(appendTexts(nil, v.Texts), args...)
	}
	return `SELECT a.entity_id FROM entity_attrs a WHERE a.deleted_at_version IS NULL` + cond, args
}

// entitiesWhere gives the conditions on the entities themselves. Servers are most
// of them: the whole table is read sooner than by an index on types, so no planner
// shall take that.
func entitiesWhere(q clusto.Query) (where string, args []any) {
	kind := "e.type"
	if slices.Contains(q.Types, "server") {
		kind = "COALESCE(e.type, '')"
	}
	for _, c := range []struct {
		column string
		values []string
	}{{"e.name", q.Names}, {kind, q.Types}, {"e.driver", q.Drivers}} {
		if len(c.values) > 0 {
			where += " AND " + c.column + " IN (" + params(len(c.values)) + ")"
			args = appendTexts(args, c.values)
		}
	}
	if len(q.Contains) > containsMax {
		where += " AND 1 = 0"
	} else if q.Contains != "" {
		where += " AND (e.name LIKE ? ESCAPE '!' OR lower(e.name) LIKE ? ESCAPE '!')"
		part := "%" + likeText.Replace(q.Contains) + "%"
		args = append(args, part, strings.ToLower(part))
	}
	return where, args
}

// containsMax is the length of a text, in bytes, from which on no name contains
// it: a name has 128 characters. SQLite takes patterns of 50,000 bytes.
const containsMax = 10_000

// likeText makes LIKE take a text literally, after ESCAPE '!'.
var likeText = strings.NewReplacer("!", "!!", "%", "!%", "_", "!_")

func appendTexts(args []any, texts []string) []any {
	for _, t := range texts {
		args = append(args, t)
	}
	return args
}

// matchWhere gives the conditions of one match. A value leads to few rows, a
// key may lead to all: with a value the other columns are wrapped, so that no
// planner takes their index.
func matchWhere(m clusto.AttrMatch) (cond string, args []any) {
	key, sub := `a."key"`, `a.subkey`
	if v := m.Value; v != nil {
		switch {
		case v.Int != nil:
			cond, args = ` AND a.int_value = `+wide, append(args, *v.Int)
		case len(v.Texts) > 0:
			cond, args = ` AND a.string_value IN (`+params(len(v.Texts))+`)`, appendTexts(args, v.Texts)
		default:
			cond = ` AND a.string_value IS NULL`
		}
		if cond != ` AND a.string_value IS NULL` {
			key, sub = `COALESCE(a."key", '')`, `COALESCE(a.subkey, '')`
		}
	}
	if m.Key != "" {
		cond, args = cond+` AND `+key+` = ?`, append(args, m.Key)
	}
	if m.Subkey != nil && m.Subkey.Null {
		cond += ` AND a.subkey IS NULL`
	} else if m.Subkey != nil {
		cond, args = cond+` AND `+sub+` = ? AND a.subkey IS NOT NULL`, append(args, m.Subkey.Text)
	}
	switch n := m.Number; {
	case n == nil:
	case n.Equal != nil:
		cond, args = cond+` AND a.number = `+wide, append(args, *n.Equal)
	case n.Null:
		cond += ` AND a.number IS NULL`
	default:
		cond += ` AND a.number IS NOT NULL`
	}
	return cond, args
}

// Managers gives the networks of the IP managers that have a range, by name.
func (s *Store) Managers(ctx context.Context) ([]clusto.Network, error) {
	all, err := s.managers(ctx)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	out := make([]clusto.Network, len(all))
	for i, m := range all {
		out[i] = m.Network
	}
	return out, nil
}
