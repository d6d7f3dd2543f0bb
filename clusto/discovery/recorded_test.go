package discovery

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// recordedAttr is an attribute in the original's database.
type recordedAttr struct {
	ID                    int `json:"attr_id"`
	Entity, Key, Datatype string
	Subkey                *string
	Number                *int
	Value                 any
}

// text is the value; of a relation, the name of what it leads to.
func (a *recordedAttr) text() string {
	if f, ok := a.Value.(float64); ok {
		return fmt.Sprint(int64(f))
	}
	return strings.TrimPrefix(fmt.Sprint(a.Value), "->")
}

func (a *recordedAttr) row() string {
	return row(a.Entity, a.Key, a.Subkey, a.Number, a.Datatype, a.text())
}

// effect is what one notification did to the original's database.
type effect struct {
	What, Source string
	Effect       struct {
		EntitiesAdded []struct {
			ID                 int `json:"entity_id"`
			Name, Driver, Type string
		} `json:"entities_added"`
		AttrsAdded      []recordedAttr `json:"attrs_added"`
		AttrsRemoved    []recordedAttr `json:"attrs_removed"`
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

// rows are what is there afterwards and was not before, and the other way round.
func (e *effect) rows() (rows []string) {
	for _, n := range e.Effect.EntitiesAdded {
		rows = append(rows, "+ entity "+n.Name+" "+n.Type+" "+n.Driver)
	}
	for i := range e.Effect.AttrsAdded {
		rows = append(rows, "+ "+e.Effect.AttrsAdded[i].row())
	}
	for i := range e.Effect.AttrsRemoved {
		rows = append(rows, "- "+e.Effect.AttrsRemoved[i].row())
	}
	slices.Sort(rows)
	return rows
}

// redo has the database of a file changed as it was.
func (e *effect) redo(t *testing.T, file string) {
	t.Helper()
	db, err := sql.Open("sqlite", file+"?_pragma=synchronous(off)") // nothing is to survive a crash
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	exec := func(text string, args ...any) {
		if _, err := db.ExecContext(t.Context(), text, args...); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range e.Effect.EntitiesAdded {
		exec(`INSERT INTO entities (entity_id, name, type, driver, version) VALUES (?, ?, ?, ?, 1)`, n.ID, n.Name, n.Type, n.Driver)
	}
	for i := range e.Effect.AttrsRemoved {
		exec(`DELETE FROM entity_attrs WHERE attr_id = ?`, e.Effect.AttrsRemoved[i].ID)
	}
	const id = `(SELECT entity_id FROM entities WHERE name = ?)`
	for i := range e.Effect.AttrsAdded {
		a := &e.Effect.AttrsAdded[i]
		column, value := map[string]string{"int": "int_value", "string": "string_value", "relation": "relation_id"}[a.Datatype], "?"
		if a.Datatype == "relation" {
			value = id
		}
		exec(`INSERT INTO entity_attrs (attr_id, entity_id, key, subkey, number, datatype, version, `+column+`) VALUES (?, `+id+`, ?, ?, ?, ?, 1, `+value+`)`,
			a.ID, a.Entity, a.Key, a.Subkey, a.Number, a.Datatype, a.text())
	}
	for _, c := range e.Effect.CountersChanged {
		exec(`UPDATE counters SET value = ? WHERE attr_key = ? AND entity_id = `+id, c.After, c.Key, c.Entity)
	}
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

// changed gives what is there now and was not before, and the other way round.
func changed(t *testing.T, s *store.Store, before map[string]bool) (rows []string) {
	t.Helper()
	after, _ := snapshot(t, s)
	for r := range after {
		if !before[r] {
			rows = append(rows, "+ "+r)
		}
	}
	for r := range before {
		if !after[r] {
			rows = append(rows, "- "+r)
		}
	}
	slices.Sort(rows)
	return rows
}

func from(sw string, ev Event) Event {
	ev.Switch = netip.MustParseAddr(sw)
	return ev
}
