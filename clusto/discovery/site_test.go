package discovery

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clusto/clusto-engine/clusto"
	"github.com/clusto/clusto-engine/clusto/rack"
	"github.com/clusto/clusto-engine/clusto/store"
	"github.com/clusto/clusto-engine/clusto/store/pgtest"
	"github.com/clusto/clusto-engine/engine/labtest"
)

// Most tests wait for timers, or for the disk.
func TestMain(m *testing.M) {
	labtest.Parallel(8)
	pgtest.Main(m)
}

// eachSite runs a test on the site that real clusto wrote, in both databases.
func eachSite(t *testing.T, test func(t *testing.T, s *store.Store)) {
	eachSiteOf(t, "the original's", originalFile, test)
}

// eachSiteOf is eachSite for a site of a kind that is in a file.
func eachSiteOf(t *testing.T, kind string, file func(*testing.T) string, test func(t *testing.T, s *store.Store)) {
	t.Run("sqlite", func(t *testing.T) { test(t, openStore(t, file(t))) })
	t.Run("postgresql", func(t *testing.T) {
		test(t, openStore(t, pgtest.Like(t, kind, func(dsn string) {
			_ = openStore(t, dsn).Close() // makes the tables
			pgtest.Copy(t, file(t), dsn)
		})))
	})
}

func openStore(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// originalFile gives a file of its own with the site that real clusto wrote.
func originalFile(t *testing.T) string {
	t.Helper()
	site, err := originalSite()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "clusto.db")
	if err := os.WriteFile(file, site, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// originalSite makes the database once.
var originalSite = sync.OnceValues(func() (site []byte, err error) {
	text, err := os.ReadFile(filepath.Join("..", "store", "testdata", "clusto.sql"))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "site")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "clusto.db")
	db, err := sql.Open("sqlite", file)
	if err != nil {
		return nil, err
	}
	_, err = db.Exec(string(text))
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	return os.ReadFile(file)
})

// letters is a queue in memory, and what was buried in it.
type letters struct {
	mu     sync.Mutex
	events []Event
	done   map[int64]bool
	dead   []buried
	ended  chan struct{} // one token for each event that ended
}

type buried struct {
	ev              Event
	outcome, reason string
}

func newLetters(events ...Event) *letters {
	l := &letters{done: map[int64]bool{}, ended: make(chan struct{}, 1<<16)}
	l.add(events...)
	return l
}

func (l *letters) add(events ...Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range events {
		ev.Seq = int64(len(l.events) + 1)
		l.events = append(l.events, ev)
	}
}

func (l *letters) Switches(context.Context) (out []netip.Addr, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range l.events {
		if !l.done[ev.Seq] && !slices.Contains(out, ev.Switch) {
			out = append(out, ev.Switch)
		}
	}
	return out, nil
}

func (l *letters) Next(_ context.Context, sw netip.Addr, after int64, limit int) (out []Event, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range l.events {
		if ev.Switch == sw && ev.Seq > after && !l.done[ev.Seq] && len(out) < limit {
			out = append(out, ev)
		}
	}
	return out, nil
}

func (l *letters) Done(seq ...int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range seq {
		l.done[s] = true
		l.ended <- struct{}{}
	}
}

func (l *letters) Bury(_ context.Context, ev Event, outcome, reason string) error {
	l.mu.Lock()
	l.dead = append(l.dead, buried{ev, outcome, reason})
	l.mu.Unlock()
	l.Done(ev.Seq)
	return nil
}

// lab is a Discovery that runs.
type lab struct {
	*Discovery
	t     *testing.T
	queue *letters
	log   *syncBuffer
}

type syncBuffer = labtest.Log

func layouts(t testing.TB) rack.Layouts {
	t.Helper()
	ls, err := rack.Load("")
	if err != nil {
		t.Fatal(err)
	}
	return ls
}

func newLab(t *testing.T, inv Inventory, change ...func(*Config)) *lab {
	t.Helper()
	l := &lab{t: t, queue: newLetters(), log: new(syncBuffer)}
	cfg := Config{
		Queue: l.queue, Inventory: inv, Layouts: layouts(t), HoldDown: -1, Backoff: time.Millisecond,
		Log: slog.New(slog.NewTextHandler(l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, f := range change {
		f(&cfg)
	}
	l.Discovery = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { l.Run(ctx) })
	t.Cleanup(func() { cancel(); run.Wait() })
	return l
}

// send queues events and waits until something has become of all of them.
func (l *lab) send(events ...Event) {
	l.t.Helper()
	l.queue.add(events...)
	l.Wake()
	l.wait(len(events))
}

// wait waits until something has become of so many events.
func (l *lab) wait(n int) {
	l.t.Helper()
	for range n {
		select {
		case <-l.queue.ended:
		case <-time.After(time.Minute):
			l.t.Fatalf("events have not ended: %s", l.log)
		}
	}
}

// outcomes gives what is counted, without what is not.
func (l *lab) outcomes() map[string]uint64 {
	out := map[string]uint64{}
	for o := range Outcomes {
		if n := l.Count(o); n > 0 {
			out[o.String()] = n
		}
	}
	return out
}

var sw1 = netip.MustParseAddr("10.42.0.2") // sv2-r01-sw1

// learnt is a MAC on a port of sv2-r01-sw1.
func learnt(mac string, port uint16) Event {
	m, err := clusto.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	return Event{At: time.Now(), Switch: sw1, MAC: m, VLAN: 42, Port: port, Kind: Learnt}
}

func object(t *testing.T, s *store.Store, name string) clusto.Object {
	t.Helper()
	o, err := s.Object(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return o
}
