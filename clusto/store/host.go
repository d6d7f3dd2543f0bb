package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// parseStored reads a MAC as a lookup would find it: a spelling that is not
// looked for is none.
func parseStored(text string) (mac clusto.MAC, ok bool) {
	mac, err := clusto.ParseMAC(text)
	if err != nil {
		return mac, false
	}
	var canonical [17]byte
	if string(mac.AppendTo(canonical[:0])) == text {
		return mac, true
	}
	forms := mac.Spellings()
	return mac, slices.Contains(forms[:], text)
}

// ownersSQL finds the attributes with one of the texts. It names no key,
// lest SQLite takes the index on key, which is no help.
var ownersSQL = `SELECT a.attr_id, a.entity_id, a."key", a.subkey, a.number, e.name, e.type, e.driver
	FROM entity_attrs a JOIN entities e ON e.entity_id = a.entity_id
	WHERE a.string_value IN (` + params(clusto.MACForms) + `)
	AND a.deleted_at_version IS NULL AND e.deleted_at_version IS NULL`

// upwardSQL finds an entity and all its containers, each with the child that
// led there, and the attributes of each that a host needs. UNION drops what is
// found twice, so a cycle ends. CROSS JOIN keeps SQLite from starting with the
// attributes instead of the few ancestors.
var upwardSQL = `WITH RECURSIVE up(id, child) AS (
		SELECT CAST(? AS INTEGER), CAST(NULL AS INTEGER)
		UNION
		SELECT c.entity_id, up.id FROM up CROSS JOIN entity_attrs c
		WHERE c.relation_id = up.id AND c."key" = '_contains' AND c.deleted_at_version IS NULL)
	SELECT up.id, up.child, e.name, e.type, e.driver, ` + maybeColumns + `
	FROM up CROSS JOIN entities e
	LEFT JOIN entity_attrs a ON a.entity_id = up.id AND a.deleted_at_version IS NULL
		AND a."key" IN ('dhcp', 'ip', 'hostname', 'port-nic-eth', 'baseip', 'netmask', 'gateway')
	WHERE e.entity_id = up.id AND e.deleted_at_version IS NULL`

// nodeSQL finds one entity, with the addresses that a relation to it stands for
// and the range that it has if it is an IP manager.
var nodeSQL = `SELECT e.entity_id, CAST(NULL AS INTEGER), e.name, e.type, e.driver, ` + maybeColumns + `
	FROM entities e LEFT JOIN entity_attrs a ON a.entity_id = e.entity_id AND a.deleted_at_version IS NULL
		AND a."key" IN ('ip', 'baseip', 'netmask', 'gateway')
	WHERE e.entity_id = ? AND e.deleted_at_version IS NULL`

// maybeColumns are rowColumns of an outer join, where no row has id 0.
var maybeColumns = strings.NewReplacer(
	"a.attr_id", "COALESCE(a.attr_id, 0)", "a.entity_id", "COALESCE(a.entity_id, 0)",
	`a."key"`, `COALESCE(a."key", '')`, "a.datatype", "COALESCE(a.datatype, '')").Replace(rowColumns)

// Host resolves one MAC as /v2/hosts/{mac} and spec "From request to answer"
// want it: by port-nic-eth 1's mac, else any port-nic-eth's, else an ipmi-mac,
// servers before other entities. Several owners give a Host with Ambiguous set.
// It returns ErrNotFound when nobody owns the MAC, and ErrUnavailable when the
// database fails. Slices of the result may be shared: do not change them.
func (s *Store) Host(ctx context.Context, mac clusto.MAC) (*clusto.Host, error) {
	g := newGraph(16)
	g.managers = func() ([]manager, error) { return s.managers(ctx) }
	owners, err := s.ownersOf(ctx, g, mac)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	owners = g.winners(owners)
	if len(owners) == 0 {
		return nil, fmt.Errorf("find host %s: %w", mac, clusto.ErrNotFound)
	}
	if len(g.ambiguous(owners)) == 0 {
		if err := s.loadUpward(ctx, g, owners[0].entity); err != nil {
			return nil, s.failed("ask", err)
		}
	}
	h, err := g.host(mac, owners)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	return &h, nil
}

// ownersOf lists who holds the MAC, and puts them into the graph.
func (s *Store) ownersOf(ctx context.Context, g *graph, mac clusto.MAC) ([]owner, error) {
	forms := mac.Spellings()
	args := make([]any, clusto.MACForms)
	for i := range forms {
		args[i] = forms[i]
	}
	rows, err := s.owners.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var owners []owner
	for rows.Next() {
		var r row
		var e clusto.Entity
		if err := rows.Scan(&r.id, &r.entity, &r.key, &r.sub, integer{&r.number}, &e.Name, &e.Type, &e.Driver); err != nil {
			return nil, err
		}
		if sub := r.sub.String; r.key == keyNIC && (sub == subMAC || sub == subIPMI) {
			g.addNode(r.entity, e)
			owners = append(owners, owner{entity: r.entity, id: r.id, number: orNull(r.number), bmc: sub == subIPMI})
		}
	}
	return owners, rows.Err()
}

// loadUpward loads an entity, its containers, and all that their attributes
// point to.
func (s *Store) loadUpward(ctx context.Context, g *graph, id int64) error {
	if err := loadNodes(ctx, g, s.upward, id); err != nil {
		return err
	}
	for _, rel := range g.pointed() {
		if err := loadNodes(ctx, g, s.node, rel); err != nil {
			return err
		}
	}
	// The entities that dhcp values point to have managers of their own, which
	// do not matter: a value is an address without a network.
	return nil
}

// pointed lists the entities that the graph's attributes point to and that are
// not in it.
func (g *graph) pointed() (ids []int64) {
	add := func(id int64) {
		if id != 0 && g.nodes[id] == nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	for _, n := range g.nodes {
		for _, a := range n.dhcp {
			add(a.rel)
		}
		for _, r := range n.ips {
			add(r.rel)
		}
	}
	return ids
}

// loadNodes adds what upwardSQL and nodeSQL find. A node with several children
// comes once with each: its attributes are taken with the first.
func loadNodes(ctx context.Context, g *graph, stmt *sql.Stmt, id int64) error {
	rows, err := stmt.QueryContext(ctx, id)
	if err != nil {
		return err
	}
	defer rows.Close()
	type edge struct{ parent, child int64 }
	var edges []edge
	first := map[int64]int64{} // node -> the child that its attributes came with
	for rows.Next() {
		var r row
		var at int64
		var child sql.NullInt64
		var e clusto.Entity
		if err := rows.Scan(append([]any{&at, &child, &e.Name, &e.Type, &e.Driver}, r.fields()...)...); err != nil {
			return err
		}
		n := g.addNode(at, e)
		if c, ok := first[at]; !ok {
			first[at] = child.Int64
		} else if c != child.Int64 {
			r.id = 0
		}
		if child.Valid {
			edges = append(edges, edge{at, child.Int64})
		}
		if r.id != 0 {
			n.add(&r)
		}
	}
	for _, e := range edges {
		if n := g.nodes[e.child]; n != nil {
			n.addParent(e.parent)
		}
	}
	return rows.Err()
}
