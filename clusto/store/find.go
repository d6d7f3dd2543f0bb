package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// Find gives every host record of the entities that q names: an entity's name,
// else a MAC, else an IPv4 address, in any spelling that parses. There is one
// record for each MAC of such an entity; an entity without a MAC has one record
// with a zero MAC. It returns ErrNotFound if q names nothing.
func (s *Store) Find(ctx context.Context, q string) ([]clusto.Host, error) {
	ids, err := s.findIDs(ctx, q)
	if err != nil {
		return nil, s.failed("ask", err)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("find %q: no entity, MAC or address of that name: %w", q, clusto.ErrNotFound)
	}
	var hosts []clusto.Host
	for _, id := range ids {
		found, err := s.records(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, h := range found {
			known := slices.ContainsFunc(hosts, func(o clusto.Host) bool { return h.MAC != clusto.MAC{} && o.MAC == h.MAC })
			if !known {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts, nil
}

// findIDs lists the entities that q names, by id.
func (s *Store) findIDs(ctx context.Context, q string) (ids []int64, err error) {
	var id int64
	add := func() {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	err = each(ctx, s.read, s.dialect.q(`SELECT entity_id FROM entities WHERE name = ? AND deleted_at_version IS NULL`), []any{&id}, add, q)
	if err != nil || len(ids) > 0 {
		return ids, err
	}
	if mac, err := clusto.ParseMAC(q); err == nil {
		owners, err := s.ownersOf(ctx, newGraph(4), mac)
		for _, o := range owners {
			id = o.entity
			add()
		}
		slices.Sort(ids)
		return ids, err
	}
	if ip, err := netip.ParseAddr(q); err == nil && ip.Is4() {
		var e clusto.Entity
		var key string
		var sub sql.NullString
		err := each(ctx, s.read, s.dialect.q(boundSQL), []any{&id, &e.Name, &e.Type, &e.Driver, &key, &sub}, func() {
			if key == keyIP && (!sub.Valid || sub.String == "ipstring") {
				add()
			}
		}, ip.String(), intOf(ip))
		slices.Sort(ids)
		return ids, err
	}
	return nil, nil
}

// records gives the host records of one entity.
func (s *Store) records(ctx context.Context, id int64) ([]clusto.Host, error) {
	g := newGraph(16)
	g.managers = func() ([]manager, error) { return s.managers(ctx) }
	if err := s.loadUpward(ctx, g, id); err != nil {
		return nil, s.failed("ask", err)
	}
	n := g.nodes[id]
	if n == nil {
		return nil, nil
	}
	slices.SortFunc(n.ports, func(a, b portRow) int {
		return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(b.sub, a.sub), cmp.Compare(a.id, b.id))
	})
	var hosts []clusto.Host
	for _, p := range n.ports {
		mac, ok := parseStored(p.text)
		if !ok || p.sub == subOSPort {
			continue
		}
		h, err := s.Host(ctx, mac)
		if errors.Is(err, clusto.ErrNotFound) {
			continue // gone since
		} else if err != nil {
			return nil, err
		}
		hosts = append(hosts, *h)
	}
	if len(hosts) > 0 {
		return hosts, nil
	}
	h := clusto.Host{}
	if err := g.describe(&h, n); err != nil {
		return nil, s.failed("ask", err)
	}
	return []clusto.Host{h}, nil
}
