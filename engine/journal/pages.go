package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
)

const (
	header   = "SQLite format 3\x00"
	pageSize = 4096
)

// image is the file and its write-ahead log, as they lie there. It is read before
// SQLite opens them, which cuts off what it does not take, and says nothing.
// While SQLite has them open, an image must not be: its Close would take SQLite's
// locks.
type image struct {
	main, log *os.File // nil if there is none
	size      int64    // of main
	logged
}

func openImage(name string) (im *image, err error) {
	im = new(image)
	defer func() {
		if err != nil {
			im.Close()
		}
	}()
	var size int64
	if im.main, im.size, err = openSized(name); err != nil {
		return nil, err
	}
	if im.log, size, err = openSized(name + "-wal"); err != nil {
		return nil, err
	}
	if im.log != nil {
		if im.logged, err = readLog(im.log, size); err != nil {
			return nil, err
		}
	}
	return im, nil
}

// openSized opens a file, if there is one.
func openSized(name string) (f *os.File, size int64, err error) {
	if f, err = os.Open(name); errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return f, 0, err
	}
	return f, st.Size(), nil
}

// Close closes both files.
func (im *image) Close() {
	for _, f := range []*os.File{im.main, im.log} {
		if f != nil {
			_ = f.Close() // it was read only
		}
	}
}

// page reads the newest image of a page into dst, zeros behind the file's end.
func (im *image) page(dst []byte, number uint32) error {
	clear(dst)
	if at, ok := im.at[number]; ok {
		_, err := im.log.ReadAt(dst, at)
		return err
	}
	if im.main == nil {
		return nil
	}
	if _, err := im.main.ReadAt(dst, int64(number-1)*pageSize); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// pages is how many there are.
func (im *image) pages() uint32 {
	n := uint32((im.size + pageSize - 1) / pageSize)
	for number := range im.at {
		n = max(n, number)
	}
	return n
}

// rows gives every row that can be read, whatever has become of the way to it:
// those of the newest pages first, then those of loose ones. It ends with the
// first error of fn.
func (im *image) rows(fn func(row) error) error {
	page := make([]byte, pageSize)
	free := im.free()
	for number := uint32(1); number <= im.pages(); number++ {
		if free[number] {
			continue
		}
		if err := im.page(page, number); err != nil {
			return err
		}
		if err := rowsOf(page, fn); err != nil {
			return err
		}
	}
	return im.looseRows(fn)
}

// looseRows gives those of the log's pages that count for nothing otherwise.
func (im *image) looseRows(fn func(row) error) error {
	page := make([]byte, pageSize)
	for _, at := range im.loose {
		if _, err := im.log.ReadAt(page, at); err != nil {
			return err
		}
		if err := rowsOf(page, fn); err != nil {
			return err
		}
	}
	return nil
}

// free lists the pages that are not in use (section 1.5): they hold rows that
// are gone. Without the first page, or a list of as many as it says, none is known.
func (im *image) free() map[uint32]bool {
	free := map[uint32]bool{}
	page := make([]byte, pageSize)
	if im.page(page, 1) != nil || !bytes.HasPrefix(page, []byte(header)) {
		return free
	}
	be := binary.BigEndian
	count := be.Uint32(page[36:])
	for trunk := be.Uint32(page[32:]); trunk > 0 && trunk <= im.pages() && !free[trunk]; trunk = be.Uint32(page) {
		free[trunk] = true
		if im.page(page, trunk) != nil {
			break
		}
		for i := range min(be.Uint32(page[4:]), pageSize/4-2) {
			free[be.Uint32(page[8+4*i:])] = true
		}
	}
	if uint32(len(free)) != count {
		return map[uint32]bool{} // the list is damaged, and may name any page
	}
	return free
}

// row is one of the table events, or a dead letter.
type row struct {
	seq  int64
	body []byte
	sw   [4]byte
	dead bool

	outcome, reason string
	died            int64
}

// The kinds of pages (section 1.6).
const (
	leafOfTable  = 13
	innerOfTable = 5
	leafOfIndex  = 10
	innerOfIndex = 2
)

// rowsOf gives the rows of a page, if it is a leaf of one of the tables. If its
// own directory is not whole they are looked for everywhere on it: a row's sum
// tells.
func rowsOf(page []byte, fn func(row) error) error {
	begin := 0
	if bytes.HasPrefix(page, []byte(header)) {
		begin = 100
	}
	be := binary.BigEndian
	switch page[begin] {
	case innerOfTable, leafOfIndex, innerOfIndex:
		return nil
	}
	n := int(be.Uint16(page[begin+3:]))
	whole := page[begin] == leafOfTable && begin+8+2*n <= len(page)
	for i := 0; whole && i < n; i++ {
		r, ok := parseRow(page, int(be.Uint16(page[begin+8+2*i:])))
		if !ok {
			whole = false
		} else if err := fn(r); err != nil {
			return err
		}
	}
	if whole {
		return nil
	}
	for at := range page {
		if r, ok := parseRow(page, at); ok {
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseRow reads the cell of a table's leaf (sections 1.6, 2.1): the lengths of
// its record and of the number, the columns' types, the columns. The body's sum
// has to be right, and nothing of it may be on another page.
func parseRow(page []byte, at int) (r row, ok bool) {
	if at >= len(page) {
		return r, false
	}
	c := cursor{rest: page[at:]}
	size := c.varint()
	r.seq = c.varint()
	if c.bad || size < 0 || size > int64(len(c.rest)) {
		return r, false
	}
	c.rest = c.rest[:size]
	heads := cursor{rest: c.rest}
	length := heads.varint()
	if heads.bad || length < 0 || length > size {
		return r, false
	}
	heads.rest = heads.rest[:max(0, int(length)-(len(c.rest)-len(heads.rest)))]
	c.rest = c.rest[length:]
	if heads.varint() != 0 { // the number stands for the first column
		return r, false
	}
	cols := make([][]byte, 0, 4)
	for len(heads.rest) > 0 && len(cols) < cap(cols) {
		cols = append(cols, c.column(heads.varint()))
	}
	if heads.bad || c.bad || len(heads.rest) > 0 {
		return r, false
	}
	return r, r.fill(cols)
}

// fill makes a row of its columns but for the first.
func (r *row) fill(cols [][]byte) bool {
	switch len(cols) {
	case 2:
		r.body = cols[1]
	case 4:
		r.dead = true
		r.body, r.outcome, r.reason = cols[0], string(cols[1]), string(cols[2])
		for _, b := range cols[3] {
			r.died = r.died<<8 | int64(b)
		}
	default:
		return false
	}
	e, ok := parseBody(r.seq, r.body)
	r.sw = e.Switch
	return ok
}

// cursor reads from the front of rest; bad says that there was not enough.
type cursor struct {
	rest []byte
	bad  bool
}

// varint reads an integer of one to nine bytes.
func (c *cursor) varint() (v int64) {
	for i, b := range c.rest {
		if i == 8 {
			c.rest = c.rest[9:]
			return v<<8 | int64(b)
		}
		v = v<<7 | int64(b&0x7f)
		if b < 0x80 {
			c.rest = c.rest[i+1:]
			return v
		}
	}
	c.bad = true
	return 0
}

// column reads a value of a serial type: an integer, a blob or a text.
func (c *cursor) column(kind int64) []byte {
	n := int64(0)
	switch {
	case kind >= 12:
		n = (kind - 12) / 2
	case kind >= 0 && kind < 8:
		n = [...]int64{0, 1, 2, 3, 4, 6, 8, 8}[kind]
	}
	if n > int64(len(c.rest)) {
		c.bad = true
		return nil
	}
	v := c.rest[:n]
	c.rest = c.rest[n:]
	return v
}
