package daemon

import (
	"testing"

	"github.com/clusto/clusto-engine/clusto"
)

// TestFetchedAgain: few hosts are fetched one by one, each once; many with all
// others; and what was taken is forgotten.
func TestFetchedAgain(t *testing.T) {
	var f feed
	f.init()
	few := []clusto.MAC{{1}, {2}, {1}}
	f.want(few...)
	f.want(few...)
	if macs, all := f.take(); len(macs) != 2 || all || len(f.wake) != 1 {
		t.Errorf("%v, all %v, %d tokens", macs, all, len(f.wake))
	}
	for i := range 3 * refetchMost {
		f.want(clusto.MAC{byte(i >> 16), byte(i >> 8), byte(i)})
	}
	if macs, all := f.take(); !all || len(macs) > refetchMost+1 {
		t.Errorf("%d, all %v", len(macs), all)
	}
	if macs, all := f.take(); len(macs) != 0 || all {
		t.Errorf("left: %d, all %v", len(macs), all)
	}
}
