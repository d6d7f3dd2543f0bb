package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// The pace at which a walk looks whether a server is back.
const (
	retryLeast = time.Second
	retryMost  = 30 * time.Second
)

// Hosts calls f with one host after the other, each MAC once, and returns how
// many there were. The original has no call for it, so it takes the time of
// all hosts, one by one; calls of Host go before. An error of f ends it. What
// the server has trouble with is left out, to be asked for by Host when it is
// needed; but a server that is gone is waited for, for Config.Patience, and
// then is an error that wraps clusto.ErrUnavailable.
func (l *Legacy) Hosts(ctx context.Context, f func(*clusto.Host) error) (n int, err error) {
	return l.walk(ctx, f, l.Ready, func() bool { return false })
}

// walk is Hosts; ready tells whether the server is there. It is also asked after
// answers that are suspect, which count only if it is.
func (l *Legacy) walk(ctx context.Context, f func(*clusto.Host) error, ready func(context.Context) error, suspect func() bool) (n int, err error) {
	var paths []string
	err = l.patiently(ctx, func() (err error) {
		paths, err = l.matching(ctx, l.c.cfg.LongTimeout, []match{{Key: keyNIC, Subkey: subMAC}, {Key: keyNIC, Subkey: subIPMI}})
		return err
	})
	if err != nil {
		return 0, err
	}
	w := &walk{l: l, f: f, ready: ready, suspect: suspect, seen: make(map[clusto.MAC]bool, len(paths))}
	for _, p := range paths {
		if err := w.entity(ctx, p); err != nil {
			return w.n, err
		}
	}
	return w.n, nil
}

// patiently calls fn while no host is being read.
func (l *Legacy) patiently(ctx context.Context, fn func() error) error {
	if err := l.hosts.enter(ctx, true); err != nil {
		return fmt.Errorf("read all hosts: wait for others to be read: %w: %w", err, clusto.ErrUnavailable)
	}
	defer l.hosts.leave()
	return fn()
}

// walk is one call of Hosts.
type walk struct {
	l       *Legacy
	f       func(*clusto.Host) error
	ready   func(context.Context) error
	suspect func() bool
	n       int
	seen    map[clusto.MAC]bool
}

// entity reads an entity, and resolves its MACs.
func (w *walk) entity(ctx context.Context, path string) error {
	var r *Record
	err := w.persist(ctx, func() (err error) {
		r, err = w.l.record(ctx, w.l.c.cfg.Timeout, path)
		return err
	})
	if err != nil || r == nil {
		return err
	}
	ports := r.ports
	for i := range ports {
		mac, ok := stored(&ports[i])
		if !ok || w.seen[mac] {
			continue
		}
		w.seen[mac] = true
		if err := w.host(ctx, mac, r); err != nil {
			return err
		}
		r = nil // a host is read after f was given the one before
	}
	return nil
}

func (w *walk) host(ctx context.Context, mac clusto.MAC, r *Record) error {
	var h *clusto.Host
	err := w.persist(ctx, func() (err error) {
		h, err = w.l.host(ctx, mac, r)
		return err
	})
	if err != nil || h == nil {
		return err
	}
	w.n++
	return w.f(h)
}

// persist reads something, again and again while the server is gone. What fails
// though the server is there is left out.
func (w *walk) persist(ctx context.Context, read func() error) error {
	var lost time.Time
	for pause := retryLeast; ; pause = min(2*pause, retryMost) {
		err := w.l.patiently(ctx, read)
		answered := err == nil || errors.Is(err, clusto.ErrNotFound)
		if answered && !w.suspect() {
			return nil
		}
		gone := w.gone(ctx)
		if gone == nil {
			return nil
		}
		if answered {
			err = gone
		}
		if lost.IsZero() {
			lost = time.Now()
		}
		if ctx.Err() != nil || time.Since(lost) >= w.l.c.cfg.Patience {
			return fmt.Errorf("read all hosts: after %d: %w", w.n, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// gone says why the server cannot be asked; nil if it is there.
func (w *walk) gone(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w: %w", cause, clusto.ErrUnavailable)
	}
	return w.ready(ctx)
}
