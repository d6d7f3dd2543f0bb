package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/client"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
	"github.com/clusto/clusto-engine/engine/labtest"
)

// Many tests wait for timers, or for the disk.
func TestMain(m *testing.M) {
	labtest.Parallel(8)
	pgtest.Main(m)
}

// heard is a follower who writes down what he is told.
type heard struct {
	t      *testing.T
	mu     sync.Mutex
	names  map[string]int // how often
	resets int
	live   int64 // seq; 0 if it is not live
	lost   error // the last reason
	losses int
	told   chan struct{} // closed when he is told something
}

func (h *heard) note(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.told)
	h.told = make(chan struct{})
}

func (h *heard) Reset()         { h.note(func() { h.resets++; clear(h.names) }) }
func (h *heard) Live(seq int64) { h.note(func() { h.live, h.lost = seq, nil }) }
func (h *heard) Lost(why error) { h.note(func() { h.live, h.lost = 0, why; h.losses++ }) }
func (h *heard) Changed(entities []string, macs []clusto.MAC) {
	h.note(func() {
		for _, e := range entities {
			h.names[e]++
		}
		for _, m := range macs {
			h.names[m.String()]++
		}
	})
}

// until waits for what ok says; it is called with the lock held.
func (h *heard) until(what string, ok func() bool) {
	h.t.Helper()
	late := time.After(20 * time.Second)
	for {
		h.mu.Lock()
		done, told := ok(), h.told
		h.mu.Unlock()
		if done {
			return
		}
		select {
		case <-told:
		case <-late:
			h.t.Fatalf("%s: not in time; live %d, lost %v", what, h.live, h.lost)
		}
	}
}

type following interface {
	Follow(ctx context.Context, f client.Follower)
}

func follow(t *testing.T, c following) *heard {
	t.Helper()
	h := &heard{t: t, names: map[string]int{}, told: make(chan struct{})}
	ctx, end := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.Follow(ctx, h)
	}()
	t.Cleanup(func() { end(); <-over })
	return h
}

func setHostname(t *testing.T, s *store.Store, name, hostname string) {
	t.Helper()
	op := clusto.Op{Op: "attr", Name: name, Key: "hostname", Value: &clusto.Value{Type: clusto.String, Str: hostname}}
	if err := s.Apply(context.Background(), []clusto.Op{op}); err != nil {
		t.Error(err)
	}
}

// TestFollow: what changes is told, also what changed while the server was
// away; and that everything may have changed, where the database is another one.
func TestFollow(t *testing.T) {
	s := originalStore(t)
	p := newPlace(t)
	p.ours(s)
	h := follow(t, newClient(t, client.Config{URL: p.url()}))
	h.until("live", func() bool { return h.live > 0 })
	setHostname(t, s, "s0001", "a")
	h.until("the change", func() bool { return h.names["/server/s0001"] == 1 && h.names["00:1e:c9:00:00:01"] == 1 })
	p.close()
	h.until("lost", func() bool { return h.live == 0 && errors.Is(h.lost, clusto.ErrUnavailable) })
	setHostname(t, s, "s0002", "b")
	p.ours(s)
	h.until("the change of meanwhile", func() bool { return h.live > 0 && h.names["/server/s0002"] == 1 })
	if h.resets != 1 || h.names["/server/s0001"] != 1 {
		t.Errorf("%d resets, heard %v", h.resets, h.names)
	}
	p.ours(originalStore(t))
	h.until("a reset", func() bool { return h.live > 0 && h.resets == 2 })
}

// TestFollowCutOff: the connection breaks at any byte, again and again, while
// 2,000 changes are written; none is missed, and nothing has to be forgotten.
func TestFollowCutOff(t *testing.T) {
	t.Parallel()
	for kind, newDSN := range map[string]func(testing.TB) string{
		"sqlite":     func(t testing.TB) string { return filepath.Join(t.TempDir(), "clusto.db") },
		"postgresql": pgtest.New,
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			changes := 2000
			if raceDetector {
				changes = 200
			}
			s, err := store.Open(t.Context(), newDSN(t), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			_, srv := dial(t, s)
			cut := newCutter(t, srv.Listener.Addr().String())
			h := follow(t, newClient(t, client.Config{URL: "http://" + cut.addr}))
			for i := range changes {
				switch quarter := changes / 4; i % quarter {
				case 0:
					h.until("live", func() bool { return h.live > 0 && h.losses >= i/quarter })
				case quarter / 2: // what follows takes another connection
					cut.all()
				}
				op := clusto.Op{Op: "create", Name: fmt.Sprint("p", i), Driver: "pool"}
				if err := s.Apply(t.Context(), []clusto.Op{op}); err != nil {
					t.Fatal(err)
				}
			}
			h.until("all", func() bool { return len(h.names) == changes })
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.resets != 1 || h.losses < 4 {
				t.Errorf("%d resets, %d losses", h.resets, h.losses)
			}
		})
	}
}

// cutter passes connections on, each for a few bytes.
type cutter struct {
	addr string
	to   string

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

func newCutter(t *testing.T, to string) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{addr: l.Addr().String(), to: to, open: map[net.Conn]struct{}{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		rnd := rand.New(rand.NewPCG(5, 6))
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			most := rnd.Int64N(1 << (8 + rnd.IntN(10))) // few, mostly
			wg.Go(func() { c.pass(in, most) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return c
}

// all cuts off whoever is connected.
func (c *cutter) all() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for in := range c.open {
		in.Close()
	}
}

func (c *cutter) pass(in net.Conn, most int64) {
	c.mu.Lock()
	c.open[in] = struct{}{}
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.open, in)
		c.mu.Unlock()
		in.Close()
	}()
	out, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer out.Close()
	go func() { _, _ = io.Copy(out, in); out.Close() }()
	_, _ = io.CopyN(in, out, most)
}

// TestFollowWithoutFeed: who does not tell of changes is not taken for one who
// is away.
func TestFollowWithoutFeed(t *testing.T) {
	for _, status := range []int{http.StatusNotImplemented, http.StatusNotFound} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		h := follow(t, newClient(t, client.Config{URL: srv.URL}))
		h.until("no feed", func() bool { return errors.Is(h.lost, errors.ErrUnsupported) })
		t.Cleanup(srv.Close)
	}
}

// TestFollowOriginal: the original is not asked, and when clusto-httpd takes its
// place, that one is followed.
func TestFollowOriginal(t *testing.T) {
	p := newPlace(t)
	old := p.original(originalStore(t))
	a, _ := newAuto(t, p.url())
	h := follow(t, a)
	h.until("no feed", func() bool { return errors.Is(h.lost, errors.ErrUnsupported) })
	for _, c := range old.Calls() {
		if strings.Contains(c.Call, "changes") {
			t.Errorf("the original was asked %s", c.Call)
		}
	}
	p.ours(originalStore(t))
	a.LookAgain()
	_, _ = a.Networks(t.Context()) // an answer that the original would not give
	h.until("live", func() bool { return h.live > 0 })
}

// TestFollowOddities: whatever a server says, it does not count as live for it,
// and is asked again.
func TestFollowOddities(t *testing.T) {
	t.Parallel()
	const hello = "id: 5-a\nevent: hello\ndata: {\"seq\":9}\n\n"
	for name, says := range map[string]string{
		"nothing":               "",
		"silence":               hello,
		"no JSON":               hello + "id: 9-b\nevent: change\ndata: {\"entities\":\n\n",
		"a wrong MAC":           hello + "id: 9-b\nevent: change\ndata: {\"entities\":[],\"macs\":[\"x\"]}\n\n",
		"a wrong id":            hello + "id: x\nevent: change\ndata: {\"entities\":[],\"macs\":[]}\n\n",
		"no hello":              "id: 9-b\nevent: change\ndata: {\"entities\":[],\"macs\":[]}\n\n",
		"half an event":         hello + "id: 9-b\nevent: change\ndata: {\"entities\":[],\"macs\":[]}\n",
		"a piece of a change":   hello + "event: change\ndata: {\"entities\":[\"/a/b\"],\"macs\":[]}\n\n",
		"an old change":         hello + "id: 8-b\nevent: change\ndata: {\"entities\":[],\"macs\":[]}\n\n",
		"an endless line":       hello + "data: " + strings.Repeat("x", 1<<17),
		"an endless event":      hello + strings.Repeat("data: "+strings.Repeat("x", 1<<10)+"\n", 100),
		"events of tomorrow":    hello + ": hi\nid: 9-b\nevent: news\ndata: x\n\nfoo: bar\nretry: 1\n\n",
		"CRLF, and no blank":    strings.ReplaceAll(hello, "\n", "\r\n") + "event:change\r\ndata:{}\r\n\r\n",
		"a page of a proxy":     "<html>",
		"nothing for very long": hello + ":\n",
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				if strings.HasPrefix(says, "<") {
					w.Header().Set("Content-Type", "text/html")
				}
				_, _ = io.WriteString(w, says)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}))
			t.Cleanup(srv.Close)
			h := follow(t, newClient(t, client.Config{URL: srv.URL, MaxBody: 1 << 16, FeedPause: 20 * time.Millisecond}))
			h.until("it is asked again", func() bool {
				if h.live != 0 {
					t.Error("it counts as live")
				}
				return h.losses == 2
			})
			if !errors.Is(h.lost, clusto.ErrUnavailable) {
				t.Errorf("lost: %v", h.lost)
			}
		})
	}
}
