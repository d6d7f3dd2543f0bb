package journal

import (
	"context"
	"database/sql"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// The lock file says how far the journal had come, so that what is missing from
// it is noticed: the number of the last event that was acknowledged and how many
// waited, both in eight bytes, and the CRC-32C of them. It is written behind each
// transaction, and may be a little behind after a power cut; never ahead.
const markSize = 8 + 8 + 4

// mark is what it says.
type mark struct{ seq, waiting int64 }

// readMark reads it; marked says that there is one.
func (j *Journal) readMark() {
	b := make([]byte, markSize)
	if _, err := j.lock.ReadAt(b, 0); err != nil {
		return // an old one is empty
	}
	be := binary.BigEndian
	if crc32.Checksum(b[:16], castagnoli) == be.Uint32(b[16:]) {
		j.mark, j.marked = mark{int64(be.Uint64(b)), int64(be.Uint64(b[8:]))}, true
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
// log's end what is missing and still there, and reports what is lost.
func (j *Journal) account(ctx context.Context, f findings) error {
	ends := j.seq
	rescued, err := j.rescue(ctx, f.loose)
	if err != nil {
		return j.failed("write", blame(err))
	}
	waiting := j.waiting.Load()
	missing := max(0, j.mark.seq-ends-int64(rescued)) // numbers; some of them were done
	lost := max(0, j.mark.waiting-waiting)
	if !f.damaged { // it ends early, and holds some that were done later
		lost = max(lost, min(missing, j.mark.waiting))
	}
	switch {
	case !f.damaged && ends >= j.mark.seq:
		lost = 0
	case !j.marked:
		j.damaged.Add(1) // at least
		j.cfg.Log.Error("the journal is mended: how many events waited in it is not known", "journal", j.cfg.File, "wait", waiting)
	case lost > 0:
		j.damaged.Add(lost)
		j.cfg.Log.Error("events that were acknowledged are lost: the journal ends before them, or is damaged", "journal", j.cfg.File,
			"lost", lost, "wait", waiting, "last", ends, "last_acknowledged", j.mark.seq)
	default:
		j.cfg.Log.Warn("the journal is mended: no fewer events wait than before", "journal", j.cfg.File,
			"wait", waiting, "last", ends, "last_acknowledged", j.mark.seq)
	}
	if ends < j.mark.seq {
		j.seq = j.mark.seq
		if err := j.goOnFrom(ctx, j.seq); err != nil {
			return j.failed("write", err)
		}
	}
	j.writeMark()
	return nil
}

// rescue takes in events that were acknowledged, and that SQLite did not take.
func (j *Journal) rescue(ctx context.Context, loose []row) (n int, err error) {
	ends := j.seq
	loose = slices.DeleteFunc(loose, func(r row) bool { return r.seq <= ends || r.seq > j.mark.seq })
	if len(loose) == 0 {
		return 0, nil
	}
	err = j.write(ctx, func(tx *sql.Tx) (int, error) {
		for i := range loose {
			if err := count(&n)(loose[i].insert(ctx, tx)); err != nil {
				return 0, err
			}
		}
		return n, nil
	})
	return n, err
}

// goOnFrom has the next event numbered behind a number.
func (j *Journal) goOnFrom(ctx context.Context, seq int64) error {
	return j.write(ctx, func(tx *sql.Tx) (int, error) {
		if _, err := tx.ExecContext(ctx, `DELETE FROM sqlite_sequence WHERE name = 'events'`); err != nil {
			return 0, err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)`, seq)
		return 0, err
	})
}
