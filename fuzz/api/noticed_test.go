package api

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// noted takes down what a check says.
type noted struct {
	testing.TB
	said []string
}

func (n *noted) Errorf(format string, args ...any) {
	n.said = append(n.said, fmt.Sprintf(format, args...))
}
func (n *noted) Error(args ...any) { n.said = append(n.said, fmt.Sprint(args...)) }

// altered are objects by name, whose slices nothing else has.
type altered map[string]*clusto.Object

// set gives an attribute another value.
func (all altered) set(name, key, sub string, number int, v clusto.Value) {
	all.drop(name, key, sub, number)
	all.add(name, key, sub, number, v)
}

func (all altered) add(name, key, sub string, number int, v clusto.Value) {
	a := clusto.Attr{Key: key, Value: v}
	if sub != "" {
		a.Subkey = &sub
	}
	if number >= 0 {
		a.Number = &number
	}
	all[name].Attrs = append(all[name].Attrs, a)
}

func (all altered) drop(name, key, sub string, number int) {
	all[name].Attrs = slices.DeleteFunc(all[name].Attrs, func(a clusto.Attr) bool {
		return a.Key == key && a.Sub() == sub && (a.Number == nil || *a.Number == number)
	})
}

// put has an entity in another one, as it has to be.
func (all altered) put(name, into string, number int) {
	sub := ""
	if all[into].Type == "rack" {
		sub = "ru"
	}
	all.add(into, "_contains", sub, number, relation(all[name].Path()))
	if !slices.Contains(all[name].Parents, all[into].Entity) {
		all[name].Parents = append(all[name].Parents, all[into].Entity)
	}
}

func relation(path string) clusto.Value { return clusto.Value{Type: clusto.Relation, Str: path} }
func word(text string) clusto.Value     { return clusto.Value{Type: clusto.String, Str: text} }
func count(n int64) clusto.Value        { return clusto.Value{Type: clusto.Int, Int: n} }

// TestConsistentNotices: each rule that consistent, contained and addressed hold an inventory to,
// broken alone, is noticed, in the words that are meant for it.
func TestConsistentNotices(t *testing.T) {
	begun := objects(t, begin(t, begins+`
POST /pool/q
POST /basicdatacenter/d
POST /basicdatacenter/d2`).store)
	for _, c := range []struct {
		want  string
		alter func(all altered)
	}{
		{"", func(altered) {}},
		{"has a name that is there twice", func(all altered) { all["q"].Name = "s" }},
		{"has no name or driver", func(all altered) { all["q"].Name = "" }},
		{"has no name or driver", func(all altered) { all["q"].Driver = "" }},
		{"clustometa is gone", func(all altered) { delete(all, "clustometa") }},
		{"points to \"/pool/x\"", func(all altered) { all.add("q", "k", "", -1, relation("/pool/x")) }},
		{"lan has netmask/property: \"many\" is no netmask", func(all altered) { all.set("lan", "netmask", "property", -1, word("many")) }},
		{"q has bad key", func(all altered) { all.add("q", "bad key", "", -1, word("v")) }},
		{"q has k/bad key", func(all altered) { all.add("q", "k", "bad key", -1, word("v")) }},
		{"have the MAC 00:11:22:33:44:55", func(all altered) { all.add("sw", "port-nic-eth", "mac", 9, word("0011.2233.4455")) }},
		{"s is in /pool/x, which is not there", func(all altered) {
			all["s"].Parents = append(all["s"].Parents, clusto.Entity{Name: "x", Type: "pool", Driver: "pool"})
		}},
		{"and that to", func(all altered) { all.set("sw", "port-nic-eth", "otherportnum", 3, count(2)) }},
		{"and that to", func(all altered) {
			all.drop("sw", "port-nic-eth", "connection", 3)
			all.drop("sw", "port-nic-eth", "otherportnum", 3)
		}},
		{"and is connected to nothing", func(all altered) { all.add("s", "port-nic-eth", "otherportnum", 2, count(3)) }},
		{"is connected to /pool/p too", func(all altered) { all.add("s", "port-nic-eth", "connection", 1, relation("/pool/p")) }},

		{"q contains /pool/p as _contains, beside", func(all altered) { all.add("q", "_contains", "", -1, relation("/pool/p")) }},
		{"q contains /pool/p as _contains/ru number 1, beside", func(all altered) { all.add("q", "_contains", "ru", 1, relation("/pool/p")) }},
		{"p contains /pool/q as _contains number 0, beside map[0:/server/s]", func(all altered) { all.put("q", "p", 0) }},
		{"s is in /rack/r at [7 8]", func(all altered) { all.put("s", "r", 8) }},
		{"s is in /pool/p at [0 5]", func(all altered) { all.put("s", "p", 5) }},
		{"s says that it is in /pool/q, which does not contain it", func(all altered) { all["s"].Parents = append(all["s"].Parents, all["q"].Entity) }},
		{"q does not say that it is in /pool/p", func(all altered) { all.add("p", "_contains", "", 9, relation("/pool/q")) }},
		{"s is in 2 of device", func(all altered) { all.put("s", "sw", 0); all.put("s", "lan", 0) }},
		{"r is in 2 of datacenter", func(all altered) { all.put("r", "d", 0); all.put("r", "d2", 0) }},
		{"s is in 2 of unique_pool", func(all altered) {
			all["p"].Driver, all["q"].Driver = "unique_pool", "unique_pool"
			all["s"].Parents = slices.DeleteFunc(all["s"].Parents, func(e clusto.Entity) bool { return e.Type == "pool" })
			all["s"].Parents = append(all["s"].Parents, all["p"].Entity)
			all.put("s", "q", 0)
		}},
		{"s is in 2 of pool", func(all altered) { all["q"].Driver = "exclusive_pool"; all.put("s", "q", 0) }},
		{"p is inside itself", func(all altered) { all.put("p", "q", 0); all.put("q", "p", 1) }},

		{"s has ip/ipstring without a number", func(all altered) { all.add("s", "ip", "ipstring", -1, word("10.0.0.7")) }},
		{"s has ip/ipstring number 0 twice", func(all altered) { all.add("s", "ip", "ipstring", 0, word("10.0.0.7")) }},
		{"what is not one address", func(all altered) { all.set("s", "ip", "ipstring", 0, word("10.0.0.8")) }},
		{"what is not one address", func(all altered) { all.set("s", "ip", "cidr", 0, word("10.0.0.8/24")) }},
		{"10.0.0.7 is bound to", func(all altered) {
			for _, a := range all["s"].Attrs {
				if a.Key == "ip" {
					all["q"].Attrs = append(all["q"].Attrs, a)
				}
			}
		}},
	} {
		all := altered{}
		for _, o := range begun {
			o.Attrs, o.Parents = slices.Clone(o.Attrs), slices.Clone(o.Parents)
			all[o.Name] = &o
		}
		c.alter(all)
		var now []clusto.Object
		for _, o := range all {
			now = append(now, *o)
		}
		n := &noted{TB: t}
		consistent(n, now, written{})
		has := func(said string) bool { return strings.Contains(said, c.want) }
		if c.want == "" && len(n.said) > 0 || c.want != "" && (len(n.said) == 0 || !slices.ContainsFunc(n.said, has)) {
			t.Errorf("want %q, and it says %q", c.want, n.said)
		}
	}
}
