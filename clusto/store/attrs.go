package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// attrsOfKeySQL finds the attributes of an entity under a key.
const attrsOfKeySQL = `SELECT ` + rowColumns + ` FROM entity_attrs a
	WHERE a.entity_id = ? AND a."key" = ? AND a.deleted_at_version IS NULL ORDER BY a.attr_id`

// attrsOf gives the live attributes of a key.
func (c *change) attrsOf(ctx context.Context, e *entity, key string) ([]*attr, error) {
	if got, ok := e.attrs[key]; ok || e.fresh {
		return got, nil
	}
	if slices.ContainsFunc(c.pending, func(a *attr) bool { return a.of == e && a.key == key }) {
		if err := c.flush(ctx); err != nil {
			return nil, err
		}
	}
	var r row
	var got []*attr
	err := each(ctx, c, attrsOfKeySQL, r.fields(), func() { got = append(got, &attr{row: r, of: e}) }, e.id, key)
	if err != nil {
		return nil, err
	}
	e.attrs[key] = got
	return got, nil
}

// add writes a new attribute.
func (c *change) add(ctx context.Context, e *entity, r row) error {
	if err := e.mayChange(r.key); err != nil {
		return err
	}
	r.id, r.entity = 0, e.id
	c.touched(e, r.key)
	a := &attr{row: r, of: e}
	if known, ok := e.attrs[r.key]; ok || e.fresh {
		e.attrs[r.key] = append(known, a)
	}
	if mac, ok := portMAC(&r); ok {
		c.macs[mac] = append(c.macs[mac], a)
	}
	c.use(a)
	if ip, ok := r.address(); ok && r.key == keyIP && !slices.Contains(c.ips[ip], e) {
		c.ips[ip] = append(c.ips[ip], e)
	}
	c.pending = append(c.pending, a)
	if len(c.pending) < c.s.dialect.batch {
		return nil
	}
	return c.flush(ctx)
}

// drop deletes an attribute, which attrsOf gave.
func (c *change) drop(ctx context.Context, a *attr) error {
	if err := a.of.mayChange(a.key); err != nil {
		return err
	}
	if a.written {
		fresh, err := c.reread(ctx, a)
		if err != nil || fresh == nil {
			return err
		}
		a = fresh
	}
	e := a.of
	e.attrs[a.key] = slices.DeleteFunc(slices.Clone(e.attrs[a.key]), func(b *attr) bool { return a == b || a.id != 0 && a.id == b.id })
	if mac, ok := portMAC(&a.row); ok {
		c.macs[mac] = slices.DeleteFunc(c.macs[mac], func(b *attr) bool { return b.of == e && b.number == a.number && b.sub == a.sub })
	}
	if ip, ok := a.address(); ok && a.key == keyIP {
		c.ips[ip] = slices.DeleteFunc(c.ips[ip], func(by *entity) bool { return by == e })
	}
	c.touched(e, a.key)
	if a.id == 0 {
		a.dropped = true
		return nil
	}
	return c.end(ctx, "entity_attrs", "attr_id", a.id)
}

// dropAll deletes the attributes of a key for which which is true.
func (c *change) dropAll(ctx context.Context, e *entity, key string, which func(a *attr) bool) error {
	all, err := c.attrsOf(ctx, e, key)
	if err != nil {
		return err
	}
	for _, a := range slices.Clone(all) {
		if !which(a) {
			continue
		}
		if err := c.drop(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// forgetAttrs has the attributes of a key read again.
func (c *change) forgetAttrs(ctx context.Context, e *entity, key string) error {
	if err := c.flush(ctx); err != nil {
		return err
	}
	delete(e.attrs, key)
	e.fresh = false // all other keys that it has are known
	return nil
}

// reread finds an attribute again that this change wrote, with its id.
func (c *change) reread(ctx context.Context, a *attr) (*attr, error) {
	if err := c.forgetAttrs(ctx, a.of, a.key); err != nil {
		return nil, err
	}
	got, err := c.attrsOf(ctx, a.of, a.key)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(got, func(b *attr) bool {
		return b.sub == a.sub && b.number == a.number && sameValue(&a.row, &b.row)
	})
	if i < 0 {
		return nil, nil
	}
	return got[i], nil
}

func sameValue(a, b *row) bool {
	v, w := a.value(), b.value()
	return v.Type == w.Type && v.Int == w.Int && v.Str == w.Str && a.rel == b.rel
}

// flush writes the pending attributes with one statement, or has begun to.
func (c *change) flush(ctx context.Context) error {
	live := slices.DeleteFunc(c.pending, func(a *attr) bool { return a.dropped })
	c.pending = nil
	if len(live) == 0 {
		return nil
	}
	v, err := c.stamp(ctx)
	if err != nil {
		return err
	}
	for _, a := range live {
		a.written = true
	}
	if err := c.write(ctx, live, v); err != nil {
		return err
	}
	return c.grew(ctx, len(live))
}

// portMAC gives the MAC that an attribute claims for a port.
func portMAC(r *row) (clusto.MAC, bool) {
	if !strings.HasPrefix(r.key, "port-") || !isMAC(r.sub.String) {
		return clusto.MAC{}, false
	}
	return parseStored(r.text.String)
}

// macTaken refuses a MAC that is on a port of another entity.
func (c *change) macTaken(ctx context.Context, e *entity, mac clusto.MAC) error {
	refuse := func(by *entity, r *row) error {
		return fmt.Errorf("MAC %s of %s is already on %s, %s: %w", mac, pathOf(e), pathOf(by), portName(r), clusto.ErrConflict)
	}
	for _, a := range c.macs[mac] {
		if a.of != e {
			return refuse(a.of, &a.row)
		}
	}
	if c.blank.macs {
		return nil
	}
	var r row
	var of clusto.Entity
	var taken error
	err := each(ctx, c, c.s.dialect.ownersSQL(), []any{&r.id, &r.entity, &r.key, &r.sub, integer{&r.number}, &of.Name, &of.Type, &of.Driver}, func() {
		port := strings.HasPrefix(r.key, "port-") && isMAC(r.sub.String)
		if port && r.entity != e.id && taken == nil {
			taken = refuse(&entity{Entity: of}, &r)
		}
	}, spelled(mac)...)
	if err != nil {
		return err
	}
	return taken
}

func portName(r *row) string {
	if !r.number.Valid {
		return r.key + " " + r.sub.String
	}
	return fmt.Sprintf("%s %d %s", r.key, r.number.Int64, r.sub.String)
}
