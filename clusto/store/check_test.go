package store

import (
	"context"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestLabels: what one operation makes, later ones speak of.
func TestLabels(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		does(t, s, []clusto.Op{
			labelled(create("p", "pool"), "pool"), labelled(entity_("a", "basicserver"), "a"), labelled(entity_("a", "basicserver"), "again"),
			insert("$a", "$pool", 0), attrAt("$pool", "lead", rel("$again")), attrAt("$a", "text", str("$a")),
		}, "+entity p pool pool", "+entity a server basicserver", "+counter p _contains 0",
			"+p _contains - 0 relation ->a", "+p lead - - relation ->a", "+a text - - string $a")
		refused(t, s, clusto.ErrInvalid, "label $a is not defined before", create("$a", "pool"))
		apply(t, s, create("$$a", "pool"))
		if got, err := s.Change(t.Context(), []clusto.Op{labelled(as("has", attrAt("", "lead", rel("a"))), "found"), del("$found")}); err != nil ||
			len(got) != 1 || got[0].Name != "p" {
			t.Errorf("got %v, %v", got, err)
		}
		refused(t, s, clusto.ErrInvalid, `label $b is not defined before`, del("$b"))
		apply(t, s, del("$a"))
		refused(t, s, clusto.ErrInvalid, `stands for "x" already`, labelled(create("x", "pool"), "l"), labelled(create("y", "pool"), "l"))
		refused(t, s, clusto.ErrInvalid, `label "a b"`, labelled(create("x", "pool"), "a b"))
		refused(t, s, clusto.ErrInvalid, `operation "delete" has no "as"`, labelled(del("a"), "l"))
		refused(t, s, clusto.ErrNotFound, `entity "x"`, labelled(create("x", "pool"), "l"), del("x"), attrAt("$l", "k", str("v")))
	})
}

// hasOrLacks is what is asked of the site of TestHasAndLacks, and whether it is so.
var hasOrLacks = []struct {
	op  clusto.Op
	has bool
}{
	{clusto.Op{Name: "dc"}, true},
	{clusto.Op{Name: "nobody"}, false},
	{clusto.Op{Name: "dc", Driver: "equinixdatacenter"}, true},
	{clusto.Op{Name: "dc", Driver: "basicdatacenter"}, false},
	{delAt("dc", "note"), true},
	{delAt("dc", "notes"), false},
	{delAt("dc", "note/x"), true},
	{delAt("dc", "note/"), true},
	{delAt("dc", "note/y"), false},
	{delAt("dc", "note/x/3"), true},
	{delAt("dc", "note/x/4"), false},
	{clusto.Op{Name: "dc", Key: "note", Subkey: ptr("")}, false}, // none at all
	{clusto.Op{Name: "dc", Key: "day", Subkey: ptr("")}, true},
	{attrAt("dc", "note", str("7")), true},
	{attrAt("dc", "note", num(7)), false},
	{attrAt("dc", "day", clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 03:04:05"}), true},
	{attrAt("dc", "day", clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 03:04:06"}), false},
	{attrAt("", "day", clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 03:04:05"}), true},
	{attrAt("dc", "_contains", rel("r1")), true},
	{attrAt("dc", "_contains//0", rel("r1")), true},
	{attrAt("dc", "_contains//1", rel("r1")), false},
	{attrAt("dc", "_contains", rel("ex0000")), false},
	{attrAt("dc", "_contains", rel("nobody")), false},
	{attrAt("", "_contains", rel("r1")), true},
	{attrAt("", "port-nic-eth/mac", str("00-11-22-33-44-55")), true},
	{attrAt("twin", "port-nic-eth/mac", str("00-11-22-33-44-55")), true},
	{attrAt("", "port-nic-eth/mac/3", str("00-11-22-33-44-55")), false},
	{attrAt("", "dhcp/enabled", num(1)), true},
	{attrAt("", "dhcp/enabled", num(2)), false},
	{delAt("", "dhcp/tftp_server"), true},
	{clusto.Op{Key: "dhcp", Driver: "pool"}, true},
	{clusto.Op{Key: "dhcp", Driver: "basicserver"}, false},
}

func TestHasAndLacks(t *testing.T) {
	eachDatabase(t, func(t *testing.T, open func() *Store) {
		s := open()
		apply(t, s, example()...)
		apply(t, s, attrAt("dc", "note/x/3", str("7")), attrAt("dc", "day", clusto.Value{Type: clusto.Datetime, Str: "2010-01-02 03:04:05"}), create("twin", "basicserver"),
			as("set", attrAt("twin", "port-nic-eth/mac/2", str("00:11:22:33:44:55"))))
		execute(t, s, `UPDATE entity_attrs SET string_value = '0011.2233.4455' WHERE "key" = 'port-nic-eth' AND number = 2`)
		for _, tt := range hasOrLacks {
			for _, word := range []string{"has", "lacks"} {
				_, err := s.Change(context.Background(), []clusto.Op{as(word, tt.op)})
				if holds := err == nil; holds != (tt.has == (word == "has")) {
					t.Errorf("%s %+v: %v", word, tt.op, err)
				}
			}
		}
		// It sees what earlier operations of the list did.
		does(t, s, []clusto.Op{
			attrAt("dc", "new", str("x")), as("has", attrAt("", "new", str("x"))), as("has", attrAt("dc", "new", str("x"))),
			delAt("dc", "new"), as("lacks", attrAt("", "new", str("x"))), as("lacks", delAt("dc", "new")),
		})
		for says, op := range map[string]clusto.Op{
			`entity "nobody" does not exist`:                    as("has", clusto.Op{Name: "nobody"}),
			"driver equinixdatacenter, has no attribute note y": as("has", delAt("dc", "note/y")),
			`no entity has attribute dhcp x = "1"`:              as("has", attrAt("", "dhcp/x", num(1))),
			`entity "dc" exists, it is /datacenter/dc`:          as("lacks", clusto.Op{Name: "dc"}),
			`/datacenter/dc has attribute note x 3`:             as("lacks", delAt("dc", "note/x/3")),
			`several entities have`:                             labelled(as("has", attrAt("", "port-nic-eth/mac", str("00:11:22:33:44:55"))), "l"),
		} {
			refused(t, s, clusto.ErrConflict, says, op)
		}
		refused(t, s, clusto.ErrInvalid, "give a name", clusto.Op{Op: "has"})
		refused(t, s, clusto.ErrInvalid, "need a key", clusto.Op{Op: "lacks", Name: "dc", Subkey: ptr("x")})
		refused(t, s, clusto.ErrInvalid, "parse MAC", as("lacks", attrAt("", "port-nic-eth/mac", str("00:11"))))
	})
}
