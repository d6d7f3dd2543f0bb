package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// The scans of a bulk read. Each asks for the columns that graph.add uses of
// the rows in question, and for live rows only.
const (
	scanEntities = `SELECT entity_id, name, type, driver FROM entities WHERE deleted_at_version IS NULL`
	scanContains = `SELECT entity_id, relation_id FROM entity_attrs
		WHERE "key" = '_contains' AND relation_id IS NOT NULL AND deleted_at_version IS NULL`
	scanPorts = `SELECT attr_id, entity_id, subkey, number, string_value FROM entity_attrs
		WHERE "key" = 'port-nic-eth' AND subkey IN ('mac', 'ipmi-mac', 'osportname') AND deleted_at_version IS NULL`
	scanIPs = `SELECT attr_id, entity_id, subkey, number, int_value, string_value, relation_id FROM entity_attrs
		WHERE "key" = 'ip' AND (subkey IS NULL OR subkey IN ('ipstring', 'manager', 'osportname')) AND deleted_at_version IS NULL`
	scanOthers = `SELECT ` + rowColumns + ` FROM entity_attrs a
		WHERE a."key" IN ('dhcp', 'hostname', 'baseip', 'netmask', 'gateway') AND a.deleted_at_version IS NULL`
)

// macOwner is an owner and the MAC that it holds.
type macOwner struct {
	mac clusto.MAC
	owner
}

// Hosts resolves every MAC that some entity holds as a port-nic-eth's mac or
// ipmi-mac, and gives them to fn in the order of the MACs, each as Host would
// give it. All of the inventory is read first, in one transaction, so fn may
// take its time and may use the Store. fn's error ends it and is returned. The
// slices of a Host may be shared with others: do not change them.
func (s *Store) Hosts(ctx context.Context, fn func(*clusto.Host) error) error {
	g, err := s.loadAll(ctx)
	if err != nil {
		return s.failed("read", err)
	}
	all := g.owners()
	for i := 0; i < len(all); {
		j := i + 1
		for j < len(all) && all[j].mac == all[i].mac {
			j++
		}
		if err := g.emit(all[i:j], fn); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		i = j
	}
	return nil
}

func (g *graph) emit(same []macOwner, fn func(*clusto.Host) error) error {
	owners := make([]owner, len(same))
	for i := range same {
		owners[i] = same[i].owner
	}
	h, err := g.host(same[0].mac, g.winners(owners))
	if err != nil {
		return err
	}
	return fn(&h)
}

// owners lists every MAC in the graph, sorted.
func (g *graph) owners() []macOwner {
	all := make([]macOwner, 0, len(g.nodes))
	for _, n := range g.nodes {
		for _, p := range n.ports {
			if p.sub == subOSPort {
				continue
			}
			if mac, ok := parseStored(p.text); ok {
				all = append(all, macOwner{mac, owner{entity: n.id, id: p.id, number: p.number, bmc: p.sub == subIPMI}})
			}
		}
	}
	slices.SortFunc(all, func(a, b macOwner) int { return bytes.Compare(a.mac[:], b.mac[:]) })
	return all
}

// loadAll reads the whole inventory in one read transaction.
func (s *Store) loadAll(ctx context.Context) (*graph, error) {
	tx, err := s.beginRead(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	g := newGraph(1024)
	var r row
	var e clusto.Entity
	for _, scan := range []struct {
		query string
		into  []any
		each  func()
	}{
		{scanEntities, []any{&r.id, &e.Name, &e.Type, &e.Driver}, func() { g.addNode(r.id, e) }},
		{scanContains, []any{&r.entity, &r.rel}, func() {
			if n := g.nodes[r.rel.Int64]; n != nil && g.nodes[r.entity] != nil {
				n.addParent(r.entity)
			}
		}},
		{scanPorts, []any{&r.id, &r.entity, &r.sub, integer{&r.number}, &r.text}, func() { r.key = keyNIC; g.addRow(&r) }},
		{scanIPs, []any{&r.id, &r.entity, &r.sub, integer{&r.number}, integer{&r.num}, &r.text, &r.rel}, func() { r.key = keyIP; g.addRow(&r) }},
		{scanOthers, r.fields(), func() { g.addRow(&r) }},
	} {
		r, e = row{}, clusto.Entity{}
		if err := each(ctx, tx, scan.query, scan.into, scan.each); err != nil {
			return nil, err
		}
	}
	all := g.allManagers()
	g.managers = func() ([]manager, error) { return all, nil }
	return g, nil
}

// beginRead begins a transaction that sees one state of the database.
func (s *Store) beginRead(ctx context.Context) (*sql.Tx, error) {
	opts := &sql.TxOptions{ReadOnly: true}
	if s.dialect == postgres {
		opts.Isolation = sql.LevelRepeatableRead
	}
	return s.read.BeginTx(ctx, opts)
}

func (g *graph) addRow(r *row) {
	if n := g.nodes[r.entity]; n != nil {
		n.add(r)
	}
}

// querier is a database, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each runs a query, scans every row into the same places and calls fn.
func each(ctx context.Context, q querier, query string, into []any, fn func(), args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		fn()
	}
	return rows.Err()
}

// driverIPManager is the driver of IP managers.
const driverIPManager = "ipmanager"

// allManagers lists the IP managers of the graph that have a range, by name.
func (g *graph) allManagers() []manager {
	var out []manager
	for _, n := range g.nodes {
		if nw := n.ownNetwork(); nw != nil && n.Driver == driverIPManager {
			out = append(out, manager{*nw, n.id})
		}
	}
	sortManagers(out)
	return out
}

// managers reads the IP managers that have a range, by name.
func (s *Store) managers(ctx context.Context) ([]manager, error) {
	return readManagers(ctx, s.read)
}

const managersSQL = `SELECT e.name, e.type, e.driver, ` + rowColumns + `
	FROM entities e JOIN entity_attrs a ON a.entity_id = e.entity_id AND a.deleted_at_version IS NULL
		AND a."key" IN ('baseip', 'netmask', 'gateway')
	WHERE e.driver = 'ipmanager' AND e.deleted_at_version IS NULL`

func readManagers(ctx context.Context, q querier) ([]manager, error) {
	g := newGraph(16)
	var r row
	var e clusto.Entity
	into := append([]any{&e.Name, &e.Type, &e.Driver}, r.fields()...)
	err := each(ctx, q, managersSQL, into, func() { g.addNode(r.entity, e).add(&r) })
	return g.allManagers(), err
}

func sortManagers(m []manager) {
	slices.SortFunc(m, func(a, b manager) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.id, b.id))
	})
}
