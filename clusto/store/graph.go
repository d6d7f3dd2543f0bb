package store

import (
	"cmp"
	"database/sql"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// The attribute keys that a resolved host is made from.
const (
	keyContains = "_contains"
	keyDHCP     = "dhcp"
	keyIP       = "ip"
	keyNIC      = "port-nic-eth"
	keyHostname = "hostname"
	subMAC      = "mac"
	subIPMI     = "ipmi-mac"
	subOSPort   = "osportname"
	subProperty = "property"
)

// row is one live attribute as the table holds it. A scan may leave the
// columns out that it knows to be unused.
type row struct {
	id, entity int64
	key        string
	sub        sql.NullString
	number     sql.NullInt64
	datatype   clusto.Datatype
	num        sql.NullInt64
	text       sql.NullString
	time       sql.NullString
	rel        sql.NullInt64
}

// rowColumns are the columns of a row from entity_attrs a, as fields scans them.
const rowColumns = `a.attr_id, a.entity_id, a."key", a.subkey, a.number, a.datatype,
	a.int_value, a.string_value, CAST(a.datetime_value AS VARCHAR(32)), a.relation_id`

func (r *row) fields() []any {
	return []any{&r.id, &r.entity, &r.key, &r.sub, integer{&r.number}, &r.datatype, integer{&r.num}, &r.text, &r.time, integer{&r.rel}}
}

// hostColumns are the columns of a row from entity_attrs a in which text and date
// share one, as hostFields scans them.
const hostColumns = `a.attr_id, a.entity_id, a."key", a.subkey, a.number, a.datatype, a.int_value,
	CASE WHEN a.datatype = 'datetime' THEN CAST(a.datetime_value AS VARCHAR(32)) ELSE a.string_value END, a.relation_id`

func (r *row) hostFields() []any {
	return []any{&r.id, &r.entity, &r.key, &r.sub, integer{&r.number}, &r.datatype, integer{&r.num}, either{r}, integer{&r.rel}}
}

// either scans a text or a date, whichever the datatype says.
type either struct{ *row }

// Scan implements sql.Scanner.
func (e either) Scan(v any) error {
	e.text, e.time = sql.NullString{}, sql.NullString{}
	if e.datatype == clusto.Datetime {
		return e.time.Scan(v)
	}
	return e.text.Scan(v)
}

// integer scans an integer column of a SQLite database, where the original let
// a client store any text as a number. What is no integer counts as NULL: one
// such attribute must not keep every host from being answered.
type integer struct{ *sql.NullInt64 }

// Scan implements sql.Scanner.
func (n integer) Scan(v any) error {
	if n.NullInt64.Scan(v) != nil {
		*n.NullInt64 = sql.NullInt64{}
	}
	return nil
}

// value gives the row's value; a relation's Str is left to who knows the entity.
func (r *row) value() clusto.Value {
	v := clusto.Value{Type: r.datatype}
	switch r.datatype {
	case clusto.Int:
		v.Int = r.num.Int64
	case clusto.Datetime:
		v.Str = strings.Replace(r.time.String, "T", " ", 1)
		if whole, micros, ok := strings.Cut(v.Str, "."); ok {
			if v.Str = whole; strings.Trim(micros, "0") != "" {
				v.Str = storedTime(whole + "." + micros)
			}
		}
	case clusto.Relation:
	default:
		v.Str = r.text.String
	}
	return v
}

func (r *row) attr() clusto.Attr {
	a := clusto.Attr{Key: r.key, Value: r.value(), ID: r.id}
	if r.sub.Valid {
		s := r.sub.String
		a.Subkey = &s
	}
	if r.number.Valid {
		n := int(r.number.Int64)
		a.Number = &n
	}
	return a
}

// node is an entity and what a host needs to know of it.
type node struct {
	clusto.Entity
	id      int64
	path    string
	parents []int64 // containers
	dhcp    []dhcpAttr
	ips     []ipRow
	ports   []portRow
	host    []nameRow
	kept    bool // a container, for the next chunk of a bulk read
}

type dhcpAttr struct {
	clusto.Attr
	rel int64 // the entity that a relation points to
}

// ipRow is one of the attributes that make a bound address.
type ipRow struct {
	id, number int64 // number -1 for NULL
	part       ipPart
	num        int64
	text       string
	rel        int64
}

type ipPart uint8

const (
	ipInt ipPart = iota
	ipText
	ipManager
	ipOSPort
)

// portRow is a mac, ipmi-mac or osportname of a port-nic-eth.
type portRow struct {
	id, number int64 // number -1 for NULL
	sub, text  string
}

// nameRow is a text that may be given several times: the last one by number,
// then id, holds.
type nameRow struct {
	id, number int64
	text       string
}

func (n nameRow) after(o nameRow) bool {
	return cmp.Or(cmp.Compare(n.number, o.number), cmp.Compare(n.id, o.id)) >= 0
}

// graph is a part of the inventory: what one MAC needs, or a chunk of all hosts.
type graph struct {
	nodes    map[int64]*node           // hosts and their containers; nil for one that was deleted
	networks map[int64]*clusto.Network // of what addresses are bound under, where it has a range
	related  map[int64]*node           // what dhcp attributes point to, with its addresses; nil if deleted
	managers func() ([]manager, error) // all IP managers, by name
	merged   map[string]*merged        // by parents, for nodes without dhcp attributes
}

func newGraph() *graph {
	return &graph{
		nodes: map[int64]*node{}, networks: map[int64]*clusto.Network{},
		related: map[int64]*node{}, merged: map[string]*merged{},
	}
}

func (g *graph) addNode(id int64, e clusto.Entity) *node {
	n := g.nodes[id]
	if n == nil {
		n = &node{id: id, Entity: e, path: e.Path()}
		g.nodes[id] = n
	}
	return n
}

// addParent notes that parent contains n.
func (n *node) addParent(parent int64) {
	if !slices.Contains(n.parents, parent) {
		n.parents = append(n.parents, parent)
	}
}

// add files one attribute. Attributes that no host needs are passed over.
func (n *node) add(r *row) {
	switch r.key {
	case keyDHCP:
		a := dhcpAttr{Attr: r.attr(), rel: r.rel.Int64}
		a.Origin = n.path
		n.dhcp = append(n.dhcp, a)
	case keyIP:
		n.addIP(r)
	case keyNIC:
		if r.sub.String == subMAC || r.sub.String == subIPMI || r.sub.String == subOSPort {
			n.ports = append(n.ports, portRow{id: r.id, number: orNull(r.number), sub: r.sub.String, text: r.text.String})
		}
	case keyHostname:
		if !r.sub.Valid {
			n.host = append(n.host, nameRow{r.id, orNull(r.number), r.value().Text()})
		}
	}
}

func (n *node) addIP(r *row) {
	ip := ipRow{id: r.id, number: orNull(r.number)}
	switch sub := r.sub.String; {
	case !r.sub.Valid && r.num.Valid:
		ip.part, ip.num = ipInt, r.num.Int64
	case sub == "ipstring":
		ip.part, ip.text = ipText, strings.TrimSpace(r.text.String)
	case sub == "manager" && r.rel.Valid:
		ip.part, ip.rel = ipManager, r.rel.Int64
	case sub == subOSPort:
		ip.part, ip.text = ipOSPort, r.text.String
	default:
		return
	}
	n.ips = append(n.ips, ip)
}

func orNull(n sql.NullInt64) int64 {
	if n.Valid {
		return n.Int64
	}
	return -1
}

// hostname is the attribute hostname, else the entity's name.
func (n *node) hostname() string {
	name := nameRow{text: n.Name}
	for _, h := range n.host {
		if h.text != "" && (name.id == 0 || h.after(name)) {
			name = h
		}
	}
	return name.text
}

// owners lists the MACs that n holds.
func (n *node) owners() (out []macOwner) {
	for _, p := range n.ports {
		if p.sub == subOSPort {
			continue
		}
		if mac, ok := parseStored(p.text); ok {
			out = append(out, macOwner{mac, owner{entity: n.id, id: p.id, number: p.number, bmc: p.sub == subIPMI}})
		}
	}
	return out
}
