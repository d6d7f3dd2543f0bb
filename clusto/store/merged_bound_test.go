package store

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestMergedAnswerIsBounded was an answer of 85 MB: each of 200 pools is inside
// all later ones, so that each is at as many distances.
func TestMergedAnswerIsBounded(t *testing.T) {
	const pools, attrs = 200, 30
	n := new(nest)
	for i := range pools {
		n.pools = append(n.pools, true)
		for range attrs {
			n.rows = append(n.rows, nestRow{true, i, 0, "a"})
		}
		for up := i + 1; up < pools; up++ {
			n.put(i, up)
		}
	}
	s := openTest(t, kinds["sqlite"](t))
	for first := range n.rows { // many rows in one statement are more than it takes
		if first%5000 == 0 {
			part := nest{rows: n.rows[first:min(first+5000, len(n.rows))]}
			if first == 0 {
				part.pools = n.pools
			}
			part.writeFrom(t, s, first)
		}
	}
	for q, refused := range map[clusto.AttrQuery]bool{
		{Name: "p0", Merge: true}:                   true,
		{Name: "p0", Merge: true, Key: "a"}:         true,
		{Name: "p0", Merge: true, Key: keyContains}: true,
		{Name: "p0", Merge: true, Key: "b"}:         false,
		{Name: "p199", Hidden: true}:                false,
		{Name: "p150", Merge: true}:                 false,
	} {
		got, err := s.Attrs(t.Context(), q)
		if !refused && err != nil || refused && (!errors.Is(err, clusto.ErrInvalid) || !strings.Contains(err.Error(), "of /pool/p0 with those of its containers: more than 200000")) {
			t.Errorf("%+v: %d attributes, %v", q, len(got), err)
		}
	}
}

// asked counts how often a context is asked.
type asked struct {
	context.Context
	times, until int
}

func (a *asked) Err() error {
	if a.times++; a.times > a.until {
		return context.Canceled
	}
	return nil
}

// TestMergedWalkEndsWithinALevel asked once for each level, whatever it had.
func TestMergedWalkEndsWithinALevel(t *testing.T) {
	all := above{1: {path: "/pool/p"}}
	for id := int64(2); id < 10_000; id++ {
		all[1].containers = append(all[1].containers, id)
		all[id] = &held{attrs: make([]clusto.Attr, 10)}
	}
	ctx := &asked{Context: t.Context(), until: 10}
	w := walk{ctx: ctx, all: all}
	if got, err := w.merged(1); !errors.Is(err, context.Canceled) || ctx.times != 11 {
		t.Errorf("%d attributes, %v, after asking %d times", len(got), err, ctx.times)
	}
}
