package api

import (
	"encoding/json"
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
// what a client wrote by hand, every MAC on the ports of one entity, and every connection to
// a port that is connected back to it and to no other.
func consistent(tb testing.TB, all []clusto.Object, did written) {
	tb.Helper()
	drivers, macs := map[string]string{}, map[clusto.MAC]string{} // paths
	for i := range all {
		o := &all[i]
		if drivers[o.Path()] != "" || o.Name == "" || o.Driver == "" {
			tb.Errorf("%q is there twice, or has no name or driver", o.Path())
		}
		drivers[o.Path()] = o.Driver
	}
	for i := range all {
		path := all[i].Path()
		for _, a := range all[i].Attrs {
			if a.Value.Type == clusto.Relation && drivers[a.Value.Str] == "" {
				tb.Errorf("%s %s/%s points to %q, which is not there", path, a.Key, a.Sub(), a.Value.Str)
			}
			mac, err := clusto.ParseMAC(a.Value.Text())
			if did.macs || err != nil || !strings.HasPrefix(a.Key, "port-") || a.Sub() != "mac" {
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
	if !did.attrs {
		to := connections(tb, all, drivers)
		for end := range to {
			if back := to[to[end]]; back != end {
				tb.Errorf("%+v is connected to %+v, and that to %+v", end, to[end], back)
			}
		}
	}
}

// written is what a client wrote so that rules do not hold for it.
type written struct {
	attrs    bool // attributes one by one: of one end of a connection, or a number
	macs     bool // attributes that may have the MAC of another
	counters bool // counters, or entities that are gone with theirs
}

// add takes in a request that was answered.
func (w *written) add(line string) {
	w.attrs = w.attrs || byHand(line, []string{"attr", "add", "set", "del", "raw"}, "/addattr", "/setattr", "/delattr", "/set_port_attr")
	w.macs = w.macs || byHand(line, []string{"add", "set", "raw"}, "/addattr", "/setattr", "/set_port_attr")
	w.counters = w.counters || byHand(line, []string{"counter", "raw", "delete"}) || strings.HasPrefix(line, "DELETE ")
}

// end is a port as attributes name it: "/server/s", "port-nic-eth", 1.
type end struct {
	path, key string
	num       int
}

// connections gives what each port says it is connected to.
func connections(tb testing.TB, all []clusto.Object, drivers map[string]string) map[end]end {
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
			if a.Sub() != "connection" {
				continue
			}
			if other, twice := ports[at(&a)]; twice {
				tb.Errorf("%+v is connected to %s too, beside %+v", at(&a), a.Value.Str, other)
			}
			to := a.Value.Str
			n, _ := clusto.PortNumber(drivers[to], strings.TrimPrefix(a.Key, "port-"), numbers[at(&a)])
			ports[at(&a)] = end{to, a.Key, n}
		}
	}
	return ports
}

// byHand reports whether a request has one of the operations, or is one of the original's
// calls that a path names.
func byHand(line string, ops []string, calls ...string) bool {
	_, _, text, u := parts(line)
	if u == nil {
		return false
	}
	if strings.HasPrefix(u.Path, "/v2/") {
		var change struct{ Ops []clusto.Op }
		return json.Unmarshal([]byte(text), &change) != nil || slices.ContainsFunc(change.Ops, func(op clusto.Op) bool {
			return slices.Contains(ops, op.Op)
		})
	}
	return slices.ContainsFunc(calls, func(action string) bool { return strings.Contains(u.Path, action) })
}
