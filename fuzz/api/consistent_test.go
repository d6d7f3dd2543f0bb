package api

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// objects gives all that an inventory holds.
func objects(tb testing.TB, s *store.Store) (all []clusto.Object) {
	tb.Helper()
	if err := s.Objects(tb.Context(), func(o *clusto.Object) error {
		all = append(all, *o)
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return all
}

// consistent: every name once, every relation to something that is there; and, but for
// the entities that a client wrote to by hand, every MAC on the ports of one entity, every
// connection to another port that is connected back to it and to no other, and every key and
// property as it has to be; see also contained and addressed.
func consistent(tb testing.TB, all []clusto.Object, did written) {
	tb.Helper()
	drivers, macs := map[string]string{}, map[clusto.MAC]string{} // paths
	once := names{}
	for i := range all {
		o := &all[i]
		if once[o.Name] || o.Name == "" || o.Driver == "" {
			tb.Errorf("%q has a name that is there twice, or has no name or driver", o.Path())
		}
		once[o.Name] = true
		drivers[o.Path()] = o.Driver
	}
	if drivers["/clustometa/clustometa"] == "" {
		tb.Error("clustometa is gone")
	}
	for i := range all {
		path, name := all[i].Path(), all[i].Name
		for _, a := range all[i].Attrs {
			if a.Value.Type == clusto.Relation && drivers[a.Value.Str] == "" {
				tb.Errorf("%s %s/%s points to %q, which is not there", path, a.Key, a.Sub(), a.Value.Str)
			}
			if err := clusto.CheckProperty(all[i].Driver, a.Key, a.Sub(), a.Value); !did.raw[name] && (err != nil || !key.MatchString(a.Key) || a.Subkey != nil && !key.MatchString(a.Sub())) {
				tb.Errorf("%s has %s: %v", path, called(&a), err)
			}
			mac, err := clusto.ParseMAC(a.Value.Text())
			if did.macs[name] || err != nil || !strings.HasPrefix(a.Key, "port-") || a.Sub() != "mac" {
				continue
			}
			if other := macs[mac]; other != "" && other != path {
				tb.Errorf("%s and %s have the MAC %s", other, path, mac)
			}
			macs[mac] = path
		}
		for _, p := range all[i].Parents {
			if drivers[p.Path()] == "" {
				tb.Errorf("%s is in %s, which is not there", path, p.Path())
			}
		}
	}
	hand := func(e end) bool { return did.attrs[nameOf(e.path)] }
	to := connections(tb, all, drivers, did)
	for end := range to {
		if back := to[to[end]]; !hand(end) && !hand(to[end]) && (back != end || to[end] == end) {
			tb.Errorf("%+v is connected to %+v, and that to %+v", end, to[end], back)
		}
	}
	contained(tb, all, did)
	addressed(tb, all, did)
}

// key is what a key or subkey looks like.
var key = regexp.MustCompile(`^[A-Za-z_][0-9A-Za-z_-]{0,255}$`)

// nameOf takes the type off a path.
func nameOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// end is a port as attributes name it: "/server/s", "port-nic-eth", 1.
type end struct {
	path, key string
	num       int
}

// connections gives what each port says it is connected to.
func connections(tb testing.TB, all []clusto.Object, drivers map[string]string, did written) map[end]end {
	tb.Helper()
	ports := map[end]end{}
	for i := range all {
		numbers := map[end]string{}
		at := func(a *clusto.Attr) end { return end{all[i].Path(), a.Key, *a.Number} }
		own := slices.DeleteFunc(slices.Clone(all[i].Attrs), func(a clusto.Attr) bool { return !strings.HasPrefix(a.Key, "port-") || a.Number == nil })
		for _, a := range own {
			if a.Sub() == "otherportnum" {
				numbers[at(&a)] = a.Value.Text()
			}
		}
		for _, a := range own {
			if a.Sub() == "otherportnum" && !did.attrs[all[i].Name] && !slices.ContainsFunc(own, func(b clusto.Attr) bool { return b.Sub() == "connection" && at(&a) == at(&b) }) {
				tb.Errorf("%+v has %s, and is connected to nothing", at(&a), called(&a))
			}
			if a.Sub() != "connection" {
				continue
			}
			if other, twice := ports[at(&a)]; twice && !did.attrs[all[i].Name] {
				tb.Errorf("%+v is connected to %s too, beside %+v", at(&a), a.Value.Str, other)
			}
			to := a.Value.Str
			n, _ := clusto.PortNumber(drivers[to], strings.TrimPrefix(a.Key, "port-"), numbers[at(&a)])
			ports[at(&a)] = end{to, a.Key, n}
		}
	}
	return ports
}
