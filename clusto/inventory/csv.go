package inventory

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Columns of a CSV file. The first csvRequired have to be there.
var csvColumns = []string{"name", "mac", "ip", "pool", "driver", "hostname", "osport", "rack", "ru", "ipmi_mac", "ipmi_ip"}

const csvRequired = 4

// utf8BOM is what spreadsheets put before CSV in UTF-8.
const utf8BOM = "\xef\xbb\xbf"

// ParseCSV reads servers from CSV (RFC 4180), one on a line, and gives the same
// Site as Parse does of them in YAML. Names and errors are as there.
//
//	# a header first; the columns may be in any order
//	name,mac,ip,pool
//	ex0000,00:11:22:33:44:55,192.168.1.50,pxeboot-servers
//	ex0001,00:11:22:33:44:56,192.168.1.51,pxeboot-servers;debian
//
// Further columns are driver, hostname, osport (the interface of ip), rack and
// ru, ipmi_mac and ipmi_ip. An empty field sets nothing. Several values of pool,
// ip and osport are parted by semicolons. Pools and racks have to be in the
// inventory: a line here gives them no attributes, and a server in a pool that
// was made of a misspelt name would not boot.
func ParseCSV(file string, data []byte) (*Site, error) {
	p := newParser(file, len(data))
	if at := validUntil(data); at < len(data) {
		p.errorf(1+bytes.Count(data[:at], []byte("\n")), "%q is no UTF-8; have the spreadsheet save CSV in UTF-8", data[at:at+1])
	}
	p.csv(bytes.TrimPrefix(data, []byte(utf8BOM)))
	if err := p.err(); err != nil {
		return nil, err
	}
	return p.finish(), nil
}

// validUntil gives how many bytes from the beginning on are UTF-8.
func validUntil(data []byte) (at int) {
	for at < len(data) {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

// csv reads the whole file: who there is, then what is said of them.
func (p *parser) csv(data []byte) {
	r := csv.NewReader(bytes.NewReader(data))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = '#', -1, true, true
	var header []string
	for {
		rec, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			p.csvSyntax(err)
			continue
		}
		line, _ := r.FieldPos(0)
		if header == nil {
			if header = p.csvHeader(line, rec); header == nil {
				return
			}
			continue
		}
		p.csvRow(header, line, rec)
	}
	if header == nil && len(p.errs) == 0 {
		p.errorf(0, "there is nothing in it; the first line names the columns: %s", strings.Join(csvColumns[:csvRequired], ","))
	}
	p.bodies()
}

// csvSyntax reports a record that is none.
func (p *parser) csvSyntax(err error) {
	var bad *csv.ParseError
	if !errors.As(err, &bad) {
		p.errorf(0, "not CSV: %v", err)
		return
	}
	switch bad.Err {
	case csv.ErrBareQuote:
		p.errorf(bad.Line, "not CSV: a \" inside a field; put the field into quotes and write the one in it twice")
	case csv.ErrQuote:
		p.errorf(bad.StartLine, "not CSV: a field that begins with a \" has no end, or text behind it")
	default:
		p.errorf(bad.Line, "not CSV: %v", bad.Err)
	}
}

// csvHeader reads the names of the columns; nil if there are no such.
func (p *parser) csvHeader(line int, rec []string) []string {
	header := make([]string, len(rec))
	known := 0
	for i, f := range rec {
		header[i] = strings.ToLower(strings.TrimSpace(f))
		if slices.Contains(csvColumns, header[i]) {
			known++
		}
	}
	switch {
	case known == 0 && strings.ContainsAny(strings.Join(rec, ""), ";\t"):
		p.errorf(line, "columns are parted by commas here, not by semicolons or tabs")
		return nil
	case known == 0:
		p.errorf(line, "this line is no header; the first line names the columns: %s", strings.Join(csvColumns[:csvRequired], ","))
		return nil
	}
	p.checkHeader(line, header)
	if !slices.Contains(header, "name") { // then no line says of whom it speaks
		return nil
	}
	return header
}

func (p *parser) checkHeader(line int, header []string) {
	var meant []string
	for i, name := range header {
		near := nearest(name, csvColumns)
		switch {
		case slices.Contains(header[:i], name):
			p.errorf(line, "column %q is there twice; keep one of them", shorten(name))
		case slices.Contains(csvColumns, name):
		case near != "":
			p.errorf(line, "unknown column %q: did you mean %q?", shorten(name), near)
			meant = append(meant, near)
		default:
			p.errorf(line, "unknown column %q: known here are %s", shorten(name), strings.Join(csvColumns, ", "))
		}
	}
	for _, name := range csvColumns[:csvRequired] {
		if !slices.Contains(header, name) && !slices.Contains(meant, name) {
			p.errorf(line, "no column %q; its fields may be empty, but for the names", name)
		}
	}
}

// csvRow declares the server of one line.
func (p *parser) csvRow(header []string, line int, rec []string) {
	if len(rec) != len(header) {
		p.errorf(line, "%d fields, and the header has %d; an empty field takes its comma too", len(rec), len(header))
		return
	}
	row := csvServer{line: line, cells: make(map[string]string, len(rec))}
	for i, f := range rec {
		row.cells[header[i]] = strings.TrimSpace(f)
	}
	name := row.cells["name"]
	if name == "" {
		p.errorf(line, "no name; every server has one")
		return
	}
	p.what = "server " + shorten(name)
	body := row.body(p)
	p.what = "servers"
	p.declare(serverSection, pair{name, line, body})
	p.what = ""
}

// serverSection is what the lines of a CSV file belong to.
var serverSection = sections[slices.IndexFunc(sections, func(s *section) bool { return s.key == "servers" })]

// csvServer is one line. It becomes what the same server is in YAML, so that
// both are judged alike.
type csvServer struct {
	line  int
	cells map[string]string
}

func (r *csvServer) body(p *parser) *yaml.Node {
	body := r.mapping()
	for _, key := range []string{"driver", "hostname", "mac"} {
		r.set(body, key, r.cells[key])
	}
	if in := r.in(p); len(in.Content) > 0 {
		r.add(body, "in", in)
	}
	if ip := r.ip(p); len(ip.Content) > 0 {
		r.add(body, "ip", ip)
	}
	ipmi := r.mapping()
	r.set(ipmi, "mac", r.cells["ipmi_mac"])
	r.set(ipmi, "ip", r.cells["ipmi_ip"])
	if len(ipmi.Content) > 0 {
		r.add(body, "ipmi", ipmi)
	}
	return body
}

// in gives the pools, and the place in a rack.
func (r *csvServer) in(p *parser) *yaml.Node {
	in := &yaml.Node{Kind: yaml.SequenceNode, Line: r.line}
	for _, pool := range values(r.cells["pool"]) {
		in.Content = append(in.Content, r.scalar(pool))
	}
	rack, ru := r.cells["rack"], r.cells["ru"]
	if (rack == "") != (ru == "") {
		p.errorf(r.line, "a place in a rack takes both columns, rack and ru; units count from 1")
		return in
	}
	if rack != "" {
		place := r.mapping()
		r.set(place, "rack", rack)
		r.set(place, "ru", ru)
		in.Content = append(in.Content, place)
	}
	return in
}

// ip gives the addresses, each with its interface.
func (r *csvServer) ip(p *parser) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Line: r.line}
	ips, osports := values(r.cells["ip"]), values(r.cells["osport"])
	if len(osports) > 0 && len(osports) != len(ips) {
		p.errorf(r.line, "osport has %d values, and ip %d; each address takes one interface", len(osports), len(ips))
		return list
	}
	for i, ip := range ips {
		if len(osports) == 0 {
			list.Content = append(list.Content, r.scalar(ip))
			continue
		}
		bound := r.mapping()
		r.set(bound, "ip", ip)
		r.set(bound, "osport", osports[i])
		list.Content = append(list.Content, bound)
	}
	return list
}

// values parts the text of a field.
func values(s string) (out []string) {
	for v := range strings.SplitSeq(s, ";") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

func (r *csvServer) mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Line: r.line} }

func (r *csvServer) scalar(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Line: r.line}
}

// set adds a text to a mapping, unless there is none.
func (r *csvServer) set(m *yaml.Node, key, val string) {
	if val != "" {
		r.add(m, key, r.scalar(val))
	}
}

func (r *csvServer) add(m *yaml.Node, key string, val *yaml.Node) {
	m.Content = append(m.Content, r.scalar(key), val)
}
