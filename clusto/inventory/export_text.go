package inventory

import (
	"bufio"
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// lineLength is how long a line may be that could be several.
const lineLength = 100

// write writes the sections in the order of the objects. clustometa goes with
// the entities, if there is anything to say of it.
func (x *exporter) write(b *bufio.Writer) {
	meta := x.meta
	if meta != nil {
		x.mapping(meta, "counters", x.countersOf(meta))
		if len(meta.body) == 1 { // its driver
			meta = nil
		}
	}
	var at *section
	begin := func(s *section) {
		if at = s; meta != nil && s.types == nil {
			writeObject(b, meta)
			meta = nil
		}
	}
	for _, o := range x.all {
		if o == x.meta {
			continue
		}
		if o.section != at {
			b.WriteString(o.section.key + ":\n")
			begin(o.section)
		}
		writeObject(b, o)
	}
	if s := sectionOf("entities"); meta != nil || at == nil {
		b.WriteString(s.key + ":\n")
		begin(s)
	}
}

func writeObject(b *bufio.Writer, o *source) {
	flow := make([]string, 0, len(o.body))
	size := 0
	for _, f := range o.body {
		if f.flow == "" {
			size += lineLength
		}
		flow = append(flow, f.key+": "+f.flow)
		size += len(flow[len(flow)-1]) + 2
	}
	name := "  " + flowText(o.Name) + ":"
	if len(name)+size < lineLength {
		b.WriteString(name + " {" + strings.Join(flow, ", ") + "}\n")
		return
	}
	b.WriteString(name + "\n")
	for i, f := range o.body {
		if f.flow != "" && (len(f.lines) == 0 || len(flow[i]) < lineLength) {
			b.WriteString("    " + flow[i] + "\n")
			continue
		}
		b.WriteString("    " + f.key + ":\n")
		for _, line := range f.lines {
			b.WriteString("      " + line + "\n")
		}
	}
}

// flowList writes one element alone, and more of them as a list.
func flowList(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// value writes what an attribute holds, if an operation can set just that.
func (x *exporter) value(v clusto.Value) (string, bool) {
	switch v.Type {
	case clusto.Int:
		if isShort(v.Int) {
			return v.Text(), true
		}
		return "{int: " + v.Text() + "}", true
	case clusto.String:
		return flowText(v.Str), true
	case clusto.Datetime:
		return "{datetime: " + strconv.Quote(v.Str) + "}", isDate(v.Str)
	case clusto.Relation:
		return "{relation: " + flowText(v.Str) + "}", x.byPath[v.Str] != nil
	}
	return flowJSON(v.Str)
}

// isShort tells the ints that need no word for it.
func isShort(i int64) bool { return i == int64(int32(i)) }

// rawValue writes what no operation but raw can set.
func (x *exporter) rawValue(v clusto.Value) string {
	text, ok := x.value(v)
	switch {
	case ok:
		return text
	case v.Type == clusto.Relation: // to an entity that is gone
		return `{relation: ""}`
	case v.Type == clusto.Datetime:
		return `{datetime: ""}`
	}
	return "{rawjson: " + strconv.Quote(v.Str) + "}"
}

// flowJSON writes JSON as it is, if reading it gives the same letters.
func flowJSON(text string) (string, bool) {
	var doc yaml.Node
	if len(text) > maxJSON || strings.ContainsAny(text, "\n\r\t") || yaml.Unmarshal([]byte(text), &doc) != nil || len(doc.Content) != 1 {
		return "", false
	}
	p := newParser("", len(text))
	b, ok := p.appendJSON(nil, "", doc.Content[0], 0)
	if !ok || !bytes.Equal(b, []byte(text)) {
		return "", false
	}
	if strings.HasPrefix(text, "[") {
		return text, true
	}
	return "{json: " + text + "}", true
}

// flowText writes a text as YAML, plain where every reader takes it for one.
func flowText(s string) string {
	if plainText(s) {
		return s
	}
	return strconv.Quote(s) // YAML knows all the escapes of Go
}

func plainText(s string) bool {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return !isPlain(r) }) || strings.HasSuffix(s, ":") {
		return false
	}
	c := s[0] | 0x20
	switch {
	case s[0] == '/', s[0] == '_', 'a' <= c && c <= 'z' && !slices.Contains(reserved, strings.ToLower(s)):
		return true
	case s[0] < '0' || s[0] > '9':
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	if _, err := clusto.ParseMAC(s); err == nil && len(s) > 12 {
		return true
	}
	return strings.ContainsFunc(s, func(r rune) bool { return r >= 'g' && r <= 'z' && r != 'o' && r != 'x' })
}

// reserved are the texts that some reader of YAML takes for something else.
var reserved = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}

func isPlain(r rune) bool {
	return r < 0x80 && (r >= '0' && r <= '9' || r|0x20 >= 'a' && r|0x20 <= 'z' || strings.ContainsRune("/._@+:-", r))
}
