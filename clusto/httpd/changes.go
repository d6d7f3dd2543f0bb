package httpd

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// namesAtOnce is how many entities, and MACs, one event names at most.
const namesAtOnce = 500

// routeChanges registers the feed.
func (s *server) routeChanges(mux *router) {
	s.callV2(mux, "GET /v2/changes", s.getChanges, "since")
}

// getChanges answers with server-sent events for as long as the client listens:
//
//	hello   {"seq":184}  where the feed begins, and how far it goes by now: who
//	        resumes is up to date once he has had an id that begins with 184
//	change  {"entities":["/server/s1"],"macs":["00:11:22:33:44:55"]}  whose hosts
//	        may be others now; see clusto.Change
//	reset   {"seq":190}  anything may have changed: forget all
//
// An id, which a large change has on its last event only, is a place to resume
// from: it goes into the parameter since, or the header Last-Event-ID. Without
// either the feed begins now. A comment comes at least every five seconds, and
// says that nothing was missed. A database without a feed gives a 501.
func (s *server) getChanges(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		feedHeaders(w.Header())
		return
	}
	out := &events{w: w, ctl: http.NewResponseController(w), stall: s.Limits.Stall}
	since := cmp.Or(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("since"))
	err := s.Store.Follow(r.Context(), since, s.Limits.Beat, out.change)
	switch {
	case out.err != nil: // the client is gone, or took too long
	case out.begun:
		s.logFailure(r, status(err), err)
	case errors.Is(err, errors.ErrUnsupported):
		s.fail(w, r, http.StatusNotImplemented, reason(r, err))
	default:
		s.failErr(w, r, err)
	}
}

// events writes server-sent events.
type events struct {
	w     http.ResponseWriter
	ctl   *http.ResponseController
	stall time.Duration // how long the client may take for a piece
	buf   []byte
	begun bool
	at    string // the id that was sent last
	err   error
}

// position is what hello and reset say.
type position struct {
	Seq int64 `json:"seq"`
}

// names is what change says.
type names struct {
	Entities []string     `json:"entities"`
	MACs     []clusto.MAC `json:"macs"`
}

// change sends one Change; the first says hello.
func (e *events) change(c *clusto.Change) error {
	hello := !e.begun
	if hello {
		e.begin()
		id := c.ID
		if c.Reset {
			id = "" // that comes with the reset
		}
		e.event("hello", id, position{c.Head})
	}
	switch {
	case c.Reset:
		e.event("reset", c.ID, position{c.Head})
	case hello:
	case c.ID == e.at:
		e.buf = append(e.buf, ":\n\n"...)
	default:
		e.names(c)
	}
	e.at = c.ID
	return e.flush()
}

func (e *events) begin() {
	e.begun = true
	feedHeaders(e.w.Header())
}

func feedHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx holds it back otherwise
}

// names sends a change in pieces, the last of which has its id.
func (e *events) names(c *clusto.Change) {
	pieces := max(1, (max(len(c.Entities), len(c.MACs))+namesAtOnce-1)/namesAtOnce)
	for i := range pieces {
		id := ""
		if i == pieces-1 {
			id = c.ID
		}
		e.event("change", id, names{piece(c.Entities, i), piece(c.MACs, i)})
		if len(e.buf) >= chunk && e.flush() != nil {
			return
		}
	}
}

// piece gives the i-th piece of a list, empty behind its end.
func piece[T any](all []T, i int) []T {
	from, to := min(i*namesAtOnce, len(all)), min((i+1)*namesAtOnce, len(all))
	return append([]T{}, all[from:to]...) // [], not null
}

func (e *events) event(kind, id string, data any) {
	b, err := json.Marshal(data)
	if err != nil {
		e.err = err
		return
	}
	if id != "" {
		e.buf = append(append(append(e.buf, "id: "...), id...), '\n')
	}
	e.buf = append(append(append(e.buf, "event: "...), kind...), '\n')
	e.buf = append(append(append(e.buf, "data: "...), b...), "\n\n"...)
}

// flush sends what was gathered. A client that does not take it is cut off: it
// can resume.
func (e *events) flush() error {
	if e.err != nil {
		return e.err
	}
	_ = e.ctl.SetWriteDeadline(time.Now().Add(e.stall))
	if _, e.err = e.w.Write(e.buf); e.err == nil {
		e.err = e.ctl.Flush()
	}
	e.buf = e.buf[:0]
	return e.err
}
