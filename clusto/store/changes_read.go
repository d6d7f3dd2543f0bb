package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/clusto"
)

const (
	// rowsAtOnce is how many rows of the change table make one Change at most.
	rowsAtOnce = 1 << 15
	// manyNamed is how many entities, or MACs, one Change names at most: where
	// more are concerned it is a Reset.
	manyNamed = 200_000
	// memoFor is how long a Change that was read serves other followers.
	memoFor = time.Second
)

// memo is the latest Change that was read: followers mostly stand at one place.
type memo struct {
	at   position
	next *clusto.Change
	read time.Time
}

// readNext gives what comes after a position; Seq is at's if that is nothing.
// One follower reads at a time.
func (s *Store) readNext(ctx context.Context, at position) (*clusto.Change, error) {
	f := &s.feed
	select {
	case f.reading <- struct{}{}:
		defer func() { <-f.reading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if m := &f.memo; m.next != nil && m.at == at && time.Since(m.read) < memoFor {
		return m.next, nil
	}
	f.memo = memo{}
	if err := s.present("follow"); err != nil {
		return nil, err
	}
	tx, err := s.beginRead(ctx)
	if err != nil {
		return nil, s.failed("follow", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	c, err := (&changeReader{tx: tx, d: s.dialect, many: f.many}).next(ctx, at)
	if err != nil {
		return nil, s.failed("follow", err)
	}
	if at != now && c.Seq != at.seq {
		f.memo = memo{at, c, time.Now()}
	}
	return c, nil
}

// changeReader reads one Change, from one state of the database.
type changeReader struct {
	tx    *sql.Tx
	d     *dialect
	many  int
	from  int64    // the rows that it is made of: after from,
	to    position // up to that
	paths map[string]struct{}
	macs  map[clusto.MAC]struct{}
}

var errTooMany = errors.New("too many are concerned to name them")

func (r *changeReader) next(ctx context.Context, at position) (*clusto.Change, error) {
	var head position
	err := r.tx.QueryRowContext(ctx, `SELECT seq, lot FROM clusto_changes ORDER BY seq DESC LIMIT 1`).Scan(&head.seq, &head.lot)
	if err != nil && !errors.Is(err, sql.ErrNoRows) { // somebody emptied it
		return nil, err
	}
	if at == now {
		return head.change(head.seq), nil
	}
	reset := head.change(head.seq)
	reset.Reset = true
	if known, err := r.known(ctx, at, head); err != nil || !known {
		return reset, err
	}
	if at.seq == head.seq {
		return at.change(head.seq), nil
	}
	everybody, err := r.bound(ctx, at.seq)
	if err == nil && !everybody {
		err = r.name(ctx)
	}
	if everybody || errors.Is(err, errTooMany) {
		return reset, nil
	}
	c := r.to.change(head.seq)
	for path := range r.paths {
		c.Entities = append(c.Entities, path)
	}
	for mac := range r.macs {
		c.MACs = append(c.MACs, mac)
	}
	return c, err
}

// known reports whether the row at a position is there: all that came after it
// is there then too.
func (r *changeReader) known(ctx context.Context, at, head position) (bool, error) {
	if at == head {
		return true, nil
	}
	var lot int64
	err := r.tx.QueryRowContext(ctx, r.d.q(`SELECT lot FROM clusto_changes WHERE seq = ?`), at.seq).Scan(&lot)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil && (at.lot == lot || at.lot == 0), err
}

// bound chooses the rows that one Change is made of, and reports whether one of
// them is about everybody.
func (r *changeReader) bound(ctx context.Context, after int64) (everybody bool, err error) {
	var nobody int64
	r.from = after
	err = r.tx.QueryRowContext(ctx, r.d.q(`SELECT max(seq), count(*) - count(entity_id) FROM (
		SELECT seq, entity_id FROM clusto_changes WHERE seq > ? ORDER BY seq LIMIT ?) part`), after, rowsAtOnce).Scan(&r.to.seq, &nobody)
	if err != nil {
		return false, err
	}
	err = r.tx.QueryRowContext(ctx, r.d.q(`SELECT lot FROM clusto_changes WHERE seq = ?`), r.to.seq).Scan(&r.to.lot)
	return nobody > 0, err
}

// name collects all whom the rows concern.
func (r *changeReader) name(ctx context.Context) error {
	r.paths, r.macs = map[string]struct{}{}, map[clusto.MAC]struct{}{}
	managers, err := r.lost(ctx)
	if err != nil {
		return err
	}
	if err := r.hosts(ctx, r.d.concernedSQL(), r.from, r.to.seq); err != nil {
		return err
	}
	if !managers {
		err = r.tx.QueryRowContext(ctx, r.d.q(r.d.managersSQL()), r.from, r.to.seq).Scan(&managers)
	}
	if err == nil && managers {
		err = r.unmanaged(ctx)
	}
	return err
}

// lost adds what entities have no longer, and reports whether an IP manager may
// be among them.
func (r *changeReader) lost(ctx context.Context) (managers bool, err error) {
	var gone string
	err = each(ctx, r.tx, r.d.q(`SELECT DISTINCT gone FROM clusto_changes WHERE seq > ? AND seq <= ? AND gone IS NOT NULL`),
		[]any{&gone}, func() {
			if strings.HasPrefix(gone, "/") {
				r.paths[gone] = struct{}{}
				managers = managers || strings.HasPrefix(gone, "/resourcemanager/")
			} else if mac, ok := parseStored(gone); ok {
				r.macs[mac] = struct{}{}
			}
		}, r.from, r.to.seq)
	return managers, err
}

// hosts adds what a query finds, which ends in rowsOfNamed.
func (r *changeReader) hosts(ctx context.Context, query string, args ...any) error {
	rows, err := r.tx.QueryContext(ctx, r.d.q(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var e clusto.Entity
	var text string
	for rows.Next() {
		if err := rows.Scan(&e.Type, &e.Name, &text); err != nil {
			return err
		}
		if e.Type != "" {
			r.paths[e.Path()] = struct{}{}
		}
		if mac, ok := parseStored(text); ok {
			r.macs[mac] = struct{}{}
		}
		if len(r.paths) > r.many || len(r.macs) > r.many {
			return errTooMany
		}
	}
	return rows.Err()
}

// unmanaged adds the hosts with an address that is not bound under a manager
// with a range: its network is found among those of all managers.
func (r *changeReader) unmanaged(ctx context.Context) error {
	ranges, _, err := readRanges(func(into []any, fn func()) error { return each(ctx, r.tx, r.d.rangesSQL(), into, fn) })
	if err != nil {
		return err
	}
	var ids []any
	var a, last row
	var address, managed, astray bool // of the last number of the last entity
	end := func() {
		if address && (astray || !managed) && (len(ids) == 0 || ids[len(ids)-1] != last.entity) {
			ids = append(ids, last.entity)
		}
		address, managed, astray, last = false, false, false, a
	}
	err = each(ctx, r.tx, addressesSQL, []any{&a.entity, integer{&a.number}, &a.sub, integer{&a.rel}}, func() {
		if a.entity != last.entity || a.number != last.number {
			end()
		}
		switch {
		case a.sub.String != "manager":
			address = true
		case ranges[a.rel.Int64] != nil:
			managed = true
		default:
			astray = true
		}
	})
	end()
	for some := range slices.Chunk(ids, idsAtOnce) {
		args := make([]any, idsAtOnce)
		copy(args, some)
		if err == nil {
			err = r.hosts(ctx, r.d.hostsOfSQL(), args...)
		}
	}
	return err
}
