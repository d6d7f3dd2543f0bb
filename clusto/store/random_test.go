package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestOneChangeIsManyChanges applies random operations one by one, and those
// that were not refused at once: what a change remembers must be what the
// database would say.
func TestOneChangeIsManyChanges(t *testing.T) {
	rounds := 80
	if raceDetector {
		rounds = 15
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		setup := append(network("lan", "10.0.0.0", "255.255.255.240", "10.0.0.1"),
			create("names", "simpleentitynamemanager"), create("plain", "simplenamemanager"), create("rack", "basicrack"), create("dc", "basicdatacenter"),
			create("ep", "exclusive_pool"), create("p", "pool"), create("q", "pool"), create("a", "basicserver"), create("b", "penguinserver2u"), create("sw", "cisco4948"))
		single, whole := openTest(t, ":memory:"), openTest(t, ":memory:")
		apply(t, single, setup...)
		apply(t, whole, setup...)
		var list []clusto.Op
		for range 40 {
			op := randomOp(r)
			err := single.Apply(t.Context(), []clusto.Op{op})
			if err == nil {
				list = append(list, op)
				continue
			}
			if !isRefusal(err) {
				t.Fatalf("seed %d: %+v: %v", seed, op, err)
			}
			// The list stops there too, for the same reason.
			_, again := whole.Change(t.Context(), append(slices.Clone(list), op))
			var at *clusto.OpError
			if !errors.As(again, &at) || at.Index != len(list) || at.Err.Error() != errors.Unwrap(err).Error() {
				t.Fatalf("seed %d: after %s\n%s is refused with %v, alone with %v", seed, texts(list), texts([]clusto.Op{op}), again, err)
			}
		}
		apply(t, whole, list...)
		want, got := facts(t, single), facts(t, whole)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %s\n: at once it comes to\n%s", seed, texts(list), strings.Join(changes(want, got), "\n"))
		}
	}
}

func texts(ops []clusto.Op) string {
	var out []string
	for _, op := range ops {
		out = append(out, fmt.Sprintf("%s %s key=%s sub=%s value=%v into=%s ru=%d ip=%s port=%s %s to=%s %s", op.Op, op.Name, op.Key, subkeyOf(&op), op.Value,
			op.Into, op.RU, op.IP, op.Port, op.Num, op.To, op.ToNum))
	}
	return strings.Join(out, "\n")
}

func randomOp(r *rand.Rand) clusto.Op {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	name := func() string { return one("a", "b", "sw", "01", "02", "p", "q", "ep", "rack", "dc", "new", "lan") }
	server := func() string { return one("a", "b", "01", "02", "new") }
	at := func() string {
		return one("note", "note/x", "note/x/1", "note//1", "port-nic-eth/mac/1", "port-nic-eth/mac/2", "ip/ipstring/0", "_contains", "hostname")
	}
	value := func() clusto.Value {
		return []clusto.Value{str("x"), str("y"), num(1), rel("a"), rel("p"), str("10.0.0.5"), str("02:00:00:00:00:01"), str("02-00-00-00-00-02")}[r.IntN(8)]
	}
	switch r.IntN(17) {
	case 0:
		return create(one("new", "a", "p", "q", "b"), one("pool", "basicserver"))
	case 1:
		return del(name())
	case 2, 3:
		return as(one("attr", "add", "set", "has", "lacks"), attrAt(name(), at(), value()))
	case 4:
		return delAt(name(), at())
	case 5:
		return as("del", attrAt(name(), at(), value()))
	case 6, 7:
		return insert(name(), one("p", "q", "ep", "dc", "a"), 0)
	case 8:
		return insert(name(), "rack", r.IntN(6))
	case 9:
		return remove(name(), one("p", "q", "ep", "rack", "dc"))
	case 10:
		return bind(server(), fmt.Sprintf("10.0.0.%d", r.IntN(16)), one("", "eth0", "eth1"))
	case 11:
		return clusto.Op{Op: "unbind", Name: server(), IP: fmt.Sprintf("10.0.0.%d", 1+r.IntN(15))}
	case 12:
		return allocateTo(one("lan", "lan", "plain"), server())
	case 13:
		return allocateEntity("names", "basicserver")
	case 14:
		return connect(server(), "nic-eth", one("1", "2"), one("sw", "a", "b"), one("1", "2", "3"))
	case 15:
		return disconnect(name(), "nic-eth", one("1", "2", "3"))
	}
	return as("raw", clusto.Op{Name: name(), Key: one("note", "_contains", "port-nic-eth"), Values: []clusto.Value{value()}})
}
