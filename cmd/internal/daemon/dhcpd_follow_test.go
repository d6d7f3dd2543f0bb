package daemon

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/engine/dhcp"
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

// TestChangesFasterThanLoads: a host that changes during every load of it is
// loaded a few times, and what came last is no ground for a NAK.
func TestChangesFasterThanLoads(t *testing.T) {
	var s *DHCPServer
	loads := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/v2/hosts/"+keptMAC(1).String() {
			_, _ = w.Write([]byte(`{"api":2}`))
			return
		}
		loads++
		s.hosts.Expire(keptMAC(1))
		_, _ = w.Write([]byte(`{"mac":"` + keptMAC(1).String() + `"}`))
	}))
	defer srv.Close()
	s = bareKeeper(t, srv.URL, "", &bytes.Buffer{})
	defer s.client.Close()
	if p, state, err := s.hosts.Fetch(context.Background(), keptMAC(1)); p == nil || state != dhcp.Stale || err != nil || loads != fetchTries {
		t.Errorf("%v, state %d, %v after %d loads", p, state, err, loads)
	}
}

// TestHostsAreFetchedAgainUntilOneFails: two thousand hosts changed, and the
// inventory fails. It was asked for each, and one that hung kept the changes of
// half an hour from being fetched.
func TestHostsAreFetchedAgainUntilOneFails(t *testing.T) {
	var loads atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/version" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"api":2}`))
			return
		}
		loads.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer srv.Close()
	s := bareKeeper(t, srv.URL, "", &bytes.Buffer{})
	defer s.client.Close()
	macs := make([]clusto.MAC, refetchMost)
	for i := range macs {
		macs[i] = keptMAC(i)
	}
	if s.fetchThese(context.Background(), macs) || loads.Load() > 3*refetchLoads {
		t.Errorf("%d loads of an inventory that fails", loads.Load())
	}
}
