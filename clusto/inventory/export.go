package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/clusto/clusto-engine/clusto"
)

// Export writes a whole inventory as YAML that Parse reads, and that makes an
// equal one of an empty database: every entity, attribute, content, address,
// connection and counter. What a section's own keys say, they say; the rest is
// under attrs and, where rules of today are in the way, under raw. Attribute
// ids, versions, and the order in which attributes of different names were
// written are not kept. Exporting the copy gives the same bytes again.
//
// objects are in the order in which they were made. An error says what no file
// can hold, such as a text that is not UTF-8, and nothing is written then.
func Export(w io.Writer, objects []clusto.Object) error {
	x := newExporter(objects)
	if err := x.lost(); err != nil {
		return err
	}
	x.findNetworks()
	x.layOut()
	x.placeAll()
	x.connectAll()
	for _, o := range x.all {
		x.describe(o)
	}
	b := bufio.NewWriterSize(w, 64<<10)
	x.write(b)
	return b.Flush()
}

// exporter knows the whole inventory, and what of it is said so far. It goes
// through the objects in the order in which a file will name them, so it knows
// what an import of that file will have done at each place.
type exporter struct {
	all    []*source
	byPath map[string]*source
	meta   *source // clustometa, nil if there is none

	nets   netIndex
	macs   map[clusto.MAC]bool
	ips    map[string]bool
	nextIP int // the number that the next address gets by itself
	maxIP  int // the counter of addresses; no number from it on was given by it
	errs   []error
}

// source is an object on its way into the file.
type source struct {
	*clusto.Object
	index   int
	section *section
	network *clusto.Network // what cidr and gateway say; nil if they cannot
	said    []bool          // by attribute: something says it already
	alone   []bool          // by attribute: nothing else has its key, subkey and number

	places  []place   // where it is, by container
	in      []string  // what of it the key in says
	within  []*source // the containers of in
	next    int       // the number that the next thing in it gets by itself
	ends    []end     // connections
	holders bool      // it contains something
	body    []field
}

// attrName is what tells an entity's attributes from one another.
type attrName struct {
	key, sub       string
	num            int
	hasSub, hasNum bool
}

func nameOf(a *clusto.Attr) attrName {
	n := attrName{key: a.Key, sub: a.Sub(), hasSub: a.Subkey != nil, hasNum: a.Number != nil}
	if a.Number != nil {
		n.num = *a.Number
	}
	return n
}

func (n attrName) id() attrID {
	id := attrID{n.key, n.sub, -1}
	if n.hasNum {
		id.num = n.num
	}
	return id
}

const clustometa = "clustometa"

func newExporter(objects []clusto.Object) *exporter {
	x := &exporter{
		byPath: make(map[string]*source, len(objects)),
		macs:   map[clusto.MAC]bool{}, ips: map[string]bool{}, nets: netIndex{},
	}
	seen := map[attrName]int{}
	for i := range objects {
		o := &source{Object: &objects[i]}
		if prior := x.byPath[o.Path()]; prior != nil {
			x.errs = append(x.errs, fmt.Errorf("two entities are %s; rename one of them", o.Path()))
		}
		x.byPath[o.Path()] = o
		x.all = append(x.all, o)
		if o.isMeta() {
			x.meta, x.maxIP = o, int(o.Counters["ip"])
		}
		o.index = i
		o.said, o.alone = make([]bool, len(o.Attrs)), make([]bool, len(o.Attrs))
		clear(seen)
		for i := range o.Attrs {
			seen[nameOf(&o.Attrs[i])]++
		}
		for i := range o.Attrs {
			o.alone[i] = seen[nameOf(&o.Attrs[i])] == 1
		}
	}
	return x
}

// lost says what no file can hold.
func (x *exporter) lost() error {
	names := make(map[string]bool, len(x.all))
	for _, o := range x.all {
		switch {
		case clusto.CheckName(o.Name) != nil:
			x.errs = append(x.errs, fmt.Errorf("entity %q: its name has a slash, a control character or blanks at an end, is too long, or is . or ..; rename it", o.Path()))
		case !driverForm.MatchString(o.Driver) || !driverForm.MatchString(o.Type):
			x.errs = append(x.errs, fmt.Errorf("entity %q: driver %q and type %q: want lower-case letters, digits and _", o.Path(), o.Driver, o.Type))
		case clusto.CheckType(o.Type) != nil:
			x.errs = append(x.errs, fmt.Errorf("entity %q: %s, and so no import makes one; give it another type", o.Path(), clusto.Reason(clusto.CheckType(o.Type))))
		case names[o.Name]:
			x.errs = append(x.errs, fmt.Errorf("two entities have the name %q; rename one of them", o.Name))
		}
		names[o.Name] = true
		for i := range o.Attrs {
			if a := &o.Attrs[i]; !o.said[i] && !x.holds(a) {
				x.errs = append(x.errs, fmt.Errorf("entity %q: attribute %s has %s; correct or delete it", o.Path(), nameOf(a).id(), badValue(a)))
			}
		}
	}
	if more := len(x.errs) - maxErrors; more > 0 {
		x.errs = append(x.errs[:maxErrors], fmt.Errorf("and %d more", more))
	}
	return errors.Join(x.errs...)
}

// holds reports whether a file can hold the attribute, if only as a raw one.
func (x *exporter) holds(a *clusto.Attr) bool {
	switch a.Value.Type {
	case clusto.Int, clusto.String, clusto.JSON, clusto.Relation:
	case clusto.Datetime:
		if a.Value.Str != "" && !isDate(a.Value.Str) {
			return false
		}
	default:
		return false
	}
	return a.Key != "" && a.Sub() != "" == (a.Subkey != nil) &&
		clean(a.Key) && clean(a.Sub()) && clean(a.Value.Str) && !clusto.LongKey(a.Key) && !clusto.LongKey(a.Sub())
}

func clean(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func badValue(a *clusto.Attr) string {
	switch a.Value.Type {
	case clusto.Int, clusto.String, clusto.JSON, clusto.Relation:
		return "an empty or too long name, a NUL, or a text that is not UTF-8"
	case clusto.Datetime:
		return fmt.Sprintf("the date %q, which is none", a.Value.Str)
	}
	return fmt.Sprintf("a value of type %q", a.Value.Type)
}
