package client

import (
	"context"
	"slices"
	"sync"
)

// gate lets a few in at once, in the order in which they came. Who is patient
// gets in only while nobody else is in or waits.
type gate struct {
	size int

	mu      sync.Mutex
	busy    int
	urgent  []chan struct{} // closed when its owner is let in
	patient []chan struct{}
}

// enter waits for its turn. Unless it returns an error, that of ctx, leave has
// to be called.
func (g *gate) enter(ctx context.Context, patient bool) error {
	queue, in := &g.urgent, make(chan struct{})
	if patient {
		queue = &g.patient
	}
	g.mu.Lock()
	*queue = append(*queue, in)
	g.admit()
	g.mu.Unlock()
	select {
	case <-in:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(*queue, in)
	if i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
		g.admit() // who was patient behind it
	}
	g.mu.Unlock()
	if i < 0 { // let in at the last moment
		g.leave()
	}
	return context.Cause(ctx)
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.busy--
	g.admit()
}

// admit lets in who may go. The gate is locked.
func (g *gate) admit() {
	for len(g.urgent) > 0 && g.busy < g.size {
		g.next(&g.urgent)
	}
	if len(g.patient) > 0 && g.busy == 0 {
		g.next(&g.patient)
	}
}

func (g *gate) next(queue *[]chan struct{}) {
	close((*queue)[0])
	*queue = (*queue)[1:]
	g.busy++
}
