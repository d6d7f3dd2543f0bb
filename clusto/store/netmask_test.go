package store

import (
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestBrokenNetmaskIsRefusedWhereItIsSet: it was taken, and refused much later,
// when an address was wanted.
func TestBrokenNetmaskIsRefusedWhereItIsSet(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, create("lan", "ipmanager"), create("names", "simpleentitynamemanager"), create("other", "pool"))
		const mask, base = "no netmask; want ones and then zeros", "no IPv4 address"
		for _, c := range []struct {
			key, says string
			v         clusto.Value
		}{
			{"netmask", `: "255.0.255.0" is ` + mask, str("255.0.255.0")},
			{"netmask", mask, str("x")},
			{"netmask", mask, num(33)},
			{"netmask", mask, rel("/pool/other")},
			{"netmask", mask, clusto.Value{Str: "0.0.0.255"}}, // a string, too
			{"netmask", mask, clusto.Value{Type: clusto.JSON, Str: `"255.255.255.0"`}},
			{"baseip", base, str("10.0.0.256")},
			{"baseip", base, str("10.0.0.0/33")},
			{"baseip", base, str("")},
		} {
			for _, word := range []string{"attr", "add", "set"} {
				refused(t, s, clusto.ErrInvalid, c.says, as(word, attrAt("lan", c.key+"/property", c.v)))
				refused(t, s, clusto.ErrInvalid, c.says, create("lan2", "ipmanager"), as(word, attrAt("lan2", c.key+"/property/3", c.v)))
				refused(t, s, clusto.ErrInvalid, c.says, labelled(allocateEntity("names", "ipmanager"), "new"), as(word, attrAt("$new", c.key+"/property", c.v)))
			}
		}
		// Whatever makes a range is taken, and what is no property of an IP manager.
		for _, v := range []clusto.Value{str("255.255.255.0"), str(" 24 "), str("/24"), num(24), str("")} {
			apply(t, s, attrAt("lan", "netmask/property", v))
		}
		apply(t, s, attrAt("lan", "baseip/property", str("10.0.0.0/24")), attrAt("lan", "netmask", str("x")), attrAt("lan", "netmask/was", str("x")),
			attrAt("other", "netmask/property", str("255.0.255.0")))
	})
}

// TestBrokenNetmaskThatIsThereStays reads a database that was given one before,
// or by the Python clusto; it can be exported, imported, and mended.
func TestBrokenNetmaskThatIsThereStays(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s, empty := open(), open()
		apply(t, s, network("lan", "10.0.0.0", "255.255.255.0", "")...)
		apply(t, s, create("a", "basicserver"), create("none", "ipmanager"), attrAt("none", "netmask/property", str("24")))
		execute(t, s, `UPDATE entity_attrs SET string_value = '255.0.255.0' WHERE "key" = 'netmask'`)
		if o, err := s.Object(t.Context(), "lan"); err != nil || len(o.Attrs) != 2 {
			t.Fatal(o, err)
		}
		refused(t, s, clusto.ErrConflict, `they are "10.0.0.0" and "255.0.255.0"`, allocateTo("lan", "a"))
		if text := roundTrip(t, s, empty); strings.Count(text, "255.0.255.0") != 2 {
			t.Error(text)
		}
		for _, s := range []*Store{s, empty} {
			apply(t, s, attrAt("lan", "netmask/property", str("255.255.255.0")), allocateTo("lan", "a"))
		}
	})
}
