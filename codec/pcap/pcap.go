// Package pcap reads captures of an Ethernet interface as tcpdump and Wireshark
// write them: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng),
// in either byte order. Whatever a file says, it allocates no more than a packet's
// bound for it, and ends in an error, not a panic. It imports only bufio, errors, io,
// math/bits, strconv and time.
package pcap

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"time"
)

// MaxPacket is how many bytes of a packet are taken, as libpcap has it.
const MaxPacket = 256 << 10

// ErrCutOff is that of a file that ends where none may end. It comes as it is, never
// wrapped.
var ErrCutOff = errors.New("the file is cut off")

// LinkTypeError is the link type of frames that are not Ethernet's, as the registry
// of tcpdump.org numbers them.
type LinkTypeError uint16

// Error implements error.
func (e LinkTypeError) Error() string {
	name := "link type " + strconv.Itoa(int(e))
	switch e {
	case 101:
		name = "raw IP"
	case 113, 276: // of -i any
		name = "Linux SLL"
	}
	return "its frames are not Ethernet's but " + name + "'s"
}

const ethernet = 1

// Packet is a packet of a capture. Data is a frame from its Ethernet header on, up to
// MaxPacket bytes, that nobody else uses; Len is how many bytes it had on the wire,
// more than Data if the capture holds its beginning only. At is when it came, in UTC;
// the zero time if the capture does not say (a simple packet of pcapng).
type Packet struct {
	Data []byte
	At   time.Time
	Len  uint32
}

// Reader reads a capture from its beginning to its end. After an error it must not
// be used again.
type Reader struct {
	in  *bufio.Reader
	big bool // the byte order of the file, or of the section
	ng  bool
	buf [24]byte

	snap, frac uint32 // pcap: a packet's bound; nanoseconds in a unit of its time

	left   uint32 // pcapng: bytes of the block that are to come
	ifaces []iface
}

// New reads the header of a capture: of pcap the file header (section 4), of pcapng
// all up to the first interface description (section 4.2). It returns ErrCutOff, a
// LinkTypeError, an error of in's own, or one that says what the file has.
func New(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReader(in)}
	magic, err := r.in.Peek(4)
	if err != nil {
		return nil, cutOff(err)
	}
	if r.ng = r.u32(magic) == sectionHeader; r.ng {
		err = r.firstInterface()
	} else {
		err = r.fileHeader()
	}
	if err != nil {
		return nil, cutOff(err)
	}
	return r, nil
}

// Next gives the next packet. It returns io.EOF at the end of the file if that is
// behind a whole packet or block, and the errors of New otherwise.
func (r *Reader) Next() (Packet, error) {
	if r.ng {
		return r.nextBlock()
	}
	return r.nextRecord()
}

// fileHeader reads that of pcap (draft-ietf-opsawg-pcap section 4).
func (r *Reader) fileHeader() error {
	b, err := r.read(24)
	if err != nil {
		return err
	}
	r.big = b[0] == 0xa1
	switch magic := r.u32(b); magic {
	case 0xa1b2c3d4:
		r.frac = 1000
	case 0xa1b23c4d:
		r.frac = 1
	default:
		return errors.New("unknown magic " + strconv.FormatUint(uint64(magic), 16))
	}
	if major, minor := r.u16(b[4:]), r.u16(b[6:]); major != 2 || minor != 4 {
		return unknownVersion(major, minor)
	}
	// A snap length of 0 is no limit, to libpcap.
	if r.snap = r.u32(b[16:]); r.snap == 0 || r.snap > MaxPacket {
		r.snap = MaxPacket
	}
	if link := uint16(r.u32(b[20:])); link != ethernet { // above are bits about the FCS
		return LinkTypeError(link)
	}
	return nil
}

// nextRecord reads a packet of pcap (draft-ietf-opsawg-pcap section 5).
func (r *Reader) nextRecord() (p Packet, err error) {
	if _, err := r.in.Peek(1); err != nil {
		return p, err // io.EOF: the end
	}
	b, err := r.read(16)
	if err != nil {
		return p, cutOff(err)
	}
	p.At = time.Unix(int64(r.u32(b)), int64(r.u32(b[4:]))*int64(r.frac)).UTC()
	n := r.u32(b[8:])
	p.Len = r.u32(b[12:])
	if n > r.snap {
		return p, exceeds("snap", n, r.snap)
	} else if n > p.Len {
		return p, exceeds("original packet", n, p.Len)
	}
	p.Data = make([]byte, n)
	_, err = io.ReadFull(r.in, p.Data)
	return p, cutOff(err)
}

// read gives the next n bytes, up to 24, which hold until it is called again.
func (r *Reader) read(n int) ([]byte, error) {
	_, err := io.ReadFull(r.in, r.buf[:n])
	return r.buf[:n], err
}

// u16, u32 and u64 stand in for encoding/binary, which would bring reflect along.
func (r *Reader) u16(b []byte) uint16 {
	if r.big {
		return uint16(b[0])<<8 | uint16(b[1])
	}
	return uint16(b[1])<<8 | uint16(b[0])
}

func (r *Reader) u32(b []byte) uint32 {
	if r.big {
		return uint32(r.u16(b))<<16 | uint32(r.u16(b[2:]))
	}
	return uint32(r.u16(b[2:]))<<16 | uint32(r.u16(b))
}

func (r *Reader) u64(b []byte) uint64 {
	if r.big {
		return uint64(r.u32(b))<<32 | uint64(r.u32(b[4:]))
	}
	return uint64(r.u32(b[4:]))<<32 | uint64(r.u32(b))
}

// cutOff names an end where none should be.
func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrCutOff
	}
	return err
}

func unknownVersion(major, minor uint16) error {
	return errors.New("unknown version " + strconv.Itoa(int(major)) + "." + strconv.Itoa(int(minor)))
}

func exceeds(what string, n, most uint32) error {
	return errors.New("capture length exceeds " + what + " length: " + decimal(n) + " > " + decimal(most))
}

func damaged(what string, n uint32, unit string) error {
	return errors.New("the file is damaged: " + what + " " + decimal(n) + unit)
}

func decimal(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
