package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

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

// spelled gives the spellings of a MAC as arguments of a query, NULL for those
// that come twice because the MAC has no letters.
func spelled(mac clusto.MAC) []any {
	forms := mac.Spellings()
	args := make([]any, len(forms))
	for i, f := range forms {
		if !slices.Contains(forms[:i], f) {
			args[i] = f
		}
	}
	return args
}

// Host resolves one MAC as /v2/hosts/{mac} and spec "From request to answer"
// want it: by port-nic-eth 1's mac, else any port-nic-eth's, else an ipmi-mac,
// servers before other entities. Several owners give a Host with Ambiguous set.
// All of it is one state of the database. It returns ErrNotFound when nobody
// owns the MAC, and ErrUnavailable when the database fails. Slices of the result
// may be shared: do not change them.
func (s *Store) Host(ctx context.Context, mac clusto.MAC) (*clusto.Host, error) {
	var h *clusto.Host
	err := s.snapshot(ctx, func(ctx context.Context, r *reader) (err error) {
		h, err = r.host(ctx, mac)
		return err
	})
	if err != nil {
		return nil, s.failed("ask", err)
	}
	if h == nil {
		return nil, fmt.Errorf("find host %s: %w", mac, clusto.ErrNotFound)
	}
	return h, nil
}

// host resolves one MAC; nil if nobody owns it.
func (r *reader) host(ctx context.Context, mac clusto.MAC) (*clusto.Host, error) {
	g := r.graph(ctx)
	held, err := r.load(ctx, g, byMAC, spelled(mac)...)
	if err != nil {
		return nil, err
	}
	owners := g.ownersOf(mac)
	if held >= maxOwners {
		if g, owners, err = r.crowd(ctx, mac); err != nil {
			return nil, err
		}
	}
	owners = g.winners(owners)
	if len(owners) == 0 {
		return nil, nil
	}
	h, err := g.host(mac, owners)
	return &h, err
}

// ownersOf lists who holds the MAC.
func (g *graph) ownersOf(mac clusto.MAC) (owners []owner) {
	for _, n := range g.nodes {
		for _, o := range n.owners() {
			if o.mac == mac {
				owners = append(owners, o.owner)
			}
		}
	}
	return owners
}

// crowd finds the owners of a MAC that more attributes hold than host reads, and
// loads what is needed of the one who gets it, if it is one.
func (r *reader) crowd(ctx context.Context, mac clusto.MAC) (*graph, []owner, error) {
	g := r.graph(ctx)
	var owners []owner
	var in row
	var e clusto.Entity
	err := r.each(ctx, ownersOf, []any{&in.id, &in.entity, &in.key, &in.sub, integer{&in.number}, &e.Name, &e.Type, &e.Driver}, func() {
		if in.key == keyNIC && isMAC(in.sub.String) {
			g.addNode(in.entity, e)
			owners = append(owners, owner{entity: in.entity, id: in.id, number: orNull(in.number), bmc: in.sub.String == subIPMI})
		}
	}, spelled(mac)...)
	if err != nil {
		return nil, nil, err
	}
	owners = g.winners(owners)
	if len(owners) > 0 && len(g.ambiguous(owners)) == 0 {
		_, err = r.load(ctx, g, byEntity, owners[0].entity)
	}
	return g, owners, err
}

// load adds what a statement of hostSQL finds, and what that points to. held is
// how many attributes hold a MAC that was asked for.
func (r *reader) load(ctx context.Context, g *graph, from statement, args ...any) (held int, err error) {
	var in row
	rows := make([]row, 0, 32)
	if err := r.each(ctx, from, in.hostFields(), func() { rows = append(rows, in) }, args...); err != nil {
		return 0, err
	}
	ranges := map[int64]*ranged{}
	for i := range rows {
		switch a := &rows[i]; {
		case a.id == 0:
			g.addNode(a.entity, clusto.Entity{Name: a.key, Type: a.sub.String, Driver: a.text.String})
		case slices.Contains(managerKeys, a.key):
			if ranges[a.entity] == nil {
				ranges[a.entity] = &ranged{name: a.sub.String}
			}
			ranges[a.entity].add(a)
		case a.key == keyNIC && isMAC(a.sub.String) && slices.Contains(args, any(a.text.String)):
			held++
		}
	}
	for id, m := range ranges {
		g.networks[id] = m.network()
	}
	for i := range rows {
		g.file(&rows[i])
	}
	return held, r.relate(ctx, g, maps.Values(g.nodes))
}

// file adds a row of hostSQL to its node, if that is there. A container that is
// reached in several ways comes with its attributes as often.
func (g *graph) file(a *row) {
	switch n := g.nodes[a.entity]; {
	case n == nil:
	case a.id == 0 && a.rel.Valid:
		if child := g.nodes[a.rel.Int64]; child != nil {
			child.addParent(a.entity)
		}
	case a.id != 0 && !slices.ContainsFunc(n.dhcp, func(b dhcpAttr) bool { return b.ID == a.id }):
		n.add(a)
	}
}
