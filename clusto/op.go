package clusto

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Op is one step of a change to the inventory. A list of them is applied in
// order, in one transaction, all or nothing. A step that has a field which it
// does not read is refused: who deletes an entity by a key meant an attribute.
// An empty subkey is the same as none.
//
// These state what shall hold afterwards, so applying them twice changes
// nothing the second time:
//
//	entity     Name, Driver      the entity exists with that driver; Type is for
//	                             drivers that clusto does not have
//	attr       Name, Key, Subkey, Number, Value   the entity holds exactly this
//	                             value under (key, subkey, number); with more
//	                             values under one (key, subkey), give numbers. A
//	                             MAC that is on another entity's port is refused,
//	                             and what CheckProperty refuses
//	del        Name, Key         no attribute of that key is left; Subkey, Number
//	                             and Value, where given, keep those that differ,
//	                             and an empty Subkey those that have one
//	insert     Name, Into, RU    the entity is inside the container; in racks
//	                             RU > 0; elsewhere a new one gets Number, if given.
//	                             A container gets inside itself with Cycle only
//	remove     Name, Into        the entity is not inside the container
//	bind       Name, IP, OSPort  the address is bound to the entity (and to the
//	                             interface, if given), under the IP manager
//	                             whose range holds it; a new one gets Number, if
//	                             given
//	unbind     Name, IP          the address is not bound to the entity
//	connect    Name, Port, Num, To, ToNum   the two ports, of one type, are
//	                             connected, on both sides; one that is connected
//	                             otherwise is refused
//	disconnect Name, Port, Num   nothing is connected to the port, on both sides
//
// So do these two, which restore what an export holds, past all rules:
//
//	raw        Name, Key, Subkey, Number, Values   the entity holds these values
//	                             and no others under (key, subkey, number), in
//	                             this order; Key may be clusto's own
//	counter    Name, Key, Number the counter of Key stands at Number at least
//
// These do something each time:
//
//	create     Name, Driver      makes an entity, which must not exist
//	delete     Name              deletes an entity, which must exist, with its
//	                             attributes, counters and all references to it;
//	                             never clustometa
//	add        Name, Key, Subkey, Number, Value   adds an attribute, whatever
//	                             there is already; CheckProperty holds here too
//	set        as attr, but refused where several attributes would be replaced,
//	                             and a MAC may be that of another port
//	allocate   Name, To, Driver, OSPort   takes the next free thing from the
//	                             manager Name: of an ipmanager an address,
//	                             bound to the entity To; of a
//	                             simpleentitynamemanager a new entity of
//	                             Driver; of a simplenamemanager a name, for To.
//	                             What is taken is skipped; when nothing is left,
//	                             the error wraps ErrConflict. The Result has it
//
// These change nothing; where one does not hold, nothing of the list is applied
// and the error wraps ErrConflict:
//
//	has        Name, Driver, Key, Subkey, Number, Value   the entity exists,
//	                             with that driver if given, and with Key holds an
//	                             attribute that matches all fields given; without
//	                             Name, some entity does, and the Result names one
//	lacks      the opposite of has
//
// A step that makes, allocates or finds an entity or a name (entity, create,
// allocate, has) may give it a label with As. Name, To, Into and the text of a
// relation in later steps of the list may then say "$" and the label instead of
// a name. Where no step gave that label, they mean the entity whose own name it
// is; if there is none, the step is refused. Entity and create make one with such
// a name of its own where the Name has one "$" more: see NewName.
type Op struct {
	Op     string  `json:"op"`
	Name   string  `json:"name,omitempty"`
	As     string  `json:"as,omitempty"`
	Driver string  `json:"driver,omitempty"`
	Type   string  `json:"type,omitempty"`
	Key    string  `json:"key,omitempty"`
	Subkey *string `json:"subkey,omitempty"`
	Number *int    `json:"number,omitempty"`
	Value  *Value  `json:"value,omitempty"`
	Values []Value `json:"values,omitzero"`
	Into   string  `json:"into,omitempty"`
	RU     int     `json:"ru,omitempty"` // the lowest of the units that it takes
	Cycle  bool    `json:"cycle,omitempty"`
	IP     string  `json:"ip,omitempty"`
	OSPort string  `json:"osport,omitempty"`
	Port   string  `json:"port,omitempty"` // type of port: "nic-eth", "pwr-nema-5", "console-serial"
	Num    string  `json:"num,omitempty"`  // number of the port, or the name of an outlet: "1", "bb1"
	To     string  `json:"to,omitempty"`
	ToNum  string  `json:"to_num,omitempty"`
}

// CheckName refuses names that the HTTP API could not address or the schema
// could not hold. The error wraps ErrInvalid.
func CheckName(name string) error {
	control := func(r rune) bool { return r == '/' || r < ' ' || r == 0x7f }
	switch {
	case name == "":
		return fmt.Errorf("the name of an entity is missing: %w", ErrInvalid)
	case utf8.RuneCountInString(name) > 128:
		return fmt.Errorf("entity name %.40q is longer than 128 characters: %w", name, ErrInvalid)
	case name == "." || name == "..":
		return fmt.Errorf("entity name %q means another path in a URL: %w", name, ErrInvalid)
	case !utf8.ValidString(name) || strings.ContainsRune(name, utf8.RuneError):
		return fmt.Errorf("entity name %q is no UTF-8 text, or has U+FFFD, which stands for what was none: %w", name, ErrInvalid)
	case strings.ContainsFunc(name, control) || strings.TrimSpace(name) != name:
		return fmt.Errorf("entity name %q has a slash, a control character or blanks at an end: %w", name, ErrInvalid)
	}
	return nil
}

// CheckType refuses types whose entities the HTTP API could not address, as
// their paths are those of its own calls. The error wraps ErrInvalid.
func CheckType(name string) error {
	if slices.Contains([]string{"v2", "query", "search", "readyz"}, name) {
		return fmt.Errorf("type %q is taken: the HTTP API has calls of its own at /%s: %w", name, name, ErrInvalid)
	}
	return nil
}

// NewName gives the name of an entity as the operations entity and create take
// it. One that begins with "$" gets another before it, lest it is a label.
func NewName(name string) string {
	if strings.HasPrefix(name, "$") {
		return "$" + name
	}
	return name
}

// Result is what a step found or made that its Op did not say.
type Result struct {
	Index int    `json:"index"`          // into the list of operations
	Name  string `json:"name,omitempty"` // of the entity made or found, or the name allocated
	IP    string `json:"ip,omitempty"`   // the address allocated
}

// OpError says which operation of a list could not be applied, and why. Err
// wraps ErrConflict, ErrInvalid or ErrNotFound.
type OpError struct {
	Index int // into the list
	Err   error
}

func (e *OpError) Error() string { return fmt.Sprintf("operation %d: %v", e.Index, e.Err) }

// Unwrap gives Err.
func (e *OpError) Unwrap() error { return e.Err }

// Object is an entity with all that it holds.
type Object struct {
	Entity
	Attrs   []Attr   `json:"attrs"`           // its own, hidden ones too, in the order written
	Parents []Entity `json:"parents"`         // its containers
	Ports   []Port   `json:"ports,omitempty"` // those that its driver has, and those in use

	// Counters are what the entity counts, by key, as the table holds it. Only
	// a walk over all objects tells them.
	Counters map[string]int64 `json:"counters,omitempty"`
}

// Port is a port of an entity.
type Port struct {
	Type  string `json:"type"` // "nic-eth"
	Num   int    `json:"num"`
	To    string `json:"to,omitempty"`     // "/type/name" of what is connected to it
	ToNum string `json:"to_num,omitempty"` // otherportnum: a number, or the name of an outlet
}

// Labels are the names that the labels of a change's operations stand for.
type Labels map[string]string

// Name gives the name that "$label" stands for, and any other as it is. What no
// operation has labelled may be a name that is there, which known reports; else
// the error is ErrInvalid.
func (l Labels) Name(name string, known func(name string) (bool, error)) (string, error) {
	label, ok := strings.CutPrefix(name, "$")
	if !ok {
		return name, nil
	}
	if of := l[label]; of != "" {
		return of, nil
	}
	there, err := known(name)
	if err == nil && !there {
		err = fmt.Errorf("label %.70s is not defined before, and no entity has that name: %w", name, ErrInvalid)
	}
	return name, err
}
