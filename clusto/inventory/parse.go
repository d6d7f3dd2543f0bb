package inventory

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/clusto/clusto-engine/clusto"
)

// maxErrors are reported at once; more of them are hardly read.
const maxErrors = 20

// Parse reads a site. file is the name that messages and Where use. Parse finds
// all errors that can be found without the database and returns them joined, an
// *Error each, by line, 20 at most.
func Parse(file string, data []byte) (*Site, error) {
	p := newParser(file, len(data))
	if root := p.root(data); root != nil {
		p.site(root)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return p.finish(), nil
}

func newParser(file string, size int) *parser {
	return &parser{
		file: file, budget: 200_000 + 2*size,
		known: map[string]*thing{}, attrSeen: map[attrID]int{},
		macs: map[clusto.MAC]claim{}, ips: map[netip.Addr]claim{}, units: map[unit]claim{},
	}
}

// parser holds what one file has said so far.
type parser struct {
	file   string
	budget int // entries that may still be visited: aliases must not multiply a file
	errs   []*Error
	what   string // the object that errors are about: "server ex0000"

	things   []*thing
	known    map[string]*thing
	attrSeen map[attrID]int // lines of the current object's attributes
	macs     map[clusto.MAC]claim
	ips      map[netip.Addr]claim
	units    map[unit]claim

	entities, attrs, inserts, binds, connects, raws steps

	networks []network
	servers  []ServerInfo
}

// thing is one declared object.
type thing struct {
	section *section
	name    string
	driver  string
	typ     string // as the file names it
	line    int
	body    []pair
	in      []edge // containers, in the order of the file
}

func (t *thing) String() string { return t.section.kind + " " + t.name }

type (
	edge struct {
		name string
		line int
	}
	claim struct {
		who  string
		line int
	}
	unit struct {
		rack string
		ru   int
	}
	attrID struct {
		key, sub string
		num      int
	}
	network struct {
		clusto.Network
		line int
	}
	step struct {
		op   clusto.Op
		line int
	}
	steps struct{ blocks [][]step }
)

// add keeps 16 to 1,024 steps together: one list of all would be copied again and
// again as it grows, and a step is large.
func (s *steps) add(line int, op clusto.Op) {
	last := len(s.blocks) - 1
	if last < 0 || len(s.blocks[last]) == cap(s.blocks[last]) {
		s.blocks = append(s.blocks, make([]step, 0, 16<<min(len(s.blocks), 6)))
		last++
	}
	s.blocks[last] = append(s.blocks[last], step{op, line})
}

func (s *steps) len() (n int) {
	for _, b := range s.blocks {
		n += len(b)
	}
	return n
}

func (p *parser) errorf(line int, format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if p.what != "" {
		what = p.what + ": " + what
	}
	p.errs = append(p.errs, &Error{File: p.file, Line: line, What: escaped(what)})
}

// escaped writes what is no text of one line as Go does.
func escaped(s string) string {
	var out strings.Builder
	for at := 0; at < len(s); {
		r, n := utf8.DecodeRuneInString(s[at:])
		if one := s[at : at+n]; unicode.IsControl(r) || r == utf8.RuneError && n == 1 || r == '\u2028' || r == '\u2029' {
			out.WriteString(strings.Trim(strconv.Quote(one), `"`))
		} else {
			out.WriteString(one)
		}
		at += n
	}
	return out.String()
}

func (p *parser) err() error {
	slices.SortStableFunc(p.errs, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, 0, maxErrors+1)
	for i, e := range p.errs {
		if i == maxErrors {
			errs = append(errs, &Error{File: p.file, What: fmt.Sprintf("and %d more errors", len(p.errs)-i)})
			break
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// root gives the one mapping that a file is.
func (p *parser) root(data []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		p.syntax(data, err)
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		p.errorf(more.Line, "a second YAML document begins here; write one file for each, or take the --- out")
	case err != io.EOF:
		p.syntax(data, err)
	}
	return doc.Content[0]
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntax reports what the YAML library could not read.
func (p *parser) syntax(data []byte, err error) {
	if err == io.EOF {
		p.errorf(0, "there is nothing in it; a site begins with a section, such as \"servers:\"")
		return
	}
	line, what := 0, err.Error()
	if m := yamlError.FindStringSubmatch(what); m != nil {
		line, _ = strconv.Atoi(m[1])
		what = m[2]
	}
	if strings.HasPrefix(what, "did not find expected") { // the library counts these lines from 0
		line = min(line+1, 1+bytes.Count(data, []byte("\n"))+bytes.Count(data, []byte("\r"))) // the end is a line of its own
		what = "in what begins on this line: " + what
	} else if line == 0 { // of the first line, and of bytes that are no text, it names none
		line = 1 + bytes.Count(data[:noText(data)], []byte("\n"))
	}
	if name, ok := strings.CutPrefix(what, "unknown anchor '"); ok {
		name, _, _ = strings.Cut(name, "'")
		if i := bytes.Index(data, []byte("*"+name)); i >= 0 {
			line = 1 + bytes.Count(data[:i], []byte("\n"))
		}
		what = fmt.Sprintf("alias *%s has no anchor &%s before it", name, name)
	}
	if strings.Contains(what, "cannot start any token") {
		what += "; YAML indents with spaces, never with tabs, and text that begins with @, ` or % needs quotes"
	}
	p.errorf(line, "not YAML: %s", what)
}

// noText gives where the first byte is that no YAML may have (section 5.1 of YAML
// 1.2), 0 if there is none.
func noText(data []byte) int {
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 || r < ' ' && !strings.ContainsRune("\t\n\r", r) || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff {
			return at
		}
		at += n
	}
	return 0
}

// finish puts the steps into the order in which they can be applied.
func (p *parser) finish() *Site {
	s := &Site{file: p.file, kinds: make(map[string]string, len(p.known)), servers: p.servers}
	all := []*steps{&p.entities, &p.attrs, &p.inserts, &p.binds, &p.connects, &p.raws}
	n := 0
	for _, l := range all {
		n += l.len()
	}
	s.ops, s.lines = make([]clusto.Op, 0, n), make([]int, 0, n)
	for _, l := range all {
		for _, b := range l.blocks {
			for i := range b {
				s.ops, s.lines = append(s.ops, b[i].op), append(s.lines, b[i].line)
			}
		}
		l.blocks = nil
	}
	for name, t := range p.known {
		s.kinds[name] = t.section.kind
	}
	for _, n := range p.networks {
		s.networks = append(s.networks, n.Network)
	}
	return s
}
