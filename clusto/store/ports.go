package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	subConnection = "connection"
	subOtherNum   = "otherportnum"
)

// port is one port of an entity.
type port struct {
	of   *entity
	kind string // "nic-eth"
	num  int64
	text string // how the operation named it: "1", or an outlet as "bb1"
}

func (p *port) key() string    { return "port-" + p.kind }
func (p *port) String() string { return fmt.Sprintf("%s %s of %s", p.kind, p.text, pathOf(p.of)) }

// portOf reads the port that an operation names. Entities whose driver clusto
// does not have may have any port.
func (c *change) portOf(ctx context.Context, name, kind, num string) (p port, err error) {
	if p.of, err = c.need(ctx, name); err != nil {
		return p, err
	}
	p.kind = kind
	switch {
	case clusto.LongKey(p.key()):
		return p, fmt.Errorf("port of %s: type %.80q... has %d characters, and %d are the most: %w",
			pathOf(p.of), kind, utf8.RuneCountInString(kind), clusto.MaxKey-len("port-"), clusto.ErrInvalid)
	case kind == "" || !keyPattern.MatchString(p.key()):
		return p, fmt.Errorf("port of %s: type %q is none like nic-eth: %w", pathOf(p.of), kind, clusto.ErrInvalid)
	}
	n, text := clusto.PortNumber(p.of.Driver, kind, num)
	p.num, p.text = int64(n), text
	_, all, known := clusto.PortsOf(p.of.Driver, kind)
	most := int64(all)
	switch {
	case known && most == 0:
		return p, fmt.Errorf("port %s %q of %s: its driver %s has no ports of that type, but %s: %w",
			kind, num, pathOf(p.of), p.of.Driver, portTypes(p.of.Driver), clusto.ErrInvalid)
	case p.num < 1 || known && p.num > most:
		return p, fmt.Errorf("port %s %q of %s: its driver %s has numbers %s: %w",
			kind, num, pathOf(p.of), p.of.Driver, numbers(p.of.Driver, kind, most), clusto.ErrInvalid)
	}
	return p, nil
}

// numbers says in words what numbers the ports of an entity have.
func numbers(driver, kind string, most int64) string {
	switch {
	case driver == clusto.PowerTower && kind == clusto.OutletType:
		return "1 to 32, or aa1 to bb8"
	case most == 0:
		return "from 1 on"
	}
	return fmt.Sprintf("1 to %d", most)
}

// portTypes lists the types of ports that a driver has, for messages.
func portTypes(driver string) string {
	kinds := slices.Sorted(maps.Keys(clusto.Drivers[driver].Ports))
	return cmp.Or(strings.Join(kinds, ", "), "none at all")
}

// peer is what is connected to a port, by one attribute that says so.
type peer struct {
	of  *entity // nil if it does not live
	num int64   // 0 if nothing readable is there
}

func (p peer) is(q *port) bool { return p.of == q.of && (p.num == q.num || p.num == 0) }

// String says what is connected, for messages.
func (p peer) String() string {
	switch {
	case p.of == nil:
		return "something that is gone; disconnect it first"
	case p.num == 0:
		return pathOf(p.of)
	}
	return fmt.Sprintf("port %d of %s", p.num, pathOf(p.of))
}

// peersOf reads what is connected to a port: nothing, one, or more in a
// database that another program wrote.
func (c *change) peersOf(ctx context.Context, p *port) ([]peer, error) {
	attrs, err := c.attrsOf(ctx, p.of, p.key())
	if err != nil {
		return nil, err
	}
	var other string // otherportnum
	var out []peer
	for _, a := range attrs {
		if !a.number.Valid || a.number.Int64 != p.num {
			continue
		}
		switch a.sub.String {
		case subOtherNum:
			other = strings.TrimSpace(a.value().Text())
		case subConnection:
			of, err := c.byEntityID(ctx, a.rel.Int64)
			if err != nil {
				return nil, err
			}
			out = append(out, peer{of: of})
		}
	}
	for i := range out {
		if of := out[i].of; of != nil {
			n, _ := clusto.PortNumber(of.Driver, p.kind, other)
			out[i].num = int64(n)
		}
	}
	return out, nil
}

// connectOp connects two ports of one type. Where one side says so already and
// the other says nothing, the other side is mended.
func (c *change) connectOp(ctx context.Context, op *clusto.Op) error {
	a, err := c.portOf(ctx, op.Name, op.Port, op.Num)
	if err != nil {
		return err
	}
	b, err := c.portOf(ctx, op.To, op.Port, op.ToNum)
	if err != nil {
		return err
	}
	if a.of == b.of && a.num == b.num {
		return fmt.Errorf("connect %s to itself: %w", &a, clusto.ErrInvalid)
	}
	connectedA, err := c.connected(ctx, &a, &b)
	if err != nil {
		return err
	}
	connectedB, err := c.connected(ctx, &b, &a)
	if err != nil {
		return err
	}
	if !connectedA {
		if err := c.wire(ctx, &a, &b); err != nil {
			return err
		}
	}
	if !connectedB {
		return c.wire(ctx, &b, &a)
	}
	return nil
}

// connected reports whether port a says that it is connected to b. It refuses
// one that says that something else is.
func (c *change) connected(ctx context.Context, a, b *port) (bool, error) {
	peers, err := c.peersOf(ctx, a)
	if err != nil {
		return false, err
	}
	for _, p := range peers {
		if !p.is(b) {
			return false, fmt.Errorf("connect %s to %s: the former is connected to %s: %w", a, b, p, clusto.ErrConflict)
		}
	}
	return slices.ContainsFunc(peers, func(p peer) bool { return p.num == b.num }), nil
}

// wire writes one side of a connection, in the original's form: the number of
// the other port as an integer, the name of an outlet as text.
func (c *change) wire(ctx context.Context, a, b *port) error {
	if err := c.unwire(ctx, a.of, a.key(), a.num); err != nil {
		return err
	}
	at := row{key: a.key(), number: sql.NullInt64{Int64: a.num, Valid: true}}
	to, other := at, at
	to.sub = sql.NullString{String: subConnection, Valid: true}
	to.datatype, to.rel = clusto.Relation, sql.NullInt64{Int64: b.of.id, Valid: true}
	other.sub = sql.NullString{String: subOtherNum, Valid: true}
	v := clusto.Value{Type: clusto.Int, Int: b.num}
	if b.text != strconv.FormatInt(b.num, 10) {
		v = clusto.Value{Type: clusto.String, Str: b.text}
	}
	other.setValue(v)
	if err := c.add(ctx, a.of, to); err != nil {
		return err
	}
	return c.add(ctx, a.of, other)
}

// unwire deletes what a port says of its connection.
func (c *change) unwire(ctx context.Context, e *entity, key string, num int64) error {
	return c.dropAll(ctx, e, key, func(a *attr) bool {
		return a.number.Valid && a.number.Int64 == num && (a.sub.String == subConnection || a.sub.String == subOtherNum)
	})
}

// disconnectOp frees a port and those that say that they are connected to it.
func (c *change) disconnectOp(ctx context.Context, op *clusto.Op) error {
	p, err := c.portOf(ctx, op.Name, op.Port, op.Num)
	if err != nil {
		return err
	}
	peers, err := c.peersOf(ctx, &p)
	if err != nil {
		return err
	}
	for _, to := range peers {
		if to.of == nil {
			continue
		}
		if err := c.unwirePeer(ctx, &p, to); err != nil {
			return err
		}
	}
	return c.unwire(ctx, p.of, p.key(), p.num)
}

// unwirePeer frees the other end of a connection.
func (c *change) unwirePeer(ctx context.Context, p *port, to peer) error {
	attrs, err := c.attrsOf(ctx, to.of, p.key())
	if err != nil {
		return err
	}
	for _, a := range slices.Clone(attrs) {
		if a.sub.String != subConnection || a.rel.Int64 != p.of.id || !a.number.Valid {
			continue
		}
		end := port{of: to.of, kind: p.kind, num: a.number.Int64}
		back, err := c.peersOf(ctx, &end)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(back, func(q peer) bool { return q.of == p.of && (q.num == p.num || q.num == 0 && end.num == to.num) }) {
			if err := c.unwire(ctx, to.of, p.key(), end.num); err != nil {
				return err
			}
		}
	}
	return nil
}
