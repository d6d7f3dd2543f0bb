package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// nest is pools inside each other, past all rules: pool i has entity_id
// 100 + i. A row is an attribute, or says what contains what, by attr_id.
type nest struct {
	pools []bool // alive
	rows  []nestRow
}

type nestRow struct {
	alive   bool
	in, out int    // pool in contains pool out
	key     string // or, with a key, pool in has an attribute
}

func (n *nest) put(out, in int) { n.rows = append(n.rows, nestRow{true, in, out, keyContains}) }

func (n *nest) write(t *testing.T, s *Store) {
	t.Helper()
	n.writeFrom(t, s, 0)
}

// writeFrom writes a nest whose first row is the one of that number.
func (n *nest) writeFrom(t *testing.T, s *Store, first int) {
	t.Helper()
	ended := map[bool]string{true: "NULL", false: "2"}
	var pools, rows []string
	for i, alive := range n.pools {
		pools = append(pools, fmt.Sprintf("(%d, 'p%d', 'pool', 'pool', 1, %s)", 100+i, i, ended[alive]))
	}
	if len(pools) > 0 {
		execute(t, s, `INSERT INTO entities (entity_id, name, type, driver, version, deleted_at_version) VALUES `+strings.Join(pools, ", "))
	}
	for i, r := range n.rows {
		value := `'int', ` + fmt.Sprint(i) + `, NULL`
		if r.key == keyContains {
			value = `'relation', NULL, ` + fmt.Sprint(100+r.out)
		}
		rows = append(rows, fmt.Sprintf("(%d, %d, '%s', %s, 1, %s)", 100+first+i, 100+r.in, r.key, value, ended[r.alive]))
	}
	execute(t, s, `INSERT INTO entity_attrs (attr_id, entity_id, "key", datatype, int_value, relation_id, version, deleted_at_version) VALUES `+strings.Join(rows, ", "))
}

// merged says what a merged read of a pool gives, by a walk that remembers the
// whole of each way: one to each pool of a level, the first.
func (n *nest) merged(q clusto.AttrQuery, root int) (out []string) {
	level := [][]int{{root}}
	for distance := 0; len(level) > 0; distance++ {
		var next [][]int
		for _, way := range level {
			here := way[len(way)-1]
			for i, r := range n.rows {
				if r.alive && r.in == here && (q.Key == "" && (q.Hidden || r.key[0] != '_') || r.key == q.Key) {
					value := fmt.Sprint(i)
					if r.key == keyContains {
						value = fmt.Sprintf("/pool/p%d", r.out)
					}
					out = append(out, fmt.Sprintf("%s %s from /pool/p%d at %d", r.key, value, here, distance))
				}
				known := func(way []int) bool { return way[len(way)-1] == r.in }
				if q.Merge && r.alive && r.key == keyContains && r.out == here && n.pools[r.in] &&
					!slices.Contains(way, r.in) && !slices.ContainsFunc(next, known) {
					next = append(next, append(slices.Clone(way), r.in))
				}
			}
		}
		slices.SortFunc(next, func(a, b []int) int { return a[len(a)-1] - b[len(b)-1] })
		level = next
	}
	return out
}

// check compares the attributes of the first pools with those of the walk.
func (n *nest) check(t *testing.T, s *Store, first int) {
	t.Helper()
	execute(t, s, `DELETE FROM entity_attrs WHERE entity_id >= 100`)
	execute(t, s, `DELETE FROM entities WHERE entity_id >= 100`)
	n.write(t, s)
	for root, alive := range n.pools[:first] {
		for _, q := range []clusto.AttrQuery{{Merge: true}, {Merge: true, Hidden: true}, {Merge: true, Key: "b"}, {Merge: true, Key: keyContains}, {Hidden: true}, {}} {
			if !alive {
				continue
			}
			q.Name = fmt.Sprintf("p%d", root)
			attrs, err := s.Attrs(t.Context(), q)
			must(t, err)
			got := []string{}
			for _, a := range attrs {
				got = append(got, fmt.Sprintf("%s %s from %s at %d", a.Key, a.Value.Text(), a.Origin, a.Distance))
			}
			if want := n.merged(q, root); !slices.Equal(got, want) {
				t.Fatalf("%+v\n%+v:\ngot  %q\nwant %q", n, q, got, want)
			}
		}
	}
}

// randomNest has cycles, pools inside themselves, twice inside another and at
// several distances, attributes that are hidden, and some of everything deleted.
func randomNest(r *rand.Rand) *nest {
	n := new(nest)
	for range 2 + r.IntN(8) {
		n.pools = append(n.pools, r.IntN(8) > 0)
	}
	any := func() int { return r.IntN(len(n.pools)) }
	for range r.IntN(3 * len(n.pools)) {
		n.put(any(), any())
	}
	for range 2 * len(n.pools) {
		n.rows = append(n.rows, nestRow{true, any(), 0, []string{"a", "b", "z", "_hidden", "_a"}[r.IntN(5)]})
	}
	r.Shuffle(len(n.rows), func(i, j int) { n.rows[i], n.rows[j] = n.rows[j], n.rows[i] })
	for i := range n.rows {
		n.rows[i].alive = r.IntN(8) > 0
	}
	return n
}

// lattice has so many levels of two pools, each in both of the next level: the
// ways through it are two to the power of that.
func lattice(levels int) *nest {
	n := new(nest)
	for i := range 2 * levels {
		n.pools = append(n.pools, true)
		n.rows = append(n.rows, nestRow{true, i, 0, "a"})
		if up := i - i%2 + 2; up < 2*levels {
			n.put(i, up)
			n.put(i, up+1)
		}
	}
	return n
}

// TestMergedAttrsAreThoseOfAWalk compares merged reads with a walk from container
// to container, for pools inside each other in all sorts of ways.
func TestMergedAttrsAreThoseOfAWalk(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		for seed := range uint64(raceScale(40, 10)) {
			n := randomNest(rand.New(rand.NewPCG(seed, 2)))
			n.check(t, s, len(n.pools))
		}
		lattice(30).check(t, s, 1)
	})
}

// TestPoolAtSeveralDistances: it is given at each of them, and at one of them
// once. A cycle is left where it is entered again.
func TestPoolAtSeveralDistances(t *testing.T) {
	n := lattice(2) // 0 and 1 are each in 2 and 3
	n.put(0, 1)
	n.put(2, 0)
	n.put(2, 3)
	n.put(2, 3)
	want := []string{
		"a 0 from /pool/p0 at 0", "a 3 from /pool/p1 at 1", "a 6 from /pool/p2 at 1", "a 7 from /pool/p3 at 1",
		"a 6 from /pool/p2 at 2", "a 7 from /pool/p3 at 2", "a 7 from /pool/p3 at 3",
	}
	if got := n.merged(clusto.AttrQuery{Merge: true}, 0); !slices.Equal(got, want) {
		t.Errorf("the walk itself gives %q, want %q", got, want)
	}
	eachDatabase(t, func(t *testing.T, open func() *Store) { n.check(t, open(), len(n.pools)) })
}
