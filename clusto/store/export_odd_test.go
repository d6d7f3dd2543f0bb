package store

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
)

// TestExportOddSites copies sites that break every rule: circles, things in two
// racks, addresses and MACs that are taken, halves of connections, attributes
// that are there twice, counters that lag behind.
func TestExportOddSites(t *testing.T) {
	for seed := range oddSites {
		s, empty := openTest(t, ":memory:"), openTest(t, ":memory:")
		apply(t, s, oddSite(rand.New(rand.NewPCG(seed, 1)))...)
		roundTrip(t, s, empty)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestExportKeepsOrderOfLabelLikeNames: who has a name that begins with $ was
// made behind the others of the file.
func TestExportKeepsOrderOfLabelLikeNames(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, create("$$x", "pool"), create("later", "pool"), create("$$$y", "basicserver"), create("last", "basicserver"),
			insert("$$y", "$x", 0), attrAt("$x", "lead", rel("$$y")))
		for i := range manyOps { // so many are made at once
			apply(t, s, create(fmt.Sprint("p", i), "pool"))
		}
		roundTrip(t, s, openTest(t, ":memory:"))
	})
}

var oddDrivers = []string{
	"pool", "exclusive_pool", "unique_pool", "apcrack", "basicdatacenter", "basiczone", "basicserver", "penguinserver2u",
	"cisco4948", "powertowerxm", "ipmanager", "simpleentitynamemanager", "own", "entity",
}

// oddSite makes a few entities that are good by themselves, and much besides.
func oddSite(r *rand.Rand) (ops []clusto.Op) {
	one := func(words ...string) string { return words[r.IntN(len(words))] }
	for i := range 2 {
		lan := fmt.Sprintf("lan%d", i)
		ops = append(ops, entity_(lan, "ipmanager"), attrAt(lan, "baseip/property", str(fmt.Sprintf("10.0.%d.0", i))), attrAt(lan, "netmask/property", str("255.255.255.0")))
	}
	var names, paths []string
	for i := range 6 + r.IntN(10) {
		driver := one(oddDrivers...)
		op := entity_(one("e", "true ", "ü ", "1e", "_")+fmt.Sprint(i), driver)
		if driver == "own" || r.IntN(20) == 0 {
			op.Type = one("server", "rack", "odd")
		}
		ops = append(ops, op)
		names, paths = append(names, op.Name), append(paths, clusto.Entity{Name: op.Name, Type: cmpType(op)}.Path())
	}
	for range 60 {
		name := one(names...)
		ops = append(ops, oddRow(r, name, paths)...)
	}
	for range 5 {
		ops = append(ops, counterAt(one(names...), one("_contains", "ip", "next", "disk"), r.IntN(6)))
	}
	if r.IntN(4) > 0 {
		ops = append(ops, counterAt("clustometa", "ip", r.IntN(6)))
	}
	return ops
}

func cmpType(op clusto.Op) string {
	if op.Type != "" {
		return op.Type
	}
	return clusto.Drivers[op.Driver].Type
}

// oddRow gives raw attributes of one kind.
func oddRow(r *rand.Rand, name string, paths []string) []clusto.Op {
	one := func(words ...string) string { return words[r.IntN(len(words))] }
	to := rel(one(append(paths, "")...))
	n := r.IntN(5)
	at := func(s string) string {
		if r.IntN(8) == 0 {
			return s
		}
		return fmt.Sprintf("%s/%d", s, n)
	}
	switch r.IntN(8) {
	case 0:
		values := []clusto.Value{to, rel(one(paths...))}
		return []clusto.Op{raw(name, at(one("_contains/", "_contains/", "_contains/ru")), values[:1+r.IntN(8)/7]...)}
	case 1: // an address, whole or nearly
		net := r.IntN(2)
		ip := fmt.Sprintf("10.0.%d.%d", net, r.IntN(4))
		whole := func(s string) string { return fmt.Sprintf("%s/%d", s, n) }
		manager := rel(fmt.Sprintf("/resourcemanager/lan%d", net))
		if r.IntN(3) == 0 {
			whole, manager = at, to
		}
		ops := []clusto.Op{
			raw(name, whole("ip/"), num(intOf(netip.MustParseAddr(ip)))), raw(name, whole("ip/ipstring"), str(ip)),
			raw(name, whole("ip/cidr"), str(ip+one("/24", "/24", "/24", "/16"))), raw(name, whole("ip/manager"), manager),
			raw(name, whole("ip/osportname"), str(one("eth0", "ipmi0", "", "en p1"))),
		}
		return ops[:5-r.IntN(4)/2]
	case 2:
		return []clusto.Op{
			raw(name, "baseip/property", str(one("10.0.0.0", "10.0.1.0", "10.0.0.5", "10.1.0.0", "x"))),
			raw(name, "netmask/property", str(one("255.255.255.0", "255.255.0.0", "24"))),
			raw(name, "gateway/property", str(one("10.0.0.1", "10.0.1.1", "", "11.0.0.1"))),
		}
	case 3:
		return []clusto.Op{raw(name, at(one("port-nic-eth/mac", "port-nic-eth/ipmi-mac", "note/mac", "port-pwr-nema-5/mac")),
			str(one("02:00:00:00:00:01", "02:00:00:00:00:0A", "02:00:00:00:00:0b", "01:00:00:00:00:01", "none")))}
	case 4:
		kind := one("port-nic-eth", "port-pwr-nema-5", "port-none")
		other := []clusto.Value{num(int64(r.IntN(5))), str(one("aa1", "aa2", "1", "x"))}[r.IntN(2)]
		ops := []clusto.Op{raw(name, at(kind+"/connection"), to), raw(name, at(kind+"/otherportnum"), other)}
		if _, peer, ok := strings.Cut(strings.TrimPrefix(to.Str, "/"), "/"); ok { // and the other end, more or less
			back := fmt.Sprintf("%s/connection/%d", kind, max(1, other.Int+int64(r.IntN(4)/3)))
			ops = append(ops, raw(peer, back, rel(paths[slices.IndexFunc(paths, func(p string) bool { return strings.HasSuffix(p, "/"+name) })])),
				raw(peer, strings.Replace(back, "connection", "otherportnum", 1), num(int64(n))))
		}
		return ops
	case 5:
		return []clusto.Op{raw(name, at(one("minu/property", "maxu/property", "digits/property", "withslave/property"))), raw(name, one("minu/property", "maxu/property"), num(int64(n)))}
	case 6:
		return []clusto.Op{raw(name, one("dhcp/enabled", "dhcp/enabled", "dhcp/domain", "dhcp/domain/1", "dhcp", "hostname", "hostname/x"), oddValues(r, to)...)}
	}
	return []clusto.Op{raw(name, at(one("note/", "note/a", "_hidden/", "bad key/", "port-nic-eth/to", "port-nic-eth/vlan", "serial/property")), oddValues(r, to)...)}
}

func oddValues(r *rand.Rand, to clusto.Value) (out []clusto.Value) {
	all := []clusto.Value{
		to, num(1), num(-7), num(1 << 40), str(""), str("1"), str("TRUE"), str("yes"), str("0x10"), str("1e3"), str("a: b"), str("a #b"),
		str("ein \"Zitat\"\n\tü\u0085\u2028\U0001f600 "), str("~"), str("- x"), str("2010-01-02"), str("10:30"), str("<<"), str("{a}"), str("{rack: x}"),
		{Type: clusto.Datetime, Str: "2010-01-02 03:04:05"},
		{Type: clusto.Datetime},
		{Type: clusto.JSON, Str: `[1, "2", {"a": null}]`},
		{Type: clusto.JSON, Str: `[1,2]`},
		{Type: clusto.JSON, Str: `{"relation": "x"}`},
		{Type: clusto.JSON, Str: `{"a": {"b": 1.5e3}}`},
		{Type: clusto.JSON, Str: `"\u00e4"`},
		{Type: clusto.JSON, Str: "{"},
		{Type: clusto.JSON, Str: "null"},
		{Type: clusto.JSON, Str: `{"<<": {"b": 1}}`},
		{Type: clusto.JSON, Str: `{"a": 1, "a": 2}`},
		{Type: clusto.JSON, Str: strings.Repeat("[", 30) + strings.Repeat("]", 30)},
	}
	for range 1 + r.IntN(8)/7 {
		out = append(out, all[r.IntN(len(all))])
	}
	return out
}

// TestExportRefuses what no file can hold.
func TestExportRefuses(t *testing.T) {
	s := openTest(t, ":memory:")
	apply(t, s, entity_("a", "basicserver"), entity_("b", "basicserver"), raw("b", "when/x/3", clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 03:04:05"}), raw("a", "note", str("x")))
	execute(t, s, `UPDATE entities SET name = 'a/b' WHERE name = 'a'`)
	execute(t, s, `UPDATE entity_attrs SET datetime_value = 'soon' WHERE "key" = 'when'`)
	execute(t, s, `UPDATE entity_attrs SET string_value = CAST(x'ff' AS TEXT) WHERE "key" = 'note'`)
	var b strings.Builder
	err := inventory.Export(&b, objectsOf(t, s))
	const want = `entity "/server/a/b": its name has a slash, a control character or blanks at an end, is too long, or is . or ..; rename it
entity "/server/a/b": attribute note has an empty or too long name, a NUL, or a text that is not UTF-8; correct or delete it
entity "/server/b": attribute when/x number 3 has the date "soon", which is none; correct or delete it`
	if err == nil || err.Error() != want || b.Len() > 0 {
		t.Errorf("%v\nwant\n%s\nand wrote %q", err, want, b.String())
	}
}
