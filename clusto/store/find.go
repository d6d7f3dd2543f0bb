package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// Find gives every host record of the entities that q names: an entity's name,
// else a MAC, else an IPv4 address, in any spelling that parses. There is one
// record for each MAC of such an entity; an entity without a MAC has one record
// with a zero MAC. All of it is one state of the database. It returns
// ErrNotFound if q names nothing.
func (s *Store) Find(ctx context.Context, q string) ([]clusto.Host, error) {
	var hosts []clusto.Host
	err := s.transaction(ctx, func(r *reader) error {
		ids, err := s.findIDs(ctx, r.tx, q)
		for _, id := range ids {
			if err == nil {
				hosts, err = r.records(ctx, hosts, id)
			}
		}
		return err
	})
	if err != nil {
		return nil, s.failed("ask", err)
	}
	if len(hosts) == 0 {
		return nil, fmt.Errorf("find %q: no entity, MAC or address of that name: %w", q, clusto.ErrNotFound)
	}
	return hosts, nil
}

const namedSQL = `SELECT entity_id FROM entities WHERE name = ? AND deleted_at_version IS NULL`

// findIDs lists the entities that q names, by id.
func (s *Store) findIDs(ctx context.Context, in querier, q string) (ids []int64, err error) {
	var id int64
	var e clusto.Entity
	var key string
	var sub sql.NullString
	add := func() { ids = append(ids, id) }
	err = each(ctx, in, s.dialect.q(namedSQL), []any{&id}, add, q)
	mac, notMAC := clusto.ParseMAC(q)
	ip, notIP := netip.ParseAddr(q)
	switch {
	case err != nil || len(ids) > 0:
	case notMAC == nil:
		var attr int64
		var number sql.NullInt64
		err = each(ctx, in, s.dialect.q(s.dialect.ownersSQL()), []any{&attr, &id, &key, &sub, integer{&number}, &e.Name, &e.Type, &e.Driver}, func() {
			if key == keyNIC && isMAC(sub.String) {
				add()
			}
		}, spelled(mac)...)
	case notIP == nil && ip.Is4():
		err = each(ctx, in, s.dialect.q(s.dialect.boundSQL()), []any{&id, &e.Name, &e.Type, &e.Driver, &key, &sub}, func() {
			if key == keyIP && (!sub.Valid || sub.String == "ipstring") {
				add()
			}
		}, ip.String(), intOf(ip))
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// records adds the host records of one entity to those that there are.
func (r *reader) records(ctx context.Context, hosts []clusto.Host, id int64) ([]clusto.Host, error) {
	g := r.graph(ctx)
	if _, err := r.load(ctx, g, byEntity, id); err != nil {
		return nil, err
	}
	n := g.nodes[id]
	if n == nil {
		return hosts, nil
	}
	slices.SortFunc(n.ports, func(a, b portRow) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(b.sub, a.sub), cmp.Compare(a.id, b.id))
	})
	owners := n.owners()
	for _, o := range owners {
		if slices.ContainsFunc(hosts, func(h clusto.Host) bool { return h.MAC == o.mac && h.MAC != clusto.MAC{} }) {
			continue
		}
		h, err := r.host(ctx, o.mac)
		if err != nil {
			return nil, err
		}
		if h != nil {
			hosts = append(hosts, *h)
		}
	}
	if len(owners) > 0 {
		return hosts, nil
	}
	var h clusto.Host
	err := g.describe(&h, n)
	return append(hosts, h), err
}
