package store

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestObjectsOfRealClusto compares the walk with what each entity says alone.
func TestObjectsOfRealClusto(t *testing.T) {
	for _, dump := range []string{"clusto.sql", "clusto-versioned.sql"} {
		eachOriginal(t, dump, func(t *testing.T, s *Store) {
			all, err := s.Entities(t.Context(), clusto.Query{})
			if err != nil {
				t.Fatal(err)
			}
			counters := map[string]map[string]int64{}
			var got []clusto.Entity
			err = s.Objects(t.Context(), func(o *clusto.Object) error {
				got = append(got, o.Entity)
				if o.Counters != nil {
					counters[o.Name] = o.Counters
				}
				want, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: o.Name, Hidden: true})
				for i := range want {
					want[i].Origin = ""
				}
				if err != nil || !reflect.DeepEqual(o.Attrs, want) {
					t.Errorf("%s: attributes %+v, want %+v, %v", o.Name, o.Attrs, want, err)
				}
				if o.Name == "s0001" && (len(o.Parents) != 3 || o.Parents[0].Name != "sv2-r01" || o.Parents[1].Name != "pxeboot-servers") {
					t.Errorf("s0001 is in %+v", o.Parents)
				}
				return nil
			})
			if err != nil || !slices.Equal(got, all) {
				t.Errorf("entities %v, want %v, %v", got, all, err)
			}
			if c := counters; c["servernames"]["next"] != 29 || c["clustometa"]["ip"] != 37 || c["s0027"]["disk"] != 1 {
				t.Errorf("counters %v", c)
			}
		})
	}
}

func TestObjectsEndWithTheirReader(t *testing.T) {
	s := original(t, "clusto.sql")
	stop := errors.New("enough")
	n := 0
	err := s.Objects(t.Context(), func(*clusto.Object) error {
		n++
		return stop
	})
	if n != 1 || !errors.Is(err, stop) {
		t.Errorf("%d objects, %v", n, err)
	}
}

// TestObjectsOfRelationsToTheDeleted: a relation that outlived its entity names
// it still, or nothing if it never was.
func TestObjectsOfRelationsToTheDeleted(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, entity_("a", "basicserver"), entity_("b", "basicserver"), attrAt("a", "peer", rel("/server/b")), raw("a", "none", rel("")))
		execute(t, s, `UPDATE entities SET deleted_at_version = 1 WHERE name = 'b'`)
		var got []string
		err := s.Objects(t.Context(), func(o *clusto.Object) error {
			for _, a := range o.Attrs {
				got = append(got, o.Name+" "+a.Key+" "+a.Value.Str)
			}
			return nil
		})
		if want := []string{"clustometa schemaversion ", "a peer /server/b", "a none "}; err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, want %q, %v", got, want, err)
		}
	})
}
