package store

import (
	"context"
	"database/sql"
	"errors"
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
	if plan := s.dialect.feed.plan; plan != "" {
		if _, err := tx.ExecContext(ctx, plan); err != nil {
			return nil, s.failed("follow", err)
		}
	}
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

// changedSQL is what the rows say. Every use has two parameters.
const changedSQL = `changed(id) AS (SELECT DISTINCT entity_id FROM clusto_changes WHERE seq > ? AND seq <= ?)`

// concernedSQL finds whom it concerns, with the MACs of each: the changed ones,
// those whose dhcp attributes point to them, all that one of these contains, and
// what is bound under them. UNION drops what is found twice, so a cycle ends.
const concernedSQL = `WITH RECURSIVE ` + changedSQL + `,
	concerned(id) AS (
		SELECT id FROM changed
		UNION SELECT r.entity_id FROM changed CROSS JOIN entity_attrs r
			WHERE r.relation_id = changed.id AND r."key" = 'dhcp' AND r.deleted_at_version IS NULL
		UNION SELECT c.relation_id FROM concerned CROSS JOIN entity_attrs c
			WHERE c.entity_id = concerned.id AND c."key" = '_contains' AND c.relation_id IS NOT NULL AND c.deleted_at_version IS NULL),
	named(id) AS (
		SELECT id FROM concerned
		UNION SELECT b.entity_id FROM changed CROSS JOIN entity_attrs b
			WHERE b.relation_id = changed.id AND b."key" = 'ip' AND b.deleted_at_version IS NULL)
	SELECT e.type, e.name, COALESCE(p.string_value, '') FROM named CROSS JOIN entities e ` + portsSQL + ` WHERE e.entity_id = named.id`

const portsSQL = `LEFT JOIN entity_attrs p ON p.entity_id = e.entity_id AND p."key" = 'port-nic-eth'
	AND p.subkey IN ('mac', 'ipmi-mac') AND p.deleted_at_version IS NULL`

// name collects all whom the rows concern.
func (r *changeReader) name(ctx context.Context) error {
	r.paths, r.macs = map[string]struct{}{}, map[clusto.MAC]struct{}{}
	managers, err := r.lost(ctx)
	if err != nil {
		return err
	}
	if err := r.hosts(ctx, concernedSQL, r.from, r.to.seq); err != nil {
		return err
	}
	if !managers {
		err = r.tx.QueryRowContext(ctx, r.d.q(`WITH `+changedSQL+` SELECT count(*) > 0 FROM changed CROSS JOIN entities e
			WHERE e.entity_id = changed.id AND (e.type = 'resourcemanager' OR e.driver = 'ipmanager')`), r.from, r.to.seq).Scan(&managers)
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

// hosts adds what a query finds: type, name and one MAC a row.
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
		r.paths[e.Path()] = struct{}{}
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
	ranges, _, err := readRanges(func(into []any, fn func()) error { return each(ctx, r.tx, rangesSQL, into, fn) })
	if err != nil {
		return err
	}
	var ids []any
	var id, rel int64
	err = each(ctx, r.tx, `SELECT DISTINCT a.entity_id, COALESCE(m.relation_id, 0) FROM entity_attrs a
		LEFT JOIN entity_attrs m ON m.entity_id = a.entity_id AND m."key" = 'ip' AND m.subkey = 'manager'
			AND (m.number = a.number OR m.number IS NULL AND a.number IS NULL) AND m.deleted_at_version IS NULL
		WHERE a."key" = 'ip' AND (a.subkey IS NULL OR a.subkey = 'ipstring') AND a.deleted_at_version IS NULL`,
		[]any{&id, &rel}, func() {
			if ranges[rel] == nil {
				ids = append(ids, id)
			}
		})
	const atOnce = 500
	for len(ids) > 0 && err == nil {
		n := min(len(ids), atOnce)
		err = r.hosts(ctx, `SELECT e.type, e.name, COALESCE(p.string_value, '') FROM entities e `+portsSQL+
			` WHERE e.entity_id IN (`+params(n)+`)`, ids[:n]...)
		ids = ids[n:]
	}
	return err
}
