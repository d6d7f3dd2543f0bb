package httpd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// bodyTime is how long the body of a request may take to come, and how long it
// may stand still where it may take longer.
const bodyTime = 30 * time.Second

// body bounds the time in which a client has to send what it announced. What is
// not read of it is bounded too: the server reads it after the answer.
type body struct {
	io.ReadCloser
	ctl   *http.ResponseController
	until time.Time
	ended bool // all of it was read
}

// guardBody puts limits on the body of a request, if there is one.
func guardBody(w *recorder, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return // the server reads on meanwhile, to see whether the client goes
	}
	b := &body{ReadCloser: r.Body, ctl: http.NewResponseController(w), until: time.Now().Add(bodyTime)}
	b.hurry()
	r.Body = b
	if r.ProtoMajor == 1 { // HTTP/2 sends answers at once
		w.body = b
	}
}

// answered has an answer go out at once where a body was not read to its end.
// The server would first read what is left, for longer than the answer may take,
// to use the connection again.
func (b *body) answered(h http.Header) {
	if b != nil && !b.ended {
		h.Set("Connection", "close")
	}
}

// allowBody allows the body of a request more time in all.
func allowBody(r *http.Request, all time.Duration) {
	if b, ok := r.Body.(*body); ok {
		b.until = time.Now().Add(all)
	}
}

// hurry sets the time for the next piece. Not every connection has deadlines;
// those that lack them need none.
func (b *body) hurry() {
	by := time.Now().Add(bodyTime)
	if by.After(b.until) {
		by = b.until
	}
	_ = b.ctl.SetReadDeadline(by)
}

func (b *body) Read(p []byte) (int, error) {
	b.hurry()
	n, err := b.ReadCloser.Read(p)
	b.ended = b.ended || errors.Is(err, io.EOF)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("the body came too slowly: %w", os.ErrDeadlineExceeded)
	}
	return n, err
}

// writeTime bounds the time in which the client has to take an answer.
type writeTime struct {
	mu  sync.Mutex
	end time.Time // no deadline may be later, unless zero
}

// SetWriteDeadline is http.ResponseController's.
func (r *recorder) SetWriteDeadline(by time.Time) error {
	r.time.mu.Lock()
	defer r.time.mu.Unlock()
	if end := r.time.end; !end.IsZero() && by.After(end) {
		by = end
	}
	return http.NewResponseController(r.ResponseWriter).SetWriteDeadline(by)
}

// endBy has an answer end soon, whatever deadline its handler sets.
func endBy(w http.ResponseWriter, end time.Time) {
	rec, ok := w.(*recorder)
	if !ok {
		return
	}
	rec.time.mu.Lock()
	rec.time.end = end
	rec.time.mu.Unlock()
	_ = rec.SetWriteDeadline(end)
}
