package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

// Follow calls fn with what changes in the inventory after a position, and with
// a Change that goes no further at least once in every beat, which says that
// nothing was missed. The first call tells where it begins: at the position
// since, which is the ID of an earlier Change; or now, if since is empty. A
// Reset comes where the position is too old, or none of this database's. Others
// may be given the same Change: do not alter it.
//
// Follow ends when ctx does, when fn returns an error, and when the database
// fails, is closed or has lost its triggers. It returns an error that wraps
// clusto.ErrInvalid for a since that is no position, and errors.ErrUnsupported
// for a database that has no feed.
func (s *Store) Follow(ctx context.Context, since string, beat time.Duration, fn func(*clusto.Change) error) error {
	if s.feed.off != nil {
		return fmt.Errorf("follow database %q: %w: %w: %w", s.name, s.feed.off, errors.ErrUnsupported, clusto.ErrUnavailable)
	}
	at, err := parsePosition(since)
	if err != nil {
		return err
	}
	leave, err := s.watch()
	if err != nil {
		return err
	}
	defer leave()
	if err := s.feedAgain(ctx); err != nil {
		return err
	}
	c, err := s.readNext(ctx, at)
	if err == nil && at != now && !c.Reset {
		c = at.change(c.Head)
	}
	for err == nil {
		if err = fn(c); err != nil {
			break
		}
		if at, err = parsePosition(c.ID); err == nil {
			c, err = s.await(ctx, at, beat)
		}
	}
	return err
}

// await gives what comes after a position: nothing, if a beat passes.
func (s *Store) await(ctx context.Context, at position, beat time.Duration) (*clusto.Change, error) {
	idle := time.NewTimer(beat)
	defer idle.Stop()
	for quiet := false; ; {
		woken := s.feed.changed() // before the look: what comes after it wakes
		c, err := s.readNext(ctx, at)
		if err != nil || c.Seq != at.seq || c.Reset {
			return c, err
		}
		if quiet {
			return c, s.stillFed(ctx)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-s.feed.closed:
			return nil, s.closedError()
		case <-woken:
		case <-idle.C:
			quiet = true
		}
	}
}

func (s *Store) closedError() error {
	return fmt.Errorf("follow database %q: it is closed: %w", s.name, clusto.ErrUnavailable)
}

// feedAgain makes lost triggers anew, lest a feed begins that would hear nothing.
func (s *Store) feedAgain(ctx context.Context) error {
	if err := s.present("follow"); err != nil {
		return err
	}
	lost := s.stillFed(ctx)
	if lost == nil || s.readOnly {
		return lost
	}
	s.log.Warn("triggers of the change feed were lost, and are made anew", "database", s.name, "err", lost)
	if err := s.makeFeed(ctx); err != nil {
		return fmt.Errorf("%w; that failed: %w", lost, err)
	}
	return nil
}

// stillFed makes sure that silence means that nothing happened.
func (s *Store) stillFed(ctx context.Context) error {
	if err := s.present("follow"); err != nil {
		return err
	}
	if err := s.feedIntact(ctx, s.read); err != nil {
		return fmt.Errorf("follow database %q: %w; follow again, which makes it anew where that is allowed: %w", s.name, err, clusto.ErrUnavailable)
	}
	return nil
}

// position is that of a row. A plain number is one too, of a row that may be
// any; of lot, no number is 0.
type position struct{ seq, lot int64 }

// now is the position of who knows none.
var now = position{seq: -1}

const lotBase = 36

func (p position) String() string {
	if p.lot == 0 {
		return strconv.FormatInt(p.seq, 10)
	}
	return strconv.FormatInt(p.seq, 10) + "-" + strconv.FormatUint(uint64(p.lot), lotBase)
}

// change is the Change that reaches p and names nothing.
func (p position) change(head int64) *clusto.Change {
	return &clusto.Change{ID: p.String(), Seq: p.seq, Head: head}
}

func parsePosition(since string) (position, error) {
	if since == "" {
		return now, nil
	}
	text, drawn, both := strings.Cut(since, "-")
	seq, err := strconv.ParseInt(text, 10, 64)
	var lot uint64
	if both && err == nil {
		lot, err = strconv.ParseUint(drawn, lotBase, 64)
	}
	if err != nil || seq < 0 {
		return now, fmt.Errorf("position %.40q of the change feed is none: want the id of an event, or nothing to begin now: %w", since, clusto.ErrInvalid)
	}
	return position{seq, int64(lot)}, nil
}
