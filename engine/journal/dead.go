package journal

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clusto/clusto-engine/engine/trap"
)

// Dead is a dead letter: an event that nothing could be made of.
type Dead struct {
	Entry
	Outcome string    // its kind: "unmapped", "refused"
	Reason  string    // in words
	Died    time.Time // when it was given up
}

// buryAtOnce is how many dead letters wait for their group at most.
const buryAtOnce = 4096

// Bury makes an event a dead letter. The oldest ones give way when there are too
// many. As after Done, the file has it soon, and the event may come again after
// a crash before that.
func (j *Journal) Bury(ctx context.Context, e *Entry, outcome, reason string) error {
	if outcome == "" {
		return errors.New("bury an event: an outcome is needed")
	}
	j.mu.Lock()
	j.ended.dead = append(j.ended.dead, Dead{Entry: *e, Outcome: outcome, Reason: reason, Died: time.Now()})
	full := len(j.ended.dead) >= buryAtOnce
	j.mu.Unlock()
	if full {
		return j.flush(ctx)
	}
	return nil
}

// bury moves events to the dead letters, and tells how many were there.
func (j *Journal) bury(tx *sql.Tx, dead []Dead) (n int, err error) {
	if len(dead) == 0 {
		return 0, nil
	}
	st, err := tx.Prepare(`INSERT OR REPLACE INTO dead (seq, body, outcome, reason, died) VALUES (?, ?, ?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	seqs := make([]int64, 0, len(dead))
	for i := range dead {
		d := &dead[i]
		if _, err := st.Exec(d.Seq, appendBody(nil, d.Seq, &d.Event), d.Outcome, d.Reason, d.Died.UnixNano()); err != nil {
			return 0, err
		}
		seqs = append(seqs, d.Seq)
	}
	if n, err = deleteAll(tx, seqs); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`DELETE FROM dead WHERE seq IN (SELECT seq FROM dead ORDER BY seq DESC LIMIT -1 OFFSET ?)`, j.cfg.Dead)
	return n, err
}

// Letters lists the newest dead letters, the oldest of them first; those that
// wait to be tried again are not among them.
func (j *Journal) Letters(ctx context.Context, limit int) (out []Dead, err error) {
	rows, err := j.db.QueryContext(ctx, `SELECT seq, body, outcome, reason, died FROM (
		SELECT * FROM dead WHERE outcome <> '' ORDER BY seq DESC LIMIT ?) ORDER BY seq`, limit)
	if err != nil {
		return nil, j.failed("read", err)
	}
	defer rows.Close()
	for rows.Next() {
		var d Dead
		var body []byte
		var died int64
		if err := rows.Scan(&d.Seq, &body, &d.Outcome, &d.Reason, &died); err != nil {
			return nil, j.failed("read", err)
		}
		e, ok := j.letter(d.Seq, body)
		if !ok {
			continue
		}
		d.Event, d.Died = e, time.Unix(0, died)
		out = append(out, d)
	}
	return out, rows.Err()
}

// letter parses a dead letter's body. One whose sum is wrong is lost: that is told
// and counted once, and it is counted as a dead letter no more. The daemon takes it
// out; one that looks leaves it to the daemon.
func (j *Journal) letter(seq int64, body []byte) (e trap.Event, ok bool) {
	if e, ok = parseBody(seq, body); ok {
		return e, true
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lostDead[seq] {
		return e, false
	}
	if j.lostDead == nil {
		j.lostDead = map[int64]bool{}
	}
	j.lostDead[seq] = true
	j.damaged.Add(1)
	j.cfg.Log.Error("a dead letter in the journal is damaged, and lost", "journal", j.cfg.File, "event", seq)
	return e, false
}

// checkLetters looks for dead letters that are damaged.
func (j *Journal) checkLetters(ctx context.Context) error {
	rows, err := j.db.QueryContext(ctx, `SELECT seq, body FROM dead`)
	if err != nil {
		return j.failed("read", err)
	}
	defer rows.Close()
	var seq int64
	var body sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&seq, &body); err != nil {
			return j.failed("read", err)
		}
		j.letter(seq, body)
	}
	return rows.Err()
}

// lostLetters lists the damaged dead letters that were met, in JSON.
func (j *Journal) lostLetters() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return "[" + strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Sorted(maps.Keys(j.lostDead))), " ", ","), "[]") + "]"
}

// these names those that lostLetters lists.
const these = `seq IN (SELECT value FROM json_each(?))`

// dropLost takes out the damaged dead letters that were met.
func (j *Journal) dropLost(ctx context.Context, tx *sql.Tx) error {
	lost := j.lostLetters()
	if lost == "[]" {
		return nil
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM dead WHERE `+these, lost)
	return err
}

// letters counts dead letters that are whole, as far as is known.
func (j *Journal) letters() (n int) {
	_ = j.db.QueryRow(`SELECT count(*) FROM dead`).Scan(&n) // a metric: 0 if it cannot be had
	if lost, gone := j.lostLetters(), 0; lost != "[]" {
		_ = j.db.QueryRow(`SELECT count(*) FROM dead WHERE `+these, lost).Scan(&gone)
		n -= gone
	}
	return max(0, n)
}

// Retry has dead letters tried again, all of them if none are named, and tells
// how many. It works beside a running daemon, which takes them up within a
// second.
func (j *Journal) Retry(ctx context.Context, seqs ...int64) (n int, err error) {
	return j.change(ctx, `UPDATE dead SET outcome = '', died = ? WHERE outcome <> ''`, seqs)
}

// Drop forgets dead letters, all of them if none are named, and tells how many.
func (j *Journal) Drop(ctx context.Context, seqs ...int64) (n int, err error) {
	return j.change(ctx, `DELETE FROM dead WHERE outcome <> '' AND died <= ?`, seqs)
}

// change changes dead letters. Damaged ones are handed to the daemon.
func (j *Journal) change(ctx context.Context, text string, seqs []int64) (n int, err error) {
	if err := j.checkLetters(ctx); err != nil {
		return 0, err
	}
	lost := j.lostLetters()
	err = j.write(ctx, func(tx *sql.Tx) (int, error) {
		t := now()
		if _, err := tx.ExecContext(ctx, `UPDATE dead SET outcome = '', died = ? WHERE outcome <> '' AND `+these, t, lost); err != nil {
			return 0, err
		}
		if len(seqs) == 0 {
			return 0, count(&n)(tx.ExecContext(ctx, text, t))
		}
		for _, seq := range seqs {
			if err := count(&n)(tx.ExecContext(ctx, text+` AND seq = ?`, t, seq)); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
	if err != nil {
		return 0, j.failed("write", err)
	}
	return n, nil
}

func count(n *int) func(sql.Result, error) error {
	return func(res sql.Result, err error) error {
		if err != nil {
			return err
		}
		k, err := res.RowsAffected()
		*n += int(k)
		return err
	}
}

// revive makes events again of the dead letters that are to be tried again.
func (j *Journal) revive(ctx context.Context) error {
	err := j.write(ctx, func(tx *sql.Tx) (int, error) {
		events, err := j.toRetry(ctx, tx)
		if err != nil {
			return 0, err
		}
		if err := j.insertAll(tx, events); err != nil {
			return 0, err
		}
		_, err = tx.ExecContext(ctx, `DELETE FROM dead WHERE outcome = ''`)
		return len(events), err
	})
	if err != nil {
		return j.failed("write", err)
	}
	select {
	case j.more <- struct{}{}:
	default:
	}
	return nil
}

// toRetry reads the dead letters that are to be tried again.
func (j *Journal) toRetry(ctx context.Context, tx *sql.Tx) (events []trap.Event, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT seq, body FROM dead WHERE outcome = '' ORDER BY seq`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var seq int64
	var body []byte
	for rows.Next() {
		if err := rows.Scan(&seq, &body); err != nil {
			return nil, err
		}
		if e, ok := j.letter(seq, body); ok {
			events = append(events, e)
		}
	}
	return events, rows.Err()
}

// Revived tells when dead letters have become events again.
func (j *Journal) Revived() <-chan struct{} { return j.more }
