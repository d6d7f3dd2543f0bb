package api

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// contained: who contains something is who that says contains it, once, or in a rack in as many
// units as it takes, one above the other, which nothing else is in; what excludes other
// containers does; and nothing is inside itself, but where a client said that it may be.
func contained(tb testing.TB, all []clusto.Object, did written) {
	tb.Helper()
	holders, byPath := map[string][]*clusto.Object{}, map[string]*clusto.Object{}
	for i := range all {
		byPath[all[i].Path()] = &all[i]
	}
	for i := range all {
		for path, at := range places(tb, &all[i], did) {
			holders[path] = append(holders[path], &all[i])
			if in := byPath[path]; in != nil { // else consistent says so
				placed(tb, &all[i], in, at, did)
			}
		}
	}
	for i := range all {
		around := holders[all[i].Path()]
		mutual(tb, &all[i], around, did)
		exclusive(tb, &all[i], around)
	}
	for path := range byPath {
		if insideItself(path, holders, did.cycles) {
			tb.Errorf("%s is inside itself", path)
		}
	}
}

// places gives what a container contains, by path, and where: no place has two.
func places(tb testing.TB, o *clusto.Object, did written) map[string][]int {
	tb.Helper()
	at, by := map[string][]int{}, map[int]string{}
	for _, a := range o.Attrs {
		if a.Key != "_contains" || did.raw[o.Name] {
			continue
		}
		if a.Number == nil || (a.Sub() == "ru") != (o.Type == "rack") || by[*a.Number] != "" {
			tb.Errorf("%s contains %s as %s, beside %v", o.Path(), a.Value.Str, called(&a), by)
			continue
		}
		by[*a.Number] = a.Value.Str
		at[a.Value.Str] = append(at[a.Value.Str], *a.Number)
	}
	return at
}

// placed: what a container contains has one place, or as many as it takes of a rack.
func placed(tb testing.TB, o, in *clusto.Object, at []int, did written) {
	tb.Helper()
	slices.Sort(at)
	takes := 1
	if o.Type == "rack" && !did.deleted[o.Name] {
		takes = max(1, clusto.Drivers[in.Driver].Units)
	}
	if (!did.deleted[o.Name] && len(at) != takes) || at[len(at)-1]-at[0] >= max(takes, len(at)) {
		tb.Errorf("%s is in %s at %v", in.Path(), o.Path(), at)
	}
}

// mutual: an entity's parents are the containers around it.
func mutual(tb testing.TB, o *clusto.Object, around []*clusto.Object, did written) {
	tb.Helper()
	for _, p := range o.Parents {
		if !did.raw[p.Name] && !slices.ContainsFunc(around, func(c *clusto.Object) bool { return c.Entity == p }) {
			tb.Errorf("%s says that it is in %s, which does not contain it", o.Path(), p.Path())
		}
	}
	for _, c := range around {
		if !slices.Contains(o.Parents, c.Entity) {
			tb.Errorf("%s does not say that it is in %s", o.Path(), c.Path())
		}
	}
}

// exclusive: an entity is in one location of a type, in one device and in one unique pool at
// most, and in no other pool beside an exclusive one.
func exclusive(tb testing.TB, o *clusto.Object, around []*clusto.Object) {
	tb.Helper()
	kinds := map[string]int{}
	for _, c := range around {
		switch {
		case c.Type == "pool":
			kinds["pool"]++
		case slices.Contains(clusto.Locations, c.Type):
			kinds[c.Type]++
		default:
			kinds["device"]++
		}
		if c.Driver == "unique_pool" || c.Driver == "exclusive_pool" {
			kinds[c.Driver]++
		}
	}
	for kind, n := range kinds {
		if kind != "pool" && n > 1 || kind == "pool" && n > 1 && kinds["exclusive_pool"] > 0 {
			tb.Errorf("%s is in %d of %s: %v", o.Path(), n, kind, kinds)
		}
	}
}

// insideItself walks up from an entity; from a container that may be inside itself it does not
// go on.
func insideItself(path string, holders map[string][]*clusto.Object, may names) bool {
	seen, next := map[string]bool{}, []string{path}
	for ; len(next) > 0; next = next[1:] {
		for _, c := range holders[next[0]] {
			if up := c.Path(); !may[c.Name] && !seen[up] {
				seen[up] = true
				next = append(next, up)
			}
		}
	}
	return seen[path]
}

// addressed: each address is bound to one entity, once, and all forms of it are the same one.
func addressed(tb testing.TB, all []clusto.Object, did written) {
	tb.Helper()
	owners := map[netip.Addr]string{}
	for i := range all {
		o := &all[i]
		forms := map[int]map[string]clusto.Value{}
		for _, a := range o.Attrs {
			if a.Key != "ip" || did.attrs[o.Name] {
				continue
			}
			if a.Number == nil {
				tb.Errorf("%s has %s without a number", o.Path(), called(&a))
				continue
			}
			of := forms[*a.Number]
			if of == nil {
				of = map[string]clusto.Value{}
				forms[*a.Number] = of
			}
			if _, twice := of[a.Sub()]; twice {
				tb.Errorf("%s has %s twice", o.Path(), called(&a))
			}
			of[a.Sub()] = a.Value
		}
		for number, of := range forms {
			ip, err := netip.ParseAddr(of["ipstring"].Str)
			cidr, err2 := netip.ParsePrefix(of["cidr"].Str)
			b := uint32(of[""].Int + 1<<31)
			if err != nil || err2 != nil || cidr.Addr() != ip || ip != netip.AddrFrom4([4]byte{byte(b >> 24), byte(b >> 16), byte(b >> 8), byte(b)}) {
				tb.Errorf("%s has under number %d of ip what is not one address: %v", o.Path(), number, of)
			}
			if to := owners[ip]; to != "" {
				tb.Errorf("%s is bound to %s and to %s", ip, to, o.Path())
			}
			owners[ip] = o.Path()
		}
	}
}

// rooted: no row of a table is of an entity that is not there.
func (s *site) rooted(tb testing.TB) {
	tb.Helper()
	var attrs, related, counters int
	if err := s.other.QueryRowContext(tb.Context(), `WITH here AS (SELECT entity_id FROM main.entities) SELECT
		(SELECT count(*) FROM main.entity_attrs WHERE entity_id NOT IN here),
		(SELECT count(*) FROM main.entity_attrs WHERE relation_id NOT IN here),
		(SELECT count(*) FROM main.counters WHERE entity_id NOT IN here)`).Scan(&attrs, &related, &counters); err != nil {
		tb.Fatal(err)
	}
	if attrs+related+counters > 0 {
		tb.Errorf("of entities that are gone there are %d attributes, %d relations to them, and %d counters", attrs, related, counters)
	}
}
