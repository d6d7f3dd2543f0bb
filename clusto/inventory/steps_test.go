package inventory

import (
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestStepsAreCopiedOnce: as one list they were copied each time it grew, five
// times over in a large site.
func TestStepsAreCopiedOnce(t *testing.T) {
	var s steps
	kept := map[int]*step{}
	for i := range 5000 {
		s.add(i, clusto.Op{})
		if s.len() != i+1 {
			t.Fatalf("%d steps after %d", s.len(), i+1)
		}
		block := s.blocks[len(s.blocks)-1]
		kept[i] = &block[len(block)-1]
	}
	n := 0
	for _, b := range s.blocks {
		if len(b) > 1024 {
			t.Errorf("a block of %d", len(b))
		}
		for i := range b {
			if b[i].line != n || kept[n] != &b[i] {
				t.Fatalf("step %d is number %d, or was moved", b[i].line, n)
			}
			n++
		}
	}
}
