package store

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Object gives an entity with all that it holds, in one state of the database,
// or ErrNotFound.
func (s *Store) Object(ctx context.Context, name string) (clusto.Object, error) {
	tx, err := s.beginRead(ctx)
	if err != nil {
		return clusto.Object{}, s.failed("ask", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	id, e, err := s.entity(ctx, tx, name)
	if err != nil {
		return clusto.Object{}, err
	}
	o, err := s.readObject(ctx, tx, id, e)
	if err != nil {
		return o, s.failed("ask", err)
	}
	return o, nil
}

func (s *Store) readObject(ctx context.Context, tx querier, id int64, e clusto.Entity) (clusto.Object, error) {
	o := clusto.Object{Entity: e, Attrs: []clusto.Attr{}, Parents: []clusto.Entity{}}
	all, err := s.above(ctx, tx, id, clusto.AttrQuery{Hidden: true})
	if err != nil {
		return o, err
	}
	o.Attrs = append(o.Attrs, all.at(id).attrs...)
	var number sql.NullInt64
	err = each(ctx, tx, s.dialect.q(s.dialect.containersSQL()), []any{&id, &e.Name, &e.Type, &e.Driver, integer{&number}}, func() {
		if !slices.Contains(o.Parents, e) {
			o.Parents = append(o.Parents, e)
		}
	}, id)
	o.Ports = portsOf(&o)
	return o, err
}

// portsOf lists the ports that the object's driver has and those that its
// attributes speak of, by type, then number.
func portsOf(o *clusto.Object) []clusto.Port {
	var ports []clusto.Port
	at := map[clusto.Port]int{} // of type and number, into ports
	port := func(kind string, num int) *clusto.Port {
		key := clusto.Port{Type: kind, Num: num}
		if _, ok := at[key]; !ok {
			at[key] = len(ports)
			ports = append(ports, key)
		}
		return &ports[at[key]]
	}
	for kind, n := range clusto.Drivers[o.Driver].Ports {
		for i := range n {
			port(kind, i+1)
		}
	}
	for i := range o.Attrs {
		a := &o.Attrs[i]
		kind, ok := strings.CutPrefix(a.Key, "port-")
		if !ok || a.Number == nil {
			continue
		}
		p := port(kind, *a.Number)
		switch {
		case a.Sub() == "connection" && a.Value.Type == clusto.Relation:
			p.To = a.Value.Str
		case a.Sub() == "otherportnum":
			p.ToNum = a.Value.Text()
		}
	}
	slices.SortFunc(ports, func(a, b clusto.Port) int {
		return cmp.Or(strings.Compare(a.Type, b.Type), cmp.Compare(a.Num, b.Num))
	})
	return ports
}
