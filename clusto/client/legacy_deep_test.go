package client_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
)

// TestPoolsOfTheOriginalAHundredDeep: an option of the outermost pool is the
// host's all the same. Both walks ended after 64 containers without a word. A
// cycle on top of them ends the walk.
func TestPoolsOfTheOriginalAHundredDeep(t *testing.T) {
	t.Parallel()
	const deep = 100
	var b strings.Builder
	b.WriteString("servers:\n  s: {in: p1, mac: 02:00:00:00:00:01}\npools:\n")
	for i := 1; i < deep; i++ {
		fmt.Fprintf(&b, "  p%d: {in: p%d}\n", i, i+1)
	}
	fmt.Fprintf(&b, "  p%d: {dhcp: {enabled: 1, domain: example.org}}\n", deep)
	s := newSite(t, b.String(), "")
	fatal(t, s.Apply(t.Context(), []clusto.Op{{Op: "insert", Name: fmt.Sprint("p", deep), Into: "p1", Cycle: true}}))
	l := newLegacy(t, standIn(t, s, false).URL)
	h, err := l.Host(t.Context(), clusto.MAC{2, 0, 0, 0, 0, 1})
	if err != nil || !h.Enabled || len(h.Attrs) == 0 || h.Attrs[0].Distance != deep {
		t.Errorf("%+v, %v", h, err)
	}
	attrs, err := l.Attrs(t.Context(), clusto.AttrQuery{Name: "s", Key: "dhcp", Merge: true})
	if err != nil || len(attrs) != 2 || attrs[0].Distance != deep {
		t.Errorf("%+v, %v", attrs, err)
	}
}

// TestOriginalRefusesAnUndefinedLabel, in every place where one may be: it was
// taken for a name, and so was that of another list.
func TestOriginalRefusesAnUndefinedLabel(t *testing.T) {
	s := newSteps(t, "201001", 1)
	l, err := client.NewLegacy(client.Config{URL: s.url})
	fatal(t, err)
	defer l.Close()
	str := &clusto.Value{Type: clusto.String, Str: "v"}
	rel := &clusto.Value{Type: clusto.Relation, Str: "$new"}
	for _, op := range []clusto.Op{
		{Op: "attr", Name: "$new", Key: "k", Value: str},
		{Op: "add", Name: "net", Key: "k", Value: rel},
		{Op: "has", Name: "$new", Key: "k"},
		{Op: "lacks", Name: "$new", Key: "k"},
		{Op: "lacks", Name: "net", Key: "k", Value: rel},
		{Op: "insert", Name: "net", Into: "$new", RU: 1},
		{Op: "connect", Name: "r0-sw1", Port: "nic-eth", Num: "9", To: "$new", ToNum: "1"},
		{Op: "allocate", Name: "$new", Driver: "penguinserver"},
	} {
		_, err := l.Change(t.Context(), []clusto.Op{op})
		if !errors.Is(err, clusto.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "label $new is not defined before, and no entity has that name") {
			t.Errorf("%s: %v", op.Op, err)
		}
	}
	fatal(t, s.store.Apply(t.Context(), []clusto.Op{{Op: "entity", Name: "$$new", Driver: "pool"}}))
	if _, err := l.Change(t.Context(), []clusto.Op{{Op: "add", Name: "$new", Key: "k", Value: str}, {Op: "add", Name: "net", Key: "k", Value: rel}}); err != nil {
		t.Errorf("the name of an entity: %v", err)
	}
}
