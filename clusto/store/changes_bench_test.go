package store

import (
	"slices"
	"testing"
)

// BenchmarkChangeOfAll reads the change of a pool that holds every host.
func BenchmarkChangeOfAll(b *testing.B) {
	for name, newDSN := range kinds {
		if name == "memory" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			s := openTest(b, newDSN(b))
			const part = 10_000 // PostgreSQL plans for what it knows
			for ops := range slices.Chunk(fleet(*benchHosts), part) {
				apply(b, s, ops...)
				execute(b, s, "ANALYZE")
			}
			for pool, want := range map[string]int{"boot": *benchHosts, "s000001": 1} {
				b.Run(pool, func(b *testing.B) {
					benchRead(b, s, pool, want)
				})
			}
		})
	}
}

func benchRead(b *testing.B, s *Store, changed string, want int) {
	c, err := s.readNext(b.Context(), now)
	if err != nil {
		b.Fatal(err)
	}
	at, _ := parsePosition(c.ID)
	apply(b, s, attrAt(changed, "dhcp/tftp_filename", str("/other")))
	for b.Loop() {
		s.feed.memo = memo{}
		if c, err = s.readNext(b.Context(), at); err != nil || len(c.MACs) != want {
			b.Fatal(err, len(c.MACs))
		}
	}
}
