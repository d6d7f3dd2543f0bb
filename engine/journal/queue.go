package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/engine/trap"
)

const (
	// perInsert is how many events one INSERT writes.
	perInsert = 200
	// tidyEvery is how often what is done is deleted, at the latest, and how
	// soon a change by another process is noticed.
	tidyEvery = 250 * time.Millisecond
)

var insertMany = insertSQL(perInsert)

func insertSQL(n int) string {
	return `INSERT INTO events (seq, switch, body) VALUES ` + strings.TrimSuffix(strings.Repeat(`(?, ?, ?), `, n), ", ")
}

// Append writes events, all in one transaction, and takes out with it what has
// ended. It implements trap.Journal: if there is no room for all, those from the
// first on are written that there is room for, and the error wraps trap.ErrFull.
// The goroutine that commits groups calls it, never a worker's: the records are
// made without an allocation, their statement is not: the SQL driver allocates a
// few times for each.
func (j *Journal) Append(events []trap.Event) (stored int, err error) {
	return j.add(context.Background(), events, false)
}

// AppendAll is Append of all events, or of none if there is no room for all, or if
// ctx ends before they are on disk.
func (j *Journal) AppendAll(ctx context.Context, events []trap.Event) error {
	_, err := j.add(ctx, events, true)
	return err
}

func (j *Journal) add(ctx context.Context, events []trap.Event, whole bool) (stored int, err error) {
	gone, n := j.takeEnded(), 0
	err = j.write(ctx, func(tx *sql.Tx) (int, error) {
		left, err := j.remove(tx, &gone)
		if err != nil {
			return 0, err
		}
		room := j.cfg.Max - int(j.waiting.Load()) + left
		if n = min(len(events), max(room, 0)); whole && n < len(events) {
			n = 0
		}
		return n - left, j.insertAll(tx, events[:n])
	})
	if err != nil {
		j.putBack(&gone)
		return 0, j.failed("write", err)
	}
	if n < len(events) {
		return n, fmt.Errorf("%d events wait in %s: %w", j.waiting.Load(), j.cfg.File, trap.ErrFull)
	}
	return n, nil
}

// write runs a transaction, and marks how far the journal has come. fn tells how
// many more events wait then.
func (j *Journal) write(ctx context.Context, fn func(*sql.Tx) (more int, err error)) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	last := j.seq
	more, err := j.transact(ctx, fn)
	if err != nil {
		j.seq = last
		return err
	}
	j.waiting.Add(int64(more))
	j.writeMark()
	return nil
}

func (j *Journal) transact(ctx context.Context, fn func(*sql.Tx) (int, error)) (more int, err error) {
	tx, err := j.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // it fails after Commit, as it should
	if more, err = fn(tx); err != nil {
		return 0, err
	}
	return more, tx.Commit()
}

// encode numbers events on from the last one and gives their records, one behind
// the other, in memory of j.bodies. A number is not given twice, and a higher one
// is never seen before a lower one.
func (j *Journal) encode(events []trap.Event) (records []byte) {
	j.bodies = j.bodies[:0]
	for i := range events {
		j.seq++
		j.bodies = appendBody(j.bodies, j.seq, &events[i])
	}
	return j.bodies
}

// insertAll writes events.
func (j *Journal) insertAll(tx *sql.Tx, events []trap.Event) error {
	for len(events) > 0 {
		n := min(perInsert, len(events))
		first := j.seq + 1
		records := j.encode(events[:n])
		j.args = j.args[:0]
		for i := range events[:n] {
			j.args = append(j.args, first+int64(i), word(events[i].Switch), records[i*bodyLen:][:bodyLen])
		}
		text := insertMany
		if n < perInsert {
			text = insertSQL(n)
		}
		if _, err := tx.Exec(text, j.args...); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// deleteAll takes events out, and tells how many: those of them that were there.
func deleteAll(tx *sql.Tx, seqs []int64) (n int, err error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	st, err := tx.Prepare(`DELETE FROM events WHERE seq = ?`)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	for _, seq := range seqs {
		if err := count(&n)(st.Exec(seq)); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// ended is what leaves the file with the next group.
type ended struct {
	done []int64
	dead []Dead
}

func (e *ended) len() int { return len(e.done) + len(e.dead) }

// Done says that something has become of events. They leave the file soon, and
// may come again after a crash before that. What is said twice counts once.
func (j *Journal) Done(seqs ...int64) {
	j.mu.Lock()
	j.ended.done = append(j.ended.done, seqs...)
	j.mu.Unlock()
}

func (j *Journal) takeEnded() ended {
	j.mu.Lock()
	defer j.mu.Unlock()
	e := j.ended
	j.ended = ended{}
	return e
}

func (j *Journal) putBack(e *ended) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended.done = append(e.done, j.ended.done...)
	j.ended.dead = append(e.dead, j.ended.dead...)
}

// remove takes out what has ended, and tells how many events that were.
func (j *Journal) remove(tx *sql.Tx, e *ended) (n int, err error) {
	n, err = deleteAll(tx, e.done)
	if err != nil {
		return 0, err
	}
	buried, err := j.bury(tx, e.dead)
	return n + buried, err
}

// flush takes out what has ended.
func (j *Journal) flush(ctx context.Context) error {
	gone := j.takeEnded()
	if gone.len() == 0 {
		return nil
	}
	err := j.write(ctx, func(tx *sql.Tx) (int, error) {
		n, err := j.remove(tx, &gone)
		return -n, err
	})
	if err != nil {
		j.putBack(&gone)
		return j.failed("write", err)
	}
	return nil
}

// tidy takes out what has ended while nothing is appended, and notices what another
// process did.
func (j *Journal) tidy(ctx context.Context) {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	flushing := again{log: j.cfg.Log, text: "events that are done stay in the journal for now"}
	reviving := again{log: j.cfg.Log, text: "dead letters are not tried again for now"}
	var last int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		flushing.tell(ctx, j.flush(ctx), time.Now())
		var revived sql.NullInt64
		if j.db.QueryRowContext(ctx, `SELECT max(died) FROM dead WHERE outcome = ''`).Scan(&revived) != nil || revived.Int64 == last {
			continue
		}
		err := j.revive(ctx)
		if reviving.tell(ctx, err, time.Now()); err == nil {
			last = revived.Int64 // else it is tried once more
		}
	}
}

// again tells of a failure once a minute, or when it is another one.
type again struct {
	log  *slog.Logger
	text string

	told string
	when time.Time
	held int // times it was not told
}

// tell is given every outcome; that of an end is none.
func (a *again) tell(ctx context.Context, err error, now time.Time) {
	switch {
	case ctx.Err() != nil:
	case err == nil:
		a.told = ""
	case err.Error() == a.told && now.Sub(a.when) < time.Minute:
		a.held++
	default:
		a.log.Warn(a.text, "error", err, "more", a.held)
		a.told, a.when, a.held = err.Error(), now, 0
	}
}

// Switches lists the switches that have events waiting.
func (j *Journal) Switches(ctx context.Context) (out [][4]byte, err error) {
	done, err := j.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	// One seek for each switch, however many events it has.
	rows, err := j.db.QueryContext(ctx, `WITH RECURSIVE s (sw) AS (
		SELECT min(switch) FROM events UNION ALL
		SELECT (SELECT min(switch) FROM events WHERE switch > s.sw) FROM s WHERE s.sw IS NOT NULL)
		SELECT sw FROM s WHERE sw IS NOT NULL`)
	if err != nil {
		return nil, j.failed("read", err)
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, j.failed("read", err)
		}
		out = append(out, ip(n))
	}
	return out, rows.Err()
}

func ip(n int64) (a [4]byte) {
	binary.BigEndian.PutUint32(a[:], uint32(n))
	return a
}

// Next gives the events of a switch after a sequence number, in their order, as
// many as limit at most.
func (j *Journal) Next(ctx context.Context, sw [4]byte, after int64, limit int) (out []Entry, err error) {
	done, err := j.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	rows, err := j.db.QueryContext(ctx, `SELECT seq, body FROM events WHERE switch = ? AND seq > ? ORDER BY seq LIMIT ?`, word(sw), after, limit)
	if err != nil {
		return nil, j.failed("read", err)
	}
	defer rows.Close()
	var seq int64
	var body sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&seq, &body); err != nil {
			return nil, j.failed("read", err)
		}
		e, ok := parseBody(seq, body)
		if !ok {
			j.lose(seq)
			continue
		}
		out = append(out, Entry{e, seq})
	}
	return out, rows.Err()
}

// lose drops an event whose sum is wrong, once: it is read again until it has left
// the file.
func (j *Journal) lose(seq int64) {
	j.mu.Lock()
	known := j.lost[seq]
	if !known {
		if j.lost == nil {
			j.lost = map[int64]bool{}
		}
		j.lost[seq] = true
	}
	j.mu.Unlock()
	if known {
		return
	}
	j.damaged.Add(1)
	j.cfg.Log.Error("an event in the journal is damaged, and lost", "journal", j.cfg.File, "event", seq)
	j.Done(seq)
}
