package daemon

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/clusto/clusto-engine/engine/journal"
	"github.com/clusto/clusto-engine/engine/trap"
)

// keeping is the journal as traps know it. It tells discovery of what was kept.
type keeping struct {
	*journal.Journal
	came func(sw netip.Addr)
	wake func()
	room func() bool // waits for room; false if there is to be none. nil: do not wait

	failed atomic.Pointer[error] // of the last group, if it is not on disk
}

// keeping makes it; in a replay it waits for room until ctx is over.
func (s *TrapServer) keeping(ctx context.Context) *keeping {
	k := &keeping{Journal: s.journal, came: s.finds.Came, wake: s.finds.Wake}
	if s.cfg.Replay != "" {
		k.room = func() bool { return s.room(ctx) }
	}
	return k
}

// Append implements trap.Journal.
func (k *keeping) Append(events []trap.Event) (kept int, err error) {
	for {
		n, err := k.Journal.Append(events[kept:])
		if kept += n; n > 0 {
			for _, e := range events[kept-n : kept] {
				k.came(netip.AddrFrom4(e.Switch))
			}
			k.wake()
		}
		k.failed.Store(nil)
		if err != nil && !errors.Is(err, trap.ErrFull) {
			failure := err // err itself stays off the heap
			k.failed.Store(&failure)
		}
		if !errors.Is(err, trap.ErrFull) || k.room == nil || !k.room() {
			return kept, err
		}
	}
}
