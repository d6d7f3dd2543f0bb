package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

func delAt(name, at string) clusto.Op {
	op := as("del", attrAt(name, at, clusto.Value{}))
	op.Value = nil
	return op
}

// TestAddSetDelAsTheOriginal follows what the original's addattr, setattr and
// delattr did to an empty pool of its site.
func TestAddSetDelAsTheOriginal(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		const p = "empty-pool"
		add := func(at string, v clusto.Value) []clusto.Op { return []clusto.Op{as("add", attrAt(p, at, v))} }
		set := func(at string, v clusto.Value) []clusto.Op { return []clusto.Op{as("set", attrAt(p, at, v))} }
		does(t, s, add("owner", str("alice")), "+empty-pool owner - - string alice")
		does(t, s, add("owner", str("bob")), "+empty-pool owner - - string bob")
		does(t, s, add("owner", str("alice")), "+empty-pool owner - - string alice") // an exact duplicate
		does(t, s, add("dhcp/lease_time", num(7200)), "+empty-pool dhcp lease_time - int 7200")
		does(t, s, add("big", num(large(s))), fmt.Sprint("+empty-pool big - - int ", large(s)))
		does(t, s, add("spare", rel("/server/s0010")), "+empty-pool spare - - relation ->s0010")
		does(t, s, add("disk/size/3", str("500")), "+empty-pool disk size 3 string 500")
		does(t, s, add("num//-5", str("x")), "+empty-pool num - -5 string x")
		does(t, s, add("sub/", str("x")), "+empty-pool sub - - string x")
		does(t, s, add("_hidden", str("x")), "+empty-pool _hidden - - string x")

		does(t, s, set("colour", str("red")), "+empty-pool colour - - string red")
		does(t, s, set("colour", str("red")))
		does(t, s, set("colour", str("blue")), "-empty-pool colour - - string red", "+empty-pool colour - - string blue")
		does(t, s, set("disk/size/3", str("750")), "-empty-pool disk size 3 string 500", "+empty-pool disk size 3 string 750")
		does(t, s, set("disk/size/4", num(80)), "+empty-pool disk size 4 int 80")
		does(t, s, set("disk/size", str("nonumber")), "+empty-pool disk size - string nonumber")
		does(t, s, set("disk/size/4", str("80")), "-empty-pool disk size 4 int 80", "+empty-pool disk size 4 string 80")
		// The original lets a port take the MAC of another; attr does not.
		does(t, s, []clusto.Op{as("set", attrAt("s0018", "port-nic-eth/mac/1", str("00-1E-C9-00-00-13")))},
			"+s0018 port-nic-eth mac 1 string 00:1e:c9:00:00:13")
		refused(t, s, clusto.ErrConflict, "3 attributes have that key", set("owner", str("carol"))...)
		refused(t, s, clusto.ErrConflict, "already on /server/s001", attrAt("s0017", "port-nic-eth/mac/1", str("00:1e:c9:00:00:13")))

		one := func(op clusto.Op) []clusto.Op { return []clusto.Op{op} }
		does(t, s, one(delAt(p, "nosuch")))
		does(t, s, one(as("del", attrAt(p, "owner", str("bob")))), "-empty-pool owner - - string bob")
		does(t, s, one(as("del", attrAt(p, "spare", rel("/server/s0011")))))
		does(t, s, one(as("del", attrAt(p, "spare", rel("/server/nobody")))))
		does(t, s, one(as("del", attrAt(p, "spare", rel("/server/s0010")))), "-empty-pool spare - - relation ->s0010")
		does(t, s, one(delAt(p, "disk/size/3")), "-empty-pool disk size 3 string 750")
		does(t, s, one(as("del", attrAt(p, "disk/size", num(80)))))
		does(t, s, one(delAt(p, "disk")), "-empty-pool disk size - string nonumber", "-empty-pool disk size 4 string 80")
		does(t, s, one(delAt(p, "owner")), "-empty-pool owner - - string alice", "-empty-pool owner - - string alice")
		does(t, s, one(as("del", attrAt("s0018", "port-nic-eth/mac", str("001e.c900.0013")))), "-s0018 port-nic-eth mac 1 string 00:1e:c9:00:00:13")
		refused(t, s, clusto.ErrInvalid, "the key is missing", clusto.Op{Op: "del", Name: p})
		refused(t, s, clusto.ErrNotFound, `"nobody"`, delAt("nobody", "owner"))
		refused(t, s, clusto.ErrInvalid, `subkey "c d"`, add("a/c d", str("x"))...)
		refused(t, s, clusto.ErrInvalid, "is not within 0 to", add("port-nic-eth/speed/-1", str("x"))...)
	})
}

// TestOddRowsAreDeletedToo: what the original let a client store.
func TestOddRowsAreDeletedToo(t *testing.T) {
	s := original(t, "clusto.sql")
	execute(t, s, `INSERT INTO entity_attrs (entity_id, "key", subkey, number, datatype, string_value, version)
		VALUES (20, 'num', '', 'true', 'string', 'x', 1), (20, 'num', NULL, 2.5, 'string', 'y', 1), (20, 'a.b', NULL, NULL, 'odd', 'z', 1)`)
	apply(t, s, delAt("empty-pool", "num"), delAt("empty-pool", "a.b"))
	for _, line := range facts(t, s) {
		if slices.Contains([]string{"empty-pool num", "empty-pool a.b"}, line[:min(14, len(line))]) {
			t.Errorf("left: %s", line)
		}
	}
}

// TestRemoveAsTheOriginal takes things out of pools and racks of its site.
func TestRemoveAsTheOriginal(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		one := func(op clusto.Op) []clusto.Op { return []clusto.Op{op} }
		does(t, s, one(insert("s0001", "empty-pool", 0)), "+counter empty-pool _contains 0", "+empty-pool _contains - 0 relation ->s0001")
		does(t, s, one(insert("s0001", "empty-pool", 0)))
		does(t, s, one(remove("s0001", "empty-pool")), "-empty-pool _contains - 0 relation ->s0001")
		does(t, s, one(remove("s0001", "empty-pool")))
		// Numbering goes on.
		does(t, s, one(insert("s0003", "empty-pool", 0)),
			"-counter empty-pool _contains 0", "+counter empty-pool _contains 1", "+empty-pool _contains - 1 relation ->s0003")
		// Both rack units of a 2U server go, and come.
		does(t, s, one(remove("s0021", "sv2-r02")), "-sv2-r02 _contains ru 38 relation ->s0021", "-sv2-r02 _contains ru 39 relation ->s0021")
		does(t, s, one(insert("s0021", "sv2-r02", 42)), "+sv2-r02 _contains ru 42 relation ->s0021", "+sv2-r02 _contains ru 43 relation ->s0021")
		does(t, s, one(insert("s0021", "sv2-r02", 42)))
		does(t, s, one(insert("db.example.org", "sv2-r02", 44)), "+sv2-r02 _contains ru 44 relation ->db.example.org")
		does(t, s, []clusto.Op{remove("s0021", "sv2-r02"), insert("s0021", "sv2-r02", 38), remove("s0021", "sv2-r02"), insert("s0021", "sv2-r01", 38)},
			"-sv2-r02 _contains ru 42 relation ->s0021", "-sv2-r02 _contains ru 43 relation ->s0021",
			"+sv2-r01 _contains ru 38 relation ->s0021", "+sv2-r01 _contains ru 39 relation ->s0021")
		// Containment can be deleted as an attribute; what comes after goes by it.
		does(t, s, []clusto.Op{delAt("empty-pool", keyContains), insert("s0003", "empty-pool", 0)},
			"-counter empty-pool _contains 1", "-empty-pool _contains - 1 relation ->s0003",
			"+counter empty-pool _contains 2", "+empty-pool _contains - 2 relation ->s0003")
		refused(t, s, clusto.ErrNotFound, `"nobody"`, remove("nobody", "empty-pool"))
		refused(t, s, clusto.ErrNotFound, `"nowhere"`, remove("s0001", "nowhere"))
	})
}

// TestInsertRefusesAsTheOriginal: the rules of its containers.
func TestInsertRefusesAsTheOriginal(t *testing.T) {
	eachOriginal(t, "clusto.sql", func(t *testing.T, s *Store) {
		apply(t, s, create("excl", "exclusive_pool"), create("u2", "unique_pool"), create("w", "penguinserver2u"), create("z", "basiczone"),
			insert("s0001", "unique-pool", 0), insert("sv2-lb1", "excl", 0))
		for _, tt := range []struct {
			op   clusto.Op
			want error
			says string
		}{
			{insert("sv2-r01", "z", 0), nil, ""},
			{insert("z", "sv2", 0), nil, ""},
			{insert("sv2-r01", "dc2", 0), clusto.ErrConflict, "a thing has one datacenter"},
			{insert("s0010", "s0004", 0), clusto.ErrConflict, "takes only what is in nothing else"},
			{insert("w", "s0004", 0), nil, ""},
			{insert("s0001", "u2", 0), clusto.ErrConflict, "one unique pool is all"},
			{insert("sv2-lb1", "webservers", 0), clusto.ErrConflict, "which is an exclusive pool"},
			{insert("s0001", "excl", 0), clusto.ErrConflict, "an exclusive pool allows no other"},
			{insert("db.example.org", "sv2-r02", 1), clusto.ErrConflict, "taken by /server/s0019"},
			{insert("db.example.org", "sv2-r02", 46), clusto.ErrInvalid, "not within 1 to 45"},
			{insert("w", "sv2-r02", 45), clusto.ErrInvalid, "rack units 45 to 46"},
			{insert("w", "sv2-r01", 35), clusto.ErrConflict, "rack unit 36 is taken by /networkswitch/sv2-r01-sw1"},
			{insert("webservers", "sv2-r02", 44), clusto.ErrInvalid, "only devices go into a rack"},
			{insert("s0001", "sv2-r02", 44), clusto.ErrConflict, "one rack"},
			{insert("webservers", "webservers", 0), clusto.ErrConflict, "it would contain itself"},
			{insert("dc2", "sv2-r01", 3), clusto.ErrInvalid, "only devices"},
			{insert("sv2", "z", 0), clusto.ErrConflict, "it would contain itself"},
		} {
			list := []clusto.Op{create("dc2", "basicdatacenter"), insert("z", "sv2", 0), tt.op}
			if tt.want != nil {
				refused(t, s, tt.want, tt.says, list...)
				continue
			}
			if err := s.Apply(t.Context(), append(list, del("dc2"), remove("z", "sv2"), remove(tt.op.Name, tt.op.Into))); err != nil {
				t.Errorf("%v: %v", tt.op, err)
			}
		}
	})
}
