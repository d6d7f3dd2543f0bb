package httpd

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/clusto/clusto-engine/clusto"
)

// getByName shows the entity of a name.
func (s *server) getByName(r *http.Request, p form) (any, error) {
	name, ok := p["name"]
	if !ok {
		return nil, invalid(`You must specify a "name" parameter`)
	}
	return s.showAs(r, p, name, false)
}

// get shows, as a list, the entity of a name; else those that have it as a
// serial number, an IP address or a MAC. What looks like one of the three and is
// nobody's is an empty list; anything else is not found.
func (s *server) get(r *http.Request, p form) (any, error) {
	term, ok := p["name"]
	if !ok {
		return nil, invalid(`You must specify a "name" parameter`)
	}
	found, err := s.lookUp(r, term)
	if err != nil {
		return nil, err
	}
	if len(found) > shownMax {
		return nil, invalid("%d entities have %.80q: get_entities lists so many", len(found), term)
	}
	out := make([]any, len(found))
	for i, e := range found {
		if out[i], err = s.showAs(r, p, e.Name, false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// shownMax is how many entities one answer shows whole.
const shownMax = 256

// serial is what the original took for a serial number. Any other is found too,
// if there is one.
var serial = regexp.MustCompile(`^P[0-9]{10}$`)

func (s *server) lookUp(r *http.Request, term string) ([]clusto.Entity, error) {
	found, err := s.Store.Entities(r.Context(), clusto.Query{Names: []string{term}})
	if err != nil || len(found) > 0 {
		return found, err
	}
	if term == "" { // some serial numbers are empty
		return nil, fmt.Errorf("parameter name is empty: %w", clusto.ErrNotFound)
	}
	match, mayBeNobody := matchTerm(term)
	found, err = s.Store.Entities(r.Context(), clusto.Query{Attrs: match})
	if err != nil || len(found) > 0 || mayBeNobody {
		return found, err
	}
	if ip, err := netip.ParseAddr(term); err == nil {
		if _, err := s.ipManager(r, ip.String()); err != nil {
			return nil, err
		}
		return nil, nil
	}
	return nil, fmt.Errorf("no name, serial number, IP address or MAC %.128q: %w", term, clusto.ErrNotFound)
}

// matchTerm says which attribute finds an entity by something other than its
// name, and whether nobody is an answer.
func matchTerm(term string) (match []clusto.AttrMatch, mayBeNobody bool) {
	text := func(key, sub string, values ...string) clusto.AttrMatch {
		return clusto.AttrMatch{Key: key, Subkey: &clusto.NullString{Text: sub}, Value: &clusto.ValueMatch{Texts: values}}
	}
	if mac, err := clusto.ParseMAC(term); err == nil {
		forms := mac.Spellings()
		return []clusto.AttrMatch{text("", "mac", forms[:]...)}, true
	}
	if ip, err := netip.ParseAddr(term); err == nil && ip.Is4() {
		b := ip.As4()
		n := int64(binary.BigEndian.Uint32(b[:])) + math.MinInt32
		return []clusto.AttrMatch{
			text("ip", "ipstring", ip.String()),
			{Key: "ip", Subkey: &clusto.NullString{Null: true}, Value: &clusto.ValueMatch{Int: &n}},
		}, false
	}
	return []clusto.AttrMatch{text("system", "serial", term)}, serial.MatchString(term)
}

// poolsMax bounds the pools of one query.
const poolsMax = 64

// getFromPools answers with the entities that are in all of the pools given,
// however deep, by entity_id: of certain types if types is given, with
// prefetched attributes if prefetch_attrs is.
func (s *server) getFromPools(r *http.Request, p form) (any, error) {
	list, ok := p["pools"]
	if !ok {
		return nil, invalid("You must specify at least one pool")
	}
	var types []string
	if text, ok := p["types"]; ok {
		types = strings.Split(text, ",")
		if err := s.known(r, "type", types...); err != nil {
			return nil, err
		}
	}
	names := strings.Split(list, ",")
	if len(names) > poolsMax {
		return nil, invalid("parameter pools has %d pools: %d at most", len(names), poolsMax)
	}
	common, err := s.inAll(r, names, types)
	if err != nil {
		return nil, err
	}
	return s.prefetch(r, p, common)
}

// inAll gives the paths of what is in all of the pools.
func (s *server) inAll(r *http.Request, pools, types []string) ([]string, error) {
	var common []clusto.Entity
	for i, name := range pools {
		pool, err := s.Store.Entity(r.Context(), name)
		if err != nil {
			return nil, fmt.Errorf("parameter pools: %w", err)
		}
		if pool.Type != "pool" {
			return nil, invalid("parameter pools: %s is no pool", pool.Path())
		}
		members, err := s.Store.Members(r.Context(), name)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			common = ofTypes(members, types)
			continue
		}
		common = both(common, members)
	}
	return paths(common), nil
}

func ofTypes(entities []clusto.Entity, types []string) []clusto.Entity {
	if types == nil {
		return entities
	}
	var out []clusto.Entity
	for _, e := range entities {
		if slices.Contains(types, e.Type) {
			out = append(out, e)
		}
	}
	return out
}

// both gives those of a that are in b.
func both(a, b []clusto.Entity) []clusto.Entity {
	in := make(map[string]bool, len(b))
	for _, e := range b {
		in[e.Name] = true
	}
	return slices.DeleteFunc(a, func(e clusto.Entity) bool { return !in[e.Name] })
}
