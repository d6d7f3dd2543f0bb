package store

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// More operations in short.

func create(name, driver string) clusto.Op {
	return clusto.Op{Op: "create", Name: name, Driver: driver}
}

func del(name string) clusto.Op { return clusto.Op{Op: "delete", Name: name} }

func remove(name, from string) clusto.Op {
	return clusto.Op{Op: "remove", Name: name, Into: from}
}

// as gives an operation another word.
func as(word string, op clusto.Op) clusto.Op {
	op.Op = word
	return op
}

// facts says what a database holds, live rows only, with names instead of ids.
func facts(t testing.TB, s *Store) []string {
	t.Helper()
	const number = `COALESCE(CAST(a.number AS VARCHAR(20)), '-')`
	var out []string
	for _, q := range []string{
		`SELECT 'entity ' || name || ' ' || type || ' ' || driver FROM entities WHERE deleted_at_version IS NULL ORDER BY entity_id`,
		`SELECT 'counter ' || e.name || ' ' || c.attr_key || ' ' || c.value FROM counters c JOIN entities e ON e.entity_id = c.entity_id ORDER BY e.entity_id, attr_key`,
		`SELECT e.name || ' ' || a."key" || ' ' || COALESCE(a.subkey, '-') || ' ' || ` + number + ` || ' ' || a.datatype || ' '
			|| COALESCE(CAST(a.int_value AS VARCHAR(20)), '') || COALESCE(a.string_value, '') || COALESCE(CAST(a.datetime_value AS VARCHAR(32)), '')
			|| COALESCE('->' || r.name, '')
			FROM entity_attrs a JOIN entities e ON e.entity_id = a.entity_id LEFT JOIN entities r ON r.entity_id = a.relation_id
			WHERE a.deleted_at_version IS NULL ORDER BY a.attr_id`,
	} {
		got, err := s.list(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got...)
	}
	return out
}

// does applies operations and compares what they change: lines of facts that go
// begin with "-", those that come with "+". It returns the results.
func does(t testing.TB, s *Store, ops []clusto.Op, want ...string) []clusto.Result {
	t.Helper()
	before := facts(t, s)
	results, err := s.Change(t.Context(), ops)
	if err != nil {
		t.Fatalf("%v: %v", ops, err)
	}
	if got := changes(before, facts(t, s)); !slices.Equal(got, want) {
		t.Errorf("%v: got\n%s\nwant\n%s", ops, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	return results
}

// changes gives the lines that only one side has, as often as it has them.
func changes(before, after []string) (out []string) {
	left := slices.Clone(after)
	for _, line := range before {
		if i := slices.Index(left, line); i >= 0 {
			left = slices.Delete(left, i, i+1)
		} else {
			out = append(out, "-"+line)
		}
	}
	for _, line := range left {
		out = append(out, "+"+line)
	}
	return out
}

// refused has the last of several operations refused, and sees to it that
// nothing was written.
func refused(t testing.TB, s *Store, want error, says string, ops ...clusto.Op) {
	t.Helper()
	before := rows(t, s)
	list := append([]clusto.Op{entity_("before", "pool")}, ops...)
	_, err := s.Change(t.Context(), append(slices.Clone(list), entity_("after", "pool")))
	var at *clusto.OpError
	if !errors.As(err, &at) || at.Index != len(ops) || !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%v: %v, want operation %d, %v, %q", ops, err, len(ops), want, says)
	}
	if !slices.Equal(rows(t, s), before) {
		t.Errorf("%v: something was written", ops)
	}
}

func TestCreate(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		does(t, s, []clusto.Op{create("names", "simplenamemanager"), create("s1", "penguinserver")},
			"+entity names resourcemanager simplenamemanager", "+entity s1 server penguinserver",
			"+names digits property - int 2", "+names basename property - string ",
			"+names leadingZeros property - int 1", "+names next property - int 1")
		refused(t, s, clusto.ErrConflict, `the name is taken by /server/s1, driver "penguinserver"`, create("s1", "penguinserver"))
		refused(t, s, clusto.ErrConflict, "taken by /pool/p", create("p", "pool"), create("p", "pool"))
		refused(t, s, clusto.ErrInvalid, `did you mean "pool"`, create("p", "pol"))
		refused(t, s, clusto.ErrInvalid, `operation "create" has no "into"`, clusto.Op{Op: "create", Name: "p", Driver: "pool", Into: "q"})
	})
}

// TestDeleteOnTheOriginal deletes a server, a power strip, a pool and an IP
// manager of a site that real clusto wrote.
func TestDeleteOnTheOriginal(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		before := facts(t, s)
		apply(t, s, del("s0002"), del("sv2-r01-pwr1"), del("pxeboot-servers"), del("net-private0"))
		gone := func(line string) bool {
			name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(line, "entity "), "counter "), " ")
			_, to, _ := strings.Cut(line, "->")
			names := []string{"s0002", "sv2-r01-pwr1", "pxeboot-servers", "net-private0"}
			return slices.Contains(names, name) || slices.Contains(names, to)
		}
		var want []string
		for _, line := range before {
			if !gone(line) {
				want = append(want, line)
			}
		}
		// The other port's numbers, which the original left.
		var peers []string
		for _, line := range changes(want, facts(t, s)) {
			if !strings.HasPrefix(line, "-") || !strings.Contains(line, " otherportnum ") {
				t.Errorf("changed too: %s", line)
			}
			peers = append(peers, line)
		}
		for _, one := range []string{
			"-sv2-r01-sw1 port-nic-eth otherportnum 2 int 1",         // of s0002
			"-sv2-r01-ts1 port-console-serial otherportnum 2 int 1",  // of s0002
			"-s0001 port-pwr-nema-5 otherportnum 1 string bb1",       // of the power strip
			"-sv2-r01-sw1 port-pwr-nema-5 otherportnum 1 string aa8", // of the power strip
			"-sv2-r01-ts1 port-console-serial otherportnum 44 int 1", // of the power strip
			"-sv2-r01-sw1 port-nic-eth otherportnum 44 int 1",        // of the power strip
		} {
			if !slices.Contains(peers, one) {
				t.Errorf("left: %s", one[1:])
			}
		}
		for _, line := range facts(t, s) {
			if gone(line) {
				t.Errorf("left: %s", line)
			}
		}
		refused(t, s, clusto.ErrNotFound, `"s0002"`, del("s0002"))
		refused(t, s, clusto.ErrNotFound, `"s0003"`, del("s0003"), del("s0003"))
		refused(t, s, clusto.ErrConflict, "counters", del("clustometa"))
		refused(t, s, clusto.ErrInvalid, `operation "delete" has no "key"`, clusto.Op{Op: "delete", Name: "s0003", Key: "dhcp"})
	})
}

// TestDeleteInsideAChange deletes what the same list made, and makes it again.
func TestDeleteInsideAChange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		before := facts(t, s)
		list := append([]clusto.Op{del("ex0000"), del("pxeboot-servers"), del("r1"), del("dc"), del("lan")}, example()...)
		apply(t, s, append(slices.Clone(list), del("ex0000"), entity_("ex0000", "basicserver"), del("ex0000"))...)
		apply(t, s, list[1:]...)
		slices.Sort(before)
		got := facts(t, s)
		slices.Sort(got)
		// Numbers of addresses are never given out twice.
		want := strings.NewReplacer("ip - 0", "ip - 2", "ip manager 0", "ip manager 2", "ip ipstring 0", "ip ipstring 2",
			"ip cidr 0", "ip cidr 2", "ip osportname 0", "ip osportname 2", "clustometa ip 1", "clustometa ip 3")
		for i := range before {
			before[i] = want.Replace(before[i])
		}
		if !slices.Equal(got, before) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
		}
	})
}

// TestVersionedDelete keeps every row, and ends it in the change's version.
func TestVersionedDelete(t *testing.T) {
	eachOriginal(t, "clusto-versioned.sql", func(t *testing.T, s *Store) {
		count := func(q string) string {
			t.Helper()
			got, err := s.list(t.Context(), q)
			if err != nil || len(got) != 1 {
				t.Fatalf("%s: %v, %v", q, got, err)
			}
			return got[0]
		}
		text := func(what string) string { return `SELECT CAST(` + what + ` AS VARCHAR(20)) ` }
		all := count(text(`count(*)`) + `FROM entity_attrs`)
		last := count(text(`max(version)`) + `FROM clustoversioning`)
		apply(t, s, del("s0002"), del("production"))
		if got := count(text(`count(*)`) + `FROM entity_attrs`); got != all {
			t.Errorf("%s attributes, want %s", got, all)
		}
		if got := count(text(`count(*)`) + `FROM clustoversioning WHERE version > ` + last); got != "1" {
			t.Errorf("%s versions came, want 1", got)
		}
		if got := count(text(`count(*)`) + `FROM entities WHERE name IN ('s0002', 'production') AND deleted_at_version > ` + last); got != "2" {
			t.Errorf("%s entities ended, want 2", got)
		}
		live := ` FROM entity_attrs WHERE deleted_at_version IS NULL AND `
		of := `(SELECT entity_id FROM entities WHERE name IN ('s0002', 'production'))`
		if got := count(text(`count(*)`) + live + `(entity_id IN ` + of + ` OR relation_id IN ` + of + `)`); got != "0" {
			t.Errorf("%s attributes live on", got)
		}
		if got := count(text(`count(*)`) + `FROM counters WHERE entity_id IN ` + of); got != "0" {
			t.Errorf("%s counters live on", got)
		}
		// Each change has one version, unless it changes nothing.
		last = count(text(`max(version)`) + `FROM clustoversioning`)
		apply(t, s, entity_("s0003", "penguinserver"), as("has", clusto.Op{Name: "s0003"}), delAt("s0003", "nosuch"))
		if got := count(text(`max(version)`) + `FROM clustoversioning`); got != last {
			t.Errorf("a change that changes nothing is version %s", got)
		}
		for _, op := range []clusto.Op{
			counterAt("s0003", "disk", 7), allocateTo("net-private1", "s0003"), remove("s0003", "pxeboot-servers"), delAt("s0003", "dhcp"),
			disconnect("s0003", "nic-eth", "1"),
			{Op: "unbind", Name: "s0003", IP: "10.43.0.5"},
		} {
			before := count(text(`count(*)`) + `FROM clustoversioning`)
			apply(t, s, op)
			if got := count(`SELECT CAST(count(*) - 1 AS VARCHAR(20)) FROM clustoversioning`); got != before {
				t.Errorf("%v: it has not made one version", op)
			}
		}
		apply(t, s, create("s0002", "basicserver"))
		if e, err := s.Entity(t.Context(), "s0002"); err != nil || e.Driver != "basicserver" {
			t.Errorf("got %v, %v", e, err)
		}
	})
}

// TestTextsThatPostgresRefuses were errors of the database, as if it was down.
func TestTextsThatPostgresRefuses(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, create("a", "basicserver"), create("sw", "cisco4948"))
		for _, bad := range []string{"a\x00b", "K\xf6ln"} {
			for _, op := range []clusto.Op{
				create(bad, "pool"), entity_("x", bad), del(bad), attrAt(bad, "k", str("v")), attrAt("a", bad, str("v")), attrAt("a", "k/"+bad, str("v")),
				attrAt("a", "k", str(bad)), attrAt("a", "k", rel(bad)), as("has", attrAt("", bad, str("v"))), as("lacks", attrAt("a", "k", str(bad))),
				delAt("a", bad), insert("a", bad, 0), remove("a", bad), bind("a", "192.168.1.60", bad), bind("a", bad, ""), allocateTo("lan", bad),
				{Op: "allocate", Name: "lan", To: "a", OSPort: bad},
				connect("a", bad, "1", "sw", "1"), connect("a", "nic-eth", bad, "sw", "1"),
				disconnect("a", "nic-eth", bad), raw("a", "k", str(bad)), counterAt("a", bad, 1),
			} {
				refused(t, s, clusto.ErrInvalid, "", op)
			}
		}
		apply(t, s, create("names", "simpleentitynamemanager"), attrAt("names", "digits/property", num(18)), counterAt("names", "next", 1<<31-1))
		refused(t, s, clusto.ErrConflict, "out of digits", allocateEntity("names", "pool"))
	})
}

// TestChangeUsesIndexes asks SQLite how it would find what a change looks for
// beside large pools, many addresses and many ports.
func TestChangeUsesIndexes(t *testing.T) {
	old := originalFile(t, "clusto.sql")
	openTest(t, old).Close() // adds the indexes
	for name, s := range map[string]*Store{
		"original": openTest(t, old), "new": openTest(t, filepath.Join(t.TempDir(), "clusto.db")),
	} {
		for _, q := range []struct {
			text  string
			args  int
			index string
		}{
			{takenSQL, 2, "idx_attrs_int_value"},
			{memberSQL, 2, "idx_attrs_relation_key"},
			{s.dialect.peersSQL(), 1, "idx_attrs_relation_key"},
		} {
			if steps := plan(t, s, q.text, q.args); !strings.Contains(steps[0], q.index) {
				t.Errorf("%s: %q, want %s\n%s", name, steps, q.index, q.text)
			}
		}
		for _, w := range []struct {
			op    clusto.Op
			value clusto.Value
			index string
		}{
			{clusto.Op{Key: "port-nic-eth", Subkey: ptr(subMAC)}, str("00:11:22:33:44:55"), "idx_attrs_str_value"},
			{clusto.Op{Key: "dhcp"}, num(1), "idx_attrs_int_value"},
			{clusto.Op{Key: "dhcp"}, clusto.Value{Type: clusto.Relation}, "idx_attrs_relation_key"},
		} {
			text, args := (&wanted{op: &w.op, value: w.value, rel: 7}).holdersSQL(s.dialect)
			steps := planWith(t, s, text, args...)
			if !slices.ContainsFunc(steps, func(step string) bool { return strings.Contains(step, w.index) }) {
				t.Errorf("%s: %q, want %s\n%s", name, steps, w.index, text)
			}
		}
	}
}
