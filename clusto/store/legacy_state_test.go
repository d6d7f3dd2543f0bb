package store

import (
	"fmt"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestMergedReadsAreNotOneState: a writer moves an attribute from one of an
// entity's pools to the other and back, each time in one batch. Whoever reads the
// entity with its containers meanwhile finds it once, never in both or in none.
func TestMergedReadsAreNotOneState(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		pools := []string{"p1", "p2"}
		apply(t, s, entity_("a", "basicserver"), entity_("p1", "pool"), entity_("p2", "pool"),
			insert("a", "p1", 0), insert("a", "p2", 0), attrAt("p1", "moved", str("x")))
		written := make(chan error, 1)
		go func() {
			written <- func() error {
				for i := range raceScale(400, 60) {
					ops := []clusto.Op{delAt(pools[i%2], "moved"), attrAt(pools[1-i%2], "moved", str("x"))}
					if err := s.Apply(t.Context(), ops); err != nil {
						return fmt.Errorf("batch %d: %w", i, err)
					}
				}
				return nil
			}()
		}()
		for reads := 0; ; reads++ {
			got, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "a", Key: "moved", Merge: true})
			if err != nil || len(got) != 1 {
				t.Fatalf("read %d: %d of one attribute, %v: %+v", reads, len(got), err, got)
			}
			select {
			case err := <-written:
				must(t, err)
				return
			default:
			}
		}
	})
}
