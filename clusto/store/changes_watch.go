package store

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
)

const (
	pruneEvery = time.Minute
	relisten   = time.Second // after the connection was lost
)

// feed is what a Store's followers share.
type feed struct {
	off   error         // why there is none
	many  int           // entities, or MACs, that are named at once; manyNamed
	every time.Duration // how often others' changes are looked for

	mu        sync.Mutex
	wake      chan struct{} // closed when something may have changed
	followers int
	stop      context.CancelFunc // of the watchers, while there are followers
	watchers  sync.WaitGroup
	closed    chan struct{}

	stopPruning context.CancelFunc
	unpruned    atomic.Bool // that it does not work was said

	reading chan struct{} // holds one token: the right to read, and memo
	memo    memo
}

func (f *feed) init(d *dialect) {
	f.many, f.every = manyNamed, d.feed.poll
	f.wake, f.closed, f.reading = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
}

// changed gives a channel that is closed when something may have changed since
// now.
func (f *feed) changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wake
}

// ring wakes all followers.
func (f *feed) ring() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.wake)
	f.wake = make(chan struct{})
}

// watch has the database watched until leave is called.
func (s *Store) watch() (leave func(), err error) {
	f := &s.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
		return nil, s.closedError()
	default:
	}
	if f.followers++; f.followers == 1 {
		ctx, stop := context.WithCancel(context.Background())
		f.stop = stop
		f.watchers.Go(func() { s.poll(ctx) })
		if s.dialect.feed.listen != "" {
			f.watchers.Go(func() { s.listen(ctx) })
		}
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.followers--; f.followers == 0 {
			f.stop()
		}
	}, nil
}

// closeFeed ends all following.
func (s *Store) closeFeed() {
	f := &s.feed
	f.mu.Lock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	if f.stop != nil {
		f.stop()
	}
	if f.stopPruning != nil {
		f.stopPruning()
	}
	f.mu.Unlock()
	f.watchers.Wait()
}

// poll looks for changes that others have made. A failure is met by the
// followers themselves, who look now and then.
func (s *Store) poll(ctx context.Context) {
	tick := time.NewTicker(s.feed.every)
	defer tick.Stop()
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var seq int64
		if s.read.QueryRowContext(ctx, `SELECT max(seq) FROM clusto_changes`).Scan(&seq) == nil && seq != last {
			last = seq
			s.feed.ring()
		}
	}
}

// listen has PostgreSQL tell of changes, over a connection of its own.
func (s *Store) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := s.listenOnce(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("PostgreSQL does not tell of changes; they are looked for", "database", s.name, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(relisten):
		}
	}
}

// listenOnce takes a connection away from the others, and gives it up in the
// end: one that listens is good for nothing else.
func (s *Store) listenOnce(ctx context.Context) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, s.dialect.feed.listen); err != nil {
		return err
	}
	var lost error
	err = conn.Raw(func(c any) error {
		pg, ok := c.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("a connection is a %T", c)
		}
		for lost == nil {
			s.feed.ring() // what came before the first notice counts too
			_, lost = pg.Conn().WaitForNotification(ctx)
		}
		return sqldriver.ErrBadConn
	})
	return errors.Join(lost, err)
}
