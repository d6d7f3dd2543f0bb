package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// bindOp binds an address to an entity, as the original's bind_ip_to_osport
// does without a port: the attributes of key ip, under one number.
func (c *change) bindOp(ctx context.Context, op *clusto.Op) error {
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(op.IP)
	if err != nil || !ip.Is4() || ip.IsUnspecified() {
		return fmt.Errorf("bind to %s: %q is no IPv4 address: %w", pathOf(e), op.IP, clusto.ErrInvalid)
	}
	own, err := c.attrsOf(ctx, e, keyIP)
	if err != nil {
		return err
	}
	for _, a := range own {
		if got, ok := a.address(); ok && got == ip {
			return c.rebind(ctx, e, a.number, op.OSPort)
		}
	}
	if err := c.ipTaken(ctx, e, ip); err != nil {
		return err
	}
	m, err := c.managerOf(ctx, e, ip)
	if err != nil {
		return err
	}
	return c.bind(ctx, e, ip, m, op)
}

// unbindOp takes an address off an entity, with all that stands under its
// number.
func (c *change) unbindOp(ctx context.Context, op *clusto.Op) error {
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(op.IP)
	if err != nil || !ip.Is4() {
		return fmt.Errorf("unbind from %s: %q is no IPv4 address: %w", pathOf(e), op.IP, clusto.ErrInvalid)
	}
	own, err := c.attrsOf(ctx, e, keyIP)
	if err != nil {
		return err
	}
	for _, a := range slices.Clone(own) {
		if got, ok := a.address(); !ok || got != ip {
			continue
		}
		err := c.dropAll(ctx, e, keyIP, func(b *attr) bool {
			// Without a number nothing says what else belongs to it.
			return a.number.Valid && b.number == a.number || b == a
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// address gives the address that an attribute of key ip is the text or int form
// of.
func (r *row) address() (netip.Addr, bool) {
	if r.sub.String == "ipstring" {
		ip, err := netip.ParseAddr(strings.TrimSpace(r.text.String))
		return ip, err == nil && ip.Is4()
	}
	ip, ok := addrOf(r.num.Int64)
	return ip, ok && r.num.Valid && r.sub.String == ""
}

// rebind gives an address that is bound already the interface that it shall be
// bound to.
func (c *change) rebind(ctx context.Context, e *entity, number sql.NullInt64, osport string) error {
	if osport == "" {
		return nil
	}
	sub := subOSPort
	op := clusto.Op{Op: "attr", Name: e.Name, Key: keyIP, Subkey: &sub, Value: &clusto.Value{Type: clusto.String, Str: osport}}
	if number.Valid {
		n := int(number.Int64)
		op.Number = &n
	}
	return c.attrOp(ctx, &op)
}

// boundSQL finds the attributes that may bind an address, by its text and its
// int form.
func (d *dialect) boundSQL() string {
	return d.bound(`string_value`) + ` UNION ALL ` + d.bound(`int_value`)
}

func (d *dialect) bound(column string) string {
	return `SELECT e.entity_id, e.name, e.type, e.driver, a."key", a.subkey FROM entity_attrs a` +
		d.per("entities", "e", `e.entity_id = a.entity_id AND e.deleted_at_version IS NULL`) +
		` WHERE a.` + column + ` = ? AND a.deleted_at_version IS NULL`
}

// ipTaken refuses an address that is bound to another entity.
func (c *change) ipTaken(ctx context.Context, e *entity, ip netip.Addr) error {
	owners, err := c.boundTo(ctx, ip)
	for _, t := range owners {
		if t.id != e.id {
			return fmt.Errorf("bind %s to %s: it is bound to %s: %w", ip, pathOf(e), pathOf(t), clusto.ErrConflict)
		}
	}
	return err
}

// needManagers reads the IP managers that have a range.
func (c *change) needManagers(ctx context.Context) error {
	if c.haveManagers {
		return nil
	}
	if err := c.flush(ctx); err != nil {
		return err
	}
	all, err := c.s.dialect.readManagers(ctx, c)
	c.managers, c.haveManagers = all, err == nil
	return err
}

// managerOf finds the one IP manager whose range holds ip.
func (c *change) managerOf(ctx context.Context, e *entity, ip netip.Addr) (manager, error) {
	if err := c.needManagers(ctx); err != nil {
		return manager{}, err
	}
	held := holders(c.managers, ip)
	if len(held) == 0 {
		return manager{}, fmt.Errorf("bind %s to %s: no IP manager's range holds it; create an ipmanager with baseip and netmask first: %w", ip, pathOf(e), clusto.ErrNotFound)
	}
	if len(held) > 1 {
		var names []string
		for _, m := range held {
			names = append(names, m.Name)
		}
		return manager{}, fmt.Errorf("bind %s to %s: several IP managers hold it: %s: %w", ip, pathOf(e), strings.Join(names, ", "), clusto.ErrConflict)
	}
	m := held[0]
	if p := m.Prefix; p.Bits() < 31 && (ip == p.Addr() || ip == broadcast(p)) {
		return manager{}, fmt.Errorf("bind %s to %s: it is the network or broadcast address of %s (%s): %w", ip, pathOf(e), m.Name, p, clusto.ErrInvalid)
	}
	return m, nil
}

const ipsInUse = `SELECT max(CAST(number AS INTEGER)) FROM entity_attrs WHERE "key" = 'ip'`

// bind writes the attributes of a bound address, in the original's order.
func (c *change) bind(ctx context.Context, e *entity, ip netip.Addr, m manager, op *clusto.Op) error {
	meta, err := c.need(ctx, metaName)
	if err != nil {
		return err
	}
	n, err := c.number(ctx, e, op.Number, counterKey{meta.id, keyIP}, ipsInUse)
	if err != nil {
		return err
	}
	valid := func(s string) sql.NullString { return sql.NullString{String: s, Valid: true} }
	rows := []row{
		{datatype: clusto.Int, num: sql.NullInt64{Int64: intOf(ip), Valid: true}},
		{sub: valid("manager"), datatype: clusto.Relation, rel: sql.NullInt64{Int64: m.id, Valid: true}},
		{sub: valid("ipstring"), datatype: clusto.String, text: valid(ip.String())},
		{sub: valid("cidr"), datatype: clusto.String, text: valid(netip.PrefixFrom(ip, m.Prefix.Bits()).String())},
	}
	if op.OSPort != "" {
		rows = append(rows, row{sub: valid(subOSPort), datatype: clusto.String, text: valid(op.OSPort)})
	}
	for _, r := range rows {
		r.key, r.number = keyIP, sql.NullInt64{Int64: n, Valid: true}
		if err := c.add(ctx, e, r); err != nil {
			return err
		}
	}
	return nil
}
