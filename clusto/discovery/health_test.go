package discovery

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestHealthIsToldOnce: calls of several switches overlap, so that one begun
// before the inventory failed ended well afterwards, and told that it was back.
func TestHealthIsToldOnce(t *testing.T) {
	var log syncBuffer
	h := health{log: slog.New(slog.NewTextHandler(&log, nil))}
	early := time.Now()
	tick := func() time.Time {
		for t0 := time.Now(); ; {
			if now := time.Now(); now.After(t0) {
				return now
			}
		}
	}
	h.failed(tick(), errChanged)
	h.works(early)
	h.failed(tick(), errChanged)
	late := tick()
	h.works(tick())
	h.failed(late, errChanged)
	h.works(tick())
	if text := log.String(); strings.Count(text, "the inventory fails") != 1 || strings.Count(text, "answers again") != 1 {
		t.Errorf("it says %s", text)
	}
}
