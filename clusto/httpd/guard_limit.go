package httpd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// Limits bound what is under way at once, and for how long. Zero fields mean the
// defaults. Who comes when all places are taken waits a little, and then gets a
// 503 with Retry-After. Health and version have no such limit.
type Limits struct {
	Requests int           // calls but for those below; 512
	Streams  int           // GET /v2/hosts, of which each reads the whole inventory; 8
	Feeds    int           // GET /v2/changes, one for each DHCP server; 256
	Batches  int           // POST /v2/batch, which are applied one by one; 16
	Time     time.Duration // of a call that is no stream, feed or batch; 30 s
	Stall    time.Duration // in which the reader of a feed has to take a piece; 10 s
	Beat     time.Duration // in which a feed says something; 5 s
}

func (l Limits) withDefaults() Limits {
	l.Requests = cmp.Or(l.Requests, 512)
	l.Streams = cmp.Or(l.Streams, 8)
	l.Feeds = cmp.Or(l.Feeds, 256)
	l.Batches = cmp.Or(l.Batches, 16)
	l.Time = cmp.Or(l.Time, 30*time.Second)
	l.Stall = cmp.Or(l.Stall, 10*time.Second)
	l.Beat = cmp.Or(l.Beat, 5*time.Second)
	return l
}

// How long a request waits for its place. A batch or a stream takes seconds, so
// others wait longer for its place.
const (
	waitShort = time.Second
	waitLong  = 10 * time.Second
)

// exports is how many GET /v2/objects are under way at once. Each holds one of
// the database's few connections for as long as its client reads.
const exports = 2

// batchTime is how long a batch may take, from its first byte to its answer.
const batchTime = 5 * time.Minute

// Why the server ends a request by itself.
var (
	errTooLong = fmt.Errorf("it took longer than the server allows: %w", clusto.ErrUnavailable)
	errEnding  = fmt.Errorf("the server is being stopped: %w", clusto.ErrUnavailable)
)

// limit is what holds for one kind of calls.
type limit struct {
	what  string
	gate  *gate
	wait  time.Duration
	time  time.Duration // 0 for no end
	batch bool          // its body may take batchTime
	ends  bool          // when the server ends
}

// limits gives the limit of each call by its pattern; nil for none.
func (l Limits) limits() func(pattern string) *limit {
	request := &limit{what: "requests", gate: newGate(l.Requests), wait: waitShort, time: l.Time}
	special := map[string]*limit{
		"GET /readyz":          nil,
		"GET /v2/version":      nil,
		"GET /v2/openapi.json": nil,
		"GET /v2/hosts":        {what: "streams of all hosts", gate: newGate(l.Streams), wait: waitLong, ends: true},
		"GET /v2/objects":      {what: "exports", gate: newGate(exports), wait: waitLong, ends: true},
		"GET /v2/changes":      {what: "feeds of changes", gate: newGate(l.Feeds), wait: waitShort, ends: true},
		"POST /v2/batch":       {what: "batches", gate: newGate(l.Batches), wait: waitLong, time: batchTime, batch: true},
	}
	return func(pattern string) *limit {
		if l, ok := special[pattern]; ok {
			return l
		}
		return request
	}
}

// limited puts a call behind its limit.
func (s *server) limited(l *limit, next http.HandlerFunc) http.HandlerFunc {
	if l == nil {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		if l.ends {
			defer context.AfterFunc(s.Ending, func() {
				cancel(errEnding)
				endBy(w, time.Now().Add(time.Second))
			})()
		}
		if !l.gate.enter(ctx, l.wait) {
			s.full(w, r, l)
			return
		}
		defer l.gate.leave()
		if l.time > 0 {
			defer time.AfterFunc(l.time, func() { cancel(errTooLong) }).Stop()
		}
		if l.batch {
			allowBody(r, batchTime)
		}
		next(w, r.WithContext(ctx))
	}
}

// because gives the server's own reason where it ended the request.
func because(r *http.Request, err error) error {
	cause := context.Cause(r.Context())
	if status(err) >= 500 && (errors.Is(cause, errTooLong) || errors.Is(cause, errEnding)) {
		return cause
	}
	return err
}

// full answers when there is no place.
func (s *server) full(w http.ResponseWriter, r *http.Request, l *limit) {
	if n, due := s.overload.add(); due {
		s.Log.Warn("requests are turned away, for as many as may be are under way; the next such line comes after a minute or more",
			"what", l.what, "limit", l.gate.size(), "turned_away", n)
	}
	w.Header().Set("Retry-After", "1")
	s.refuse(w, r, http.StatusServiceUnavailable, fmt.Sprintf("%d %s are under way, which is all that the server takes; try again", l.gate.size(), l.what))
}

// gate has a number of places.
type gate struct {
	places  chan struct{}
	waiting atomic.Int64
}

func newGate(n int) *gate { return &gate{places: make(chan struct{}, n)} }

func (g *gate) size() int { return cap(g.places) }

// enter takes a place, and waits for one if need be, but not behind more than
// there are places. After true leave has to be called.
func (g *gate) enter(ctx context.Context, wait time.Duration) bool {
	select {
	case g.places <- struct{}{}:
		return true
	default:
	}
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > int64(g.size()) {
		return false
	}
	over := time.NewTimer(wait)
	defer over.Stop()
	select {
	case g.places <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-over.C:
	}
	return false
}

func (g *gate) leave() { <-g.places }

// tally counts what is logged once a minute.
type tally struct {
	count atomic.Uint64
	said  atomic.Int64 // unix ns
}

const tallyEvery = time.Minute

// add counts one more, and reports whether a line about all of them is due.
func (t *tally) add() (n uint64, due bool) {
	n = t.count.Add(1)
	last, now := t.said.Load(), time.Now()
	return n, now.Sub(time.Unix(0, last)) >= tallyEvery && t.said.CompareAndSwap(last, now.UnixNano())
}
