package store

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// driverIPManager is the driver of IP managers.
const driverIPManager = "ipmanager"

// managerKeys are the properties that make an IP manager's range.
var managerKeys = []string{"baseip", "netmask", "gateway"}

// ranged is an entity with properties that may make a range.
type ranged struct {
	name, driver string
	props        [3]nameRow // in the order of managerKeys; the last by number, then id
}

// add files a property. Others are passed over.
func (m *ranged) add(r *row) {
	i := slices.Index(managerKeys, r.key)
	if i < 0 {
		return
	}
	p := nameRow{r.id, orNull(r.number), strings.TrimSpace(r.value().Text())}
	if m.props[i].id == 0 || p.after(m.props[i]) {
		m.props[i] = p
	}
}

// network reads the properties. Without a usable baseip there is no range, and
// the result is nil.
func (m *ranged) network() *clusto.Network {
	return clusto.ParseNetwork(m.name, m.props[0].text, m.props[1].text, m.props[2].text)
}

// manager is an IP manager whose range is known.
type manager struct {
	clusto.Network
	id int64
}

// rangesSQL finds what makes the ranges. It begins with the properties, which
// are few: clusto has no index on drivers.
func (d *dialect) rangesSQL() string {
	return `SELECT e.name, e.driver, ` + hostColumns + ` FROM entity_attrs a` +
		d.per("entities", "e", `e.entity_id = a.entity_id AND e.deleted_at_version IS NULL`) + `
		WHERE a."key" IN ('baseip', 'netmask', 'gateway') AND COALESCE(a.subkey, '') = 'property' AND a.deleted_at_version IS NULL`
}

// readRanges reads the range of every entity that has one, by its id, and the
// IP managers among them, by name. each runs rangesSQL.
func readRanges(each func(into []any, fn func()) error) (map[int64]*clusto.Network, []manager, error) {
	all := map[int64]*ranged{}
	var name, driver string
	var r row
	err := each(append([]any{&name, &driver}, r.hostFields()...), func() {
		m := all[r.entity]
		if m == nil {
			m = &ranged{name: name, driver: driver}
			all[r.entity] = m
		}
		m.add(&r)
	})
	if err != nil {
		return nil, nil, err
	}
	networks, managers := map[int64]*clusto.Network{}, []manager{}
	for id, m := range all {
		nw := m.network()
		if nw == nil {
			continue
		}
		networks[id] = nw
		if m.driver == driverIPManager {
			managers = append(managers, manager{*nw, id})
		}
	}
	slices.SortFunc(managers, func(a, b manager) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.id, b.id))
	})
	return networks, managers, nil
}

// readManagers reads the IP managers that have a range, by name.
func (d *dialect) readManagers(ctx context.Context, q querier) ([]manager, error) {
	_, managers, err := readRanges(func(into []any, fn func()) error { return each(ctx, q, d.rangesSQL(), into, fn) })
	return managers, err
}

// managers is readManagers by itself.
func (s *Store) managers(ctx context.Context) ([]manager, error) {
	return s.dialect.readManagers(ctx, s.read)
}

// holders gives the managers whose range holds ip and is the narrowest of all
// that do: a manager of 10.0.0.0/8 stands back behind one of 10.1.0.0/16. More
// than one means that nobody can tell which.
func holders(all []manager, ip netip.Addr) []manager {
	var out []manager
	for _, m := range all {
		if !m.Prefix.Contains(ip) || len(out) > 0 && m.Prefix.Bits() < out[0].Prefix.Bits() {
			continue
		}
		if len(out) > 0 && m.Prefix.Bits() > out[0].Prefix.Bits() {
			out = out[:0]
		}
		out = append(out, m)
	}
	return out
}
