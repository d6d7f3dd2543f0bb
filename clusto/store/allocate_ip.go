package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/netip"
	"slices"

	"github.com/clusto/clusto-engine/clusto"
)

// keyLastIP is where an IP manager keeps the address that it gave last, as int.
const keyLastIP = "_lastip"

// allocateIP binds a manager's next free address to an entity, and notes it.
func (c *change) allocateIP(ctx context.Context, e *entity, op *clusto.Op) error {
	if err := misplaced(e, op.To, "to", op.Driver, "driver", op.As, "as"); err != nil {
		return err
	}
	to, err := c.need(ctx, op.To)
	if err != nil {
		return err
	}
	m, err := c.rangeOf(ctx, e)
	if err != nil {
		return err
	}
	last, err := c.lastIP(ctx, e)
	if err != nil {
		return err
	}
	n, err := c.freeIP(ctx, &m, last)
	if err != nil {
		return err
	}
	if n == nil {
		return fmt.Errorf("allocate an address for %s: every address of %s (%s) is taken: %w", pathOf(to), pathOf(e), m.Prefix, clusto.ErrConflict)
	}
	r := row{key: keyLastIP, datatype: clusto.Int, num: sql.NullInt64{Int64: *n, Valid: true}}
	if err := c.replace(ctx, e, r, func([]*attr) error { return nil }); err != nil {
		return err
	}
	ip, _ := addrOf(*n)
	if err := c.bind(ctx, to, ip, m, &clusto.Op{OSPort: op.OSPort}); err != nil {
		return err
	}
	c.gave(op, clusto.Result{IP: ip.String()})
	return nil
}

// rangeOf gives a manager's range.
func (c *change) rangeOf(ctx context.Context, e *entity) (manager, error) {
	if err := c.needManagers(ctx); err != nil {
		return manager{}, err
	}
	i := slices.IndexFunc(c.managers, func(m manager) bool { return m.id == e.id })
	if i >= 0 {
		return c.managers[i], nil
	}
	var has [2]string
	for n, key := range []string{"baseip", "netmask"} {
		v, err := c.property(ctx, e, key, clusto.Value{Type: clusto.String})
		if err != nil {
			return manager{}, err
		}
		has[n] = v.Text()
	}
	return manager{}, fmt.Errorf("allocate from %s: it has no range; set its properties baseip and netmask, as in 10.42.0.0 and 255.255.255.0; they are %q and %q: %w",
		pathOf(e), has[0], has[1], clusto.ErrConflict)
}

// lastIP reads what the manager gave last; nil if it has not given any.
func (c *change) lastIP(ctx context.Context, e *entity) (*int64, error) {
	attrs, err := c.attrsOf(ctx, e, keyLastIP)
	if err != nil {
		return nil, err
	}
	for _, a := range slices.Backward(attrs) {
		if a.num.Valid {
			return &a.num.Int64, nil
		}
	}
	return nil, nil
}

// freeIP finds the first free address of a manager behind the last, and goes on
// at the beginning of its range. It gives nil if there is none.
func (c *change) freeIP(ctx context.Context, m *manager, last *int64) (*int64, error) {
	first, end := intOf(m.Prefix.Addr()), intOf(broadcast(m.Prefix))
	if m.Prefix.Bits() < 31 { // neither network nor broadcast address
		first, end = first+1, end-1
	}
	from := first
	if last != nil && *last >= first && *last < end {
		from = *last + 1
	}
	n, err := c.freeBetween(ctx, m, from, end)
	if n == nil && err == nil {
		n, err = c.freeBetween(ctx, m, first, from-1)
	}
	return n, err
}

// How many addresses one query asks for: few at first, as the next address is
// free nearly always, and more where it is not.
const (
	windowFirst = 16
	windowMost  = 1 << 16
)

// freeBetween finds the first free address of a part of a range, both ends of
// it included.
func (c *change) freeBetween(ctx context.Context, m *manager, from, to int64) (*int64, error) {
	for window := int64(windowFirst); from <= to; window = min(4*window, windowMost) {
		end := min(to, from+window-1)
		taken, err := c.takenIPs(ctx, from, end)
		if err != nil {
			return nil, err
		}
		for _, t := range append(taken, end+1) {
			for from < t {
				n, err := c.mayGive(ctx, m, from)
				if err != nil || n == from {
					return &from, err
				}
				from = n
			}
			from = max(from, min(t, end)+1)
		}
	}
	return nil, nil
}

// takenSQL finds the addresses that are bound between two. Other columns are
// wrapped, as no planner shall take any index but that of the addresses.
const takenSQL = `SELECT DISTINCT a.int_value FROM entity_attrs a
	WHERE a.int_value IS NOT NULL AND a.int_value >= ? AND a.int_value <= ? AND COALESCE(a."key", '') = 'ip'
	AND COALESCE(a.subkey, '') = '' AND a.deleted_at_version IS NULL ORDER BY a.int_value`

func (c *change) takenIPs(ctx context.Context, from, to int64) (taken []int64, err error) {
	var n int64
	err = each(ctx, c, takenSQL, []any{&n}, func() { taken = append(taken, n) }, from, to)
	return taken, err
}

// mayGive gives n back if a manager may give it away, else the next address to
// try: n may be the gateway, bound by this change, bound as text alone, or in
// the range of a narrower manager, which gives its addresses itself.
func (c *change) mayGive(ctx context.Context, m *manager, n int64) (int64, error) {
	ip, ok := addrOf(n)
	if !ok || ip == m.Gateway || len(c.ips[ip]) > 0 {
		return n + 1, nil
	}
	for _, o := range c.managers {
		if o.Prefix.Bits() > m.Prefix.Bits() && o.Prefix.Contains(ip) {
			return intOf(broadcast(o.Prefix)) + 1, nil
		}
	}
	owners, err := c.boundTo(ctx, ip)
	if err != nil || len(owners) == 0 {
		return n, err
	}
	return n + 1, nil
}

// boundTo gives the entities that have an address, of this change's too.
func (c *change) boundTo(ctx context.Context, ip netip.Addr) ([]*entity, error) {
	bound := slices.Clone(c.ips[ip])
	if c.blank.ips {
		return bound, nil
	}
	var of clusto.Entity
	var id int64
	var key string
	var sub sql.NullString
	err := each(ctx, c, c.s.dialect.boundSQL(), []any{&id, &of.Name, &of.Type, &of.Driver, &key, &sub}, func() {
		if key == keyIP && (!sub.Valid || sub.String == "ipstring") {
			bound = append(bound, &entity{Entity: of, id: id})
		}
	}, ip.String(), intOf(ip))
	return bound, err
}
