package clusto

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// at makes an attribute. A subkey of "-" and a negative number are NULL.
func at(key, subkey string, number int, value string, distance int, origin string, id int64) Attr {
	a := Attr{Key: key, Value: Value{Type: String, Str: value}, Distance: distance, Origin: origin, ID: id}
	if subkey != "-" {
		a.Subkey = &subkey
	}
	if number >= 0 {
		a.Number = &number
	}
	return a
}

const null = -1 // number

func text(attrs []Attr) string {
	var s []string
	for _, a := range attrs {
		s = append(s, fmt.Sprintf("%s/%s=%s", a.Key, a.Sub(), a.Value.Str))
	}
	return strings.Join(s, " ")
}

// TestMerge: each case gives the same in whatever order the attributes come.
func TestMerge(t *testing.T) {
	const server, pool, other, dc = "/server/s1", "/pool/p", "/pool/q", "/datacenter/d"
	for _, c := range []struct {
		name string
		in   []Attr
		want string
	}{
		{"nothing", nil, ""},
		{
			"the most specific one wins",
			[]Attr{
				at("dhcp", "domain", null, "of the dc", 3, dc, 1), at("dhcp", "domain", null, "own", 0, server, 9),
				at("dhcp", "domain", null, "of the pool", 1, pool, 5),
			},
			"dhcp/domain=own",
		},
		{
			"each name by itself",
			[]Attr{
				at("dhcp", "domain", null, "own", 0, server, 1), at("dhcp", "domain", null, "far", 1, pool, 2),
				at("dhcp", "router", null, "far", 1, pool, 3), at("port", "domain", null, "far", 2, dc, 4),
			},
			"dhcp/domain=own dhcp/router=far port/domain=far",
		},
		{
			"at one distance the origin that sorts first",
			[]Attr{at("dhcp", "domain", null, "q", 1, other, 1), at("dhcp", "domain", null, "p", 1, pool, 2)},
			"dhcp/domain=p",
		},
		{
			"one origin at two distances is the nearer one",
			[]Attr{at("dhcp", "domain", null, "same", 2, pool, 1), at("dhcp", "domain", null, "same", 1, pool, 1)},
			"dhcp/domain=same",
		},
		{
			"a list by number, NULL first, then by id; of one entity alone",
			[]Attr{
				at("dhcp", "ntp", 2, "c", 1, pool, 1), at("dhcp", "ntp", 1, "b", 1, pool, 2), at("dhcp", "ntp", null, "a", 1, pool, 3),
				at("dhcp", "ntp", 2, "d", 1, pool, 4), at("dhcp", "ntp", 0, "x", 1, other, 5), at("dhcp", "ntp", 0, "y", 2, dc, 6),
			},
			"dhcp/ntp=a dhcp/ntp=b dhcp/ntp=c dhcp/ntp=d",
		},
		{
			"NULL is the empty subkey",
			[]Attr{at("dhcp", "-", null, "own", 0, server, 1), at("dhcp", "", null, "far", 1, pool, 2)},
			"dhcp/=own",
		},
	} {
		for range 20 {
			in := slices.Clone(c.in)
			rand.Shuffle(len(in), func(i, j int) { in[i], in[j] = in[j], in[i] })
			if got := text(Merge(in)); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
				break
			}
		}
	}
}

// TestMergeWithoutIDs: where the inventory tells no ids, what is equal in all
// else keeps its order.
func TestMergeWithoutIDs(t *testing.T) {
	in := []Attr{at("dhcp", "ntp", null, "b", 1, "/pool/p", 0), at("dhcp", "ntp", null, "a", 1, "/pool/p", 0)}
	if got, want := text(Merge(in)), "dhcp/ntp=b dhcp/ntp=a"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDecide(t *testing.T) {
	const server, pool = "/server/s1", "/pool/p"
	enabled := func(value string, distance int, origin string, id int64) Attr {
		return at("dhcp", "enabled", null, value, distance, origin, id)
	}
	domain := at("dhcp", "domain", null, "x", 1, pool, 99)
	for _, c := range []struct {
		name string
		in   []Attr
		want bool
		why  []string // words of it
	}{
		{"not set", []Attr{domain}, false, []string{"no dhcp/enabled", server, "containers"}},
		{"nothing set", nil, false, []string{"no dhcp/enabled", server}},
		{"on by the pool", []Attr{enabled("1", 1, pool, 1), domain}, true, nil},
		{"on by the server", []Attr{enabled("true", 0, server, 1)}, true, nil},
		{"off by the server over on by the pool", []Attr{enabled("1", 1, pool, 1), enabled("0", 0, server, 2)}, false, []string{`"0"`, server}},
		{"on by the server over off by the pool", []Attr{enabled("0", 1, pool, 1), enabled("1", 0, server, 2)}, true, nil},
		{"off by the pool", []Attr{enabled("false", 1, pool, 1)}, false, []string{`"false"`, pool}},
		{"empty", []Attr{enabled("", 1, pool, 1)}, false, []string{`""`, pool}},
		{"the last of several, off", []Attr{enabled("1", 0, server, 1), enabled("0", 0, server, 2)}, false, []string{`"0"`, server}},
		{"the last of several, on", []Attr{enabled("0", 0, server, 1), enabled("1", 0, server, 2)}, true, nil},
		{"another key's enabled", []Attr{at("ntp", "enabled", null, "1", 0, server, 1)}, false, []string{"no dhcp/enabled"}},
	} {
		h := Host{Entity: Entity{Name: "s1", Type: "server"}, Attrs: Merge(slices.Clone(c.in)), Enabled: !c.want, Why: "before"}
		h.Decide()
		if h.Enabled != c.want || c.want && h.Why != "" {
			t.Errorf("%s: %v, %q; want %v", c.name, h.Enabled, h.Why, c.want)
		}
		for _, word := range c.why {
			if !strings.Contains(h.Why, word) {
				t.Errorf("%s: %q does not say %s", c.name, h.Why, word)
			}
		}
		for _, a := range h.Attrs {
			if a.Key == "dhcp" && a.Sub() == "enabled" {
				t.Errorf("%s: the switch is still among the options", c.name)
			}
		}
		if kept := slices.ContainsFunc(h.Attrs, func(a Attr) bool { return a.Sub() == "domain" }); kept != slices.ContainsFunc(c.in, func(a Attr) bool { return a.Sub() == "domain" }) {
			t.Errorf("%s: attrs = %q", c.name, text(h.Attrs))
		}
	}
}
