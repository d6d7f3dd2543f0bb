package api

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
)

// most is how many things a refusal names; of those behind it there is their number.
const most = 20

// faults gives what no file can hold, thing by thing, each as the sentence begins that names
// it.
func faults(all []clusto.Object) (begins []string) {
	paths, names := map[string]bool{}, map[string]bool{}
	for i := range all {
		o := &all[i]
		say := func(bad bool, format string, args ...any) {
			if bad {
				begins = append(begins, fmt.Sprintf(format, args...))
			}
		}
		say(paths[o.Path()], "two entities are %s; ", o.Path())
		say(names[o.Name], "two entities have the name %q; ", o.Name)
		say(badName(o.Name), "entity %q: its name has ", o.Path())
		say(!plainWord.MatchString(o.Driver) || !plainWord.MatchString(o.Type), "entity %q: driver %q and type %q: ", o.Path(), o.Driver, o.Type)
		say(slices.Contains([]string{"v2", "query", "search", "readyz"}, o.Type), "entity %q: type %q is taken: ", o.Path(), o.Type)
		for j := range o.Attrs {
			a := &o.Attrs[j]
			bad := badValue(a)
			say(bad != "", "entity %q: attribute %s has %s; ", o.Path(), called(a), bad)
		}
		paths[o.Path()], names[o.Name] = true, true
	}
	return begins
}

// plainWord is a type or a driver.
var plainWord = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func badName(s string) bool {
	return badText(s) || s == "" || s == "." || s == ".." || utf8.RuneCountInString(s) > 128 ||
		strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == utf8.RuneError })
}

func badText(s string) bool { return !utf8.ValidString(s) || strings.Contains(s, "\x00") }

// date is how a date is written, with all of its parts.
var date = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$`)

func badValue(a *clusto.Attr) string {
	text := a.Value.Str
	none := a.Subkey != nil && *a.Subkey == ""
	long := utf8.RuneCountInString(a.Key) > 256 || utf8.RuneCountInString(a.Sub()) > 256
	bad := a.Key == "" || none || long || badText(a.Key) || badText(a.Sub()) || badText(text)
	switch a.Value.Type {
	case clusto.Datetime:
		_, err := time.Parse(time.DateTime, text)
		if bad || text != "" && (err != nil || !date.MatchString(text)) {
			return fmt.Sprintf("the date %q, which is none", text)
		}
	case clusto.String, clusto.Int, clusto.JSON, clusto.Relation:
		if bad {
			return "an empty or too long name, a NUL, or a text that is not UTF-8"
		}
	default:
		return fmt.Sprintf("a value of type %q", a.Value.Type)
	}
	return ""
}

// called is an attribute as a sentence names it.
func called(a *clusto.Attr) string {
	name := a.Key
	if a.Sub() != "" {
		name += "/" + a.Sub()
	}
	if a.Number != nil && *a.Number >= 0 {
		name += fmt.Sprint(" number ", *a.Number)
	}
	return name
}

// justified says what is wrong with the answer to an export: each of its sentences names
// something that is there, and that has that fault; none that has one is exported.
func justified(all []clusto.Object, err error) error {
	bad := faults(all)
	if err == nil {
		if len(bad) > 0 {
			return fmt.Errorf("an export is made of %q", bad)
		}
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // it is the export's own
	if !ok {
		return fmt.Errorf("an export ended with %w", err)
	}
	said := several.Unwrap()
	var more int
	if last := said[len(said)-1].Error(); len(said) == most+1 {
		if _, err := fmt.Sscanf(last, "and %d more", &more); err != nil || more < 1 || more > len(bad)-most {
			return fmt.Errorf("an export ended with %q of %d", last, len(bad))
		}
		said = said[:most]
	}
	for _, one := range said {
		if !slices.ContainsFunc(bad, func(begins string) bool { return strings.HasPrefix(one.Error(), begins) }) {
			return fmt.Errorf("an export ended with %w, where only %q is so", one, bad)
		}
	}
	return nil
}

// TestJustified: a refusal that names what is not there, or what is as it should be, is
// noticed, and so is one that is missing.
func TestJustified(t *testing.T) {
	empty := ""
	one := func(path string, attrs ...clusto.Attr) clusto.Object {
		_, kind, _ := strings.Cut(path, "/")
		kind, name, _ := strings.Cut(kind, "/")
		return clusto.Object{Entity: clusto.Entity{Name: name, Type: kind, Driver: "pool"}, Attrs: attrs}
	}
	good := one("/pool/p", clusto.Attr{Key: "k", Value: clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 03:04:05.000006"}})
	var many []clusto.Object
	for range most + 3 {
		many = append(many, one("/v2/x"+strings.Repeat("x", len(many))))
	}
	for name, all := range map[string][]clusto.Object{
		"all is well": {good}, "name": {one("/pool/a ")}, "no name": {one("/pool/")}, "type": {one("/Pool/p")}, "taken": {one("/v2/p")}, "twice": {good, good},
		"name twice": {good, one("/rack/p")}, "date": {one("/pool/p", clusto.Attr{Key: "k", Value: clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 3:04:05"}})},
		"value": {one("/pool/p", clusto.Attr{Key: "k\nj", Subkey: &empty, Value: clusto.Value{Type: clusto.Int}})}, "many": many,
		"datatype": {one("/pool/p", clusto.Attr{Key: "k", Value: clusto.Value{Type: "float"}})}, "NUL": {one("/pool/p", clusto.Attr{Key: "k", Value: clusto.Value{Type: clusto.String, Str: "\x00"}})},
	} {
		said := inventory.Export(&strings.Builder{}, all)
		if err := justified(all, said); err != nil || (said == nil) != (name == "all is well") {
			t.Errorf("%s: %v", name, err)
		}
		if said != nil && (justified([]clusto.Object{good}, said) == nil || justified(all, nil) == nil) {
			t.Errorf("%s: %v is taken of what is well, or may be missing", name, said)
		}
	}
	if justified([]clusto.Object{good}, errors.New("entity \"/pool/p\": its name has blanks")) == nil {
		t.Error("an error of another kind is taken")
	}
}
