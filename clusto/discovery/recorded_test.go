package discovery

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// effect is what one trap did to the original's database.
type effect struct {
	What   string
	Effect struct {
		EntitiesAdded []struct{ Name, Driver, Type string } `json:"entities_added"`
		AttrsAdded    []struct {
			Entity, Key, Datatype string
			Subkey                *string
			Number                *int
			Value                 any
		} `json:"attrs_added"`
		CountersChanged []struct {
			Entity string
			Key    string `json:"attr_key"`
			After  int64
		} `json:"counters_changed"`
	}
}

func effects(t *testing.T) (all []effect) {
	t.Helper()
	data, err := os.ReadFile("testdata/trap-effects.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// rows are attributes as texts, the new servers being called NEW, NEW2 ...
func (e *effect) rows() (rows []string) {
	for _, a := range e.Effect.AttrsAdded {
		value := fmt.Sprint(a.Value)
		if f, ok := a.Value.(float64); ok {
			value = fmt.Sprint(int64(f))
		}
		rows = append(rows, row(a.Entity, a.Key, a.Subkey, a.Number, a.Datatype, strings.TrimPrefix(value, "->")))
	}
	for i, n := range e.Effect.EntitiesAdded {
		rows = append(rows, "entity "+n.Name+" "+n.Type+" "+n.Driver)
		rows = rename(rows, n.Name, i)
	}
	slices.Sort(rows)
	return rows
}

func rename(rows []string, name string, i int) (out []string) {
	for _, r := range rows {
		out = append(out, strings.ReplaceAll(r, name, fmt.Sprintf("NEW%d", i)))
	}
	return out
}

func row(entity, key string, sub *string, number *int, datatype, value string) string {
	n := "-"
	if number != nil {
		n = fmt.Sprint(*number)
	}
	s := "-"
	if sub != nil {
		s = *sub
	}
	return strings.Join([]string{entity, key, s, n, datatype, value}, " ")
}

// snapshot gives every attribute of every entity as texts.
func snapshot(t *testing.T, s *store.Store) (rows map[string]bool, names []string) {
	t.Helper()
	rows = map[string]bool{}
	err := s.Objects(t.Context(), func(o *clusto.Object) error {
		names = append(names, o.Name)
		rows["entity "+o.Name+" "+o.Type+" "+o.Driver] = true
		for i := range o.Attrs {
			a := &o.Attrs[i]
			value := a.Value.Text()
			if a.Value.Type == clusto.Relation {
				value = value[strings.LastIndex(value, "/")+1:]
			}
			rows[row(o.Name, a.Key, a.Subkey, a.Number, string(a.Value.Type), value)] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rows, names
}

// added gives what is new, the new servers being called NEW0 ...
func added(t *testing.T, s *store.Store, before map[string]bool, old []string) (rows []string) {
	t.Helper()
	after, names := snapshot(t, s)
	for r := range maps.Keys(after) {
		if !before[r] {
			rows = append(rows, r)
		}
	}
	i := 0
	for _, n := range names {
		if !slices.Contains(old, n) {
			rows = rename(rows, n, i)
			i++
		}
	}
	slices.Sort(rows)
	return rows
}

// TestRecordedEffects: a trap does to the database what it did with the
// original, but for the differences named.
func TestRecordedEffects(t *testing.T) {
	all := effects(t)
	first := learnt("00:1e:c9:00:0a:01", 25)
	for _, c := range []struct {
		n      int // of the record
		events []Event
		want   map[string]uint64
		less   bool   // the original did more: that is not compared
		why    string // and why we do not
	}{
		{n: 0, events: []Event{first}, want: map[string]uint64{"created": 1}},
		{n: 1, events: []Event{first, first}, want: map[string]uint64{"created": 1, "known": 1}, less: true, why: "the first one is part of this"},
		{n: 7, events: []Event{learnt("00:1e:c9:00:0a:04", 26)}, want: map[string]uint64{"created": 1}},
		{n: 13, events: []Event{learnt("00:1e:c9:00:0a:0d", 24)}, want: map[string]uint64{"created": 1}},
		{n: 14, events: []Event{learnt("00:1e:c9:00:0a:0e", 23)}, want: map[string]uint64{"created": 1}},
		{n: 15, events: []Event{from("10.42.0.77", learnt("00:1e:c9:00:0a:0f", 22))}, want: map[string]uint64{"unknown_switch": 1}},
		{
			n: 16, events: []Event{from("10.42.0.6", learnt("00:1e:c9:00:0a:10", 22))}, want: map[string]uint64{"unknown_switch": 1},
			less: true, why: "the source must be an entity of type networkswitch",
		},
		{
			n: 17, events: []Event{from("10.43.0.2", learnt("00:1e:c9:00:0a:11", 20))}, want: map[string]uint64{"off": 1},
			less: true, why: "the most specific snmp/discovery decides, so 0 on a switch switches it off",
		},
		{
			n: 18, events: []Event{learnt("00:1e:c9:00:0a:12", 40)}, want: map[string]uint64{"unmapped": 1},
			less: true, why: "a port that the layout does not map creates nothing: a failing step leaves no orphan",
		},
	} {
		t.Run(all[c.n].What, func(t *testing.T) {
			eachSite(t, func(t *testing.T, s *store.Store) {
				before, names := snapshot(t, s)
				l := newLab(t, s)
				l.send(c.events...)
				if got := l.outcomes(); !maps.Equal(got, c.want) {
					t.Errorf("outcomes %v, want %v\n%s", got, c.want, l.log)
				}
				got, want := added(t, s, before, names), all[c.n].rows()
				if c.less {
					if slices.Equal(got, want) {
						t.Errorf("there is no difference: %s", c.why)
					}
					return
				}
				if !slices.Equal(got, want) {
					t.Errorf("added\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		})
	}
}

func from(sw string, ev Event) Event {
	ev.Switch = netip.MustParseAddr(sw)
	return ev
}
