package inventory

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// maxJSON bounds one JSON value. DHCP options hold far less.
const maxJSON = 64 << 10

var (
	decimal    = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	entityPath = regexp.MustCompile(`^/[a-z0-9_]+/[^/]+$`)
)

// value turns a YAML value into what an attribute holds. name says which
// attribute, for messages.
func (p *parser) value(name string, n *yaml.Node) (v clusto.Value, ok bool) {
	switch n.Kind {
	case yaml.ScalarNode:
		return p.scalar(name, n)
	case yaml.MappingNode:
		if len(n.Content) == 2 {
			switch inner := follow(n.Content[1]); n.Content[0].Value {
			case "relation":
				return p.relation(name, inner)
			case "datetime":
				return p.datetime(name, inner)
			case "json":
				return p.json(name, inner)
			case "rawjson":
				return p.written(name, inner)
			case "int":
				return p.long(name, inner)
			}
		}
	}
	return p.json(name, n)
}

// scalar reads a single value. Ints outside 32 bits stay text: the column of
// the schema has 32 on some databases.
func (p *parser) scalar(name string, n *yaml.Node) (v clusto.Value, ok bool) {
	switch n.Tag {
	case "!!null":
		p.errorf(n.Line, "%s: has no value; write \"\" for an empty text, or take the line out", name)
		return v, false
	case "!!bool":
		if b, err := strconv.ParseBool(n.Value); err == nil {
			return clusto.Value{Type: clusto.Int, Int: int64(bit(b))}, true
		}
	case "!!int":
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err == nil && decimal.MatchString(n.Value) && i >= math.MinInt32 && i <= math.MaxInt32 {
			return clusto.Value{Type: clusto.Int, Int: i}, true
		}
	case "!!str", "!!float", "!!timestamp", "!!merge":
	default:
		p.errorf(n.Line, "%s: the tag %s is not known here; leave it out", name, n.Tag)
		return v, false
	}
	return clusto.Value{Type: clusto.String, Str: n.Value}, true
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// relation takes a name that the file declares, or the path of any entity.
func (p *parser) relation(name string, n *yaml.Node) (v clusto.Value, ok bool) {
	to, ok := p.text(name+": relation", n)
	if !ok {
		return v, false
	}
	path := to
	if t := p.known[to]; t != nil {
		path = clusto.Entity{Name: t.name, Type: t.entityType()}.Path()
	}
	if !entityPath.MatchString(path) {
		p.errorf(n.Line, "%s: relation to %q, which this file does not declare; write its path, as in /server/%s", name, shorten(to), shorten(to))
		return v, false
	}
	return clusto.Value{Type: clusto.Relation, Str: path}, true
}

// datetime reads the layout of the schema and what people write for it.
func (p *parser) datetime(name string, n *yaml.Node) (v clusto.Value, ok bool) {
	s, ok := p.text(name+": datetime", n)
	if !ok {
		return v, false
	}
	for _, layout := range []string{time.DateTime, time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return clusto.Value{Type: clusto.Datetime, Str: clusto.DatetimeText(t.UTC())}, true
		}
	}
	p.errorf(n.Line, "%s: datetime %q: want \"2010-01-02 03:04:05\"", name, shorten(s))
	return v, false
}

func (p *parser) json(name string, n *yaml.Node) (v clusto.Value, ok bool) {
	b, ok := p.appendJSON(nil, name, n, 0)
	if !ok || !p.spend(n.Line, len(b)/16) {
		return v, false
	}
	return clusto.Value{Type: clusto.JSON, Str: string(b)}, true
}

// appendJSON writes n with the spaces that the original's JSON library puts, so
// that a value that came from it compares equal.
func (p *parser) appendJSON(b []byte, name string, n *yaml.Node, depth int) ([]byte, bool) {
	n = follow(n)
	if depth > maxDepth {
		p.errorf(n.Line, "%s: nested deeper than %d levels, or an alias inside itself", name, maxDepth)
		return b, false
	}
	if len(b) > maxJSON {
		p.errorf(n.Line, "%s: more than %d bytes of JSON; no attribute needs that", name, maxJSON)
		return b, false
	}
	switch n.Kind {
	case yaml.MappingNode:
		return p.appendObject(b, name, n, depth)
	case yaml.SequenceNode:
		return p.appendList(b, name, n, depth)
	case yaml.ScalarNode:
		return appendJSONScalar(b, n), true
	}
	p.errorf(n.Line, "%s: %s", name, describe(n))
	return b, false
}

func (p *parser) appendList(b []byte, name string, n *yaml.Node, depth int) ([]byte, bool) {
	b = append(b, '[')
	for i, c := range p.items(n) {
		if i > 0 {
			b = append(b, ", "...)
		}
		var ok bool
		if b, ok = p.appendJSON(b, name, c, depth+1); !ok {
			return b, false
		}
	}
	return append(b, ']'), p.budget >= 0
}

func (p *parser) appendObject(b []byte, name string, n *yaml.Node, depth int) ([]byte, bool) {
	b = append(b, '{')
	for i, e := range p.pairs(n) {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(appendJSONText(b, e.key), ": "...)
		var ok bool
		if b, ok = p.appendJSON(b, name, e.val, depth+1); !ok {
			return b, false
		}
	}
	return append(b, '}'), p.budget >= 0
}

func appendJSONScalar(b []byte, n *yaml.Node) []byte {
	switch n.Tag {
	case "!!null":
		return append(b, "null"...)
	case "!!bool":
		if v, err := strconv.ParseBool(n.Value); err == nil {
			return strconv.AppendBool(b, v)
		}
	case "!!int", "!!float":
		if jsonNumber.MatchString(n.Value) {
			return append(b, n.Value...)
		}
	}
	return appendJSONText(b, n.Value)
}

func appendJSONText(b []byte, s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}
