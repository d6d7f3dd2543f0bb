package store

import (
	"fmt"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestPoolsAHundredDeep: an option of the outermost pool is the host's all the
// same, and is among the merged attributes. Both ended after 64 containers
// without a word. A cycle on top of them ends the walk.
func TestPoolsAHundredDeep(t *testing.T) {
	const deep = 100
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		ops := []clusto.Op{entity_("s", "basicserver"), attrAt("s", "port-nic-eth/mac/1", str(fleetMAC(1).String()))}
		in := "s"
		for i := range deep {
			pool := fmt.Sprintf("p%d", i+1)
			ops = append(ops, entity_(pool, "pool"), insert(in, pool, 0))
			in = pool
		}
		around := insert(in, "p1", 0)
		around.Cycle = true
		apply(t, s, append(ops, attrAt(in, "dhcp/enabled", num(1)), attrAt(in, "dhcp/domain", str("example.org")), around)...)
		h, err := s.Host(t.Context(), fleetMAC(1))
		if err != nil || !h.Enabled {
			t.Fatalf("%+v, %v", h, err)
		}
		merged, err := s.Attrs(t.Context(), clusto.AttrQuery{Name: "s", Key: "dhcp", Merge: true})
		if err != nil || len(merged) != 2 {
			t.Fatalf("%+v, %v", merged, err)
		}
		for _, a := range append(merged, h.Attrs...) {
			if a.Distance != deep || a.Origin != "/pool/"+in {
				t.Errorf("%+v", a)
			}
		}
		err = s.Hosts(t.Context(), func(h *clusto.Host) error {
			if !h.Enabled || len(h.Attrs) == 0 {
				t.Errorf("among all: %+v", h)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
