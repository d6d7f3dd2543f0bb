package store

import (
	"context"
	"sync/atomic"
)

// growth counts the attributes that were written since PostgreSQL last looked at
// the table, as far as this program knows. Plans are kept, and one that was made
// when the table was tiny may read an index from end to end. PostgreSQL looks by
// itself a minute or more after a change, and never within an import; whenever
// it does, all plans are made anew.
type growth struct{ known, written atomic.Int64 }

// lookAt and lookTimes say when it has to look: a table that small is read in no
// time, and one that has grown less is found by the same plans.
const (
	lookAt    = 1000
	lookTimes = 9
)

func (g *growth) init(ctx context.Context, s *Store) error {
	if s.dialect.known == "" {
		return nil
	}
	var n int64
	err := s.read.QueryRowContext(ctx, s.dialect.known).Scan(&n)
	g.known.Store(n)
	return err
}

// due counts n attributes more, and reports whether it is time to look.
func (g *growth) due(n int64) bool {
	written := g.written.Add(n)
	if written < lookAt || written < lookTimes*g.known.Load() {
		return false
	}
	g.known.Add(written)
	g.written.Add(-written)
	return true
}

// grew has the database look at what has grown much, this change's own rows
// included. Who is not the owner of the tables is not obeyed, which is no error.
func (c *change) grew(ctx context.Context, n int) error {
	d := c.s.dialect
	if d.analyze == "" || !c.s.growth.due(int64(n)) {
		return nil
	}
	return c.exec(ctx, d.analyze)
}
