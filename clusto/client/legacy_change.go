package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// Change applies operations one after the other, by the original's own calls: it
// has no transactions. What has been done stays done if a later one fails,
// except that an entity made by the list is deleted again when one is refused,
// and that the next list takes the one that a failed list made and left bare.
// Each operation finds out whether it holds already, so the list can be applied
// again. The original cannot allocate addresses. Known are allocate (of an
// entity), insert, connect, attr, add, has and lacks.
func (l *Legacy) Change(ctx context.Context, ops []clusto.Op) (res []clusto.Result, err error) {
	err = l.patiently(ctx, func() error {
		c := &steps{l: l, labels: clusto.Labels{}}
		for i := range ops {
			if err := c.one(ctx, i, &ops[i]); err != nil {
				return c.failed(ctx, i, err)
			}
		}
		res = c.results
		return nil
	})
	return res, err
}

// steps is a list of operations that is being applied.
type steps struct {
	l       *Legacy
	labels  clusto.Labels
	made    []clusto.Entity
	tried   []string // names of entities that may have been made
	results []clusto.Result
}

// failed undoes what can be undone, when it was clusto who refused.
func (c *steps) failed(ctx context.Context, i int, err error) error {
	if !errors.Is(err, clusto.ErrConflict) && !errors.Is(err, clusto.ErrInvalid) && !errors.Is(err, clusto.ErrNotFound) {
		c.l.left.add(c.tried...)
		return err
	}
	for _, e := range c.made {
		if a, derr := c.l.write(ctx, http.MethodDelete, e.Path(), nil); derr != nil || a.status != http.StatusOK && a.status != http.StatusNotFound {
			c.l.left.add(c.tried...)
			return fmt.Errorf("%w; and %s, made for it, is left over: the original answers %d, %v", err, e.Path(), a.status, derr)
		}
	}
	return &clusto.OpError{Index: i, Err: err}
}

// named gives the operation with names instead of labels.
func (c *steps) named(ctx context.Context, op clusto.Op) (clusto.Op, error) {
	for _, name := range []*string{&op.Name, &op.To, &op.Into} {
		if err := c.unlabel(ctx, name); err != nil {
			return op, err
		}
	}
	if v := op.Value; v != nil && v.Type == clusto.Relation && strings.HasPrefix(v.Str, "$") {
		w := *v
		if err := c.unlabel(ctx, &w.Str); err != nil {
			return op, err
		}
		e, _, err := c.l.show(ctx, w.Str)
		if err != nil {
			return op, err
		}
		w.Str, op.Value = e.Path(), &w
	}
	return op, nil
}

// unlabel puts the name that "$label" stands for in its place.
func (c *steps) unlabel(ctx context.Context, name *string) (err error) {
	*name, err = c.labels.Name(*name, func(name string) (bool, error) {
		found, err := c.l.matchingNames(ctx, name)
		return len(found) > 0, err
	})
	return err
}

func (c *steps) one(ctx context.Context, i int, of *clusto.Op) error {
	named, err := c.named(ctx, *of)
	if err != nil {
		return err
	}
	op, name := &named, named.Name
	switch op.Op {
	case "has", "lacks":
		return c.check(ctx, op, name)
	case "allocate":
		return c.allocate(ctx, i, op)
	case "insert":
		return c.insert(ctx, name, op.Into, op.RU)
	case "connect":
		return c.connect(ctx, op, name)
	case "attr", "add":
		return c.attr(ctx, op, name)
	}
	return fmt.Errorf("operation %q: the original clusto-httpd has no call for it: %w", op.Op, clusto.ErrInvalid)
}

// check asks whether an attribute is there.
func (c *steps) check(ctx context.Context, op *clusto.Op, name string) error {
	m := clusto.AttrMatch{Key: op.Key}
	if op.Subkey != nil {
		m.Subkey = &clusto.NullString{Text: *op.Subkey}
	}
	if op.Number != nil {
		n := int64(*op.Number)
		m.Number = &clusto.NumberMatch{Equal: &n}
	}
	relation := ""
	if v := op.Value; v != nil {
		switch v.Type {
		case clusto.Int:
			m.Value = &clusto.ValueMatch{Int: &v.Int}
		case clusto.Relation:
			relation = v.Str
		default:
			m.Value = &clusto.ValueMatch{Texts: []string{v.Str}}
			if mac, err := clusto.ParseMAC(v.Str); err == nil {
				forms := mac.Spellings()
				m.Value.Texts = forms[:]
			}
		}
	}
	q := clusto.Query{Attrs: []clusto.AttrMatch{m}}
	if name != "" {
		q.Names = []string{name}
	}
	found, err := c.l.query(ctx, q)
	if err != nil {
		return err
	}
	holds := len(found) > 0
	if holds && relation != "" {
		if holds, err = c.relates(ctx, op, name, relation); err != nil {
			return err
		}
	}
	if holds != (op.Op == "has") {
		return fmt.Errorf("%s %s %s of %s does not hold: %w", op.Op, op.Key, ptrText(op.Subkey), cmp.Or(name, "any entity"), clusto.ErrConflict)
	}
	return nil
}

func ptrText(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// relates looks for an attribute that is a relation: the original cannot search
// for those.
func (c *steps) relates(ctx context.Context, op *clusto.Op, name, to string) (bool, error) {
	_, s, err := c.l.show(ctx, name)
	if err != nil {
		return false, err
	}
	for _, a := range s.attrs("", 0) {
		if a.Key == op.Key && (op.Subkey == nil || a.Sub() == *op.Subkey) && a.Value.Str == to &&
			(op.Number == nil || a.Number != nil && *a.Number == *op.Number) {
			return true, nil
		}
	}
	return false, nil
}

// insert puts a device into a rack. The original does that and then answers
// 500, so the rack is read before and after.
func (c *steps) insert(ctx context.Context, name, into string, ru int) error {
	e, s, err := c.l.show(ctx, name)
	if err != nil {
		return err
	}
	r, _, err := c.l.show(ctx, into)
	if err != nil || slices.Contains(s.Parents, r.Path()) {
		return err
	}
	a, err := c.l.write(ctx, http.MethodGet, r.Path()+"/insert", url.Values{"object": {e.Path()}, "ru": {strconv.Itoa(ru)}})
	if err != nil {
		return err
	}
	if _, s, err = c.l.show(ctx, name); err != nil {
		return err
	}
	if !slices.Contains(s.Parents, r.Path()) {
		return fmt.Errorf("insert %s into %s at unit %d: %w", e.Path(), r.Path(), ru, a.refusal())
	}
	return nil
}

// connect stores the connection of two ports on both sides: the original has no
// call for it.
func (c *steps) connect(ctx context.Context, op *clusto.Op, name string) error {
	here, err := c.l.object(ctx, name)
	if err != nil {
		return err
	}
	there, err := c.l.object(ctx, op.To)
	if err != nil {
		return err
	}
	if err := c.side(ctx, op.Port, &here, op.Num, &there, op.ToNum); err != nil {
		return err
	}
	return c.side(ctx, op.Port, &there, op.ToNum, &here, op.Num)
}

func (c *steps) side(ctx context.Context, kind string, here *clusto.Object, num string, there *clusto.Object, toNum string) error {
	n, err := portNumber(here, kind, num)
	if err != nil {
		return err
	}
	to, err := portNumber(there, kind, toNum)
	if err != nil {
		return err
	}
	same := func(text string) bool { other, err := portNumber(there, kind, text); return err == nil && other == to }
	for _, p := range here.Ports {
		switch {
		case p.Type != kind || p.Num != n:
		case p.To == there.Path() && p.ToNum != "" && same(p.ToNum):
			return nil
		case p.To == there.Path() && p.ToNum == "": // begun
		default:
			return fmt.Errorf("connect %s port %s %s to %s: it is connected to %s port %s: %w", here.Path(), kind, num, there.Path(), p.To, p.ToNum, clusto.ErrConflict)
		}
	}
	key := "port-" + kind
	number, connection, other := n, "connection", "otherportnum"
	for _, op := range []clusto.Op{ // the connection last: it says that all is there
		{Key: key, Number: &number, Subkey: &other, Value: portValue(toNum)},
		{Key: key, Number: &number, Subkey: &connection, Value: &clusto.Value{Type: clusto.Relation, Str: there.Path()}},
	} {
		if err := c.set(ctx, "setattr", here.Path(), &op); err != nil {
			return err
		}
	}
	return nil
}

// portNumber reads the port of an entity that an operation names, and refuses one
// that its driver does not have.
func portNumber(o *clusto.Object, kind, text string) (int, error) {
	n, _ := clusto.PortNumber(o.Driver, kind, text)
	if _, all, known := clusto.PortsOf(o.Driver, kind); n < 1 || known && n > all {
		return 0, fmt.Errorf("connect port %s %q of %s: its driver %s has no such port: %w", kind, text, o.Path(), o.Driver, clusto.ErrInvalid)
	}
	return n, nil
}

func portValue(num string) *clusto.Value {
	if n, err := strconv.ParseInt(num, 10, 64); err == nil {
		return &clusto.Value{Type: clusto.Int, Int: n}
	}
	return &clusto.Value{Type: clusto.String, Str: num}
}

// attr sets or adds an attribute that is not there yet.
func (c *steps) attr(ctx context.Context, op *clusto.Op, name string) error {
	e, s, err := c.l.show(ctx, name)
	if err != nil {
		return err
	}
	if err := clusto.CheckProperty(e.Driver, op.Key, ptrText(op.Subkey), *op.Value); err != nil {
		return fmt.Errorf("attribute %s of %s: %w", op.Key, e.Path(), err)
	}
	for _, a := range s.attrs("", 0) {
		same := a.Key == op.Key && a.Sub() == ptrText(op.Subkey) && a.Value.Text() == op.Value.Text() &&
			(op.Number == nil) == (a.Number == nil) && (op.Number == nil || *op.Number == *a.Number)
		if same {
			return nil
		}
	}
	action := map[string]string{"attr": "setattr", "add": "addattr"}[op.Op]
	return c.set(ctx, action, e.Path(), op)
}

func (c *steps) set(ctx context.Context, action, path string, op *clusto.Op) error {
	v := url.Values{"key": {op.Key}, "value": {op.Value.Text()}, "datatype": {string(op.Value.Type)}}
	if op.Subkey != nil {
		v.Set("subkey", *op.Subkey)
	}
	if op.Number != nil {
		v.Set("number", strconv.Itoa(*op.Number))
	}
	a, err := c.l.write(ctx, http.MethodGet, path+"/"+action, v)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("%s %s %s of %s: %w", action, op.Key, ptrText(op.Subkey), path, a.refusal())
	}
	return err
}
