package store

import (
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// BenchmarkAttrs reads a host alone, and with its containers, of which there are
// five, the farthest three steps away: go test -run - -bench 'Attrs$' -hosts 100000.
func BenchmarkAttrs(b *testing.B) {
	for name, newDSN := range kinds {
		s := openTest(b, newDSN(b))
		apply(b, s, append(fleet(*benchHosts), entity_("world", "pool"), insert("all", "world", 0), attrAt("world", "dhcp/mtu", num(1500)))...)
		for way, farthest := range map[string]int{"alone": 0, "merged": 3} {
			b.Run(name+"/"+way, func(b *testing.B) {
				for b.Loop() {
					got, err := s.Attrs(b.Context(), clusto.AttrQuery{Name: "s000007", Merge: farthest > 0})
					if err != nil || got[len(got)-1].Distance != farthest {
						b.Fatal(got, err)
					}
				}
			})
		}
	}
}
