package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"os"
)

// The lock file says how far the journal had come, so that what is missing from
// it is noticed: the number of the last event that was acknowledged and how many
// waited, both in eight bytes, and the CRC-32C of them. It is written behind each
// transaction, and may be a little behind after a power cut; never ahead.
const markSize = 8 + 8 + 4

// mark is what it says.
type mark struct{ seq, waiting int64 }

// readMark reads it; marked says that there is one.
func (j *Journal) readMark(lock io.ReaderAt) {
	b := make([]byte, markSize)
	if _, err := lock.ReadAt(b, 0); err != nil {
		return // an old one is empty
	}
	be := binary.BigEndian
	if crc32.Checksum(b[:16], castagnoli) == be.Uint32(b[16:]) {
		j.mark, j.marked = mark{int64(be.Uint64(b)), int64(be.Uint64(b[8:]))}, true
	}
}

// peekMark reads it without a claim.
func (j *Journal) peekMark() {
	if lock, err := os.Open(j.file + ".lock"); err == nil {
		j.readMark(lock)
		_ = lock.Close() // it was read only
	}
}

// writeMark writes it. The journal is whole without it, so errors do not count.
func (j *Journal) writeMark() {
	if j.lock == nil {
		return
	}
	b := j.marking[:0]
	b = binary.BigEndian.AppendUint64(b, uint64(j.seq))
	b = binary.BigEndian.AppendUint64(b, uint64(j.waiting.Load()))
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, _ = j.lock.WriteAt(b, 0)
}

// account compares what is in the file with what was acknowledged, takes from the
// log's end what is missing and still there, reports what is lost, and takes out
// damaged dead letters. It writes in any case, so that a full disk shows. All of it is
// one transaction, which ends that the file counts as saved, and the mark is written
// behind it: whatever ends the program before, the next start reports the same.
func (j *Journal) account(ctx context.Context, loose []row) error {
	err := j.write(ctx, func(tx *sql.Tx) (rescued int, err error) {
		ends, saved := j.seq, 0
		if rescued, err = j.rescue(ctx, tx, loose); err != nil {
			return 0, err
		}
		if err := count(&saved)(tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = 'saved'`)); err != nil {
			return 0, err
		}
		j.report(saved > 0, ends, rescued)
		if err := j.dropLost(ctx, tx); err != nil {
			return 0, err
		}
		j.seq = max(ends, j.mark.seq)
		return rescued, j.goOnFrom(ctx, tx)
	})
	if err == nil {
		_, err = j.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	}
	if err != nil {
		return j.failed("write", blame(err))
	}
	return nil
}

// report tells what is lost of a file that ended at a number, and had some events
// of its log's end rescued.
func (j *Journal) report(damaged bool, ends int64, rescued int) {
	waiting := j.waiting.Load() + int64(rescued)
	missing := max(0, j.mark.seq-ends-int64(rescued)) // numbers; some of them were done
	lost := max(0, j.mark.waiting-waiting)
	if !damaged { // it ends early, and holds some that were done later
		lost = max(lost, min(missing, j.mark.waiting))
	}
	switch {
	case !damaged && ends >= j.mark.seq:
	case !j.marked:
		j.damaged.Add(1) // at least
		j.cfg.Log.Error("the journal is mended: how many events waited in it is not known", "journal", j.cfg.File, "wait", waiting)
	case damaged && waiting > j.mark.waiting:
		j.damaged.Add(1) // at least
		j.cfg.Log.Error("the journal is mended: events that were done come again, and whether others are lost is not known", "journal", j.cfg.File,
			"wait", waiting, "waited", j.mark.waiting)
	case lost > 0:
		j.damaged.Add(lost)
		j.cfg.Log.Error("events that were acknowledged are lost: the journal ends before them, or is damaged", "journal", j.cfg.File,
			"lost", lost, "wait", waiting, "last", ends, "last_acknowledged", j.mark.seq)
	default:
		j.cfg.Log.Warn("the journal is mended: no fewer events wait than before", "journal", j.cfg.File,
			"wait", waiting, "last", ends, "last_acknowledged", j.mark.seq)
	}
}

// rescue takes in events that were acknowledged, and that SQLite did not take.
func (j *Journal) rescue(ctx context.Context, tx *sql.Tx, loose []row) (n int, err error) {
	for i := range loose {
		if seq := loose[i].seq; seq <= j.seq || seq > j.mark.seq {
			continue
		}
		if err := count(&n)(loose[i].insert(ctx, tx)); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// goOnFrom has the next event numbered behind the last one.
func (j *Journal) goOnFrom(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = 'events'`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)`, j.seq)
	return err
}

// tried is how long the records are that Try writes: no event's are, so that nothing
// saves them from a page that they are left on; and so many of them need more pages
// than as many events of one switch.
const tried = 10 * bodyLen

// Try tells whether the disk can be written to, although there is nothing to keep: it
// writes what a group of perInsert events needs, and takes it out again. No reader
// sees it, and it has no numbers. Then it makes the write-ahead log begin anew, so
// that the next group has the room that was found.
func (j *Journal) Try(ctx context.Context) error {
	err := j.write(ctx, func(tx *sql.Tx) (int, error) {
		_, err := tx.ExecContext(ctx, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO events (seq, switch, body) SELECT ? + i, ?, zeroblob(?) FROM n`, perInsert, j.seq, math.MaxUint32, tried)
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM events WHERE seq > ?`, j.seq)
		}
		if err != nil {
			return 0, err
		}
		return 0, j.goOnFrom(ctx, tx)
	})
	if err == nil {
		_, err = j.db.ExecContext(ctx, `PRAGMA wal_checkpoint(PASSIVE)`)
	}
	if err != nil {
		return j.failed("write", err)
	}
	return nil
}
