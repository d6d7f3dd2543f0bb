package inventory

import (
	"fmt"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// rawList reads attributes that are written past all rules: what an export has
// to say that nothing else says. Each is {key, subkey, number, value}, or values
// where one key, subkey and number holds several, or none.
func (p *parser) rawList(t *thing, e pair) {
	if e.val.Kind != yaml.SequenceNode {
		p.errorf(e.line, "raw: want a list, as in [{key: _contains, number: 0, value: {relation: /server/s0001}}], got %s", describe(e.val))
		return
	}
	for _, n := range p.items(e.val) {
		op := clusto.Op{Op: "raw", Name: t.name, Values: []clusto.Value{}}
		if p.rawItem(n, &op) {
			p.raws.add(n.Line, op)
		}
	}
}

func (p *parser) rawItem(n *yaml.Node, op *clusto.Op) bool {
	found := false
	for _, e := range p.pairs(n) {
		ok := true
		switch e.key {
		case "key":
			op.Key, ok = p.text("raw: key", e.val)
		case "subkey":
			var sub string
			sub, ok = p.text("raw: subkey", e.val)
			op.Subkey = &sub
		case "number":
			op.Number, ok = p.signed("raw: number", e.val)
		case "value":
			found = true
			ok = p.rawValue(e.val, op)
		case "values":
			found = true
			for _, v := range p.items(e.val) {
				ok = ok && p.rawValue(v, op)
			}
		default:
			p.unknownKey(e.line, e.key, []string{"key", "subkey", "number", "value", "values"})
			ok = false
		}
		if !ok {
			return false
		}
	}
	if op.Key == "" || !found {
		p.errorf(n.Line, "raw: an attribute takes a key and a value")
		return false
	}
	return true
}

// rawValue reads a value, which may be a relation or a date that is empty.
func (p *parser) rawValue(n *yaml.Node, op *clusto.Op) bool {
	v, ok := clusto.Value{}, false
	if n.Kind == yaml.MappingNode && len(n.Content) == 2 && follow(n.Content[1]).Value == "" && follow(n.Content[1]).Kind == yaml.ScalarNode {
		switch n.Content[0].Value {
		case "relation":
			v.Type, ok = clusto.Relation, true
		case "datetime":
			v.Type, ok = clusto.Datetime, true
		}
	}
	if !ok {
		v, ok = p.value("raw: "+op.Key, n)
	}
	op.Values = append(op.Values, v)
	return ok
}

// counters reads where the object's counters stand.
func (p *parser) counters(t *thing, e pair) {
	for _, c := range p.pairs(e.val) {
		if n, ok := p.signed("counters: "+c.key, c.val); ok {
			p.raws.add(c.line, clusto.Op{Op: "counter", Name: t.name, Key: c.key, Number: n})
		}
	}
}

// signed reads a decimal number of 32 bits.
func (p *parser) signed(what string, n *yaml.Node) (*int, bool) {
	s, ok := p.text(what, n)
	if !ok {
		return nil, false
	}
	i, err := strconv.ParseInt(s, 10, 32)
	if err != nil || !decimal.MatchString(s) {
		p.errorf(n.Line, "%s: want a number, got %q", what, shorten(s))
		return nil, false
	}
	num := int(i)
	return &num, true
}

// long reads {int: N}, for numbers that a plain one is too long for.
func (p *parser) long(name string, n *yaml.Node) (v clusto.Value, ok bool) {
	s, ok := p.text(name+": int", n)
	if !ok {
		return v, false
	}
	i, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		p.errorf(n.Line, "%s: int %q: want a number from %d to %d", name, shorten(s), int64(math.MinInt64), int64(math.MaxInt64))
		return v, false
	}
	return clusto.Value{Type: clusto.Int, Int: i}, true
}

// written reads {rawjson: TEXT}: JSON whose very letters matter.
func (p *parser) written(name string, n *yaml.Node) (v clusto.Value, ok bool) {
	s, ok := p.text(fmt.Sprintf("%s: rawjson", name), n)
	return clusto.Value{Type: clusto.JSON, Str: s}, ok
}
