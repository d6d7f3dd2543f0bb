package inventory

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// attr adds one attribute, unless the object has it already. An id's sub "" and
// num -1 stand for SQL's NULL.
func (p *parser) attr(line int, name string, id attrID, v clusto.Value) {
	if first, dup := p.attrSeen[id]; dup {
		p.errorf(line, "%s is set twice, first on line %d; keep one, or give them numbers under attrs", id, first)
		return
	}
	p.attrSeen[id] = line
	op := clusto.Op{Op: "attr", Name: name, Key: id.key, Value: &v}
	if id.sub != "" {
		op.Subkey = &id.sub
	}
	if id.num >= 0 {
		op.Number = &id.num
	}
	p.attrs.add(line, op)
}

// String gives the id as messages spell it: "dhcp/enabled", "port-nic-eth/mac
// number 1".
func (id attrID) String() string {
	s := id.key
	if id.sub != "" {
		s += "/" + id.sub
	}
	if id.num >= 0 {
		s += " number " + strconv.Itoa(id.num)
	}
	return s
}

// dhcp reads the options: each key is the subkey of a dhcp attribute.
func (p *parser) dhcp(t *thing, e pair) {
	for _, o := range p.pairs(e.val) {
		if !p.checkKey(o.line, "dhcp option", o.key) {
			continue
		}
		name := "dhcp/" + o.key
		if o.key == "enabled" {
			p.enabled(t, name, o)
			continue
		}
		if v, ok := p.value(name, o.val); ok {
			p.attr(o.line, t.name, attrID{"dhcp", o.key, -1}, v)
		}
	}
}

// enabled takes nothing but a switch: any other text would quietly mean off.
func (p *parser) enabled(t *thing, name string, o pair) {
	v, ok := p.value(name, o.val)
	if !ok {
		return
	}
	switch strings.ToLower(v.Text()) {
	case "0", "1", "true", "false":
	case "yes", "on":
		v = clusto.Value{Type: clusto.Int, Int: 1}
	case "no", "off":
		v = clusto.Value{Type: clusto.Int, Int: 0}
	default:
		p.errorf(o.line, "%s: want 1 or 0, got %s", name, describe(o.val))
		return
	}
	p.attr(o.line, t.name, attrID{"dhcp", "enabled", -1}, v)
}

func (p *parser) checkKey(line int, what, key string) bool {
	if !clusto.LongKey(key) && keyForm.MatchString(key) {
		return true
	}
	p.errorf(line, "%s %q: want letters, digits, _ and -, a letter or _ first", what, shorten(key))
	return false
}

// attrList reads attributes of any key.
func (p *parser) attrList(t *thing, e pair) {
	if e.val.Kind != yaml.SequenceNode {
		p.errorf(e.line, "attrs: want a list, as in [{key: serial, value: \"0042\"}], got %s", describe(e.val))
		return
	}
	for _, n := range p.items(e.val) {
		p.attrItem(t, n)
	}
}

func (p *parser) attrItem(t *thing, n *yaml.Node) {
	id := attrID{num: -1}
	var val *yaml.Node
	good := true
	for _, e := range p.pairs(n) {
		ok := true
		switch e.key {
		case "key":
			id.key, ok = p.text("attrs: key", e.val)
		case "subkey":
			id.sub, ok = p.text("attrs: subkey", e.val)
			ok = ok && p.checkKey(e.line, "attrs: subkey", id.sub)
		case "number":
			id.num, ok = p.number("attrs: number", e.val)
		case "value":
			val = e.val
		default:
			p.unknownKey(e.line, e.key, []string{"key", "subkey", "number", "value"})
			ok = false
		}
		good = good && ok
	}
	if !good || !p.checkAttr(n, id, val) {
		return
	}
	v, ok := p.value(id.String(), val)
	if !ok {
		return
	}
	if err := clusto.CheckProperty(t.driver, id.key, id.sub, v); err != nil {
		p.errorf(n.Line, "%s: %s", id, clusto.Reason(err))
		return
	}
	p.attr(n.Line, t.name, id, v)
}

// checkAttr refuses the keys that clusto keeps itself and those that have a
// place of their own in the file.
func (p *parser) checkAttr(n *yaml.Node, id attrID, val *yaml.Node) bool {
	switch {
	case id.key == "" || val == nil:
		p.errorf(n.Line, "attrs: an attribute takes a key and a value, as in {key: serial, value: \"0042\"}")
	case strings.HasPrefix(id.key, "_"):
		p.errorf(n.Line, "attrs: key %q: keys that begin with _ are clusto's own; use \"in\" to put things into others", shorten(id.key))
	case id.key == "ip":
		p.errorf(n.Line, "attrs: key \"ip\": addresses are written as \"ip: 192.168.1.50\" on the server")
	case strings.HasPrefix(id.key, "port-"):
		p.errorf(n.Line, "attrs: key %q: ports are written as \"ports: {%s: {1: {mac: ...}}}\"", shorten(id.key), shorten(id.key[len("port-"):]))
	case id.key == "dhcp" && id.sub == "enabled" && val.Kind != yaml.ScalarNode:
		p.errorf(n.Line, "dhcp/enabled: want 1 or 0, got %s", describe(val))
	default:
		return p.checkKey(n.Line, "attrs: key", id.key)
	}
	return false
}

// number reads a decimal number that is not negative.
func (p *parser) number(what string, n *yaml.Node) (int, bool) {
	s, ok := p.text(what, n)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(s, 10, 32)
	if err != nil || i < 0 || !decimal.MatchString(s) {
		p.errorf(n.Line, "%s: want a number, got %q", what, shorten(s))
		return 0, false
	}
	return int(i), true
}
