package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// entityOp makes the entity exist with its driver.
func (c *change) entityOp(ctx context.Context, op *clusto.Op) error {
	if err := validName(op.Name); err != nil {
		return err
	}
	e, err := c.find(ctx, op.Name)
	switch {
	case err != nil:
		return err
	case e != nil && e.Driver == op.Driver && (op.Type == "" || op.Type == e.Type):
		return nil
	case e != nil && e.Driver == op.Driver:
		return fmt.Errorf("entity %q exists with type %q, not %q: %w", op.Name, e.Type, op.Type, clusto.ErrConflict)
	case e != nil:
		return fmt.Errorf("entity %q exists with driver %q, not %q: %w", op.Name, e.Driver, op.Driver, clusto.ErrConflict)
	}
	d, err := driverOf(op)
	if err != nil {
		return err
	}
	return c.create(ctx, clusto.Entity{Name: op.Name, Type: d.kind, Driver: op.Driver}, d)
}

func (c *change) create(ctx context.Context, e clusto.Entity, d driver) error {
	v, err := c.stamp(ctx)
	if err != nil {
		return err
	}
	var id int64
	if _, err := c.one(ctx, `INSERT INTO entities (name, type, driver, version) VALUES (?, ?, ?, ?) RETURNING entity_id`,
		[]any{&id}, e.Name, e.Type, e.Driver, v); err != nil {
		return err
	}
	n := c.know(id, e)
	n.fresh, n.have = true, true
	for _, p := range d.props {
		r := row{key: p.key, sub: sql.NullString{String: subProperty, Valid: true}}
		r.setValue(p.value)
		if err := c.add(ctx, n, r); err != nil {
			return err
		}
	}
	c.touched(n)
	return nil
}

// touched forgets what was derived from the entity.
func (c *change) touched(e *entity) {
	if e.Driver == driverIPManager {
		c.haveManagers = false
	}
}

var keyPattern = regexp.MustCompile(`^[A-Za-z_]+[0-9A-Za-z_-]*$`)

// attrOp makes the entity hold exactly one value under (key, subkey, number).
func (c *change) attrOp(ctx context.Context, op *clusto.Op) error {
	if err := validKeys(op); err != nil {
		return err
	}
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	r, err := c.newRow(ctx, e, op)
	if err != nil {
		return err
	}
	all, err := c.attrsOf(ctx, e, op.Key)
	if err != nil {
		return err
	}
	var same []*attr
	for _, a := range all {
		if a.sub == r.sub && a.number == r.number {
			same = append(same, a)
		}
	}
	if len(same) == 1 && sameValue(&same[0].row, &r) {
		return nil
	}
	if mac, ok := portMAC(&r); ok {
		if err := c.macTaken(ctx, e, mac); err != nil {
			return err
		}
	}
	for _, a := range same {
		if err := c.drop(ctx, a); err != nil {
			return err
		}
	}
	c.touched(e)
	return c.add(ctx, e, r)
}

func validKeys(op *clusto.Op) error {
	switch {
	case !keyPattern.MatchString(op.Key) || len(op.Key) > 256:
		return fmt.Errorf("attribute of %q: key %q must begin with a letter or _ and go on with letters, digits, _ or -: %w", op.Name, op.Key, clusto.ErrInvalid)
	case op.Subkey != nil && (!keyPattern.MatchString(*op.Subkey) || len(*op.Subkey) > 256):
		return fmt.Errorf("attribute %s of %q: subkey %q must begin with a letter or _ and go on with letters, digits, _ or -: %w", op.Key, op.Name, *op.Subkey, clusto.ErrInvalid)
	case op.Key == keyContains:
		return fmt.Errorf("attribute %s of %q: use an insert operation: %w", op.Key, op.Name, clusto.ErrInvalid)
	case op.Number != nil && (*op.Number < 0 || *op.Number > 1<<31-1):
		return fmt.Errorf("attribute %s of %q: number %d is out of range: %w", op.Key, op.Name, *op.Number, clusto.ErrInvalid)
	case op.Value == nil:
		return fmt.Errorf("attribute %s of %q: the value is missing: %w", op.Key, op.Name, clusto.ErrInvalid)
	}
	return nil
}

// newRow makes the row that an attr operation asks for.
func (c *change) newRow(ctx context.Context, e *entity, op *clusto.Op) (r row, err error) {
	r.key = op.Key
	if op.Subkey != nil {
		r.sub = sql.NullString{String: *op.Subkey, Valid: true}
	}
	if op.Number != nil {
		r.number = sql.NullInt64{Int64: int64(*op.Number), Valid: true}
	}
	v := *op.Value
	if v.Type == "" {
		v.Type = clusto.String
	}
	if v.Type == clusto.Relation {
		to, err := c.related(ctx, v.Str)
		if err != nil {
			return r, fmt.Errorf("attribute %s of %s: %w", op.Key, pathOf(e), err)
		}
		r.datatype, r.rel = clusto.Relation, sql.NullInt64{Int64: to.id, Valid: true}
		return r, nil
	}
	if v, err = checkValue(v, r.sub.String); err != nil {
		return r, fmt.Errorf("attribute %s of %s: %w", op.Key, pathOf(e), err)
	}
	r.setValue(v)
	return r, nil
}

// setValue fills in a value that is no relation.
func (r *row) setValue(v clusto.Value) {
	r.datatype = v.Type
	switch v.Type {
	case clusto.Int:
		r.num = sql.NullInt64{Int64: v.Int, Valid: true}
	case clusto.Datetime:
		r.time = sql.NullString{String: v.Str + ".000000", Valid: true}
	default:
		r.text = sql.NullString{String: v.Str, Valid: true}
	}
}

// checkValue refuses values that do not fit their type, and brings MACs into
// clusto's form.
func checkValue(v clusto.Value, subkey string) (clusto.Value, error) {
	switch v.Type {
	case clusto.Int:
	case clusto.String:
		if strings.ContainsRune(v.Str, 0) {
			return v, fmt.Errorf("the value has a NUL character: %w", clusto.ErrInvalid)
		}
		if subkey != subMAC && subkey != subIPMI {
			break
		}
		mac, err := clusto.ParseMAC(strings.TrimSpace(v.Str))
		if err != nil {
			return v, err
		}
		v.Str = mac.String()
	case clusto.Datetime:
		t, err := time.Parse(time.DateTime, v.Str)
		if err != nil {
			return v, fmt.Errorf("value %q is no date like 2010-01-02 03:04:05: %w", v.Str, clusto.ErrInvalid)
		}
		v.Str = t.Format(time.DateTime)
	case clusto.JSON:
		if !json.Valid([]byte(v.Str)) {
			return v, fmt.Errorf("value %q is no JSON: %w", v.Str, clusto.ErrInvalid)
		}
	default:
		return v, fmt.Errorf("type %q is none of string, int, datetime, relation, json: %w", v.Type, clusto.ErrInvalid)
	}
	return v, nil
}

// related finds the entity that "/type/name", or a bare name, points to.
func (c *change) related(ctx context.Context, path string) (*entity, error) {
	kind, name := "", path
	if rest, ok := strings.CutPrefix(path, "/"); ok {
		kind, name, _ = strings.Cut(rest, "/")
	}
	e, err := c.need(ctx, name)
	if err != nil {
		return nil, err
	}
	if kind != "" && kind != e.Type {
		return nil, fmt.Errorf("relation %q: the entity is %s: %w", path, pathOf(e), clusto.ErrInvalid)
	}
	return e, nil
}

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
		if a.binds(ip) {
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

// binds reports whether the attribute is the text or int form of ip.
func (a *attr) binds(ip netip.Addr) bool {
	if a.sub.Valid {
		got, err := netip.ParseAddr(strings.TrimSpace(a.text.String))
		return a.sub.String == "ipstring" && err == nil && got == ip
	}
	got, ok := addrOf(a.num.Int64)
	return a.num.Valid && ok && got == ip
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

const boundSQL = `SELECT e.entity_id, e.name, e.type, e.driver, a."key", a.subkey FROM entity_attrs a
		JOIN entities e ON e.entity_id = a.entity_id AND e.deleted_at_version IS NULL
		WHERE a.string_value = ? AND a.deleted_at_version IS NULL
	UNION ALL SELECT e.entity_id, e.name, e.type, e.driver, a."key", a.subkey FROM entity_attrs a
		JOIN entities e ON e.entity_id = a.entity_id AND e.deleted_at_version IS NULL
		WHERE a.int_value = ? AND a.deleted_at_version IS NULL`

// ipTaken refuses an address that is bound to another entity.
func (c *change) ipTaken(ctx context.Context, e *entity, ip netip.Addr) error {
	taken := c.ips[ip]
	var of clusto.Entity
	var id int64
	var key string
	var sub sql.NullString
	err := each(ctx, c, boundSQL, []any{&id, &of.Name, &of.Type, &of.Driver, &key, &sub}, func() {
		if key == keyIP && (!sub.Valid || sub.String == "ipstring") {
			taken = append(taken, &entity{Entity: of, id: id})
		}
	}, ip.String(), intOf(ip))
	if err != nil {
		return err
	}
	for _, t := range taken {
		if t.id != e.id {
			return fmt.Errorf("bind %s to %s: it is bound to %s: %w", ip, pathOf(e), pathOf(t), clusto.ErrConflict)
		}
	}
	return nil
}

// managerOf finds the one IP manager whose range holds ip.
func (c *change) managerOf(ctx context.Context, e *entity, ip netip.Addr) (manager, error) {
	if !c.haveManagers {
		if err := c.flush(ctx); err != nil {
			return manager{}, err
		}
		all, err := readManagers(ctx, c)
		if err != nil {
			return manager{}, err
		}
		c.managers, c.haveManagers = all, true
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
	meta, err := c.need(ctx, "clustometa")
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
	if !slices.Contains(c.ips[ip], e) {
		c.ips[ip] = append(c.ips[ip], e)
	}
	return nil
}
