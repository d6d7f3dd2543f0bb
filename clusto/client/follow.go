package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// How long Follow waits before it connects again: at first, at most, and where
// there is no feed.
const (
	againLeast   = 100 * time.Millisecond
	againMost    = 2 * time.Second
	withoutEvery = time.Minute
)

// Follower is told what Follow hears. Its methods are called one at a time.
type Follower interface {
	// Reset says that anything may have changed.
	Reset()
	// Changed says whose hosts may be others now, and the MACs that these have, or
	// have no longer. A large change comes in several calls.
	Changed(entities []string, macs []clusto.MAC)
	// Live says that all changes up to seq were told, and that the next ones will
	// be, until Lost is called.
	Live(seq int64)
	// Lost says that changes are not heard of at the moment. why wraps
	// errors.ErrUnsupported where the server does not tell them at all.
	Lost(why error)
}

// Follow tells f what changes in the inventory, until ctx is over. It begins with
// a Reset, since nobody knows what was before; it connects again whenever it
// has to, and goes on where it was. The feed counts as live from the moment that
// everything was told until it ends, or is silent for Config.FeedPause.
func (c *Client) Follow(ctx context.Context, f Follower) {
	c.follow(ctx, f, func(context.Context) (<-chan struct{}, error) { return nil, nil })
}

// Follow is Client.Follow. The original tells nobody of changes: then it waits
// for another server to take its place.
func (a *Auto) Follow(ctx context.Context, f Follower) {
	a.follow(ctx, f, func(ctx context.Context) (<-chan struct{}, error) {
		if a.Server() == Unknown {
			if err := a.find(ctx); err != nil {
				return nil, err
			}
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.Server() == Original {
			return a.switched, fmt.Errorf("follow %s: the original clusto-httpd does not tell of changes: %w", a.cfg.URL, errors.ErrUnsupported)
		}
		return nil, nil
	})
}

// follow connects again and again. may says whether there is anything to connect
// to, and what to wait for if not.
func (c *Client) follow(ctx context.Context, f Follower, may func(context.Context) (<-chan struct{}, error)) {
	s := &session{c: c, f: f}
	wait := againLeast
	for {
		wake, err := may(ctx)
		if err == nil {
			s.greeted = false
			err = s.run(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		f.Lost(err)
		if s.greeted {
			wait = againLeast
		}
		pause := wait/2 + rand.N(wait)
		wait = min(2*wait, againMost)
		if errors.Is(err, errors.ErrUnsupported) {
			pause = withoutEvery
		}
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-again.C:
		}
		again.Stop()
	}
}

// session is one connection after the other.
type session struct {
	c       *Client
	f       Follower
	at      string // the id to go on from; "" for none
	head    int64  // the seq that has to be reached to be up to date
	greeted bool   // this connection has said hello
}

var errSilence = errors.New("the feed was silent")

// run connects, and listens until that ends.
func (s *session) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pause := s.c.cfg.FeedPause
	silence := time.AfterFunc(pause, func() { cancel(errSilence) })
	defer silence.Stop()
	path := "/v2/changes"
	if s.at != "" {
		path += "?since=" + url.QueryEscape(s.at)
	}
	resp, err := s.c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusNotImplemented || resp.StatusCode == http.StatusNotFound:
		return fmt.Errorf("follow %s: it does not tell of changes (%s): %w", s.c.cfg.URL, line(resp.Status), errors.ErrUnsupported)
	case resp.StatusCode == http.StatusBadRequest:
		s.at = "" // it cannot make sense of that, so there is a Reset
		fallthrough
	case resp.StatusCode != http.StatusOK:
		return s.c.refusal(path, resp)
	}
	if err := hasType(resp, "text/event-stream"); err != nil {
		return s.c.broken(path, err)
	}
	in := &events{stream: stream{max: s.c.cfg.MaxBody}, in: bufio.NewReaderSize(resp.Body, 64<<10)}
	for err == nil {
		var e event
		if e, err = in.next(func() { silence.Reset(pause) }); err == nil {
			silence.Stop() // the follower may take its time
			err = s.take(&e)
			silence.Reset(pause)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return s.c.broken(path, err)
}
