package engine

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// ErrStopped is what Recv returns after Stop.
var ErrStopped = errors.New("engine: stopped")

// Worker moves frames between one Conn and one Handler, on one goroutine.
type Worker struct {
	Conn    Conn
	Handler Handler
	Counter *Counter

	// Crashed is told of a handler that panicked, with its stack. The frame
	// counts as Malformed and the worker goes on. Nil ignores it.
	Crashed func(error)

	ahead Ahead // the Handler, if it is one
	batch Batch
	slots [][]byte
}

// Run serves until the Conn is stopped or fails for good.
func (w *Worker) Run() error {
	w.slots = make([][]byte, BatchSize)
	room := make([]byte, BatchSize*FrameSize)
	for i := range w.slots {
		w.slots[i] = room[i*FrameSize : i*FrameSize : (i+1)*FrameSize]
	}
	w.batch.Replies = make([][]byte, 0, BatchSize)
	w.ahead, _ = w.Handler.(Ahead)
	for {
		if err := w.Conn.Recv(&w.batch); err != nil {
			if errors.Is(err, ErrStopped) {
				return nil
			}
			return err
		}
		w.handle()
	}
}

// handle answers one received batch: this is the hot path.
func (w *Worker) handle() {
	w.batch.Replies = w.batch.Replies[:0]
	now := time.Now().UnixNano()
	if w.ahead != nil && len(w.batch.Packets) > 1 {
		w.look()
	}
	for i := range w.batch.Packets {
		w.batch.Packets[i].When = now
		out, v := w.one(w.slots[i], &w.batch.Packets[i])
		w.Counter.Count(v)
		if v == Reply || v == Nak {
			w.batch.Replies = append(w.batch.Replies, out)
		}
	}
	w.Counter.received.Add(uint64(len(w.batch.Packets)))
	if n := len(w.batch.Replies); n > 0 {
		sent := w.Conn.Send(&w.batch)
		w.Counter.Sent(sent, n-sent)
	}
}

// look shows the handler what it is going to get.
func (w *Worker) look() {
	defer func() {
		if r := recover(); r != nil && w.Crashed != nil {
			w.Crashed(fmt.Errorf("handler panicked on a batch of %d frames: %v\n%s", len(w.batch.Packets), r, debug.Stack()))
		}
	}()
	w.ahead.Ahead(w.batch.Packets)
}

func (w *Worker) one(dst []byte, p *Packet) (out []byte, v Verdict) {
	defer func() {
		if r := recover(); r != nil {
			out, v = nil, Malformed
			if w.Crashed != nil {
				w.Crashed(fmt.Errorf("handler panicked on a frame of %d bytes: %v\n%s", len(p.Data), r, debug.Stack()))
			}
		}
	}()
	return w.Handler.Handle(dst, p)
}
