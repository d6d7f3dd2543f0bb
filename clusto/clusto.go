// Package clusto holds the inventory's domain types: entities, attributes,
// resolved hosts and the operations that change them. It imports only the
// standard library, so that every room of the house may speak in its words.
package clusto

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// Sentinel errors, wrapped with the object's name by whoever returns them.
var (
	// ErrNotFound says that the inventory answered and does not know the object.
	ErrNotFound = errors.New("not found in clusto")
	// ErrConflict says that an operation contradicts what the inventory holds.
	ErrConflict = errors.New("conflicts with clusto")
	// ErrInvalid says that a request or an operation is not well-formed.
	ErrInvalid = errors.New("invalid")
	// ErrUnavailable says that the inventory could not be asked: it is down,
	// slow, failing, or it answered nonsense. It says nothing about the object.
	ErrUnavailable = errors.New("inventory unavailable")
)

// ErrReadOnly says that the database takes no changes. It is an ErrUnavailable.
var ErrReadOnly = fmt.Errorf("it is read-only: %w", ErrUnavailable)

// Reason gives the text of an error without the sentinel that it ends with, for
// those who are told in another way what kind of error it is.
func Reason(err error) string {
	why := err.Error()
	for _, kind := range []error{ErrInvalid, ErrConflict, ErrUnavailable} {
		if errors.Is(err, kind) {
			why = strings.TrimSuffix(why, ": "+kind.Error())
		}
	}
	return why
}

// MAC is a 48-bit Ethernet address. It is comparable and fits a map key.
type MAC [6]byte

// ParseMAC reads a MAC in any case, bare or in equal groups of two, four or six
// digits with colons, dashes or dots between them ("00:1e:c9:00:00:01",
// "001E.C900.0001", "001ec9-000001"). The error wraps ErrInvalid.
func ParseMAC(s string) (MAC, error) {
	var group int // digits in a row
	switch len(s) {
	case 12:
		group = 12
	case 13:
		group = 6
	case 14:
		group = 4
	case 17:
		group = 2
	default:
		return MAC{}, badMAC(s)
	}
	var m MAC
	n := 0
	for i := range len(s) {
		if i%(group+1) == group {
			if c := s[i]; c != s[group] || c != ':' && c != '-' && c != '.' {
				return MAC{}, badMAC(s)
			}
			continue
		}
		d, ok := hexDigit(s[i])
		if !ok {
			return MAC{}, badMAC(s)
		}
		m[n/2] = m[n/2]<<4 | d
		n++
	}
	return m, nil
}

func hexDigit(c byte) (d byte, ok bool) {
	switch lower := c | 0x20; {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= lower && lower <= 'f':
		return lower - 'a' + 10, true
	}
	return 0, false
}

func badMAC(s string) error {
	return fmt.Errorf("parse MAC %.40q: want six bytes in hex, as in 00:1e:c9:00:00:01: %w", s, ErrInvalid)
}

// String gives the MAC as clusto stores it: lower case with colons.
func (m MAC) String() string { return string(m.AppendTo(make([]byte, 0, 17))) }

// AppendTo appends the 17 characters of String.
func (m MAC) AppendTo(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for i, b := range m {
		if i > 0 {
			dst = append(dst, ':')
		}
		dst = append(dst, digits[b>>4], digits[b&15])
	}
	return dst
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return m.AppendTo(make([]byte, 0, 17)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(b []byte) error {
	p, err := ParseMAC(string(b))
	if err == nil {
		*m = p
	}
	return err
}

// Entity names one object of the inventory.
type Entity struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Driver string `json:"driver"`
}

// Path is the entity as the HTTP API writes it: "/type/name".
func (e Entity) Path() string { return "/" + e.Type + "/" + e.Name }

// Host is one MAC resolved: the entity that owns it and all that a DHCP answer
// is made from. It is what GET /v2/hosts/{mac} returns.
type Host struct {
	MAC    MAC    `json:"mac,omitzero"` // none of an entity that Find names and that has none
	Entity        // the owner; zero when Ambiguous is set
	Port   string `json:"port,omitempty"`   // attribute that holds the MAC: "port-nic-eth"
	Number int    `json:"number,omitempty"` // its port number
	OSPort string `json:"osport,omitempty"` // osportname of that port: "eth0"
	BMC    bool   `json:"bmc,omitempty"`    // the MAC is the port's ipmi-mac

	// Ambiguous names every owner ("/type/name", sorted) when there is more
	// than one. Such a host is never answered.
	Ambiguous []string `json:"ambiguous,omitempty"`

	Hostname string `json:"hostname,omitempty"` // attribute hostname, else the entity's name
	Enabled  bool   `json:"enabled"`            // what dhcp/enabled says
	Why      string `json:"why,omitempty"`      // why not Enabled, in words, naming the entity that decided

	Addresses []Address `json:"addresses"`
	Attrs     []Attr    `json:"attrs"` // key=dhcp, merged by Merge, without enabled
}

// Address is one IP bound to a host.
type Address struct {
	IP      netip.Addr `json:"ip"`
	OSPort  string     `json:"osport,omitempty"`  // osportname: the interface it is bound to; "ipmi_osport" marks a BMC's
	Network *Network   `json:"network,omitempty"` // of its manager, else of the one manager whose range holds it; nil if none
}

// Network is what an IP manager says of its range.
type Network struct {
	Name    string       `json:"name"`
	Prefix  netip.Prefix `json:"prefix"`           // masked
	Gateway netip.Addr   `json:"gateway,omitzero"` // invalid if the manager has none
}

// Attr is one attribute of an entity.
type Attr struct {
	Key    string  `json:"key"`
	Subkey *string `json:"subkey"` // nil is SQL's NULL
	Number *int    `json:"number"` // nil is SQL's NULL
	Value  Value   `json:"value"`

	Origin   string `json:"origin,omitempty"`   // "/type/name" of the entity that holds it
	Distance int    `json:"distance,omitempty"` // containers between the host and Origin; 0 is the host itself
	ID       int64  `json:"id,omitempty"`       // attr_id, the last tie-breaker
}

// Sub is the subkey, "" for NULL.
func (a *Attr) Sub() string {
	if a.Subkey == nil {
		return ""
	}
	return *a.Subkey
}

// Datatype is the kind of a Value, as the column of the schema spells it.
type Datatype string

// The data types of the schema.
const (
	String   Datatype = "string"
	Int      Datatype = "int"
	Datetime Datatype = "datetime" // Str: "2010-01-02 03:04:05", or with microseconds "2010-01-02 03:04:05.000006"
	Relation Datatype = "relation" // Str: "/type/name"
	JSON     Datatype = "json"     // Str: the JSON text
)

// Value is what an attribute holds.
type Value struct {
	Type Datatype `json:"type"`
	Int  int64    `json:"int,omitempty"` // of Type Int
	Str  string   `json:"str,omitempty"` // of all others

	// Addrs are the addresses of the entity that a relation points to, so that
	// an option can be set to "the address of that server".
	Addrs []netip.Addr `json:"addrs,omitempty"`
}

// Text gives the value as text, whatever its type.
func (v Value) Text() string {
	if v.Type == Int {
		return fmt.Sprint(v.Int)
	}
	return v.Str
}

// True reports whether v switches something on: 1, "1" and "true" do.
func (v Value) True() bool {
	if v.Type == Int {
		return v.Int != 0
	}
	return v.Str == "1" || strings.EqualFold(v.Str, "true")
}

// DatetimeText gives a time as the Str of a Datetime has it: with microseconds,
// as Python writes them, unless they are 0.
func DatetimeText(t time.Time) string {
	layout := time.DateTime
	if t.Nanosecond() >= int(time.Microsecond) {
		layout += ".000000"
	}
	return t.Format(layout)
}

// MaxKey is how many characters a key or subkey has at most, as in the schema.
const MaxKey = 256

// LongKey reports whether a key or subkey has more characters than fit.
func LongKey(key string) bool { return utf8.RuneCountInString(key) > MaxKey }
