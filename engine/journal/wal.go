package journal

import (
	"encoding/binary"
	"io"
)

// The write-ahead log (SQLite's file format, section 4.1): a header of 32 bytes,
// then frames of 24 bytes and a page. A frame's sum goes on from the one before.
const (
	logHeader   = 32
	frameHeader = 24
	frameSize   = frameHeader + pageSize
)

// logged is what a write-ahead log holds. SQLite takes the frames up to the first
// that does not hold, and none behind.
type logged struct {
	at     map[uint32]int64 // where the newest image of each page begins, of transactions that ended
	loose  []int64          // where other images begin: in frames that do not hold, or of a transaction that did not end
	broken bool             // transactions end behind a frame that does not hold
}

// logReader walks the frames of the log's present run: those of runs before may
// follow.
type logReader struct {
	logged
	order  binary.ByteOrder
	salt   [8]byte // of the run
	salted bool    // salt is known
	sum    [2]uint32
	summed bool // sum is that of the frame before
	good   bool // SQLite takes the frame before

	open  []framed // since the last transaction's end
	doubt []int64  // since the last frame that holds
}

// framed is a frame that holds.
type framed struct {
	page uint32
	at   int64
}

// readLog reads a log of size bytes. The error is that of reading.
func readLog(f io.ReaderAt, size int64) (logged, error) {
	r := logReader{logged: logged{at: map[uint32]int64{}}, order: binary.LittleEndian}
	head, frame := make([]byte, logHeader), make([]byte, frameSize)
	if size < logHeader {
		return r.logged, nil
	}
	if _, err := f.ReadAt(head, 0); err != nil {
		return r.logged, err
	}
	r.begin(head)
	for at := int64(logHeader); at+frameSize <= size; at += frameSize {
		if _, err := f.ReadAt(frame, at); err != nil {
			return r.logged, err
		}
		r.take(frame, at+frameHeader)
	}
	for _, o := range r.open {
		r.loose = append(r.loose, o.at)
	}
	r.loose = append(r.loose, r.doubt...)
	return r.logged, nil
}

// begin reads the header. If it does not hold, the run is that of the first two
// frames that belong together.
func (r *logReader) begin(head []byte) {
	be := binary.BigEndian
	magic := be.Uint32(head)
	if magic == 0x377f0683 {
		r.order = be
	}
	sum := r.add([2]uint32{}, head[:24])
	if magic|1 != 0x377f0683 || be.Uint32(head[8:]) != pageSize || sum != sumAt(head[24:]) {
		return
	}
	r.salt, r.salted = [8]byte(head[16:]), true
	r.sum, r.summed, r.good = sum, true, true
}

// take judges one frame, whose page is at a place of the log. A frame behind one
// that does not hold is judged by the sum which that one claims.
func (r *logReader) take(frame []byte, at int64) {
	head, page := frame[:frameHeader], frame[frameHeader:]
	salt, claims := [8]byte(head[8:]), sumAt(head[16:])
	number := binary.BigEndian.Uint32(head)
	holds := r.summed && number > 0 && (!r.salted || salt == r.salt) &&
		r.add(r.add(r.sum, head[:8]), page) == claims
	r.sum, r.summed = claims, true
	if !holds {
		r.good = false
		if !r.salted || salt == r.salt {
			r.doubt = append(r.doubt, at)
		}
		return
	}
	if !r.salted {
		r.salt, r.salted = salt, true
	}
	r.open = append(r.open, framed{number, at})
	if binary.BigEndian.Uint32(head[4:]) == 0 {
		return // its transaction goes on
	}
	r.broken = r.broken || !r.good
	for _, o := range r.open {
		r.at[o.page] = o.at
	}
	r.loose, r.open, r.doubt = append(r.loose, r.doubt...), nil, nil
}

func sumAt(b []byte) [2]uint32 {
	return [2]uint32{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// add goes on with a sum over b, eight bytes at a time (section 4.2).
func (r *logReader) add(s [2]uint32, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		s[0] += r.order.Uint32(b) + s[1]
		s[1] += r.order.Uint32(b[4:]) + s[0]
	}
	return s
}
