package store

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

func names(entities []clusto.Entity) string {
	var out []string
	for _, e := range entities {
		out = append(out, e.Name)
	}
	return strings.Join(out, " ")
}

// TestObject reads an entity with all that it holds.
func TestObject(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		o, err := s.Object(t.Context(), "s0001")
		if err != nil || o.Path() != "/server/s0001" || names(o.Parents) != "sv2-r01 pxeboot-servers webservers" {
			t.Fatalf("got %s, %v", asJSON(t, o), err)
		}
		if len(o.Attrs) != 13 || o.Attrs[0].Origin != "" {
			t.Errorf("attributes: %s", asJSON(t, o.Attrs))
		}
		want := []clusto.Port{
			{Type: "console-serial", Num: 1, To: "/consoleserver/sv2-r01-ts1", ToNum: "1"},
			{Type: "nic-eth", Num: 1, To: "/networkswitch/sv2-r01-sw1", ToNum: "1"},
			{Type: "nic-eth", Num: 2},
			{Type: "pwr-nema-5", Num: 1, To: "/powerstrip/sv2-r01-pwr1", ToNum: "bb1"},
		}
		if !slices.Equal(o.Ports, want) {
			t.Errorf("ports %s, want %s", asJSON(t, o.Ports), asJSON(t, want))
		}
		// A rack holds a 2U server twice, which is inside it once.
		if o, err = s.Object(t.Context(), "s0021"); err != nil || names(o.Parents) != "pxeboot-servers sv2-r02" {
			t.Errorf("parents %q, %v", names(o.Parents), err)
		}
		if _, err = s.Object(t.Context(), "nobody"); !errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
	})
}

// TestObjectOfAVersionedDatabase shows nothing that was deleted.
func TestObjectOfAVersionedDatabase(t *testing.T) {
	eachOriginal(t, "clusto-versioned.sql", func(t *testing.T, s *Store) {
		apply(t, s, entity_("p", "pool"), entity_("q", "pool"), insert("q", "p", 0), attrAt("p", "colour", str("red")))
		apply(t, s, clusto.Op{Op: "del", Name: "p", Key: "colour"}, clusto.Op{Op: "remove", Name: "q", Into: "p"})
		p, err := s.Object(t.Context(), "p")
		q, err2 := s.Object(t.Context(), "q")
		if err != nil || err2 != nil || len(p.Attrs) != 0 || len(q.Parents) != 0 {
			t.Errorf("got %s, %s, %v, %v", asJSON(t, p), asJSON(t, q), err, err2)
		}
		members, err := s.Members(t.Context(), "p")
		if err != nil || len(members) != 0 {
			t.Errorf("members %v, %v", members, err)
		}
		apply(t, s, clusto.Op{Op: "delete", Name: "p"})
		if found, err := s.Entities(t.Context(), clusto.Query{Contains: "p", Types: []string{"pool"}, Names: []string{"p", "q"}}); err != nil || len(found) != 0 {
			t.Errorf("found %v, %v", found, err)
		}
	})
}

// TestMembersOfACycle ends.
func TestMembersOfACycle(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		into := func(name, pool string) clusto.Op { return clusto.Op{Op: "insert", Name: name, Into: pool, Cycle: true} }
		apply(t, s, entity_("a", "pool"), entity_("b", "pool"), entity_("c", "pool"), entity_("x", "basicserver"),
			into("b", "a"), into("c", "b"), into("a", "c"), into("a", "a"), into("x", "c"), into("x", "a"))
		got, err := s.Members(t.Context(), "b")
		if err != nil || names(got) != "a b c x" {
			t.Errorf("got %q, %v", names(got), err)
		}
		if _, err := s.Members(t.Context(), "nobody"); !errors.Is(err, clusto.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
	})
}

// TestContains takes a part of the name literally, in letters of any case.
func TestContains(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, entity_("Ab%c", "pool"), entity_("ab_c", "pool"), entity_("abxc!", "pool"), entity_("Köln", "pool"), entity_("KÖLN", "pool"))
		for part, want := range map[string]string{
			"AB": "Ab%c ab_c abxc!", "b%c": "Ab%c", "b_c": "ab_c", "!": "abxc!", "Köl": "Köln", "KÖLN": "Köln KÖLN", "zz": "",
		} {
			got, err := s.Entities(t.Context(), clusto.Query{Contains: part, Types: []string{"pool"}})
			if err != nil || names(got) != want {
				t.Errorf("%q: got %q, %v, want %q", part, names(got), err, want)
			}
		}
	})
}

// TestTypes are those of the drivers, and those that a site has beside them.
func TestTypes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		before, err := s.Types(t.Context())
		if err != nil || !slices.IsSorted(before) || len(before) != 14 {
			t.Fatalf("got %v, %v", before, err)
		}
		apply(t, s, clusto.Op{Op: "entity", Name: "x", Driver: "own_driver", Type: "own"})
		after, err := s.Types(t.Context())
		if err != nil || !slices.Contains(after, "own") || len(after) != 15 {
			t.Errorf("got %v, %v", after, err)
		}
		for _, tt := range []struct {
			driver bool
			name   string
			want   bool
		}{
			{false, "zone", true},
			{false, "own", true},
			{false, "own_driver", false},
			{false, "pools", false},
			{true, "basicserver", true},
			{true, "own_driver", true},
			{true, "zone", false},
		} {
			if got, err := s.Knows(t.Context(), tt.driver, tt.name); err != nil || got != tt.want {
				t.Errorf("%+v: %v, %v", tt, got, err)
			}
		}
	})
}

// TestAttrsOfMany asks for more names than one query takes.
func TestAttrsOfMany(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		many := make([]string, 2*namesAtOnce)
		for i := range many {
			many[i] = "nobody"
		}
		many = append(many, "s0001", "s0002")
		text := clusto.NullString{Text: "ipstring"}
		got, err := s.AttrsOf(t.Context(), many, []clusto.AttrMatch{{Key: "ip", Subkey: &text}, {Key: "nosuch"}})
		if err != nil || len(got) != 2 || len(got["s0001"]) != 1 || got["s0002"][0].Value.Str != "10.42.0.12" {
			t.Errorf("got %s, %v", asJSON(t, got), err)
		}
		got, err = s.AttrsOf(t.Context(), []string{"production"}, []clusto.AttrMatch{{Number: &clusto.NumberMatch{}}})
		if err != nil || len(got) != 0 {
			t.Errorf("hidden attributes: %s, %v", asJSON(t, got), err)
		}
	})
}

// TestPortRange: a power tower lists half of its outlets, and a driver of the
// site's own may have any port.
func TestPortRange(t *testing.T) {
	s := openTest(t, ":memory:")
	for _, tt := range []struct {
		driver, kind string
		listed, all  int
	}{
		{"basicserver", "nic-eth", 2, 2},
		{"basicserver", "nic-fiber10g", 0, 0},
		{"pool", "nic-eth", 0, 0},
		{"powertowerxm", "pwr-nema-5", 16, 32},
		{"powertowerxm", "nic-eth", 1, 1},
		{"own_driver", "nic-eth", 1<<31 - 1, 1<<31 - 1},
	} {
		if listed, all := s.PortRange(tt.driver, tt.kind); listed != tt.listed || all != tt.all {
			t.Errorf("%+v: %d, %d", tt, listed, all)
		}
	}
	for text, want := range map[string]int{"bb8": 32, "1": 1, "x": 0, "bb9": 0} {
		if got := s.PortNumber("powertowerxm", "pwr-nema-5", text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}

// TestLegacyReadsUseIndexes asks SQLite how it would go about the walks of the
// original's API.
func TestLegacyReadsUseIndexes(t *testing.T) {
	old := originalFile(t, "clusto.sql")
	openTest(t, old).Close() // adds the indexes
	s := openTest(t, old)
	for _, q := range []struct {
		text string
		args int
		scan []string // of what is small
	}{
		{entitySQL, 1, nil},
		{s.dialect.membersSQL(), 1, []string{"SCAN down"}},
		{s.dialect.attrsNamedSQL(2, `a."key" = ? AND COALESCE(a.subkey, '') = ?`), 4, []string{"SCAN 2 CONSTANT ROWS", "SCAN v"}},
	} {
		for _, step := range plan(t, s, q.text, q.args) {
			if strings.HasPrefix(step, "SCAN") && !slices.Contains(q.scan, step) {
				t.Errorf("%s\n%s", step, q.text)
			}
		}
	}
}

// TestWhatPostgresDoesNotTake is the client's fault, and not a database that is
// down; nothing is written.
func TestWhatPostgresDoesNotTake(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, entity_("p", "pool"))
		before := rows(t, s)
		err := s.Apply(t.Context(), []clusto.Op{attrAt("p", "colour", str("red")), attrAt("p", "long", str(dense(5000)))})
		if s.dialect != postgres {
			if err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, clusto.ErrInvalid) || errors.Is(err, clusto.ErrUnavailable) || !strings.Contains(err.Error(), "value of attribute long of /pool/p is too long: it has 5000 bytes, and") {
			t.Errorf("a long value: %v", err)
		}
		if _, err := s.Object(t.Context(), "a\xffb"); !errors.Is(err, clusto.ErrInvalid) {
			t.Errorf("a name that is no text: %v", err)
		}
		if !reflect.DeepEqual(rows(t, s), before) {
			t.Error("something was written")
		}
	})
}

// TestSearchForALongText finds nothing, where SQLite takes no pattern of that
// length.
func TestSearchForALongText(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		for _, part := range []string{strings.Repeat("_", containsMax), strings.Repeat("s", containsMax+1), strings.Repeat("s", 60_000)} {
			if found, err := s.Entities(t.Context(), clusto.Query{Contains: part}); err != nil || len(found) != 0 {
				t.Errorf("%d bytes: %d entities, %v", len(part), len(found), err)
			}
		}
	})
}

// dense gives a text that PostgreSQL does not make shorter.
func dense(n int) string {
	b := make([]byte, n)
	for i, x := 0, uint32(1); i < n; i++ {
		x = x*1664525 + 1013904223
		b[i] = 'a' + byte(x>>24)%26
	}
	return string(b)
}
