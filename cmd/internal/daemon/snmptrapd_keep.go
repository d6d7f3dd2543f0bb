package daemon

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/trap"
)

// keeping is the journal as traps know it. It tells discovery of what was kept.
type keeping struct {
	*journal.Journal
	came func(sw netip.Addr)
	wake func()

	failed atomic.Pointer[error] // of the last group, if it is not on disk, and nothing has been since
}

// Append implements trap.Journal.
func (k *keeping) Append(events []trap.Event) (kept int, err error) {
	kept, err = k.Journal.Append(events)
	k.tell(events[:kept], err)
	return kept, err
}

// AppendAll keeps all events or none: none if ctx ends meanwhile.
func (k *keeping) AppendAll(ctx context.Context, events []trap.Event) error {
	err := k.Journal.AppendAll(ctx, events)
	if err != nil {
		events = nil
	}
	k.tell(events, err)
	return err
}

// tell tells discovery what is kept, and notReady why the rest is not.
func (k *keeping) tell(kept []trap.Event, err error) {
	if len(kept) > 0 {
		for i := range kept {
			k.came(netip.AddrFrom4(kept[i].Switch))
		}
		k.wake()
	}
	k.failed.Store(nil)
	if err != nil && !errors.Is(err, trap.ErrFull) {
		failure := err // err itself stays off the heap
		k.failed.Store(&failure)
	}
}

// retry tries once a second whether a journal that could not be written can be again:
// traps may come seldom.
func (k *keeping) retry(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if failed := k.failed.Load(); failed != nil && k.Try(ctx) == nil {
			k.failed.CompareAndSwap(failed, nil) // unless a group failed meanwhile
		}
	}
}
