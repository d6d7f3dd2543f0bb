package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

var attrCommand = group("attr", "Show and change attributes.",
	asks[attrGetFlags]("attr get", "Show attributes.", "show"),
	asks[attrSetFlags]("attr set", "Set an attribute: the one that is there is replaced; several are refused."),
	asks[attrAddFlags]("attr add", "Add an attribute, whatever there is already."),
	asks[attrDelFlags]("attr del", "Delete the attributes that fit, of which there must be one.", "delete"))

// attrMatch are the flags that say which attributes are meant. Those that are
// not given fit any.
type attrMatch struct {
	Names  []string `arg:"" complete:"entity" help:"Names, MACs or IPv4 addresses of entities."`
	Subkey *string  `short:"s" help:"Its subkey; an empty one is none."`
	Number *int     `short:"n" placeholder:"N" help:"Its number."`
}

// of names the attribute of a key in messages.
func (m *attrMatch) of(key string) string {
	return attrName(&clusto.Attr{Key: cmp.Or(key, "(any)"), Subkey: m.sub(), Number: m.Number})
}

func (m *attrMatch) sub() *string {
	if m.Subkey == nil || *m.Subkey == "" {
		return nil
	}
	return m.Subkey
}

func (m *attrMatch) subText() string {
	if m.Subkey == nil {
		return ""
	}
	return *m.Subkey
}

func (m *attrMatch) fits(a *clusto.Attr, value *string) bool {
	return (m.Subkey == nil || a.Sub() == *m.Subkey) &&
		(m.Number == nil || a.Number != nil && *a.Number == *m.Number) &&
		(value == nil || a.Value.Text() == *value)
}

type attrGetFlags struct {
	Key    string `short:"k" help:"The attribute's key. Keys that begin with _ are shown if they are named."`
	Merge  bool   `short:"m" help:"Those of the containers too, the nearest first."`
	Hidden bool   `help:"Keys that begin with _ too."`
	attrMatch
	Value *string `short:"v" help:"Its value."`
	output
	reading
	choice
}

// attrList is what attr get prints as JSON.
type attrList struct {
	Attrs []clusto.Attr `json:"attrs"`
}

func (f *attrGetFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	found, err := f.entities(ctx, inv, f.Names)
	if err != nil {
		return err
	}
	list := attrList{Attrs: []clusto.Attr{}}
	for _, e := range found {
		attrs, err := inv.Attrs(ctx, clusto.AttrQuery{Name: e.Name, Key: f.Key, Hidden: f.Hidden, Merge: f.Merge})
		if err != nil {
			return err
		}
		attrs = slices.DeleteFunc(attrs, func(a clusto.Attr) bool { return !f.fits(&a, f.Value) })
		slices.SortStableFunc(attrs, func(a, b clusto.Attr) int {
			return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Sub(), b.Sub()), cmp.Compare(a.Distance, b.Distance), cmp.Compare(numberOf(&a), numberOf(&b)))
		})
		list.Attrs = append(list.Attrs, attrs...)
	}
	if len(list.Attrs) == 0 && f.Key != "" {
		return tell(clusto.ErrNotFound, "%s: no attribute %s%s%s", strings.Join(f.Names, ", "), f.of(f.Key), valueText(f.Value), nearestKey(ctx, inv, found[0].Name, f.Key))
	}
	if f.JSON {
		return printJSON(out, list)
	}
	f.print(out, list.Attrs)
	return nil
}

func (f *attrGetFlags) print(w io.Writer, attrs []clusto.Attr) {
	rows := [][]string{{"KEY", "SUBKEY", "NUM", "TYPE", "VALUE"}}
	from := f.Merge || len(f.Names) > 1
	if from {
		rows[0] = append(rows[0], "FROM")
	}
	for _, a := range attrs {
		num := "-"
		if a.Number != nil {
			num = strconv.Itoa(*a.Number)
		}
		row := []string{a.Key, cmp.Or(a.Sub(), "-"), num, string(a.Value.Type), value(a.Value)}
		if from {
			row = append(row, a.Origin)
		}
		rows = append(rows, row)
	}
	columns(w, "", rows)
}

// nearestKey says which attribute of an entity is probably meant, or nothing.
func nearestKey(ctx context.Context, inv inventory, name, key string) string {
	attrs, err := inv.Attrs(ctx, clusto.AttrQuery{Name: name, Hidden: true})
	if err != nil {
		return ""
	}
	var names []string
	for _, a := range attrs {
		names = append(names, a.Key)
	}
	if near := clusto.Nearest(key, names, 2); near != "" && near != key {
		return "; did you mean " + near + "?"
	}
	return ""
}

func valueText(v *string) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(" with value %q", *v)
}

// attrWrite are the flags that say what an attribute shall hold.
type attrWrite struct {
	Key string `short:"k" required:"" help:"The attribute's key."`
	attrMatch
	Value string `short:"v" required:"" help:"Its value."`
	Type  string `short:"t" default:"auto" complete:"auto,string,int,datetime,relation,json" placeholder:"TYPE" help:"string, int, datetime (\"2010-01-02 03:04:05\"), relation (a name) or json; auto takes a plain decimal number for an int, and anything else for a string, as what is set anew is one."`
	output
	writing
	choice
}

type (
	attrSetFlags struct{ attrWrite }
	attrAddFlags struct{ attrWrite }
)

func (f *attrSetFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	return f.write(ctx, inv, out, "set")
}

func (f *attrAddFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	return f.write(ctx, inv, out, "add")
}

// Validate checks what kong cannot.
func (f *attrWrite) Validate() error {
	_, err := f.typed()
	return err
}

var plainNumber = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

func (f *attrWrite) typed() (v clusto.Value, err error) {
	v = clusto.Value{Type: clusto.Datatype(f.Type), Str: f.Value}
	n, notInt := strconv.ParseInt(f.Value, 10, 64)
	short := notInt == nil && plainNumber.MatchString(f.Value) && n >= math.MinInt32 && n <= math.MaxInt32
	switch {
	case f.Type == "auto" && short, v.Type == clusto.Int && notInt == nil:
		return clusto.Value{Type: clusto.Int, Int: n}, nil
	case v.Type == clusto.Int:
		return v, fmt.Errorf("--value: %q is no int", f.Value)
	case f.Type == "auto":
		v.Type = clusto.String
	case !slices.Contains([]clusto.Datatype{clusto.String, clusto.Datetime, clusto.Relation, clusto.JSON}, v.Type):
		return v, fmt.Errorf("--type: %q is none; write auto, string, int, datetime, relation or json", f.Type)
	}
	return v, nil
}

func (f *attrWrite) write(ctx context.Context, inv inventory, out io.Writer, op string) error {
	found, err := f.entities(ctx, inv, f.Names)
	if err != nil {
		return err
	}
	var ops []clusto.Op
	for _, e := range found {
		v, err := f.valueFor(ctx, inv, e.Name, op)
		if err != nil {
			return err
		}
		ops = append(ops, clusto.Op{Op: op, Name: e.Name, Key: f.Key, Subkey: f.sub(), Number: f.Number, Value: &v})
	}
	return f.change(ctx, inv, out, ops)
}

// valueFor gives the value that an entity gets. A text that is set anew stays
// one, even if it looks like a number now.
func (f *attrWrite) valueFor(ctx context.Context, inv inventory, name, op string) (clusto.Value, error) {
	v, err := f.typed()
	switch {
	case err != nil:
		return v, err
	case v.Type == clusto.Relation:
		v.Str, err = f.related(ctx, inv, v.Str)
		return v, err
	case op != "set" || f.Type != "auto" || v.Type != clusto.Int:
		return v, nil
	}
	attrs, err := inv.Attrs(ctx, clusto.AttrQuery{Name: name, Key: f.Key})
	for _, a := range attrs {
		if a.Sub() == f.subText() && numberOf(&a) == numberOf(&clusto.Attr{Number: f.Number}) && a.Value.Type == clusto.String {
			v = clusto.Value{Type: clusto.String, Str: f.Value}
		}
	}
	return v, err
}

// related gives the path of the entity that a relation names.
func (f *attrWrite) related(ctx context.Context, inv inventory, name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return name, nil
	}
	e, err := f.entity(ctx, inv, name)
	return e.Path(), err
}

type attrDelFlags struct {
	Key string `short:"k" required:"" help:"The attribute's key."`
	attrMatch
	Value *string `short:"v" help:"Its value."`
	All   bool    `short:"a" help:"Delete all that fit, however many there are."`
	output
	writing
	choice
}

// run deletes what it has seen: a misspelt name deletes nothing, and says so.
func (f *attrDelFlags) run(ctx context.Context, inv inventory, out io.Writer) error {
	found, err := f.entities(ctx, inv, f.Names)
	if err != nil {
		return err
	}
	var ops []clusto.Op
	for _, e := range found {
		all, err := inv.Attrs(ctx, clusto.AttrQuery{Name: e.Name, Key: f.Key})
		if err != nil {
			return err
		}
		var fit, rest []clusto.Attr
		for _, a := range all {
			if f.fits(&a, f.Value) {
				fit = append(fit, a)
			} else {
				rest = append(rest, a)
			}
		}
		switch {
		case len(fit) == 0:
			return tell(clusto.ErrNotFound, "%s has no attribute %s%s%s; nothing was deleted", e.Path(), f.of(f.Key), valueText(f.Value), nearestKey(ctx, inv, e.Name, f.Key))
		case len(fit) > 1 && !f.All:
			return tell(clusto.ErrConflict, "%s has %d attributes %s%s; say more of the one that is meant, or --all; nothing was deleted", e.Path(), len(fit), f.of(f.Key), valueText(f.Value))
		}
		for _, a := range fit {
			ops = append(ops, delOp(e.Name, &a, rest))
		}
	}
	return f.change(ctx, inv, out, ops)
}

// delOp deletes just one attribute, or those that equal it. An operation del
// without a number takes those that have one too: where that matters, the rest
// under the same name is written anew.
func delOp(name string, a *clusto.Attr, rest []clusto.Attr) clusto.Op {
	sub := a.Sub()
	same := func(b *clusto.Attr) bool {
		return b.Sub() == sub && b.Value.Type == a.Value.Type && b.Value.Text() == a.Value.Text()
	}
	if a.Number != nil || !slices.ContainsFunc(rest, func(b clusto.Attr) bool { return same(&b) }) {
		v := clusto.Value{Type: a.Value.Type, Int: a.Value.Int, Str: a.Value.Str}
		return clusto.Op{Op: "del", Name: name, Key: a.Key, Subkey: &sub, Number: a.Number, Value: &v}
	}
	op := clusto.Op{Op: "raw", Name: name, Key: a.Key, Subkey: a.Subkey, Values: []clusto.Value{}}
	for _, b := range rest {
		if b.Sub() == sub && b.Number == nil {
			op.Values = append(op.Values, b.Value)
		}
	}
	return op
}
