package inventory

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/fuzz/corpus"
)

// placeless are the errors that are about a file as a whole.
var placeless = []string{"there is nothing in it; ", "and "}

// parsed holds what either format gives: a few errors, each one line with the file
// and the line of it that is wrong, or operations with a name and a place.
func parsed(t *testing.T, file string, data []byte, site *Site, err error) {
	t.Helper()
	lines := 1 + strings.Count(string(data), "\n") + strings.Count(string(data), "\r")
	for _, breaks := range []string{"\u0085", "\u2028", "\u2029"} { // line breaks of YAML 1.1
		lines += strings.Count(string(data), breaks)
	}
	if bom := string(data[:min(2, len(data))]); bom == "\xff\xfe" || bom == "\xfe\xff" {
		lines = len(data) // UTF-16
	}
	if err != nil {
		all := errorsOf(err)
		if site != nil || len(all) > maxErrors+1 {
			t.Fatalf("%d errors, and %v", len(all), site)
		}
		for i, err := range all {
			located(t, file, lines, i, err)
		}
		return
	}
	for i, op := range site.Ops() {
		var n int
		if _, err := fmt.Sscanf(strings.TrimPrefix(site.Where(i), file+":"), "%d", &n); op.Name == "" || err != nil || n < 1 || n > lines {
			t.Fatalf("operation %d at %s has no name or no place: %+v", i, site.Where(i), op)
		}
	}
}

func errorsOf(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

// located: an error has its line, unless it is about the file as a whole, and takes one.
func located(t *testing.T, file string, lines, i int, err error) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.File != file || !errors.Is(err, clusto.ErrInvalid) {
		t.Fatalf("%#v", err)
	}
	whole := strings.HasPrefix(e.What, placeless[0]) || i == maxErrors && strings.HasPrefix(e.What, placeless[1])
	if whole != (e.Line == 0) || e.Line < 0 || e.Line > lines {
		t.Errorf("line %d of %d: %v", e.Line, lines, err)
	}
	if strings.ContainsFunc(err.Error(), unicode.IsControl) || !utf8.ValidString(err.Error()) {
		t.Errorf("no line of text: %q", err)
	}
	if want := fmt.Sprintf("%s:%d: ", file, e.Line); !whole && !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// FuzzParse: any YAML is understood, or each error in it has its line.
func FuzzParse(f *testing.F) {
	f.Add(Sample(2))
	corpus.Add(f, corpus.Texts(f, "yaml"))
	for _, text := range []string{
		"servers:\n  a: {mac: \x01}\n", "servers:\n  a: {mac: \xff}\n", "pools: {\"a\\nb\": {in: [\"c\\nd\", \"c\\nd\"]}}\n", "pools:\n\ta: {}\n", "pools: [\n", "servers: {\"a\\nb\": 1, \"a\\nb\": 1}",
		"pools:\r  a: {in: *x}\r", "a: b: c\n", "--- {}\n--- {}\n", "servers: {s: {\"m\\u2028c\": 1}}", "? [a]\n: b\n", "servers: {s: {mac: \"\\x85\"}}\n", "\xff\xfe\x85\x00ee",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		site, err := Parse("f.yaml", data)
		parsed(t, "f.yaml", data, site, err)
	})
}

// FuzzCSV: any CSV is understood, or each error in it has its line; and it gives the
// operations that the same servers give in YAML. So does a server with a MAC of any bytes.
func FuzzCSV(f *testing.F) {
	corpus.Add(f, corpus.Texts(f, "csv"))
	for _, text := range []string{
		"name,mac,ip,pool\na,\"0\n\",,\na,,,\n", "name,mac,ip,pool\na,x\"y,,\n", "name,mac,ip,pool\n\"a\nb\",,,\"p\nq;p\nq\"\n", "name,mac,ip,pool,\"a\nb\"\n", "name,mac,ip,pool\n\xff,\xff,\xff,\xff\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		site, err := ParseCSV("f.csv", data)
		parsed(t, "f.csv", data, site, err)
		if err != nil {
			var mac clusto.MAC
			copy(mac[:], data)
			mac[0] = mac[0]&^1 | 2 // no group's, nor empty
			data = []byte("name,mac,ip,pool\na," + mac.String() + ",,\n")
			if site, err = ParseCSV("f.csv", data); err != nil {
				t.Fatalf("%v\nof %s", err, data)
			}
			stored := func(op clusto.Op) bool { return op.Value != nil && op.Value.Str == mac.String() }
			if !slices.ContainsFunc(site.Ops(), stored) {
				t.Fatalf("%+v, without the MAC of %s", site.Ops(), data)
			}
		}
		text := yamlOf(t, data)
		same, err := Parse("f.yaml", []byte(text))
		if err != nil || !reflect.DeepEqual(site.Ops(), same.Ops()) {
			t.Errorf("%+v\nand %v, %+v of\n%s", site.Ops(), err, same, text)
		}
	})
}

// yamlOf writes the servers of a CSV file as the documentation of both has them.
func yamlOf(t *testing.T, data []byte) string {
	t.Helper()
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(data), utf8BOM)))
	r.Comment, r.TrimLeadingSpace = '#', true
	header, err := r.Read()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	out.WriteString("servers:\n")
	for {
		row, err := r.Read()
		if err == io.EOF {
			return out.String()
		} else if err != nil {
			t.Fatal(err)
		}
		cell := map[string]string{}
		for i, name := range header {
			cell[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(row[i])
		}
		text, err := json.Marshal(serverOf(cell))
		if err != nil {
			t.Fatal(err)
		}
		name, _ := json.Marshal(cell["name"])
		fmt.Fprintf(&out, "  ? %s\n  : %s\n", name, text)
	}
}

// server is one line of CSV as a server of YAML, its keys in the order of the columns.
type server struct {
	Driver   string `json:"driver,omitempty"`
	Hostname string `json:"hostname,omitempty"`
	MAC      string `json:"mac,omitempty"`
	In       []any  `json:"in,omitempty"`
	IP       []any  `json:"ip,omitempty"`
	IPMI     *bmc   `json:"ipmi,omitempty"`
}

type bmc struct {
	MAC string `json:"mac,omitempty"`
	IP  string `json:"ip,omitempty"`
}

func serverOf(cell map[string]string) server {
	s := server{Driver: cell["driver"], Hostname: cell["hostname"], MAC: cell["mac"]}
	for _, pool := range values(cell["pool"]) {
		s.In = append(s.In, pool)
	}
	if cell["rack"] != "" {
		s.In = append(s.In, map[string]string{"rack": cell["rack"], "ru": cell["ru"]})
	}
	osports := values(cell["osport"])
	for i, ip := range values(cell["ip"]) {
		if len(osports) == 0 {
			s.IP = append(s.IP, ip)
		} else {
			s.IP = append(s.IP, map[string]string{"ip": ip, "osport": osports[i]})
		}
	}
	if b := (bmc{cell["ipmi_mac"], cell["ipmi_ip"]}); b != (bmc{}) {
		s.IPMI = &b
	}
	return s
}
