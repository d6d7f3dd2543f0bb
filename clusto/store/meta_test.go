package store

import (
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestSchemaVersionIsNobodysToChange was a database that a client could make one
// that no start opens.
func TestSchemaVersionIsNobodysToChange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		at := func(v clusto.Value) clusto.Op { return attrAt(metaName, "schemaversion/property", v) }
		for _, op := range []clusto.Op{
			as("add", at(num(99))), as("set", at(num(99))), at(num(99)),
			as("add", attrAt(metaName, "schemaversion/other/7", num(99))), as("set", attrAt(metaName, "schemaversion", str("4"))),
			delAt(metaName, "schemaversion"), as("del", at(num(3))),
			{Op: "raw", Name: metaName, Key: "schemaversion", Subkey: ptr("property"), Values: []clusto.Value{num(99)}},
			{Op: "raw", Name: metaName, Key: "schemaversion", Subkey: ptr("property")},
		} {
			refused(t, s, clusto.ErrConflict, "attribute schemaversion of /clustometa/clustometa: it says which schema the database has", op)
		}
		does(t, s, []clusto.Op{as("set", at(num(3))), as("set", attrAt(metaName, "note", str("x")))}, "+clustometa note - - string x")
		does(t, s, []clusto.Op{delAt(metaName, "note")}, "-clustometa note - - string x")
		apply(t, s, create("p", "pool"), as("add", attrAt("p", "schemaversion/property", num(99))))
		if err := s.checkVersion(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestThereIsOneClustometa was a second one for whoever asked, also where many
// are made with one statement.
func TestThereIsOneClustometa(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		const says = "there is one clustometa only"
		refused(t, s, clusto.ErrInvalid, says, create("x", metaName))
		refused(t, s, clusto.ErrInvalid, says, entity_("x", metaName))
		refused(t, s, clusto.ErrInvalid, says, entity_("a", "pool"), entity_("b", "pool"), entity_("x", metaName))
		refused(t, s, clusto.ErrInvalid, says, clusto.Op{Op: "create", Name: "x", Driver: "mine", Type: metaName})
		does(t, s, []clusto.Op{entity_(metaName, metaName)})
	})
}
