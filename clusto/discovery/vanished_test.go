package discovery

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/store"
)

// vanishing has no rack any more whenever it is asked for one.
type vanishing struct{ *store.Store }

func (v vanishing) Object(ctx context.Context, name string) (clusto.Object, error) {
	if name == "sv2-r01" {
		return clusto.Object{}, fmt.Errorf("read entity %q: %w", name, clusto.ErrNotFound)
	}
	return v.Store.Object(ctx, name)
}

// TestVanishedThreeTimesHasAReason: the dead letter of an event for which an
// entity was not found, each time after it had been listed, had an empty reason.
func TestVanishedThreeTimesHasAReason(t *testing.T) {
	t.Parallel()
	l := newLab(t, vanishing{openStore(t, originalFile(t))})
	l.send(learnt("00:1e:c9:00:0e:01", 25))
	l.want(map[string]uint64{"refused": 1})
	for _, d := range l.queue.dead {
		if !strings.Contains(d.reason, "sv2-r01") || !strings.Contains(d.reason, "3 times in a row") {
			t.Errorf("dead letter %+v", d)
		}
	}
}
