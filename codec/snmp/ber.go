// Package snmp reads SNMPv1 and SNMPv2c messages that announce something: traps
// of both versions and informs (RFC 1157, 1901, 3416), and writes them and the
// Response to an inform. It reads and writes the caller's memory and does not
// allocate. It imports only the standard library.
//
// Messages are BER (ITU-T X.690): every length is checked against what holds
// it, and what a length covers is used up to the last byte. The indefinite form
// is refused, as RFC 3417 section 8 asks.
package snmp

import "errors"

// What is wrong with a message. They come as they are, never wrapped.
var (
	ErrTruncated = errors.New("snmp: a value is longer than what holds it")
	ErrLength    = errors.New("snmp: a length is of the indefinite form, or of more than four bytes")
	ErrTag       = errors.New("snmp: a value has not the type that belongs there")
	ErrTrailing  = errors.New("snmp: something follows the last value of a sequence")
	ErrInteger   = errors.New("snmp: an integer is empty or does not fit its type")
	ErrOID       = errors.New("snmp: an object identifier is empty, cut short, or has a sub-identifier that begins with zeros or exceeds 32 bits")
	ErrAddress   = errors.New("snmp: an IP address is not four bytes long")
	ErrVersion   = errors.New("snmp: the version is neither 1 nor 2c")
	ErrPDU       = errors.New("snmp: neither a trap nor an inform")
	ErrTrapOID   = errors.New("snmp: sysUpTime.0 and snmpTrapOID.0 are not the first two variables")
)

// The tags that appear in messages: universal types, those of SMIv2 (RFC 2578
// section 7.1), the exceptions of RFC 3416 section 3, and the PDUs.
const (
	TagInteger     = 0x02
	TagOctetString = 0x04
	TagNull        = 0x05
	TagOID         = 0x06
	TagSequence    = 0x30
	TagIPAddress   = 0x40
	TagCounter32   = 0x41
	TagGauge32     = 0x42 // Unsigned32 too
	TagTimeTicks   = 0x43
	TagOpaque      = 0x44
	TagCounter64   = 0x46

	TagResponse = 0xa2
	TagTrapV1   = 0xa4
	TagInform   = 0xa6
	TagTrapV2   = 0xa7
)

// tlv finds the value that begins at b[at] and ends with b or before it: its tag,
// and where its contents are. from is 0 if there is none, and fault says why.
func tlv(b []byte, at int) (tag byte, from, to int) {
	n, head, err := length(b[at:])
	if err != nil {
		return 0, 0, 0
	}
	return b[at], at + head, at + head + n
}

// length reads the tag and length that b begins with: how many bytes they
// take, and how many the contents.
func length(b []byte) (n, head int, err error) {
	if len(b) < 2 {
		return 0, 0, ErrTruncated
	}
	if b[0]&0x1f == 0x1f { // a tag of several bytes: SNMP has none
		return 0, 0, ErrTag
	}
	if n, head = int(b[1]), 2; n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 4 {
			return 0, 0, ErrLength
		}
		if head += size; len(b) < head {
			return 0, 0, ErrTruncated
		}
		n = 0
		for _, c := range b[2:head] {
			n = n<<8 | int(c)
		}
	}
	if n < 0 || n > len(b)-head { // four bytes can be negative in an int of 32 bits
		return 0, 0, ErrTruncated
	}
	return n, head, nil
}

// fault says why tlv found no value of the given tag at b[at].
func fault(b []byte, at int) error {
	if _, _, err := length(b[at:]); err != nil {
		return err
	}
	return ErrTag
}

// reader reads the values of a sequence one after the other. err is the first
// thing that was wrong; what is read after it is empty.
type reader struct {
	b   []byte
	at  int
	err error
}

// value gives the contents of the next value, whose tag must be the given one.
func (r *reader) value(tag byte) []byte {
	if b := r.b[r.at:]; len(b) > 1 && b[0] == tag && b[1] < 0x80 {
		if end := 2 + int(b[1]); end <= len(b) {
			r.at += end
			return b[2:end:end]
		}
	}
	return r.long(tag)
}

// long is value where the length is of the long form, or something is wrong.
func (r *reader) long(tag byte) []byte {
	got, from, to := tlv(r.b, r.at)
	if from == 0 || got != tag {
		r.fail(fault(r.b, r.at))
		return nil
	}
	r.at = to
	return r.b[from:to:to]
}

// last is value where nothing may follow.
func (r *reader) last(tag byte) []byte {
	val := r.value(tag)
	if r.at < len(r.b) {
		r.fail(ErrTrailing)
	}
	return val
}

// oid is value of an object identifier.
func (r *reader) oid() OID {
	val := r.value(TagOID)
	r.fail(checkOID(val))
	return val
}

// integer is value of an INTEGER, whose contents it gives as well.
func (r *reader) integer() (int32, []byte) {
	if b := r.b[r.at:]; len(b) > 2 && b[0] == TagInteger && b[1] == 1 { // nearly all are of one byte
		r.at += 3
		return int32(int8(b[2])), b[2:3:3]
	}
	val := r.value(TagInteger)
	n, err := signed(val)
	r.fail(err)
	return n, val
}

// ticks is value of TimeTicks.
func (r *reader) ticks() uint32 {
	n, err := unsigned(r.value(TagTimeTicks))
	r.fail(err)
	return n
}

func (r *reader) fail(err error) {
	if err != nil && r.err == nil {
		r.err = err
		r.b, r.at = nil, 0
	}
}

// signed reads the contents of an INTEGER: -2147483648 to 2147483647 (RFC 2578
// section 7.1.1). Leading bytes that say nothing are tolerated.
func signed(val []byte) (int32, error) {
	if len(val) == 0 || len(val) > 8 {
		return 0, ErrInteger
	}
	n := int64(int8(val[0]))
	for _, c := range val[1:] {
		n = n<<8 | int64(c)
	}
	if n != int64(int32(n)) {
		return 0, ErrInteger
	}
	return int32(n), nil
}

// unsigned reads the contents of a TimeTicks, Gauge32 or Counter32: 0 to
// 4294967295. Some agents leave out the zero byte before a set first bit, so
// four bytes are never negative.
func unsigned(val []byte) (uint32, error) {
	for len(val) > 4 && val[0] == 0 {
		val = val[1:]
	}
	if len(val) == 0 || len(val) > 4 {
		return 0, ErrInteger
	}
	var n uint32
	for _, c := range val {
		n = n<<8 | uint32(c)
	}
	return n, nil
}
