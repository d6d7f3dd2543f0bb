package rack

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// TestRacksCanBeBuilt fills a rack of each layout in a database: nothing of what
// a layout says is refused there, and saying it again changes nothing.
func TestRacksCanBeBuilt(t *testing.T) {
	layouts, err := Load("")
	if err != nil {
		t.Fatal(err)
	}
	layouts["example"] = mustParse(t, Example)
	for _, name := range slices.Sorted(maps.Keys(layouts)) {
		l := layouts[name]
		s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "clusto.db"), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		ops := append([]clusto.Op{{Op: "entity", Name: "r1", Driver: "apcrack"}}, maxUnit(l)...)
		ops = append(ops, l.Infrastructure("r1")...)
		for _, port := range l.Ports() {
			p, err := l.Place("r1", port)
			if err != nil {
				t.Fatal(err)
			}
			server := fmt.Sprintf("s%02d", p.RUs[0])
			ops = append(ops, clusto.Op{Op: "entity", Name: server, Driver: p.Driver}, clusto.Op{Op: "insert", Name: server, Into: "r1", RU: p.RUs[0]})
			for _, c := range p.Connections {
				ops = append(ops, clusto.Op{Op: "connect", Name: server, Port: c.Port, Num: c.Num, To: c.To, ToNum: c.ToNum})
			}
		}
		var before []string
		for i := range 2 {
			if err := s.Apply(t.Context(), ops); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			facts := everything(t, s)
			if i > 0 && !slices.Equal(facts, before) {
				t.Errorf("%s: %d facts became %d", name, len(before), len(facts))
			}
			before = facts
		}
		rack, err := s.Object(t.Context(), "r1")
		if err != nil {
			t.Fatal(err)
		}
		units := 0
		for _, a := range rack.Attrs {
			if a.Key == "_contains" {
				units++
			}
		}
		want := len(l.devices())
		for _, srv := range l.servers {
			want += len(srv.rus)
		}
		if units != want {
			t.Errorf("%s: %d units are taken, want %d", name, units, want)
		}
	}
}

// maxUnit tells clusto how high the rack is.
func maxUnit(l *Layout) []clusto.Op {
	sub := "property"
	return []clusto.Op{{Op: "attr", Name: "r1", Key: "maxu", Subkey: &sub, Value: &clusto.Value{Type: clusto.Int, Int: int64(l.maxu)}}}
}

func everything(t *testing.T, s *store.Store) (facts []string) {
	t.Helper()
	if err := s.Objects(t.Context(), func(o *clusto.Object) error {
		for _, a := range o.Attrs {
			facts = append(facts, fmt.Sprint(o.Name, " ", a.Key, " ", a.Sub(), " ", a.Value.Text()))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return facts
}
