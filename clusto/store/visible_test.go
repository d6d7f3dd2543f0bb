package store

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestVisibleAttrsPassOverMembers: who asks for the attributes of a host with
// those of its pool does not have all that the pool contains read and dropped.
func TestVisibleAttrsPassOverMembers(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "clusto.db"))
	steps := strings.Join(plan(t, s, s.dialect.visibleSQL(true), 1), "\n")
	for _, part := range []string{"(entity_id=? AND key<?)", "(entity_id=? AND key>?)"} {
		if !strings.Contains(steps, "idx_attrs_entity_key "+part) {
			t.Errorf("%s is not looked for:\n%s", part, steps)
		}
	}
}

// TestVisibleAttrs: all are given but the hidden ones, in the order in which they
// were written, whatever their keys sort like.
func TestVisibleAttrs(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, entity_("p", "pool"), entity_("a", "pool"), insert("a", "p", 0))
		var want []string
		for _, key := range []string{"zz", "Z", "_zz", "^", "`", "_contained", "é", "a", "_", "_contains2", "1"} {
			apply(t, s, clusto.Op{Op: "raw", Name: "p", Key: key, Values: []clusto.Value{str("x")}})
			if key[0] != '_' {
				want = append(want, key)
			}
		}
		got, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "a", Merge: true})
		must(t, err)
		var keys []string
		for _, a := range got {
			keys = append(keys, a.Key)
		}
		if strings.Join(keys, " ") != strings.Join(want, " ") {
			t.Errorf("got %q, want %q", keys, want)
		}
	})
}
