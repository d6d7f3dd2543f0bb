package client

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// TestGate: in the order in which they came, the patient ones last and alone.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{size: 2}
		var in []string
		come := func(ctx context.Context, name string, patient bool) {
			go func() {
				if err := g.enter(ctx, patient); err != nil {
					name += ": " + err.Error()
				}
				in = append(in, name)
			}()
			synctest.Wait()
		}
		want := func(names ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(in, names) {
				t.Fatalf("in are %q, want %q", in, names)
			}
			in = nil
		}
		leave := func() { g.leave(); synctest.Wait() }

		come(t.Context(), "walk", true)
		want("walk") // nobody else is here
		come(t.Context(), "walk on", true)
		for i := range 4 {
			come(t.Context(), fmt.Sprint(i), false)
		}
		gone, leaveUs := context.WithCancel(t.Context())
		come(gone, "impatient", false)
		come(t.Context(), "last", false)
		want("0")
		leave()
		want("1")
		leaveUs()
		want("impatient: context canceled")
		leave()
		leave()
		want("2", "3")
		leave()
		want("last")
		leave()
		want() // the walk waits for both to leave
		leave()
		want("walk on")
		leave()
		if g.busy != 0 {
			t.Errorf("%d are in", g.busy)
		}
	})
}

// TestGateLetsNobodyIn who has gone: its turn goes to the next.
func TestGateLetsNobodyIn(t *testing.T) {
	g := &gate{size: 1}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 { // some are let in though they have gone
		if g.enter(gone, false) == nil {
			g.leave()
		}
	}
	if g.busy != 0 || len(g.urgent) != 0 {
		t.Errorf("%d are in, %d wait", g.busy, len(g.urgent))
	}
}
