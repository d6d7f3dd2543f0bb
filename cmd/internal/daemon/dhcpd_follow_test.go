package daemon

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"path"
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

// refetched has a server fetch as many hosts one by one as it ever does, from an
// inventory that answers for each as it is told to.
func refetched(t *testing.T, answer func(s *DHCPServer, w http.ResponseWriter, r *http.Request)) (ok bool, loads int64) {
	t.Helper()
	var s *DHCPServer
	var asked atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v2/version" {
			_, _ = w.Write([]byte(`{"api":2}`))
			return
		}
		asked.Add(1)
		answer(s, w, r)
	}))
	defer srv.Close()
	s = bareKeeper(t, srv.URL, "", &bytes.Buffer{})
	s.feed.init()
	defer s.client.Close()
	ok = s.fetchThese(context.Background(), manyMACs(refetchMost))
	return ok, asked.Load()
}

func manyMACs(n int) []clusto.MAC {
	macs := make([]clusto.MAC, n)
	for i := range macs {
		macs[i] = keptMAC(i)
	}
	return macs
}

// TestHostsAreFetchedAgainUntilOneFails: two thousand hosts changed, and the
// inventory fails. It was asked for each, and one that hung kept the changes of
// a quarter of an hour from being fetched.
func TestHostsAreFetchedAgainUntilOneFails(t *testing.T) {
	ok, loads := refetched(t, func(_ *DHCPServer, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	})
	if ok || loads > 3*refetchLoads {
		t.Errorf("%v, %d loads of an inventory that fails", ok, loads)
	}
}

// TestHostsAreFetchedAgainUntilAllAre: word of a change of very many comes in
// pieces. The first was fetched host by host, and the rest waited for its end.
func TestHostsAreFetchedAgainUntilAllAre(t *testing.T) {
	ok, loads := refetched(t, func(s *DHCPServer, w http.ResponseWriter, r *http.Request) {
		s.feed.want(manyMACs(refetchMost + 1)...)
		_, _ = w.Write([]byte(`{"mac":"` + path.Base(r.URL.Path) + `"}`))
	})
	if !ok || loads > 3*refetchLoads {
		t.Errorf("%v, %d loads though all hosts are to be fetched", ok, loads)
	}
}
