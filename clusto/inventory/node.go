package inventory

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// maxDepth bounds aliases of aliases, merges of merges and lists in lists. An
// alias inside its own anchor is endless.
const maxDepth = 20

// pair is one entry of a mapping, with aliases followed and merges done.
type pair struct {
	key  string
	line int
	val  *yaml.Node
}

// spend pays for n visited entries and reports whether the file may go on.
func (p *parser) spend(line, n int) bool {
	if p.budget < 0 {
		return false
	}
	if p.budget -= n; p.budget < 0 {
		p.errorf(line, "aliases (*name) make the file too large; write fewer of them")
		return false
	}
	return true
}

func follow(n *yaml.Node) *yaml.Node {
	for i := 0; n.Kind == yaml.AliasNode && i < maxDepth; i++ {
		n = n.Alias
	}
	return n
}

// pairs gives the entries of a mapping in the order of the file. An empty value
// is an empty mapping.
func (p *parser) pairs(n *yaml.Node) []pair { return p.pairsAt(n, 0) }

func (p *parser) pairsAt(n *yaml.Node, depth int) []pair {
	n = follow(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		p.errorf(n.Line, "want a mapping (key: value), got %s", describe(n))
		return nil
	}
	if depth > maxDepth {
		p.errorf(n.Line, "merges (<<) go deeper than %d levels, or around in a circle", maxDepth)
		return nil
	}
	if !p.spend(n.Line, len(n.Content)/2) {
		return nil
	}
	return p.merge(p.ownPairs(n), n, depth)
}

// ownPairs gives the entries that the mapping itself has, each key once.
func (p *parser) ownPairs(n *yaml.Node) []pair {
	out := make([]pair, 0, len(n.Content)/2)
	seen := lineIndex{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := follow(n.Content[i])
		if isMerge(k) {
			continue
		}
		if k.Kind != yaml.ScalarNode {
			p.errorf(k.Line, "a key has to be a plain text, got %s", describe(k))
			continue
		}
		if first := seen.put(out, k.Value); first >= 0 {
			p.errorf(n.Content[i].Line, "%q is there twice, first on line %d; keep one of them", k.Value, out[first].line)
			continue
		}
		out = append(out, pair{k.Value, n.Content[i].Line, follow(n.Content[i+1])})
	}
	return out
}

// merge adds what << brings in: only the keys that are not there yet.
func (p *parser) merge(out []pair, n *yaml.Node, depth int) []pair {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !isMerge(n.Content[i]) {
			continue
		}
		from := follow(n.Content[i+1])
		sources := []*yaml.Node{from}
		if from.Kind == yaml.SequenceNode {
			sources = from.Content
		}
		for _, src := range sources {
			for _, add := range p.pairsAt(src, depth+1) {
				if !p.spend(n.Line, 1+len(out)/16) {
					return out
				}
				if !slices.ContainsFunc(out, func(o pair) bool { return o.key == add.key }) {
					out = append(out, add)
				}
			}
		}
	}
	return out
}

// lineIndex finds a key among pairs: by looking for small mappings, which
// nearly all are, with a map for large ones.
type lineIndex struct{ at map[string]int }

// put returns the index of the pair that has the key already, or -1 and takes
// it down as the next one of out.
func (x *lineIndex) put(out []pair, key string) int {
	if x.at == nil {
		if i := slices.IndexFunc(out, func(o pair) bool { return o.key == key }); i >= 0 || len(out) < 16 {
			return i
		}
		x.at = make(map[string]int)
		for i := range out {
			x.at[out[i].key] = i
		}
	}
	if i, ok := x.at[key]; ok {
		return i
	}
	x.at[key] = len(out)
	return -1
}

// items gives the elements of a list, or the one element that stands alone.
func (p *parser) items(n *yaml.Node) []*yaml.Node {
	n = follow(n)
	if isNull(n) || n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}
	}
	if !p.spend(n.Line, len(n.Content)) {
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = follow(c)
	}
	return out
}

// text gives a scalar as it is written, whatever YAML takes it for: an unquoted
// MAC, an address and 010 are texts.
func (p *parser) text(what string, n *yaml.Node) (string, bool) {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		p.errorf(n.Line, "%s: want a text, got %s", what, describe(n))
		return "", false
	}
	return n.Value, true
}

func isNull(n *yaml.Node) bool  { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
func isMerge(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!merge" }

func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.AliasNode:
		return "aliases that go around in a circle"
	case isNull(n):
		return "nothing"
	}
	return fmt.Sprintf("%q", shorten(n.Value))
}

// shorten keeps a message on one readable line.
func shorten(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

// unknownKey reports a key that has no meaning where it stands.
func (p *parser) unknownKey(line int, key string, known []string) {
	if near := nearest(key, known); near != "" {
		p.errorf(line, "unknown key %q: did you mean %q?", shorten(key), near)
		return
	}
	p.errorf(line, "unknown key %q: known here are %s", shorten(key), strings.Join(known, ", "))
}

// nearest gives the word that key is most probably meant to be, or "".
func nearest(key string, words []string) string {
	limit := max(2, len(key)/3)
	if len(key) < 4 {
		limit = 1
	}
	return clusto.Nearest(key, words, limit)
}
