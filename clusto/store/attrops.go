package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

var keyPattern = regexp.MustCompile(`^[A-Za-z_]+[0-9A-Za-z_-]*$`)

// attrOp makes the entity hold exactly one value under (key, subkey, number).
func (c *change) attrOp(ctx context.Context, op *clusto.Op) error {
	e, r, err := c.given(ctx, op)
	if err != nil {
		return err
	}
	return c.replace(ctx, e, r, func([]*attr) error {
		if mac, ok := portMAC(&r); ok {
			return c.macTaken(ctx, e, mac)
		}
		return nil
	})
}

// setOp is attrOp for one value at most, as the original's set_attr: it takes
// a MAC that is on another port too.
func (c *change) setOp(ctx context.Context, op *clusto.Op) error {
	e, r, err := c.given(ctx, op)
	if err != nil {
		return err
	}
	return c.replace(ctx, e, r, func(same []*attr) error {
		if len(same) > 1 {
			return fmt.Errorf("set attribute %s of %s: %d attributes have that key, subkey and number; delete them first: %w",
				op.Key, pathOf(e), len(same), clusto.ErrConflict)
		}
		return nil
	})
}

// addOp adds an attribute, whatever there is.
func (c *change) addOp(ctx context.Context, op *clusto.Op) error {
	e, r, err := c.given(ctx, op)
	if err != nil {
		return err
	}
	return c.add(ctx, e, r)
}

// given reads the entity and the attribute that an operation names.
func (c *change) given(ctx context.Context, op *clusto.Op) (*entity, row, error) {
	if err := validKeys(op); err != nil {
		return nil, row{}, err
	}
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return nil, row{}, err
	}
	r, err := c.newRow(ctx, e, op)
	return e, r, err
}

// replace makes r the only attribute with its key, subkey and number, unless it
// is already or check refuses; check is given those that are there.
func (c *change) replace(ctx context.Context, e *entity, r row, check func(same []*attr) error) error {
	all, err := c.attrsOf(ctx, e, r.key)
	if err != nil {
		return err
	}
	var same []*attr
	for _, a := range all {
		if a.sub.String == r.sub.String && a.number == r.number {
			same = append(same, a)
		}
	}
	if len(same) == 1 && sameValue(&same[0].row, &r) {
		return nil
	}
	if err := check(same); err != nil {
		return err
	}
	for _, a := range same {
		if err := c.drop(ctx, a); err != nil {
			return err
		}
	}
	return c.add(ctx, e, r)
}

// delOp deletes all attributes of a key that match the operation.
func (c *change) delOp(ctx context.Context, op *clusto.Op) error {
	if op.Key == "" {
		return fmt.Errorf("delete an attribute of %q: the key is missing: %w", op.Name, clusto.ErrInvalid)
	}
	e, err := c.need(ctx, op.Name)
	if err != nil {
		return err
	}
	want, err := c.wanted(ctx, op)
	if errors.Is(err, clusto.ErrNotFound) {
		return nil // a relation to nothing is nowhere
	} else if err != nil {
		return err
	}
	if err := c.dropAll(ctx, e, op.Key, func(a *attr) bool { return want.matches(&a.row) }); err != nil || op.Key != keyContains {
		return err
	}
	for _, inside := range c.byID {
		inside.parents, inside.have = nil, false
	}
	return c.flush(ctx) // parents are read from the database
}

// wanted is what an operation says of attributes that it looks for.
type wanted struct {
	op    *clusto.Op
	value clusto.Value
	rel   int64 // of a relation
}

// wanted reads the value that an operation looks for.
func (c *change) wanted(ctx context.Context, op *clusto.Op) (w wanted, err error) {
	w.op = op
	if op.Value == nil {
		return w, nil
	}
	w.value = *op.Value
	if w.value.Type == "" {
		w.value.Type = clusto.String
	}
	if w.value.Type == clusto.Relation {
		to, err := c.related(ctx, w.value.Str)
		if err == nil {
			w.rel = to.id
		}
		return w, err
	}
	w.value, err = checkValue(w.value, subkeyOf(op))
	return w, err
}

// matches reports whether an attribute of the right key is meant: whatever the
// operation does not say may be anything, and an empty subkey is none.
func (w *wanted) matches(r *row) bool {
	if s := w.op.Subkey; s != nil && *s != r.sub.String {
		return false
	}
	if n := w.op.Number; n != nil && (!r.number.Valid || r.number.Int64 != int64(*n)) {
		return false
	}
	if w.op.Value == nil {
		return true
	}
	if w.value.Type == clusto.Relation {
		return r.datatype == clusto.Relation && r.rel.Int64 == w.rel
	}
	v := r.value()
	if v.Type != w.value.Type || v.Int != w.value.Int {
		return false
	}
	if mac, ok := parseStored(v.Str); ok && isMAC(r.sub.String) {
		v.Str = mac.String()
	}
	return v.Str == w.value.Str
}

// subkeyOf gives the subkey of an operation; an empty one is none.
func subkeyOf(op *clusto.Op) string {
	if op.Subkey == nil {
		return ""
	}
	return *op.Subkey
}

// isMAC reports whether attributes with that subkey hold MACs.
func isMAC(subkey string) bool { return subkey == subMAC || subkey == subIPMI }

func validKeys(op *clusto.Op) error {
	if op.Key == "" {
		return fmt.Errorf("attribute of %q: \"key\" is missing: %w", op.Name, clusto.ErrInvalid)
	}
	if err := checkKey("key", op.Key); err != nil {
		return fmt.Errorf("attribute of %.128q: %w", op.Name, err)
	}
	if sub := subkeyOf(op); sub != "" {
		if err := checkKey("subkey", sub); err != nil {
			return fmt.Errorf("attribute %s of %.128q: %w", op.Key, op.Name, err)
		}
	}
	switch {
	case op.Key == keyContains:
		return fmt.Errorf("attribute %s of %q: use an insert operation: %w", op.Key, op.Name, clusto.ErrInvalid)
	case op.Number != nil && (*op.Number < lowestNumber(op.Key) || *op.Number > math.MaxInt32):
		return fmt.Errorf("attribute %s of %q: number %d is not within %d to %d: %w", op.Key, op.Name, *op.Number, lowestNumber(op.Key), math.MaxInt32, clusto.ErrInvalid)
	case op.Value == nil:
		return fmt.Errorf("attribute %s of %q: the value is missing: %w", op.Key, op.Name, clusto.ErrInvalid)
	}
	return nil
}

// checkKey refuses a key or a subkey that is too long, or of other characters.
func checkKey(what, key string) error {
	switch {
	case clusto.LongKey(key):
		return fmt.Errorf("%s %.80q has %d characters, and %d are the most: %w", what, key, utf8.RuneCountInString(key), clusto.MaxKey, clusto.ErrInvalid)
	case !keyPattern.MatchString(key):
		return fmt.Errorf("%s %q must begin with a letter or _ and go on with letters, digits, _ or -: %w", what, key, clusto.ErrInvalid)
	}
	return nil
}

// lowestNumber bounds the numbers of a key: those of ports and addresses count
// from 0.
func lowestNumber(key string) int {
	if key == keyIP || strings.HasPrefix(key, "port-") {
		return 0
	}
	return math.MinInt32
}

// newRow makes the row that an attr operation asks for.
func (c *change) newRow(ctx context.Context, e *entity, op *clusto.Op) (r row, err error) {
	r.key = op.Key
	if sub := subkeyOf(op); sub != "" {
		r.sub = sql.NullString{String: sub, Valid: true}
	}
	if op.Number != nil {
		r.number = sql.NullInt64{Int64: int64(*op.Number), Valid: true}
	}
	v := *op.Value
	if v.Type == "" {
		v.Type = clusto.String
	}
	if err := clusto.CheckProperty(e.Driver, r.key, r.sub.String, v); err != nil {
		return r, fmt.Errorf("attribute %s of %s: %w", op.Key, pathOf(e), err)
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
		r.time = sql.NullString{String: storedTime(v.Str), Valid: true}
	default:
		r.text = sql.NullString{String: v.Str, Valid: true}
	}
}

// storedTime gives a date as SQLAlchemy stores it on SQLite.
func storedTime(s string) string {
	whole, micros, _ := strings.Cut(s, ".")
	return whole + "." + (micros + "000000")[:6]
}

// checkValue refuses values that do not fit their type, and brings MACs into
// clusto's form.
func checkValue(v clusto.Value, subkey string) (clusto.Value, error) {
	switch v.Type {
	case clusto.Int:
	case clusto.String:
		if !isMAC(subkey) {
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
			return v, fmt.Errorf("value %.80q is no date like 2010-01-02 03:04:05: %w", v.Str, clusto.ErrInvalid)
		}
		v.Str = clusto.DatetimeText(t)
	case clusto.JSON:
		if !json.Valid([]byte(v.Str)) {
			return v, fmt.Errorf("value %.80q is no JSON: %w", v.Str, clusto.ErrInvalid)
		}
	default:
		return v, fmt.Errorf("type %.80q is none of string, int, datetime, relation, json: %w", v.Type, clusto.ErrInvalid)
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
		return nil, fmt.Errorf("relation %.256q: the entity is %s: %w", path, pathOf(e), clusto.ErrInvalid)
	}
	return e, nil
}
