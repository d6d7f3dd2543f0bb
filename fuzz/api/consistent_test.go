package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store"
)

// consistent: every name once, every relation to something that is there; every
// connection, if they shall be mirrored, to a port that is connected back to it and to
// no other; and what is there can be exported, and read again.
func consistent(tb testing.TB, s *store.Store, mirrored bool) {
	tb.Helper()
	var all []clusto.Object
	if err := s.Objects(tb.Context(), func(o *clusto.Object) error {
		all = append(all, *o)
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	drivers := map[string]string{} // by path
	for i := range all {
		o := &all[i]
		if drivers[o.Path()] != "" || o.Name == "" || o.Driver == "" {
			tb.Errorf("%q is there twice, or has no name or driver", o.Path())
		}
		drivers[o.Path()] = o.Driver
	}
	for i := range all {
		for _, a := range all[i].Attrs {
			if a.Value.Type == clusto.Relation && drivers[a.Value.Str] == "" {
				tb.Errorf("%s %s/%s points to %q, which is not there", all[i].Path(), a.Key, a.Sub(), a.Value.Str)
			}
		}
		for _, p := range all[i].Parents {
			if drivers[p.Path()] == "" {
				tb.Errorf("%s is in %s, which is not there", all[i].Path(), p.Path())
			}
		}
	}
	if mirrored {
		for end, to := range connections(tb, all, drivers) {
			if back := connections(tb, all, drivers)[to]; back != end {
				tb.Errorf("%+v is connected to %+v, and that to %+v", end, to, back)
			}
		}
	}
	exported(tb, all)
}

// exported writes all as a file, and reads it.
func exported(tb testing.TB, all []clusto.Object) {
	tb.Helper()
	var out bytes.Buffer
	if err := inventory.Export(&out, all); err != nil {
		return // it says what no file can hold: a text that is not UTF-8
	}
	if _, err := inventory.Parse("export.yaml", out.Bytes()); err != nil {
		tb.Errorf("what was exported cannot be imported: %v\n%s", err, out.Bytes())
	}
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

// byHand reports whether a request writes attributes one by one: with that a client may
// say of one end of a connection what it likes.
func byHand(line string) bool {
	_, _, text, u := parts(line)
	if u == nil {
		return false
	}
	if strings.HasPrefix(u.Path, "/v2/") {
		var change struct{ Ops []clusto.Op }
		return json.Unmarshal([]byte(text), &change) != nil || slices.ContainsFunc(change.Ops, func(op clusto.Op) bool {
			return slices.Contains([]string{"attr", "add", "set", "del", "raw"}, op.Op)
		})
	}
	return slices.ContainsFunc([]string{"/addattr", "/setattr", "/delattr", "/set_port_attr"}, func(action string) bool { return strings.Contains(u.Path, action) })
}
