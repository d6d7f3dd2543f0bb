package pcap

import (
	"io"
	"math/bits"
	"time"
)

// Block types (draft-ietf-opsawg-pcapng section 10.1).
const (
	sectionHeader        = 0x0a0d0d0a // the same in either byte order
	interfaceDescription = 1
	obsoletePacket       = 2
	simplePacket         = 3
	enhancedPacket       = 6
)

const (
	maxBlock = 16 << 20 // libpcap's bound
	trailer  = 4        // a block's length once more, behind it
)

// iface is what is kept of an interface description (section 4.2).
type iface struct {
	link   uint16
	snap   uint32 // 0 is no limit
	units  uint64 // of a packet's time in a second
	offset int64  // seconds to add
}

// firstInterface reads up to the first interface.
func (r *Reader) firstInterface() error {
	for len(r.ifaces) == 0 {
		typ, err := r.block()
		if err != nil {
			return err
		}
		switch typ {
		case obsoletePacket, simplePacket, enhancedPacket:
			return damaged("a packet before the description of interface", 0, "")
		}
		if err := r.other(typ); err != nil {
			return err
		}
	}
	if link := r.ifaces[0].link; link != ethernet {
		return LinkTypeError(link)
	}
	return nil
}

// nextBlock reads up to the end of the next packet. Blocks that are not known are
// skipped (section 3.1).
func (r *Reader) nextBlock() (p Packet, err error) {
	for {
		if _, err := r.in.Peek(1); err != nil {
			return p, err // io.EOF: the end
		}
		typ, err := r.block()
		if err == nil {
			switch typ {
			case obsoletePacket, simplePacket, enhancedPacket:
				p, err = r.packet(typ)
				return p, cutOff(err)
			}
			err = r.other(typ)
		}
		if err != nil {
			return p, cutOff(err)
		}
	}
}

// block reads the beginning of a block (section 3.1), of a section header the byte
// order too (section 4.1).
func (r *Reader) block() (typ uint32, err error) {
	b, err := r.in.Peek(12) // the shortest there is
	if err != nil {
		return 0, cutOff(err)
	}
	head := 8
	if typ = r.u32(b); typ == sectionHeader {
		head = 12
		if r.big = b[8] == 0x1a; r.u32(b[8:]) != 0x1a2b3c4d {
			return 0, damaged("a byte order magic of", r.u32(b[8:]), "")
		}
	}
	size := r.u32(b[4:])
	if size < 12 || size > maxBlock {
		return 0, damaged("a block of", size, " bytes")
	}
	r.left = size - uint32(head)
	_, err = r.in.Discard(head)
	return typ, err
}

// field gives the next n bytes, up to 24, of the block.
func (r *Reader) field(n uint32) ([]byte, error) {
	if n+trailer > r.left {
		return nil, damaged("a block that lacks", n+trailer-r.left, " bytes")
	}
	r.left -= n
	return r.read(int(n))
}

// skip skips n bytes, which the block has.
func (r *Reader) skip(n uint32) error {
	r.left -= n
	_, err := r.in.Discard(int(n))
	return err
}

// other reads a block that is no packet.
func (r *Reader) other(typ uint32) (err error) {
	switch typ {
	case sectionHeader:
		err = r.section()
	case interfaceDescription:
		err = r.describe()
	}
	if err != nil {
		return err
	}
	return r.skip(r.left)
}

// section begins a section (section 4.1): its interfaces are its own.
func (r *Reader) section() error {
	r.ifaces = r.ifaces[:0]
	b, err := r.field(12)
	if err != nil {
		return err
	}
	// 1.2 is what some writers call 1.0.
	if major, minor := r.u16(b), r.u16(b[2:]); major != 1 || minor != 0 && minor != 2 {
		return unknownVersion(major, minor)
	}
	return nil
}

// describe reads an interface description (section 4.2).
func (r *Reader) describe() error {
	b, err := r.field(8)
	if err != nil {
		return err
	}
	f := iface{link: r.u16(b), snap: r.u32(b[4:]), units: 1e6}
	for r.left > trailer {
		done, err := r.option(&f)
		if err != nil {
			return err
		} else if done {
			break
		}
	}
	r.ifaces = append(r.ifaces, f)
	return nil
}

// option reads an option (section 3.5) of an interface description, which may be the
// last.
func (r *Reader) option(f *iface) (done bool, err error) {
	const endOfOptions, tsresol, tsoffset = 0, 9, 14
	b, err := r.field(4)
	if err != nil {
		return false, err
	}
	code, size := r.u16(b), uint32(r.u16(b[2:]))
	if code == endOfOptions {
		return true, nil
	}
	padded := (size + 3) &^ 3
	if padded+trailer > r.left {
		return false, damaged("an option of", size, " bytes, more than its block has")
	}
	switch {
	case code == tsresol && size == 1:
		if b, err = r.field(1); err == nil {
			f.units, err = resolution(b[0])
		}
		padded--
	case code == tsoffset && size == 8:
		if b, err = r.field(8); err == nil {
			f.offset = int64(r.u64(b))
		}
		padded -= 8
	}
	if err != nil {
		return false, err
	}
	return false, r.skip(padded)
}

// resolution gives the units in a second of an if_tsresol: a power of 10, or of 2 if
// its highest bit is set.
func resolution(tsresol byte) (units uint64, err error) {
	base, n := uint64(10), tsresol&0x7f
	if tsresol > n {
		base = 2
	}
	units = 1
	for range n {
		hi, lo := bits.Mul64(units, base)
		if hi > 0 {
			return 0, damaged("a time resolution of", uint32(tsresol), ", too fine for 64 bits")
		}
		units = lo
	}
	return units, nil
}

// at is the time of a packet: ts units and the offset since 1970.
func (f *iface) at(ts uint64) time.Time {
	hi, lo := bits.Mul64(ts%f.units, 1e9)
	nanos, _ := bits.Div64(hi, lo, f.units)
	return time.Unix(int64(ts/f.units)+f.offset, int64(nanos)).UTC()
}

// packet reads an enhanced, a simple or an obsolete packet (sections 4.3, 4.4, A).
func (r *Reader) packet(typ uint32) (p Packet, err error) {
	size := uint32(20)
	if typ == simplePacket {
		size = 4
	}
	b, err := r.field(size)
	if err != nil {
		return p, err
	}
	var id, n uint32
	switch typ {
	case enhancedPacket:
		id = r.u32(b)
	case obsoletePacket:
		id = uint32(r.u16(b))
	}
	if uint64(id) >= uint64(len(r.ifaces)) {
		return p, damaged("a packet before the description of interface", id, "")
	}
	f := &r.ifaces[id]
	if typ == simplePacket {
		p.Len = r.u32(b)
		if n = p.Len; f.snap != 0 {
			n = min(n, f.snap)
		}
	} else {
		p.At = f.at(uint64(r.u32(b[4:]))<<32 | uint64(r.u32(b[8:])))
		n, p.Len = r.u32(b[12:]), r.u32(b[16:])
	}
	if f.link != ethernet {
		return p, LinkTypeError(f.link)
	} else if n > MaxPacket || n+trailer > r.left {
		return p, damaged("a packet of", n, " bytes")
	}
	p.Data = make([]byte, n)
	r.left -= n
	if _, err := io.ReadFull(r.in, p.Data); err != nil {
		return p, err
	}
	return p, r.skip(r.left)
}
