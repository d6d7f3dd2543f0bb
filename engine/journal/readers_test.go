package journal

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/engine/trap"
)

// TestReadersDoNotStarveAppend: events were brought to disk, and informs
// acknowledged, in turn with all workers that read, however many those were.
func TestReadersDoNotStarveAppend(t *testing.T) {
	j, err := Open(t.Context(), Config{File: filepath.Join(t.TempDir(), "events")})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	sw := [4]byte{10, 42, 1, 1}
	if _, err := j.Append(make([]trap.Event, 1)); err != nil {
		t.Fatal(err)
	}
	many := make([]trap.Event, 2000)
	for i := range many {
		many[i].Switch = sw
	}
	if _, err := j.Append(many); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var reading, all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for range 2000 {
		reading.Add(1)
		all.Go(func() {
			reading.Done()
			for ctx.Err() == nil {
				if _, err := j.Next(ctx, sw, 0, len(many)); err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		})
	}
	reading.Wait()
	began := time.Now()
	for range 10 {
		if _, err := j.Append(many[:1]); err != nil {
			t.Fatal(err)
		}
		if n := j.Stats().Waiting; n < len(many) {
			t.Fatalf("%d events wait", n)
		}
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("10 groups took %v beside workers that read", took)
	}
}
