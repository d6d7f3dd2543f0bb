package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// What a bulk read keeps from one chunk for the next: containers, what options
// point to, and what the options of equal containers come to.
const (
	keptNodes  = 20_000
	keptMerged = 2000
)

// idsAtOnce is how many entities a statement of a bulk read asks for by id.
const idsAtOnce = 100

// bulk is one run of Hosts.
type bulk struct {
	*reader
	dialect  *dialect
	entities int // in a chunk
	fn       func(*clusto.Host) error

	g      *graph
	chunk  []*node                 // by entity_id
	shared map[clusto.MAC]struct{} // held by several entities

	entitiesAfter, attrsWithin, parentsWithin *sql.Stmt
	entitiesOf, attrsOf, parentsOf            *sql.Stmt
}

func (b *bulk) prepare(ctx context.Context) (err error) {
	if b.prepared, err = b.dialect.prepareOn(ctx, b.tx); err != nil {
		return err
	}
	for _, p := range []struct {
		into **sql.Stmt
		text string
	}{
		{&b.entitiesAfter, entitiesAfterSQL},
		{&b.attrsWithin, attrsWithinSQL},
		{&b.parentsWithin, parentsWithinSQL},
		{&b.entitiesOf, b.dialect.entitiesOfSQL()},
		{&b.attrsOf, b.dialect.attrsOfSQL()},
		{&b.parentsOf, b.dialect.parentsOfSQL()},
	} {
		if *p.into, err = b.tx.PrepareContext(ctx, b.dialect.q(p.text)); err != nil {
			return err
		}
	}
	return nil
}

// run reads and gives one chunk after another.
func (b *bulk) run(ctx context.Context, whole bool) (err error) {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	b.g = b.graph(ctx)
	if _, err := b.allManagers(ctx); err != nil {
		return err
	}
	b.g.networks = b.ranges
	if !whole {
		if err := b.findShared(ctx); err != nil {
			return err
		}
	}
	for last := int64(0); ; last = b.chunk[len(b.chunk)-1].id {
		if err := b.load(ctx, last); err != nil {
			return err
		}
		if len(b.chunk) == 0 {
			break
		}
		if whole {
			_ = b.tx.Rollback() // nobody shall wait for fn
		}
		if err := b.give(ctx); err != nil || whole {
			return err
		}
		b.forget()
	}
	return b.giveShared(ctx)
}

// findShared finds the MACs that several entities hold.
func (b *bulk) findShared(ctx context.Context) error {
	type held struct {
		mac    clusto.MAC
		entity int64
	}
	var all []held
	var text string
	var h held
	err := each(ctx, b.tx, macsSQL, []any{&h.entity, &text}, func() {
		var ok bool
		if h.mac, ok = parseStored(text); ok {
			all = append(all, h)
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b held) int {
		return cmp.Or(bytes.Compare(a.mac[:], b.mac[:]), cmp.Compare(a.entity, b.entity))
	})
	b.shared = map[clusto.MAC]struct{}{}
	for i := 1; i < len(all); i++ {
		if all[i].mac == all[i-1].mac && all[i].entity != all[i-1].entity {
			b.shared[all[i].mac] = struct{}{}
		}
	}
	return nil
}

// load reads the next chunk: entities, what their hosts need, and those of their
// containers that are not there yet.
func (b *bulk) load(ctx context.Context, last int64) error {
	b.chunk = b.chunk[:0]
	var in row
	var e clusto.Entity
	err := eachOf(ctx, b.entitiesAfter, []any{&in.id, &e.Name, &e.Type, &e.Driver}, func() {
		was := b.g.nodes[in.id]
		delete(b.g.nodes, in.id)
		n := b.g.addNode(in.id, e)
		n.kept = was != nil // as a container of before
		b.chunk = append(b.chunk, n)
	}, last, b.entities)
	if err != nil || len(b.chunk) == 0 {
		return err
	}
	end := b.chunk[len(b.chunk)-1].id
	if err := b.fill(ctx, b.attrsWithin, b.parentsWithin, last, end); err != nil {
		return err
	}
	fresh, err := b.containers(ctx)
	if err != nil {
		return err
	}
	if err := b.relate(ctx, b.g, slices.Values(b.chunk)); err != nil {
		return err
	}
	return b.relate(ctx, b.g, slices.Values(fresh))
}

// fill adds attributes and containers to nodes.
func (b *bulk) fill(ctx context.Context, attrs, parents *sql.Stmt, args ...any) error {
	var in row
	err := eachOf(ctx, attrs, in.hostFields(), func() {
		if n := b.g.nodes[in.entity]; n != nil {
			n.add(&in)
		}
	}, args...)
	if err != nil {
		return err
	}
	var parent, child int64
	return eachOf(ctx, parents, []any{&parent, &child}, func() {
		if n := b.g.nodes[child]; n != nil {
			n.addParent(parent)
		}
	}, args...)
}

// containers loads the containers of the chunk, and theirs, that are missing,
// and gives them. One that is there, or was deleted, is not loaded again. All of
// them are kept: what is known of a container includes all that contain it.
func (b *bulk) containers(ctx context.Context) (fresh []*node, err error) {
	missing := b.parentsMissing(nil, b.chunk)
	for len(missing) > 0 {
		ids := missing[:min(len(missing), idsAtOnce)]
		missing = missing[len(ids):]
		args := make([]any, idsAtOnce)
		for i := range args {
			args[i] = int64(-1)
		}
		for i, id := range ids {
			args[i] = id
			b.g.nodes[id] = nil
		}
		var id int64
		var e clusto.Entity
		before := len(fresh)
		err := eachOf(ctx, b.entitiesOf, []any{&id, &e.Name, &e.Type, &e.Driver}, func() {
			n := b.g.addNode(id, e)
			n.kept = true
			fresh = append(fresh, n)
		}, args...)
		if err != nil {
			return nil, err
		}
		if err := b.fill(ctx, b.attrsOf, b.parentsOf, args...); err != nil {
			return nil, err
		}
		missing = b.parentsMissing(missing, fresh[before:])
	}
	return fresh, nil
}

// parentsMissing adds the containers of nodes that are unknown to a list.
func (b *bulk) parentsMissing(missing []int64, nodes []*node) []int64 {
	for _, n := range nodes {
		for _, p := range n.parents {
			if up, known := b.g.nodes[p]; up != nil {
				up.kept = true
			} else if !known && !slices.Contains(missing, p) {
				missing = append(missing, p)
			}
		}
	}
	return missing
}

// give gives the hosts of the chunk to fn, by MAC.
func (b *bulk) give(ctx context.Context) error {
	var all []macOwner
	for _, n := range b.chunk {
		for _, o := range n.owners() {
			if _, shared := b.shared[o.mac]; !shared {
				all = append(all, o)
			}
		}
	}
	slices.SortFunc(all, func(a, b macOwner) int { return bytes.Compare(a.mac[:], b.mac[:]) })
	var owners []owner
	for i := 0; i < len(all); {
		owners = owners[:0]
		mac := all[i].mac
		for ; i < len(all) && all[i].mac == mac; i++ {
			owners = append(owners, all[i].owner)
		}
		h, err := b.g.host(mac, b.g.winners(owners))
		if err != nil {
			return err
		}
		if err := b.fn(&h); err != nil {
			return &ownError{err}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// giveShared gives those MACs that several entities hold.
func (b *bulk) giveShared(ctx context.Context) error {
	macs := slices.SortedFunc(maps.Keys(b.shared), func(a, b clusto.MAC) int { return bytes.Compare(a[:], b[:]) })
	for _, mac := range macs {
		h, err := b.host(ctx, mac)
		if err != nil {
			return err
		}
		if h == nil {
			continue // its entities were deleted past the rules
		}
		if err := b.fn(h); err != nil {
			return &ownError{err}
		}
	}
	return nil
}

// forget drops the chunk, and what was kept once it is too much.
func (b *bulk) forget() {
	for _, n := range b.chunk {
		if !n.kept {
			delete(b.g.nodes, n.id)
		}
	}
	if len(b.g.nodes) > keptNodes {
		clear(b.g.nodes)
	}
	if len(b.g.related) > keptNodes {
		clear(b.g.related)
	}
	if len(b.g.merged) > keptMerged {
		clear(b.g.merged)
	}
}
