package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/inventory"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
)

// sizes of sites: the race detector slows SQLite down 27 times.
var oddSites, sampleExport, largeExport = func() (odd uint64, sample, large int) {
	if raceDetector {
		return 3, 60, 80
	}
	return 60, 300, 2000
}()

func objectsOf(t testing.TB, s *Store) (all []clusto.Object) {
	t.Helper()
	if err := s.Objects(t.Context(), func(o *clusto.Object) error { all = append(all, *o); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

func export(t testing.TB, s *Store) string {
	t.Helper()
	var b bytes.Buffer
	if err := inventory.Export(&b, objectsOf(t, s)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func importInto(t testing.TB, s *Store, text string) {
	t.Helper()
	site, err := inventory.Parse("site.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if err := s.Apply(t.Context(), site.Ops()); err != nil {
		t.Fatalf("%v in\n%s", site.Explain(err), text)
	}
}

// contentsOf gives all that reads of a database depend on, ids and versions aside: the
// entities in their order, the attributes in the order of their names, those of
// one name in their own order, counters, and every host as DHCP gets it.
func contentsOf(t testing.TB, s *Store) (lines []string) {
	t.Helper()
	for _, o := range objectsOf(t, s) {
		name := func(a clusto.Attr) string {
			b, err := json.Marshal([]any{a.Key, a.Subkey, a.Number})
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		slices.SortStableFunc(o.Attrs, func(a, b clusto.Attr) int { return strings.Compare(name(a), name(b)) })
		o.Parents = slices.Clone(o.Parents)
		lines = append(lines, fmt.Sprintf("entity %v in %v counts %v", o.Entity, o.Parents, o.Counters))
		for _, a := range o.Attrs {
			lines = append(lines, fmt.Sprintf("%s %s %+v", o.Name, name(a), a.Value))
		}
	}
	entities := len(lines)
	err := s.Hosts(t.Context(), func(h *clusto.Host) error {
		attrs := slices.Clone(h.Attrs)
		for i := range attrs {
			attrs[i].ID = 0
		}
		h.Attrs = attrs
		b, err := json.Marshal(h)
		lines = append(lines, string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines[entities:]) // they come in any order
	return lines
}

// sameContents compares two databases, and shows the first lines that differ.
func sameContents(t testing.TB, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	shown := 0
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w && shown < 5 {
			shown++
			t.Errorf("line %d of %d:\n%s\nwant line of %d:\n%s", i, len(got), g, len(want), w)
		}
	}
}

// roundTrip exports a database, imports the file into an empty one, and exports
// that. It returns the file.
func roundTrip(t testing.TB, s, empty *Store) string {
	t.Helper()
	text := export(t, s)
	importInto(t, empty, text)
	sameContents(t, contentsOf(t, empty), contentsOf(t, s))
	if again := export(t, empty); again != text {
		t.Errorf("the copy's export differs:\n%s\nwant\n%s", again, text)
	}
	importInto(t, empty, text) // what is there is left as it is
	sameContents(t, contentsOf(t, empty), contentsOf(t, s))
	return text
}

// TestExportRealClusto copies the site that real clusto wrote.
func TestExportRealClusto(t *testing.T) {
	for _, dump := range []string{"clusto.sql", "clusto-versioned.sql"} {
		eachOriginal(t, dump, func(t *testing.T, s *Store) {
			dsn := ":memory:"
			if s.dialect == postgres {
				dsn = pgtest.New(t)
			}
			text := roundTrip(t, s, openTest(t, dsn))
			if n := strings.Count(text, "raw:"); n > 7 { // MACs and options that are there twice, and hidden keys
				t.Errorf("%d entities have raw attributes:\n%s", n, text)
			}
		})
	}
}

// TestExportSample copies the demo's site: the file is as one would write it.
func TestExportSample(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		importInto(t, s, string(inventory.Sample(sampleExport)))
		text := roundTrip(t, s, open())
		for _, none := range []string{"raw:", "counters:", "number:", "attrs:", "entities:"} {
			if strings.Contains(text, none) {
				t.Errorf("the export of a plain site has %s in\n%s", none, text)
			}
		}
	})
}

// TestExportLargeSite copies as many hosts as a test may.
func TestExportLargeSite(t *testing.T) {
	s := openTest(t, ":memory:")
	importInto(t, s, string(inventory.Sample(largeExport)))
	roundTrip(t, s, openTest(t, ":memory:"))
}

// TestExportKnowsEveryDriver: nothing of a new entity, a full port or a place in
// a rack needs raw attributes, or attributes at all.
func TestExportKnowsEveryDriver(t *testing.T) {
	s := openTest(t, ":memory:")
	ops := []clusto.Op{entity_("rack", "apcrack")}
	ru := 1
	for _, name := range slices.Sorted(maps.Keys(clusto.Drivers)) {
		d := clusto.Drivers[name]
		if name == "clustometa" {
			continue
		}
		ops = append(ops, entity_(name, name), entity_(name+"-2", name))
		for kind, n := range d.Ports {
			if _, all, _ := clusto.PortsOf(name, kind); all > n {
				n = all
			}
			ops = append(ops, clusto.Op{Op: "connect", Name: name, Port: kind, Num: fmt.Sprint(n), To: name + "-2", ToNum: fmt.Sprint(n)})
		}
		if len(d.Ports) > 0 {
			ops = append(ops, insert(name, "rack", ru))
			ru += max(1, d.Units)
		}
	}
	apply(t, s, ops...)
	text := roundTrip(t, s, openTest(t, ":memory:"))
	for _, none := range []string{"raw:", "attrs:", "counters:"} {
		if strings.Contains(text, none) {
			t.Errorf("%s in\n%s", none, text)
		}
	}
	if n := strings.Count(text, "{rack: rack"); n < 15 {
		t.Errorf("%d devices in the rack:\n%s", n, text)
	}
}
